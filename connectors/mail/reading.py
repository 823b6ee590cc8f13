"""From what was fetched to what the gateway takes in. Whatever a mail holds, something comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from connectors.mail.fetching import Fetched
from gateway.connector import Inbound, Sender

LARGE = 256 * 1024
"""From this size on a mail is parsed in a thread; below, the loop is free again within milliseconds."""

Parse = Callable[[bytes], Inbound]


class Reader:
    """Parses with `parse`; what that cannot take becomes a message of kind `unparsed` with its source."""

    def __init__(self, parse: Parse, log: Any) -> None:
        self._parse = parse
        self._log = log

    async def read(self, mail: Fetched, folder: str, uidvalidity: int) -> Inbound:
        """The message of a mail of this folder. Never raises because of what the mail holds."""
        place = f"imap:{folder}:{uidvalidity}:{mail.uid}"
        if mail.source is None:
            return _bare(place, {"folder": folder, "size": mail.size, "note": "the mail server cannot hand it out"})
        try:
            if len(mail.source) >= LARGE:
                message = await asyncio.to_thread(self._parse, mail.source)
            else:
                message = self._parse(mail.source)
                await asyncio.sleep(0)
        except Exception as error:  # whatever a parser's bug raises, the mail itself must not be lost
            self._log.error("mail.unparsed", folder=folder, uid=mail.uid, error=type(error).__name__)
            mark = f"sha256:{sha256(mail.source).hexdigest()}"
            return msgspec.structs.replace(_bare(mark, {"folder": folder}), raw=mail.source, sent_at=mail.received)
        changes: dict[str, Any] = {"meta": {**message.meta, "folder": folder}}
        if message.sent_at is None:
            changes["sent_at"] = mail.received
        if not mail.whole:
            note = f"only the beginning of {mail.size} bytes was fetched"
            changes["meta"] |= {"size": mail.size, "note": note}
            changes |= {"kind": "unparsed", "raw": mail.source}
        return msgspec.structs.replace(message, **changes)


def is_bare(message: Inbound) -> bool:
    """Whether nothing is left in it that could be in the way of storing it."""
    return message.kind == "unparsed" and not (message.files or message.html or message.text or message.subject)


def unread(message: Inbound, mail: Fetched) -> Inbound:
    """The message with its source instead of what was read from it."""
    bare = _bare(message.external_id, {"note": "it could not be stored as it was read"})
    return msgspec.structs.replace(bare, raw=mail.source, sent_at=mail.received)


def _bare(external_id: str, meta: dict[str, Any]) -> Inbound:
    return Inbound(
        external_id=external_id,
        sender=Sender(address="unknown@mail.invalid", namespace="email"),
        kind="unparsed",
        meta=meta,
    )
