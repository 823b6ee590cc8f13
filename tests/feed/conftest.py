"""A real store in a folder of its own, and a running feed over it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.model.document import SystemClock
from gateway.service.feed import Feed
from gateway.store.sqlite.store import SqliteStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "store.db", SystemClock())
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def feed(store: SqliteStore) -> AsyncIterator[Feed]:
    """Small, so that it is easily outrun."""
    feed = Feed(store, SystemClock(), ring=8)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(feed.run())
        await feed.ready()
        yield feed
        feed.close()
        task.cancel()
