"""Signatures of outgoing webhooks, as Standard Webhooks (standardwebhooks.com, version 1) has them.

Headers: `webhook-id` (the same at every try and replay of an event: the receiver's idempotency key),
`webhook-timestamp` (seconds since 1970 of this try), `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over
`{id}.{timestamp}.{body}`; several, separated by spaces, while a secret is being changed). A secret is `whsec_` and the
base64 of its bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence

PREFIX = "whsec_"
TOLERANCE = 300
"""Seconds that the two clocks may differ."""


def new_secret() -> str:
    """A secret of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def headers(id: str, at: int, body: bytes, keys: Sequence[str]) -> dict[str, str]:
    """The three headers for the body, sent at this time (seconds since 1970), signed with each secret."""
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join("v1," + _digest(key, id, str(at), body) for key in keys),
    }


def verify(sent: Mapping[str, str], body: bytes, secret: str, now: float) -> bool:
    """Whether the headers (names in lower case) sign the body with the secret, within the tolerance of time: what a
    receiver does."""
    id, at = sent.get("webhook-id", ""), sent.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit() and len(at) <= 12) or abs(now - int(at)) > TOLERANCE:
        return False
    expected = ("v1," + _digest(secret, id, at, body)).encode()
    offered = sent.get("webhook-signature", "").split()[:20]
    return any(hmac.compare_digest(expected, one.encode("utf-8", "replace")) for one in offered)


def _digest(secret: str, id: str, at: str, body: bytes) -> str:
    signed = b".".join((id.encode(), at.encode(), body))
    return base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """The secret's bytes; one without the prefix is taken as it stands."""
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            pass
    return secret.encode()
