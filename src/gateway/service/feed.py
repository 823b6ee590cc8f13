"""The feed in this process: one task follows the store, and everyone who reads events reads them from its ring.

Each event is turned into its wire form once, however many read it. A reader is a place in the ring, so a slow one costs
no memory: one that falls behind the ring's end catches up from the store, and where the store no longer reaches back
either it is told so (CursorGone).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from types import TracebackType

import msgspec
import structlog

from gateway.errors import CursorGone, StoreError
from gateway.model.document import Clock
from gateway.model.event import Event
from gateway.store.contract import FeedItem, Store

log = structlog.get_logger("feed")

RING = 10_000
CATCH_UPS = 8
"""How many readers may read old events from the store at a time; the others wait for their turn."""
GRACE = 0.3
"""Seconds within which the store answers with old events; after that there are none behind the cursor."""

_encode = msgspec.json.Encoder().encode


class Entry:
    """An event in the feed; `json` is its wire form `{"cursor", "type", "at", …}`, without what it has no value for."""

    __slots__ = ("_json", "cursor", "event")

    def __init__(self, cursor: str, event: Event) -> None:
        self.cursor = cursor
        self.event = event
        self._json: bytes | None = None

    @property
    def json(self) -> bytes:
        """Made when the first reader asks, once for all of them."""
        if self._json is None:
            self._json = b'{"cursor":' + _encode(self.cursor) + b"," + _encode(self.event)[1:]
        return self._json


Listener = Callable[[Sequence[Entry]], None]


def signal(kind: str, cursor: str, at: datetime) -> bytes:
    """A message to one reader that is no event: `ready` (from here on you are told) or `reload` (you missed some:
    read everything anew, then go on from this cursor)."""
    return _encode({"cursor": cursor, "type": kind, "at": at})


class Feed:
    """Run `run` in a task; everything else waits until it is ready."""

    def __init__(self, store: Store, clock: Clock, *, ring: int = RING, catch_ups: int = CATCH_UPS) -> None:
        self._store = store
        self._clock = clock
        self._size = ring
        self._ring: list[Entry] = []
        self._origin = 0  # the ring holds the entries numbered base … end-1, number n in slot (n - origin) % size
        self._base = 0
        self._end = 0
        self._floor = ""  # the cursor just before `base`
        self._ready = asyncio.Event()
        self._bell = asyncio.Event()
        self._closed = False
        self._slots = asyncio.Semaphore(catch_ups)
        self._listeners: list[Listener] = []

    @property
    def head(self) -> str:
        """The cursor of the newest event known here."""
        return self._at(self._end - 1).cursor if self._end > self._base else self._floor

    @property
    def closed(self) -> bool:
        return self._closed

    async def ready(self) -> None:
        """Returns once the feed is followed."""
        await self._ready.wait()

    def on_event(self, listener: Listener) -> None:
        """Call the listener with each batch of events as it comes, in order. It must return at once and not raise;
        what takes time uses `each`, what must not miss an event while the program is down keeps a checkpoint."""
        self._listeners.append(listener)

    def off_event(self, listener: Listener) -> None:
        """Call it no more."""
        self._listeners = [known for known in self._listeners if known != listener]

    def subscribe(self, after: str | None = None, *, patient: bool = True) -> Reader:
        """A reader of what comes after the cursor (None: from now on). `patient`: waits for its turn to catch up, as
        clients do; the gateway's own followers do not. Use it as `async with`."""
        return Reader(self, after, patient)

    async def each(
        self, handle: Callable[[Event], Awaitable[None]], missed: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Await the handler with every event from now on, for ever; `missed` after events were lost to us. What they
        raise is logged, and the next event comes."""
        while not self._closed:
            async with self.subscribe(patient=False) as reader:
                try:
                    while not self._closed:
                        for entry in await reader.next():
                            await self._guarded(handle(entry.event), entry.event.type)
                except CursorGone:
                    if missed is not None:
                        await self._guarded(missed(), "missed")

    async def run(self) -> None:
        """Follow the store until cancelled."""
        delay = 0.1
        while not self._closed:
            try:
                if not self._ready.is_set():
                    self._start(await self._store.head())
                async for items in self._store.follow(self.head):
                    delay = 0.1
                    self._publish(items)
            except CursorGone:
                log.warning("feed.gap")
                self._start(await self._store.head())
            except StoreError as error:
                log.warning("feed.interrupted", error=type(error).__name__)
            await asyncio.sleep(delay * random.uniform(0.5, 1))
            delay = min(delay * 2, 5)

    def close(self) -> None:
        """End all readers: they get no more events."""
        self._closed = True
        self._ring_bell()

    # for Reader

    @property
    def end(self) -> int:
        """The number the next event will have."""
        return self._end

    def covers(self, cursor: str) -> bool:
        """Whether the ring has all that came after the cursor."""
        return cursor >= self._floor

    def holds(self, cursor: str) -> bool:
        """Whether the cursor is one this feed has handed out lately, so that it needs no check."""
        if cursor == self._floor:
            return True
        number = self.after(cursor) - 1
        return number >= self._base and self._at(number).cursor == cursor

    def after(self, cursor: str) -> int:
        """The number of the first entry behind the cursor."""
        low, high = self._base, self._end
        while low < high:
            middle = (low + high) // 2
            if self._at(middle).cursor <= cursor:
                low = middle + 1
            else:
                high = middle
        return low

    def cut(self, number: int, limit: int) -> list[Entry] | None:
        """Up to `limit` entries from the number on; None where the ring no longer has it."""
        if number < self._base:
            return None
        return [self._at(n) for n in range(number, min(self._end, number + limit))]

    async def changed(self, number: int) -> None:
        """Returns when there is an entry with the number, or the feed closes."""
        while self._end <= number and not self._closed:
            await self._bell.wait()

    def catch_up(self, cursor: str) -> AsyncIterator[list[FeedItem]]:
        return self._store.follow(cursor)

    @property
    def slots(self) -> asyncio.Semaphore:
        return self._slots

    # inside

    def _at(self, number: int) -> Entry:
        return self._ring[(number - self._origin) % self._size]

    def _start(self, head: str) -> None:
        # One number is left out, so that readers at the old end see that they missed something.
        self._end += 1
        self._base = self._origin = self._end
        self._ring = []
        self._floor = head
        self._ready.set()
        self._ring_bell()

    def _publish(self, items: Sequence[FeedItem]) -> None:
        entries = [Entry(item.cursor, item.event) for item in items]
        for entry in entries:
            if len(self._ring) < self._size:
                self._ring.append(entry)
            else:
                self._floor = self._at(self._base).cursor
                self._base += 1
                self._ring[(self._end - self._origin) % self._size] = entry
            self._end += 1
        if entries:
            self._ring_bell()
            for listener in self._listeners:
                try:
                    listener(entries)
                except Exception:
                    log.exception("feed.listener")

    def _ring_bell(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()

    async def _guarded(self, work: Awaitable[None], what: str) -> None:
        try:
            await work
        except Exception:
            log.exception("feed.handler", about=what)


class Reader:
    """A place in the feed. Not for concurrent use."""

    def __init__(self, feed: Feed, after: str | None, patient: bool) -> None:
        self._feed = feed
        self._patient = patient
        self._number: int | None = None
        self._source: AsyncIterator[list[FeedItem]] | None = None
        self._holds_slot = False
        self._after = after
        self._opened: list[Entry] = []
        self.cursor = self.start = after or ""
        """Of the last event that was handed out, and where the reading began."""

    async def __aenter__(self) -> Reader:
        """Find the place. Raises CursorGone or Refused (no cursor of this feed)."""
        await self._feed.ready()
        if self._after is None:
            self.cursor = self.start = self._feed.head
        if self._feed.holds(self.cursor):
            self._number = self._feed.after(self.cursor)
        else:
            self._opened = await self._read_store()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave_store()

    @property
    def number(self) -> int | None:
        """The number in the feed of the next entry; None while catching up from the store."""
        return None if self._opened else self._number

    async def next(self, limit: int = 500, timeout: float | None = None) -> list[Entry]:
        """The next events, waiting for the first; empty after `timeout` seconds or when the feed closes. Raises
        CursorGone."""
        if self._opened:
            entries, self._opened = self._opened, []
            return entries
        try:
            async with asyncio.timeout(timeout):
                while not self._feed.closed:
                    entries = await self._step(limit)
                    if entries:
                        return entries
        except TimeoutError:
            pass
        return []

    async def _step(self, limit: int) -> list[Entry]:
        if self._number is None:
            return await self._read_store()
        await self._feed.changed(self._number)
        entries = self._feed.cut(self._number, limit)
        if entries is None:
            self._number = None
            return []
        self._number += len(entries)
        if entries:
            self.cursor = entries[-1].cursor
        return entries

    async def _read_store(self) -> list[Entry]:
        try:
            if self._source is None:
                if self._patient:
                    await self._feed.slots.acquire()
                    self._holds_slot = True
                self._source = self._feed.catch_up(self.cursor)
            async with asyncio.timeout(GRACE):
                items = await anext(self._source, None)
        except TimeoutError:
            # Nothing is stored behind the cursor (which the store has checked by now): the ring goes on from there.
            await self._leave_store()
            if self._feed.covers(self.cursor):
                self._number = self._feed.after(self.cursor)
            return []
        except BaseException:
            await self._leave_store()
            raise
        if not items:
            await self._leave_store()
            return []
        entries = [Entry(item.cursor, item.event) for item in items]
        self.cursor = entries[-1].cursor
        if self._feed.covers(self.cursor):
            await self._leave_store()
            self._number = self._feed.after(self.cursor)
        return entries

    async def _leave_store(self) -> None:
        source, self._source = self._source, None
        if self._holds_slot:
            self._holds_slot = False
            self._feed.slots.release()
        if isinstance(source, AsyncGenerator):
            await source.aclose()
