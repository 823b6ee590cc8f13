"""Opening and closing a store, and what it says when it cannot be used."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.errors import Refused, StoreTooNew, StoreUnavailable
from gateway.model.document import SystemClock
from gateway.store.batch import Batch
from gateway.store.collection import QUEUES
from gateway.store.contract import SCHEMA_VERSION
from gateway.store.open import open_store
from tests.store.conftest import Place
from tests.store.sample import new_id, queue


async def test_what_was_written_is_there_after_opening_again(place: Place) -> None:
    store = place.store()
    await store.open()
    batch = Batch()
    doc = batch.insert(QUEUES, queue(new_id()))
    await store.commit(batch)
    await store.close()
    store = place.store()
    await store.open()
    assert await store.get(QUEUES, doc.id) == doc
    await store.close()


async def test_a_newer_store_is_refused_in_one_line(place: Place) -> None:
    store = place.store()
    await store.open()
    await store.close()
    place.set_schema(SCHEMA_VERSION + 1)
    try:
        with pytest.raises(StoreTooNew) as caught:
            await place.store().open()
        assert "\n" not in str(caught.value)
        assert "update the program" in str(caught.value)
    finally:
        place.set_schema(SCHEMA_VERSION)
    store = place.store()
    await store.open()
    await store.close()


async def test_a_closed_store_says_so(place: Place) -> None:
    store = place.store()
    await store.open()
    await store.close()
    await store.close()
    batch = Batch()
    batch.insert(QUEUES, queue(new_id()))
    with pytest.raises(StoreUnavailable):
        await store.commit(batch)
    with pytest.raises(StoreUnavailable):
        await store.get(QUEUES, "x")
    with pytest.raises(StoreUnavailable):
        await store.ping()


async def test_commits_under_way_are_finished_when_the_store_closes(place: Place) -> None:
    store = place.store()
    await store.open()
    docs = []
    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            batch = Batch()
            docs.append(batch.insert(QUEUES, queue(new_id())))
            tasks.create_task(store.commit(batch))
        await asyncio.sleep(0)
        await store.close()
    store = place.store()
    await store.open()
    assert await store.get_many(QUEUES, [doc.id for doc in docs]) == {doc.id: doc for doc in docs}
    await store.close()


@pytest.mark.parametrize("url", ["", "sqlite:///", "sqlite://x", "postgres://user:secret@host/db", "omnigate.db"])
def test_an_address_of_no_engine_is_refused(url: str) -> None:
    with pytest.raises(Refused) as caught:
        open_store(url, Path("/nowhere"), SystemClock())
    assert "secret" not in str(caught.value)
