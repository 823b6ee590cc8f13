"""Secrets at rest."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import msgspec
import pytest

from gateway.connector import Capabilities, ConnectorSpec
from gateway.errors import Refused
from gateway.service.seal import Seal, is_sealed, load_keys, secret_values

OLD, NEW = b"o" * 32, b"n" * 32


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str
    password: str | None = None
    token: str | None = None


def _create(settings: object, context: object) -> object:
    raise AssertionError("not needed here")


SPEC = ConnectorSpec(
    kind="account",
    title="Account",
    settings=Account,
    secrets=("password", "token"),
    capabilities=Capabilities(),
    create=_create,  # type: ignore[arg-type]
)


def test_what_is_sealed_opens_in_its_context_only() -> None:
    seal = Seal(OLD)
    sealed = seal.seal("秘密 token", "agent/1/totp")
    assert "token" not in sealed
    assert seal.open(sealed, "agent/1/totp") == "秘密 token"
    with pytest.raises(Refused, match="something else"):
        seal.open(sealed, "agent/2/totp")


def test_the_same_text_is_sealed_differently_each_time() -> None:
    seal = Seal(OLD)
    assert seal.seal("x", "c") != seal.seal("x", "c")


@pytest.mark.parametrize("broken", ["", "v1", "v1..", "plain", "v2.abc.def", "v1.{id}.", "v1.{id}.AAAA", "v1.{id}.*"])
def test_a_broken_text_is_refused(broken: str) -> None:
    seal = Seal(OLD)
    with pytest.raises(Refused):
        seal.open(broken.format(id=seal.key_id), "c")


def test_a_changed_byte_is_noticed() -> None:
    seal = Seal(OLD)
    head, _, body = seal.seal("secret", "c").rpartition(".")
    data = bytearray(base64.urlsafe_b64decode(body))
    data[-1] ^= 1
    with pytest.raises(Refused):
        seal.open(f"{head}.{base64.urlsafe_b64encode(data).decode()}", "c")


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    sealed = Seal(OLD).seal("secret", "c")
    both = Seal(NEW, OLD)
    assert both.open(sealed, "c") == "secret"
    assert not both.is_current(sealed)
    assert both.is_current(both.seal("secret", "c"))
    with pytest.raises(Refused, match="does not have"):
        Seal(NEW).open(sealed, "c")


def test_settings_are_sealed_by_name_and_opened_again() -> None:
    seal = Seal(OLD)
    settings = {"host": "imap.example.org", "password": "pässword", "token": None}
    stored = seal.seal_settings(SPEC, settings)
    assert is_sealed(stored["password"])
    assert stored["host"] == "imap.example.org"
    assert stored["token"] is None
    assert "pässword" not in repr(stored)
    assert seal.seal_settings(SPEC, stored) == stored
    assert seal.open_settings(SPEC, stored) == settings


def test_a_setting_s_secret_cannot_be_moved_to_another_setting() -> None:
    seal = Seal(OLD)
    stored = seal.seal_settings(SPEC, {"password": "p", "token": "t"})
    with pytest.raises(Refused, match=r"settings\.token"):
        seal.open_settings(SPEC, {"token": stored["password"]})


def test_an_inbox_s_secret_is_its_own_and_survives_a_new_key() -> None:
    assert Seal(OLD).inbox_secret("a") != Seal(OLD).inbox_secret("b")
    assert len(Seal(OLD).inbox_secret("a")) == 32
    assert Seal(NEW, OLD).inbox_secret("a") == Seal(OLD).inbox_secret("a")


def test_secret_values_longest_first() -> None:
    assert secret_values(SPEC, {"host": "h", "password": "ab", "token": "abc"}) == ("abc", "ab")


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = load_keys(tmp_path / "data")
    assert load_keys(tmp_path / "data") == first
    path = tmp_path / "data" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret.key"]


def test_given_keys_come_before_the_file(tmp_path: Path) -> None:
    given = ",".join(base64.b64encode(key).decode() for key in (NEW, OLD))
    assert load_keys(tmp_path, given) == (NEW, OLD)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", ["short", "!!!", base64.b64encode(b"x" * 31).decode(), " , "])
def test_a_wrong_key_is_refused_with_its_origin(tmp_path: Path, given: str) -> None:
    with pytest.raises(Refused, match="OMNIGATE_SECRET_KEY"):
        load_keys(tmp_path, given)
