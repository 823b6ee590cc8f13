"""The feed over MongoDB, whose cursors and change stream are of another kind than SQLite's numbered rows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from gateway.errors import CursorGone, Refused
from gateway.model.document import SystemClock
from gateway.model.event import Event
from gateway.service.feed import Feed, Reader
from gateway.store.batch import Batch
from gateway.store.mongo.store import MongoStore
from tests.servers.mongod_fixture import mongodb_server, mongodb_url

__all__ = ["mongodb_server", "mongodb_url"]

AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
async def mongo(mongodb_url: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongodb_url, SystemClock())
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def mongo_feed(mongo: MongoStore) -> AsyncIterator[Feed]:
    feed = Feed(mongo, SystemClock(), ring=8)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(feed.run())
        await feed.ready()
        yield feed
        feed.close()
        task.cancel()


async def emit(store: MongoStore, number: int) -> str:
    batch = Batch()
    batch.emit(Event(type="test.event", at=AT, data={"n": number}))
    return await store.commit(batch)


async def take(reader: Reader, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        entries = await reader.next(timeout=10)
        assert entries, f"nothing more after {found}"
        found += [entry.event.data["n"] for entry in entries]
    return found


async def test_readers_resume_from_the_store_and_from_the_ring(mongo: MongoStore, mongo_feed: Feed) -> None:
    cursors = [await mongo.head()] + [await emit(mongo, number) for number in range(1, 31)]
    async with mongo_feed.subscribe(cursors[0]) as reader:
        assert await take(reader, 30) == list(range(1, 31))
    for start in (5, 29, 30):
        async with mongo_feed.subscribe(cursors[start]) as reader:
            assert await take(reader, 30 - start) == list(range(start + 1, 31))
    async with mongo_feed.subscribe(cursors[30]) as reader, mongo_feed.subscribe() as live:
        for number in range(31, 71):
            await emit(mongo, number)
        assert await take(reader, 40) == await take(live, 40) == list(range(31, 71))
        assert reader.number == mongo_feed.end


async def test_what_is_gone_and_what_is_no_cursor(mongo: MongoStore, mongo_feed: Feed) -> None:
    start = await mongo.head()
    async with mongo_feed.subscribe() as reader:
        for number in range(20):
            await emit(mongo, number)
        await take(reader, 20)
    await mongo.trim(AT + timedelta(days=1))
    with pytest.raises(CursorGone):
        async with mongo_feed.subscribe(start):
            pass
    for cursor in ("", "zzz", "12345"):
        with pytest.raises((Refused, CursorGone)):
            async with mongo_feed.subscribe(cursor):
                pass
