"""Leases: one holder at a time, and a holder that lost one cannot write."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import Fenced
from gateway.model.document import SystemClock
from gateway.store.batch import Batch, Lease
from gateway.store.collection import QUEUES
from gateway.store.contract import Store
from tests.store.sample import event, new_id, queue

SHORT = 0.15


async def passed() -> None:
    """A short lease has run out."""
    await asyncio.sleep(SHORT + 0.1)


async def test_one_holder_at_a_time(store: Store) -> None:
    name = new_id()
    held = await store.acquire([name], "one", 30)
    assert held[name].holder == "one"
    assert held[name].name == name
    assert await store.acquire([name], "two", 30) == {}
    left = (held[name].expires_at - SystemClock().now()).total_seconds()
    assert 25 < left <= 30


async def test_of_many_that_ask_at_once_one_gets_it(store: Store) -> None:
    name = new_id()
    answers = await asyncio.gather(*(store.acquire([name], f"holder-{number}", 30) for number in range(20)))
    assert len([answer for answer in answers if answer]) == 1


async def test_renewal_keeps_the_token(store: Store) -> None:
    name = new_id()
    first = (await store.acquire([name], "one", SHORT))[name]
    await asyncio.sleep(0.02)
    renewed = (await store.acquire([name], "one", 30))[name]
    assert renewed.token == first.token
    assert renewed.expires_at > first.expires_at
    await passed()
    assert await store.acquire([name], "two", 30) == {}


async def test_an_expired_lease_passes_on_with_a_higher_token(store: Store) -> None:
    name = new_id()
    first = (await store.acquire([name], "one", SHORT))[name]
    await passed()
    second = (await store.acquire([name], "two", 30))[name]
    assert second.token > first.token
    assert await store.acquire([name], "one", 30) == {}


async def test_several_at_once(store: Store) -> None:
    names = [new_id() for _ in range(5)]
    await store.acquire([names[1]], "other", 30)
    held = await store.acquire(names, "one", 30)
    assert set(held) == {names[0], *names[2:]}
    assert await store.acquire([], "one", 30) == {}


async def test_a_released_lease_is_free_at_once(store: Store) -> None:
    name = new_id()
    first = (await store.acquire([name], "one", 30))[name]
    await store.release([first])
    second = (await store.acquire([name], "two", 30))[name]
    assert second.token > first.token
    await store.release([first])  # lost meanwhile: passed over
    assert await store.acquire([name], "three", 30) == {}
    await store.release([])


async def test_a_holder_that_was_paused_cannot_write(store: Store) -> None:
    name = new_id()
    head = await store.head()
    paused = (await store.acquire([name], "one", SHORT))[name]
    await passed()
    now = (await store.acquire([name], "two", 30))[name]
    late = Batch()
    lost = late.insert(QUEUES, queue(new_id()))
    late.emit(event("never"))
    late.fence(paused)
    with pytest.raises(Fenced) as caught:
        await store.commit(late)
    assert caught.value.name == name
    assert await store.get(QUEUES, lost.id) is None
    batch = Batch()
    kept = batch.insert(QUEUES, queue(new_id()))
    batch.emit(event("kept"))
    batch.fence(now)
    await store.commit(batch)
    assert await store.get(QUEUES, kept.id) == kept
    assert [item.event.type for item in await anext(store.follow(head))] == ["kept"]


async def test_a_fenced_batch_hurts_no_other(store: Store) -> None:
    name = new_id()
    lease = (await store.acquire([name], "one", 30))[name]
    wrong = Lease(name, "one", lease.token + 1, lease.expires_at)
    unknown = Lease(new_id(), "one", 1, lease.expires_at)
    batches = []
    for fence in (lease, wrong, lease, unknown):
        batch = Batch()
        batch.insert(QUEUES, queue(new_id()))
        batch.fence(fence)
        batches.append(batch)
    results = await asyncio.gather(*(store.commit(batch) for batch in batches), return_exceptions=True)
    assert [isinstance(result, Fenced) for result in results] == [False, True, False, True]


async def test_a_lease_is_good_until_it_is_taken(store: Store) -> None:
    """Run out, but nobody else has it: what was decided under it still holds."""
    name = new_id()
    lease = (await store.acquire([name], "one", SHORT))[name]
    await passed()
    batch = Batch()
    batch.insert(QUEUES, queue(new_id()))
    batch.fence(lease)
    await store.commit(batch)
