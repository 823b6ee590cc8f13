"""The third layer against mail loops: robots get no automatic answer, and people not more than so many a day.

The first two are in the mails themselves: recognising automatic mail (inbound) and marking our own (outbound).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from gateway.connector import Outgoing, Sink
from gateway.errors import Fenced, Permanent

DAY = timedelta(days=1)
MAX_PAIRS = 2000
"""Correspondents counted per state document."""

_ROBOT = re.compile(
    r"(?:mailer-daemon|postmaster|listserv|majordomo|no-?reply.*|do-?not-?reply.*|bounces?(?:[+-].*)?|owner-.*"
    r"|.*-(?:owner|request|bounces?|noreply))",
    re.IGNORECASE,
)
"""Local parts that are never answered automatically (RFC 3834, 2 and 3.1, RFC 2142)."""

AUTOMATIC_KINDS = frozenset({"bounce", "complaint", "auto_reply", "receipt"})


def refuse_robots(message: Outgoing, address: str) -> None:
    """Raises Permanent where an automatic answer would go to a robot."""
    local = address.rpartition("@")[0].partition("+")[0]
    if _ROBOT.fullmatch(local):
        raise Permanent(f"no automatic answer goes to {local}@…: robots are not answered by robots", code="robot")
    answered = message.reply_to
    if answered.get("kind") in AUTOMATIC_KINDS or answered.get("automatic") is True or answered.get("bulk") is True:
        raise Permanent("no automatic answer to an automatic mail", code="robot")


def sent_in(conversation: Iterable[Mapping[str, Any]], address: str, since: datetime) -> int:
    """Automatic answers to the address since then, by the notes that `send` left with a conversation's messages."""
    count = 0
    for meta in conversation:
        if meta.get("automatic") is True and meta.get("to") == address:
            try:
                count += datetime.fromisoformat(str(meta.get("at"))) >= since
            except (ValueError, TypeError):
                continue
    return count


class DailyLimit:
    """Counts automatic answers per correspondent over the last 24 hours, in memory and in the inbox's state.

    Another node may poll the mailbox and own the state; then this node counts for itself, and the conversation's own
    notes count for all.
    """

    def __init__(self, limit: int, sink: Sink) -> None:
        self._limit = limit
        self._sink = sink
        self._pages: dict[str, dict[str, dict[str, str]]] = {}

    async def count(self, message: Outgoing, address: str, now: datetime) -> None:
        """Counts this delivery, once however often it is tried. Raises Permanent where the limit is reached."""
        since = now - DAY
        mark = sha256(address.lower().encode()).hexdigest()[:24]
        key = f"automatic/{mark[:2]}"
        page = self._pages.get(key)
        if page is None:
            page = self._pages[key] = (await self._sink.load(key)).get("pairs", {})
        recent = {id: at for id, at in page.get(mark, {}).items() if _moment(at) >= since}
        if message.id in recent:
            return
        if max(len(recent), sent_in(message.thread_meta, address, since)) >= self._limit:
            raise Permanent(
                f"{self._limit} automatic answers went to this address within 24 hours: no more until a person writes",
                code="loop",
            )
        recent[message.id] = now.isoformat()
        page[mark] = recent
        for other in [other for other, sent in page.items() if max(map(_moment, sent.values())) < since]:
            del page[other]
        for other in list(page)[: max(0, len(page) - MAX_PAIRS)]:
            del page[other]
        with contextlib.suppress(Fenced):
            await self._sink.save(key, {"pairs": page})


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
