"""Secrets at rest: sealed with AES-256-GCM under keys that are not in the store.

A sealed text is `v1.{key id}.{base64url of nonce and ciphertext}`. Its context (what it is the secret of) is
authenticated with it, so that a sealed text copied to another place does not open there.

Keys: `OMNIGATE_SECRET_KEY`, or the file `secret.key` in the data folder, which is made at the first start. Either may
hold several keys (comma- or line-separated): the first seals, all open. To change keys put a new one first, reseal
(see `Seal.is_current`), then drop the old ones. Inboxes' own secrets come from the last key, so that addresses already
given out keep working for as long as it stays.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.connector import ConnectorSpec
from gateway.errors import Problem, Refused

KEY_FILE = "secret.key"
KEY_BYTES = 32
SEALED = "$sealed"
"""A sealed setting is {"$sealed": text}."""
_NONCE_BYTES = 12  # as GCM wants it (NIST SP 800-38D, 5.2.1.1)


class Seal:
    """Seals and opens secrets. `keys`: 32 bytes each, the one that seals first."""

    def __init__(self, *keys: bytes) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])
        self._root = keys[-1]

    @property
    def key_id(self) -> str:
        """Names the key that seals; tells nothing about it."""
        return self._current

    def seal(self, text: str, context: str) -> str:
        """The text, sealed for `context` (for example `agent/{id}/totp`)."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, text.encode(), context.encode())
        return f"v1.{self._current}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The text; raises Refused where the key is not here, or the text was changed or belongs elsewhere."""
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        cipher = self._ciphers.get(key_id)
        if version != "v1" or cipher is None:
            raise _cannot_open(f"it was sealed with key {key_id or '?'}, which this node does not have")
        try:
            data = base64.urlsafe_b64decode(body)
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError):
            raise _cannot_open("it was changed, or is the secret of something else") from None

    def is_current(self, sealed: str) -> bool:
        """Whether it is sealed with the key that seals now."""
        return sealed.startswith(f"v1.{self._current}.")

    def seal_settings(self, spec: ConnectorSpec, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with the spec's secrets sealed; None, empty text and what is sealed already stay as they are."""
        stored = dict(settings)
        for name in spec.secrets:
            value = stored.get(name)
            if value not in (None, "") and not is_sealed(value):
                stored[name] = {SEALED: self.seal(msgspec.json.encode(value).decode(), _context(spec, name))}
        return stored

    def open_settings(self, spec: ConnectorSpec, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with secrets in the clear; raises Refused naming the setting that cannot be opened."""
        settings = dict(stored)
        for name in spec.secrets:
            value = settings.get(name)
            if is_sealed(value):
                try:
                    settings[name] = msgspec.json.decode(self.open(value[SEALED], _context(spec, name)))
                except Refused as error:
                    raise Refused(Problem(f"settings.{name}", f"enter it again: {error}")) from None
        return settings

    def inbox_secret(self, inbox_id: str) -> bytes:
        """32 bytes of the inbox's own (HKDF, RFC 5869), the same at every start."""
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"omnigate inbox {inbox_id}".encode()).derive(self._root)


def is_sealed(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a stored setting is a sealed one."""
    return isinstance(value, dict) and SEALED in value


def secret_values(spec: ConnectorSpec, settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The secrets' texts in opened settings, longest first: what must not be seen in any log."""
    values = (settings.get(name) for name in spec.secrets)
    return tuple(sorted({value for value in values if isinstance(value, str) and value}, key=len, reverse=True))


def load_keys(data_dir: Path, given: str = "") -> tuple[bytes, ...]:
    """The keys, from `given` (OMNIGATE_SECRET_KEY) or the key file, which is made if there is none.

    Raises Refused for what is not base64 of 32 bytes."""
    if given:
        return _parse(given.split(","), "OMNIGATE_SECRET_KEY")
    path = data_dir / KEY_FILE
    if not path.exists():
        _create(path)
    return _parse(path.read_text("ascii", "replace").splitlines(), str(path))


def _parse(texts: list[str], where: str) -> tuple[bytes, ...]:
    keys = []
    for text in filter(None, (text.strip() for text in texts)):
        try:
            key = base64.b64decode(text, altchars=b"-_" if "-" in text or "_" in text else None, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise Refused(
                Problem(where, f"expected base64 of {KEY_BYTES} bytes, as `openssl rand -base64 32` makes it")
            )
        keys.append(key)
    if not keys:
        raise Refused(Problem(where, "holds no key"))
    return tuple(keys)


def _create(path: Path) -> None:
    """Make the file whole or not at all: another process may be starting too, and the first one's key must win."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"omnigate key id" + key).hexdigest()[:8]


def _context(spec: ConnectorSpec, name: str) -> str:
    return f"setting/{spec.kind}/{name}"


def _cannot_open(reason: str) -> Refused:
    return Refused(Problem("", f"a secret cannot be opened: {reason}"), title="a secret cannot be opened")
