"""The change feed: numbered rows, with the newest in memory, and followers that are woken by a commit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from gateway.errors import CursorGone, Problem, Refused, StoreUnavailable
from gateway.model.event import Event
from gateway.store.contract import FeedItem

_DIGITS = 20
_CHUNK = 500
_RECENT = 2_000
_TRIM_CHUNK = 5_000
_decode = msgspec.json.Decoder(Event).decode

Numbered = tuple[int, bytes]
Rows = list[Numbered]
Fetch = Callable[[int, int], Awaitable[Rows]]
"""(after, limit) → the next events from the file."""


def to_cursor(seq: int) -> str:
    return f"{seq:0{_DIGITS}d}"


def from_cursor(cursor: str) -> int:
    """Raises Refused for what `to_cursor` did not make."""
    if len(cursor) != _DIGITS or not cursor.isascii() or not cursor.isdecimal():
        raise Refused(Problem("after", "this is no cursor of the feed"))
    return int(cursor)


def read(connection: sqlite3.Connection, after: int, limit: int) -> Rows:
    return connection.execute("SELECT seq, doc FROM feed WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)).fetchall()


def bounds(connection: sqlite3.Connection) -> tuple[int, int]:
    """(the last event dropped, the last event there was)."""
    trimmed = int(connection.execute("SELECT value FROM meta WHERE name = 'trimmed'").fetchone()[0])
    last = connection.execute("SELECT max(seq) FROM feed").fetchone()[0]
    return trimmed, trimmed if last is None else int(last)


def trim(connection: sqlite3.Connection, before: int) -> tuple[int, int]:
    """Drop a bounded number of events from the start that are older than `before` (ms); returns how many, and the last
    number dropped. Inside the writer's transaction."""
    rows = connection.execute("SELECT seq, at FROM feed ORDER BY seq LIMIT ?", (_TRIM_CHUNK,)).fetchall()
    old = 0
    while old < len(rows) and rows[old][1] < before:
        old += 1
    if not old:
        return 0, 0
    last = int(rows[old - 1][0])
    connection.execute("DELETE FROM feed WHERE seq <= ?", (last,))
    connection.execute("UPDATE meta SET value = ? WHERE name = 'trimmed'", (last,))
    return old, last


class Feed:
    """What followers read. All methods run on the loop."""

    def __init__(self, trimmed: int, head: int, fetch: Fetch) -> None:
        self.head = head
        self._trimmed = trimmed
        self._fetch = fetch
        self._recent: deque[FeedItem | Numbered] = deque(maxlen=_RECENT)
        """The events up to the head, without a gap; decoded when the first follower reads them."""
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False

    def committed(self, events: Sequence[Numbered]) -> None:
        """These were committed, in order, behind the head."""
        if not events:
            return
        self._recent.extend(events)
        self.head = events[-1][0]
        self._wake()

    def trimmed(self, seq: int) -> None:
        """Events up to `seq` were dropped."""
        self._trimmed = max(self._trimmed, seq)

    def close(self) -> None:
        """Followers end with StoreUnavailable."""
        self._closed = True
        self._wake()

    async def follow(self, after: str) -> AsyncIterator[list[FeedItem]]:
        position = from_cursor(after)
        while True:
            if position < self._trimmed or position > self.head:
                raise CursorGone(
                    f"the feed goes from {to_cursor(self._trimmed)} to {to_cursor(self.head)}, not {after}"
                )
            if position == self.head:
                await self._news()
                continue
            items = self._from_memory(position)
            if items is None:
                rows = await self._fetch(position, min(_CHUNK, self.head - position))
                if not rows or rows[0][0] != position + 1:  # trimmed while it was read
                    continue
                items = [_item(row) for row in rows]
            position += len(items)
            yield items

    def _from_memory(self, position: int) -> list[FeedItem] | None:
        """The next items, None if they are no longer (or not yet) in memory."""
        skip = len(self._recent) - (self.head - position)
        if skip < 0:
            return None
        items: list[FeedItem] = []
        for at in range(skip, min(skip + _CHUNK, len(self._recent))):
            item = self._recent[at]
            if not isinstance(item, FeedItem):
                item = self._recent[at] = _item(item)
            items.append(item)
        return items

    async def _news(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


def _item(row: Numbered) -> FeedItem:
    return FeedItem(to_cursor(row[0]), _decode(row[1]))
