"""The feed in the process: every event once, in order, from the ring or the store, or word that some are gone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from gateway.errors import CursorGone, Refused
from gateway.model.document import SystemClock
from gateway.model.event import Event
from gateway.service.feed import Entry, Feed, Reader
from gateway.store.batch import Batch
from gateway.store.contract import FeedItem
from gateway.store.sqlite.store import SqliteStore

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def emit(store: SqliteStore, *numbers: int) -> str:
    batch = Batch()
    for number in numbers:
        batch.emit(Event(type="test.event", at=AT, data={"n": number}))
    return await store.commit(batch)


async def take(reader: Reader, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        entries = await reader.next(timeout=2)
        assert entries, f"nothing more after {found}"
        found += [entry.event.data["n"] for entry in entries]
    return found


async def caught_up(store: SqliteStore, feed: Feed) -> None:
    """Until the feed has all that was committed."""
    head = await store.head()
    async with asyncio.timeout(2):
        while feed.head != head:
            await asyncio.sleep(0.001)


def test_the_wire_form_is_the_event_with_its_cursor() -> None:
    entry = Entry("7", Event(type="message.created", at=AT, conversation_id="c", queue_id="q", data={"x": "ü"}))
    assert msgspec.json.decode(entry.json) == {
        "cursor": "7",
        "type": "message.created",
        "at": "2026-01-02T03:04:05Z",
        "conversation_id": "c",
        "queue_id": "q",
        "data": {"x": "ü"},
    }


async def test_readers_get_what_comes_after_they_came(store: SqliteStore, feed: Feed) -> None:
    await emit(store, 1)
    async with feed.subscribe(await store.head()) as one:
        await emit(store, 2)
        await emit(store, 3, 4)
        assert await take(one, 3) == [2, 3, 4]
        async with feed.subscribe() as two:
            assert two.start == feed.head
            await emit(store, 5)
            assert await take(one, 1) == await take(two, 1) == [5]


@pytest.mark.parametrize("start", [0, 5, 22, 23, 24, 29, 30])
async def test_a_reader_resumes_from_the_ring_or_the_store(store: SqliteStore, feed: Feed, start: int) -> None:
    cursors = [await store.head()] + [await emit(store, number) for number in range(1, 31)]
    await caught_up(store, feed)
    assert not feed.covers(cursors[21])  # the ring has the last 8 events
    assert feed.covers(cursors[22])
    async with feed.subscribe(cursors[start]) as reader:
        assert await take(reader, 30 - start) == list(range(start + 1, 31))
        await emit(store, 31)
        assert await take(reader, 1) == [31]
        assert reader.number == feed.end


async def test_a_reader_that_the_ring_outruns_catches_up(store: SqliteStore, feed: Feed) -> None:
    async with feed.subscribe() as reader:
        for number in range(50):
            await emit(store, number)
        assert await take(reader, 50) == list(range(50))


async def test_bursts_while_catching_up_come_in_order_and_once(store: SqliteStore, feed: Feed) -> None:
    start = await store.head()
    for number in range(100):
        await emit(store, number)

    async def write() -> None:
        for number in range(100, 400):
            await emit(store, number)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        for _ in range(12):  # more than may catch up at a time

            async def read() -> None:
                async with feed.subscribe(start) as reader:
                    assert await take(reader, 400) == list(range(400))

            group.create_task(read())


async def test_a_cursor_that_is_no_longer_kept_is_said_to_be_gone(store: SqliteStore, feed: Feed) -> None:
    start = await store.head()
    for number in range(20):
        await emit(store, number)
    await caught_up(store, feed)
    await store.trim(AT + timedelta(days=1))
    with pytest.raises(CursorGone):
        async with feed.subscribe(start):
            pass
    async with feed.subscribe(feed.head) as reader:
        await emit(store, 20)
        assert await take(reader, 1) == [20]


@pytest.mark.parametrize("cursor", ["", "zzz", "0", "12345", "99999999999999999999x", "\u0661" * 20])
async def test_what_is_no_cursor_is_refused(store: SqliteStore, feed: Feed, cursor: str) -> None:
    await emit(store, 1)
    with pytest.raises((Refused, CursorGone)):
        async with feed.subscribe(cursor):
            pass


async def test_waiting_ends_after_the_time_out_and_when_the_feed_closes(store: SqliteStore, feed: Feed) -> None:
    async with feed.subscribe() as reader:
        assert await reader.next(timeout=0.02) == []
        await emit(store, 1)
        assert await take(reader, 1) == [1]
        asyncio.get_running_loop().call_later(0.02, feed.close)
        assert await reader.next(timeout=5) == []
        assert feed.closed


async def test_readers_may_be_given_up_in_the_middle(store: SqliteStore, feed: Feed) -> None:
    """A reader that is cancelled while it catches up leaves its turn to others."""
    start = await store.head()
    for number in range(60):
        await emit(store, number)
    await caught_up(store, feed)
    for _ in range(20):
        async with feed.subscribe(start) as reader:
            await reader.next(timeout=0)
    async with feed.subscribe(start) as reader:
        assert await take(reader, 60) == list(range(60))


async def test_listeners_are_told_at_once_and_a_broken_one_breaks_nothing(store: SqliteStore, feed: Feed) -> None:
    heard: list[int] = []

    def broken(entries: object) -> None:
        raise ValueError

    feed.on_event(broken)
    feed.on_event(lambda entries: heard.extend(entry.event.data["n"] for entry in entries))
    with capture_logs() as logs:
        async with feed.subscribe() as reader:
            await emit(store, 1, 2)
            await emit(store, 3)
            await take(reader, 3)
    assert heard == [1, 2, 3]
    assert {line["event"] for line in logs} == {"feed.listener"}


async def test_handlers_get_every_event_whatever_they_raise(store: SqliteStore, feed: Feed) -> None:
    heard: list[int] = []

    async def handle(event: Event) -> None:
        heard.append(event.data["n"])
        await asyncio.sleep(0)
        if event.data["n"] == 1:
            raise ValueError

    with capture_logs():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(feed.each(handle))
            await asyncio.sleep(0.01)
            for number in range(30):
                await emit(store, number)
            async with asyncio.timeout(2):
                while len(heard) < 30:
                    await asyncio.sleep(0.01)
            task.cancel()
    assert heard == list(range(30))


class Faltering(SqliteStore):
    """A store whose feed breaks off after each batch, and once says that it no longer reaches back."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.gone = False

    async def follow(self, after: str) -> AsyncIterator[list[FeedItem]]:
        if self.gone:
            self.gone = False
            raise CursorGone("gone")
        async for items in super().follow(after):
            yield items
            return


async def test_the_feed_goes_on_after_interruptions_and_gaps(tmp_path: Path) -> None:
    store = Faltering(tmp_path / "store.db", SystemClock())
    await store.open()
    feed = Feed(store, SystemClock(), ring=8)
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(feed.run())
            async with feed.subscribe() as reader:
                await emit(store, 1)
                assert await take(reader, 1) == [1]
                await emit(store, 2)
                assert await take(reader, 1) == [2]
                store.gone = True
                await emit(store, 3)  # the feed starts anew behind it; the reader gets it from the store
                assert await take(reader, 1) == [3]
            feed.close()
            task.cancel()
    finally:
        await store.close()
