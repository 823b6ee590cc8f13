"""The feed: every event once, in order, from any place, and at once."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from gateway.errors import CursorGone, Refused, StoreUnavailable
from gateway.store.batch import Batch
from gateway.store.collection import QUEUES
from gateway.store.contract import FeedItem, Store
from tests.store.conftest import Place
from tests.store.sample import at, event, new_id, queue


async def emit(store: Store, *types: str) -> str:
    batch = Batch()
    for type in types:
        batch.emit(event(type))
    return await store.commit(batch)


@contextlib.asynccontextmanager
async def following(store: Store, after: str) -> AsyncIterator[asyncio.Queue[FeedItem]]:
    """The feed's items as they come."""
    items: asyncio.Queue[FeedItem] = asyncio.Queue()

    async def read() -> None:
        async for some in store.follow(after):
            for item in some:
                items.put_nowait(item)

    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(read())
        yield items
        reader.cancel()


async def take(items: asyncio.Queue[FeedItem], count: int) -> list[FeedItem]:
    async with asyncio.timeout(20):
        return [await items.get() for _ in range(count)]


async def first(store: Store, after: str, count: int) -> list[str]:
    """Types of the next `count` events."""
    async with following(store, after) as items:
        return [item.event.type for item in await take(items, count)]


async def test_events_come_whole_and_in_order(store: Store) -> None:
    head = await store.head()
    given = [
        event(
            f"test.{number}",
            at(number * 0.001),
            conversation_id=new_id(),
            queue_id="q",
            audience="admins",
            data={"文": ["x", 1, None], "number": number},
        )
        for number in range(5)
    ]
    batch = Batch()
    for one in given:
        batch.emit(one)
    await store.commit(batch)
    async with following(store, head) as items:
        got = await take(items, 5)
    assert [item.event for item in got] == given
    cursors = [item.cursor for item in got]
    assert cursors == sorted(set(cursors))
    assert min(cursors) > head


async def test_the_head_is_behind_everything_committed(store: Store) -> None:
    await emit(store, "before")
    head = await store.head()
    await emit(store, "after")
    assert await first(store, head, 1) == ["after"]


async def test_commit_gives_a_cursor_at_or_after_its_events(store: Store) -> None:
    head = await store.head()
    cursor = await emit(store, "one", "two")
    await emit(store, "three")
    assert await first(store, cursor, 1) == ["three"]
    assert await first(store, head, 3) == ["one", "two", "three"]
    batch = Batch()
    batch.insert(QUEUES, queue("no events"))
    quiet = await store.commit(batch)
    await emit(store, "four")
    assert await first(store, quiet, 1) == ["four"]


async def test_it_goes_on_from_any_item(store: Store) -> None:
    head = await store.head()
    await emit(store, "a", "b", "c")
    await emit(store, "d")
    async with following(store, head) as items:
        got = await take(items, 4)
    for number, item in enumerate(got[:-1]):
        assert await first(store, item.cursor, 1) == [got[number + 1].event.type]


async def test_it_goes_on_after_a_restart(place: Place) -> None:
    store = place.store()
    await store.open()
    head = await store.head()
    await emit(store, "a", "b")
    async with following(store, head) as items:
        seen = (await take(items, 1))[0]
    await store.close()
    store = place.store()
    await store.open()
    try:
        await emit(store, "c")
        assert await first(store, seen.cursor, 2) == ["b", "c"]
        assert await first(store, head, 3) == ["a", "b", "c"]
    finally:
        await store.close()


async def test_several_followers_get_the_same(store: Store) -> None:
    head = await store.head()
    async with contextlib.AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(following(store, head)) for _ in range(5)]
        await asyncio.gather(*(emit(store, f"test.{number}") for number in range(20)))
        seen = [[item.cursor for item in await take(items, 20)] for items in queues]
    assert all(cursors == seen[0] for cursors in seen)
    assert seen[0] == sorted(seen[0])


