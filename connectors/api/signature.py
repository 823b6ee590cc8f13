"""Signatures of callbacks and receipts: `Omnigate-Signature: t=<seconds since 1970>,v1=<hex>`.

v1 is HMAC-SHA256 with the callback secret over `<t>.<body>`: the time is signed with the body, so that a recorded call
cannot be played back later.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "Omnigate-Signature"
TOLERANCE = 300
"""Seconds that the two clocks may differ."""


def sign(secret: str, body: bytes, at: int) -> str:
    """The header's value for the body at this time (seconds since 1970)."""
    return f"t={at},v1={_digest(secret, body, str(at))}"


def verify(secret: str, body: bytes, header: str, now: float) -> str | None:
    """What is wrong with the signature; None: it is right. Takes the same time for any wrong digest."""
    fields = [part.strip().partition("=") for part in header.split(",")][:20]
    at = next((value for name, _, value in fields if name == "t"), "")
    digests = [value for name, _, value in fields if name == "v1"]
    if not (at.isascii() and at.isdigit() and len(at) <= 12) or not digests:
        return f"no {HEADER} header of the form t=<seconds>,v1=<hex>"
    expected = _digest(secret, body, at).encode()
    # A sender that changes its secret may sign with both, so any right one does.
    right = [hmac.compare_digest(expected, digest.encode("utf-8", "replace")) for digest in digests]
    if not any(right):
        return "the signature does not fit the body and the callback secret"
    if abs(now - int(at)) > TOLERANCE:
        return f"signed more than {TOLERANCE} s ago or ahead: set the clock, or sign again at every try"
    return None


def _digest(secret: str, body: bytes, at: str) -> str:
    return hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
