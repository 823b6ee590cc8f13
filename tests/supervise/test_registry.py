"""Which channels there are, and that listing them loads no client library."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from gateway.connector import Capabilities, ConnectorSpec
from gateway.errors import Refused
from gateway.registry import Registry, listed


class Nothing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


def spec(kind: str, secrets: tuple[str, ...] = ()) -> ConnectorSpec:
    return ConnectorSpec(
        kind=kind,
        title=kind,
        settings=Nothing,
        secrets=secrets,
        capabilities=Capabilities(),
        create=lambda settings, context: pytest.fail("not needed here"),
    )


def test_every_folder_is_usable() -> None:
    registry = Registry()
    assert registry.broken == {}
    assert set(registry.kinds()) >= set(listed()) >= {"api"}
    assert list(registry.specs()) == list(registry.kinds())


@pytest.mark.parametrize("kind", ["../tests", "os.path", "api\n", "", "gateway", "API"])
def test_a_name_that_is_not_listed_is_refused(kind: str) -> None:
    with pytest.raises(Refused, match="there are: "):
        Registry().spec(kind)


def test_other_specs_can_be_added_but_not_over_one() -> None:
    assert Registry([spec("probe")]).spec("probe").kind == "probe"
    with pytest.raises(ValueError, match="another connector"):
        Registry([spec("probe"), spec("probe")])


def test_a_secret_must_be_a_setting() -> None:
    with pytest.raises(ValueError, match="password"):
        Registry([spec("probe", ("password",))])


def test_listing_the_channels_loads_no_client_library() -> None:
    program = """
import sys
from gateway.registry import Registry
assert Registry().kinds()
print(sorted({"aioimaplib", "aiosmtplib", "telegram", "tweepy"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
