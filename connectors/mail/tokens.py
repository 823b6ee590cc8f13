"""Unguessable tokens that lead a reply back to its conversation: in our Message-IDs and, if set, the Reply-To address.

A token is the conversation's id and a MAC of it under the inbox's secret, in lower-case base32, because addresses and
some mail programs do not keep case. It proves only that we wrote to someone in that conversation: whoever has the
mail may answer into it, as with any reply.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from hashlib import sha256
from uuid import UUID

MAC_CHARACTERS = 15
"""75 bits: far more than can be tried by sending mail."""

_TOKEN = re.compile(r"(?<![a-z0-9])[ut][a-z2-7]{17,120}(?![a-z0-9])")


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _unbase32(text: str) -> bytes:
    return base64.b32decode(text.upper() + "=" * (-len(text) % 8))


class Tokens:
    """Makes and checks the tokens of one inbox."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def _mac(self, body: str) -> str:
        digest = hmac.new(self._secret, b"mail conversation\0" + body.encode(), sha256).digest()
        return _base32(digest)[:MAC_CHARACTERS]

    def make(self, conversation_id: str) -> str:
        """The conversation's token: 42 characters for a UUID, `[a-z2-7]` only."""
        try:
            uuid = UUID(conversation_id)
            body = "u" + _base32(uuid.bytes) if str(uuid) == conversation_id else ""
        except ValueError:
            body = ""
        body = body or "t" + _base32(conversation_id.encode())
        return body + self._mac(body)

    def verify(self, text: str) -> str | None:
        """The conversation whose token is in the text (a Message-ID, an address), or None; in constant time."""
        for token in _TOKEN.findall(text[:2000].lower()):
            body, mac = token[:-MAC_CHARACTERS], token[-MAC_CHARACTERS:]
            if not hmac.compare_digest(mac, self._mac(body)):
                continue
            try:
                data = _unbase32(body[1:])
                return str(UUID(bytes=data)) if body[0] == "u" else data.decode()
            except (ValueError, binascii.Error):
                continue
        return None

    def message_id(self, delivery_id: str, conversation_id: str, domain: str) -> str:
        """The Message-ID of a delivery, with angle brackets: the same at every attempt, so that a mail that reaches a
        mailbox twice is shown once (RFC 5322, 3.6.4)."""
        mark = _base32(hmac.new(self._secret, b"mail delivery\0" + delivery_id.encode(), sha256).digest()[:10])
        return f"<{mark}.{self.make(conversation_id)}@{domain}>"

    def reply_address(self, address: str, conversation_id: str) -> str:
        """`name+token@domain` (RFC 5233 subaddressing); the plain address where 64 characters would not hold it."""
        local, _, domain = address.rpartition("@")
        local = f"{local.partition('+')[0]}+{self.make(conversation_id)}"
        return f"{local}@{domain}" if len(local) <= 64 else address
