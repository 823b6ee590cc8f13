"""kill -9 in the middle of committing: what was acknowledged is there, and no batch is there by half."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, MESSAGES
from gateway.store.contract import Store
from tests.store.conftest import Place
from tests.store.sample import event

pytestmark = pytest.mark.own_database

ROOT = Path(__file__).parent.parent.parent


async def run_until_killed(place: Place, fault: str, tasks: int) -> list[tuple[str, str]]:
    """What the child said before it died at the fault point."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "crash_child.py"),
        place.url,
        str(place.folder),
        place.driver,
        str(tasks),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "OMNIGATE_FAULT": fault, "PYTHONPATH": str(ROOT)},
    )
    try:
        async with asyncio.timeout(40):
            said, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    assert child.returncode == -signal.SIGKILL, said
    lines = [line.split(" ", 1) for line in said.decode().splitlines()]
    return [(word, value) for word, value in lines]


async def check_whole(store: Store, said: list[tuple[str, str]]) -> int:
    """Every acknowledged message is there, each conversation counts its messages, each message has its event, in the
    order of its conversation. Returns how many messages there are."""
    head = next(value for word, value in said if word == "head")
    acknowledged = {value for word, value in said if word == "done"}
    stop = Batch()
    stop.emit(event("test.stop"))
    await store.commit(stop)
    events: list[str | None] = []
    async with asyncio.timeout(20):
        async for items in store.follow(head):
            events += [item.event.message_id for item in items if item.event.type == "message.created"]
            if items[-1].event.type == "test.stop":
                break
    total = 0
    stored: set[str] = set()
    for id in [value for word, value in said if word == "talk"]:
        talk = await store.get(CONVERSATIONS, id)
        assert talk is not None
        page = await store.find(MESSAGES, {"conversation_id": id}, limit=10_000)
        assert len(page.items) == talk.message_count
        assert [doc.external_id for doc in page.items] == [f"{id}-{number}" for number in range(talk.message_count)]
        ids = [doc.id for doc in page.items]
        assert [event for event in events if event in set(ids)] == ids
        stored.update(ids)
        total += len(ids)
    assert acknowledged <= stored
    assert len(events) == len(set(events))
    return total


@pytest.mark.parametrize("when", ["before", "middle", "after"])
async def test_killed_in_a_commit(place: Place, when: str) -> None:
    """Commit 1 makes the conversation; the process dies in the third, the second message's."""
    said = await run_until_killed(place, f"store.commit.{when}:3", tasks=1)
    assert [word for word, _ in said] == ["head", "talk", "done"]
    store = place.store()
    await store.open()
    try:
        # Committed but not acknowledged may be there; not committed must not be.
        assert await check_whole(store, said) == (2 if when == "after" else 1)
    finally:
        await store.close()


@pytest.mark.parametrize("when", ["before", "middle", "after"])
async def test_killed_under_load(place: Place, when: str) -> None:
    said = await run_until_killed(place, f"store.commit.{when}:25", tasks=8)
    store = place.store()
    await store.open()
    try:
        acknowledged = sum(word == "done" for word, _ in said)
        assert acknowledged > 20
        assert acknowledged <= await check_whole(store, said) <= acknowledged + 8
    finally:
        await store.close()