async def test_a_long_feed_is_read_in_pieces(store: Store) -> None:
    """More than is kept in memory, and more than one read brings."""
    head = await store.head()
    count = 3_100
    for start in range(0, count, 620):
        await emit(store, *(f"test.{number}" for number in range(start, start + 620)))
    got: list[str] = []
    async with asyncio.timeout(30):
        async for items in store.follow(head):
            got += [item.event.type for item in items]
            if len(got) >= count:
                break
    assert got == [f"test.{number}" for number in range(count)]


async def test_a_follower_is_woken_at_once(store: Store) -> None:
    waits = []
    async with following(store, await store.head()) as items:
        for _ in range(20):
            await emit(store, "test.wake")
            committed = time.perf_counter()
            await take(items, 1)
            waits.append(time.perf_counter() - committed)
    assert statistics.median(waits) < 0.05


async def test_a_slow_follower_misses_nothing(store: Store) -> None:
    head = await store.head()
    got: list[str] = []
    feed = store.follow(head)
    await emit(store, "first")
    got += [item.event.type for item in await anext(feed)]
    for number in range(30):
        await emit(store, f"test.{number}")
    async with asyncio.timeout(20):
        while len(got) < 31:
            got += [item.event.type for item in await anext(feed)]
    assert got == ["first", *(f"test.{number}" for number in range(30))]


async def test_trimmed_events_are_gone_and_said_to_be(store: Store) -> None:
    """Long ago, so that no other test's events are meant."""
    head = await store.head()
    old = head
    for number in range(6):  # a commit each: an engine may keep or drop the events of one only together
        batch = Batch()
        batch.emit(event(f"old.{number}", at(number) - timedelta(days=9000)))
        old = await store.commit(batch)
    last = await emit(store, "new")
    assert await store.trim(at(3) - timedelta(days=9000)) == 3
    with pytest.raises(CursorGone):
        await anext(store.follow(head))
    assert await store.trim(at(9) - timedelta(days=9000)) == 3
    assert await store.trim(at(9) - timedelta(days=9000)) == 0
    with pytest.raises(CursorGone):
        await anext(store.follow(head))
    assert await first(store, old, 1) == ["new"]
    await emit(store, "newer")
    assert await first(store, last, 1) == ["newer"]


async def test_trimming_is_remembered(place: Place) -> None:
    store = place.store()
    await store.open()
    head = await store.head()
    batch = Batch()
    batch.emit(event("old", at(0) - timedelta(days=8000)))
    cursor = await store.commit(batch)
    assert await store.trim(at(1) - timedelta(days=8000)) == 1
    await store.close()
    store = place.store()
    await store.open()
    try:
        with pytest.raises(CursorGone):
            await anext(store.follow(head))
        await emit(store, "next")
        assert await first(store, cursor, 1) == ["next"]
    finally:
        await store.close()


async def test_a_malformed_cursor_is_refused(store: Store) -> None:
    for cursor in ("", "x", "-1", "0", "٣" * 20, "9" * 200):
        with pytest.raises(Refused):
            await anext(store.follow(cursor))


async def test_a_cursor_from_the_future_is_gone(place: Place) -> None:
    """As after a backup was put back: the events it counted on never came to be."""
    store = place.store()
    await store.open()
    try:
        head = await store.head()
        future = (
            head[:-8].replace("0", "f" if "f" in "0123456789abcdef" and not head.isdecimal() else "9", 1) + head[-8:]
        )
        assert future > head
        with pytest.raises(CursorGone):
            async with asyncio.timeout(10):
                await anext(store.follow(future))
    finally:
        await store.close()


async def test_followers_end_when_the_store_closes(place: Place) -> None:
    store = place.store()
    await store.open()
    feed = store.follow(await store.head())

    async def wait() -> None:
        with pytest.raises(StoreUnavailable):
            await anext(feed)

    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(wait())
        await asyncio.sleep(0.05)
        await store.close()


async def test_a_cancelled_follower_does_not_disturb_another(store: Store) -> None:
    head = await store.head()
    async with following(store, head) as kept:
        async with following(store, head):
            await asyncio.sleep(0.02)
        await emit(store, "test.kept")
        assert [item.event.type for item in await take(kept, 1)] == ["test.kept"]
