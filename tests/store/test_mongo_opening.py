"""MongoDB: what is said when the store cannot be opened or used; opening and cancelling leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.errors import CursorGone, Overloaded, StoreError, StoreTooNew, StoreUnavailable
from gateway.model.document import SystemClock
from gateway.store.batch import Batch
from gateway.store.collection import COLLECTIONS, QUEUES
from gateway.store.contract import SCHEMA_VERSION
from gateway.store.mongo import committer, indexes, migrations
from gateway.store.mongo.driver import Database, Driver
from gateway.store.mongo.interrupt import heed
from gateway.store.mongo.store import MongoStore
from tests.servers import mongod
from tests.servers.absent import absent
from tests.store.sample import event, queue

# PyMongo leaves a socket to the garbage collector if it is told to close while it connects to a server that is gone.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def sockets_are_collected_here() -> Iterator[None]:
    yield
    gc.collect()


DRIVERS = pytest.mark.parametrize("driver", ["pymongo", "motor"])


async def refusal(url: str, driver: Driver = "pymongo") -> str:
    store = MongoStore(url, SystemClock(), driver=driver)
    with pytest.raises(StoreError) as caught:
        await store.open()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


@DRIVERS
async def test_a_server_that_is_no_replica_set(driver: Driver) -> None:
    if mongod.binary() is None:
        absent("mongod")
    with mongod.ReplicaSet(replica_set=False) as single:
        text = await refusal(single.url, driver)
        assert text.startswith("MongoDB runs as a single server, not as a replica set: start mongod with --replSet")
        text = await refusal(single.url + "?replicaSet=rs0&serverSelectionTimeoutMS=500", driver)
        assert text.startswith("MongoDB ")


@DRIVERS
async def test_a_replica_set_that_was_never_initiated(driver: Driver) -> None:
    if mongod.binary() is None:
        absent("mongod")
    with mongod.ReplicaSet(initiate=False) as members:
        text = await refusal(members.url + "&serverSelectionTimeoutMS=500", driver)
        assert text.startswith("the MongoDB replica set was never initiated: ")
        assert "rs.initiate()" in text


@DRIVERS
async def test_nobody_there(driver: Driver) -> None:
    url = f"mongodb://127.0.0.1:{mongod.free_port()}/og?serverSelectionTimeoutMS=300"
    begun = time.monotonic()
    assert (await refusal(url, driver)).startswith("MongoDB cannot answer: 127.0.0.1:")
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("url", ["mongodb://", "mongodb://host:port:7/", "mongodb://a/a b"])
async def test_an_address_that_cannot_be_used(url: str) -> None:
    assert "cannot be used" in await refusal(url)


async def test_motor_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "motor.motor_asyncio", None)
    assert "pip install 'omnigate[motor]'" in await refusal("mongodb://127.0.0.1/og", "motor")


async def test_opening_makes_every_index_and_a_second_time_nothing(mongodb_url: str) -> None:
    for _ in range(2):
        store = MongoStore(mongodb_url, SystemClock())
        begun = time.monotonic()
        await store.open()
        took = time.monotonic() - begun
        database = store._parts.database
        for collection in COLLECTIONS:
            there = {index["name"] async for index in await database[collection.name].list_indexes()}
            wanted = {model.document["name"] for model in indexes.models_of(collection)}
            assert there == wanted | {"_id_"}
        await store.close()
    assert took < 2


async def test_steps_bring_an_older_store_up_once(mongodb_url: str) -> None:
    store = MongoStore(mongodb_url, SystemClock())
    await store.open()
    database = store._parts.database
    ran: list[int] = []

    def step(number: int) -> migrations.Step:
        async def run(database: Database) -> None:
            ran.append(number)

        return run

    steps = {SCHEMA_VERSION: step(1), SCHEMA_VERSION + 1: step(2)}
    found = await migrations.check(database)
    assert found == SCHEMA_VERSION
    await migrations.bring_up(database, found, SCHEMA_VERSION + 2, steps)
    assert ran == [1, 2]
    found = await migrations.check(database, SCHEMA_VERSION + 2)
    assert found == SCHEMA_VERSION + 2
    await migrations.bring_up(database, found, SCHEMA_VERSION + 2, steps)
    assert ran == [1, 2]
    with pytest.raises(StoreTooNew, match="update the program"):
        await migrations.check(database)
    await store.close()


def test_every_version_has_its_step() -> None:
    assert sorted(migrations.STEPS) == list(range(1, SCHEMA_VERSION))


async def test_a_store_that_is_not_open(mongodb_server: str) -> None:
    store = MongoStore(mongodb_server, SystemClock())
    batch = Batch()
    batch.insert(QUEUES, queue("q"))
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.get(QUEUES, "x")
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.commit(batch)
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.ping()
    await store.close()


async def test_ping_notices_a_server_that_hangs() -> None:
    """A stopped process accepts connections and says nothing."""
    if mongod.binary() is None:
        absent("mongod")
    with mongod.ReplicaSet() as members:
        store = MongoStore(members.url, SystemClock(), patience=1)
        await store.open()
        await store.ping()
        members.signal(members.members[0], signal.SIGSTOP)
        try:
            begun = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.ping()
            assert time.monotonic() - begun < 8
        finally:
            members.signal(members.members[0], signal.SIGCONT)
        await store.close()


async def test_a_full_queue_is_refused(mongodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "MOST_WAITING", 5)
    store = MongoStore(mongodb_url, SystemClock())
    await store.open()

    async def commit(number: int) -> str | None:
        batch = Batch()
        batch.insert(QUEUES, queue(f"q{number}"))
        try:
            return await store.commit(batch)
        except Overloaded:
            return None

    results = await asyncio.gather(*(commit(number) for number in range(30)))
    assert 5 <= sum(result is not None for result in results) < 30
    assert await store.count(QUEUES) == sum(result is not None for result in results)
    await store.close()


async def test_a_caller_that_goes_away_stops_nothing(mongodb_url: str) -> None:
    store = MongoStore(mongodb_url, SystemClock())
    await store.open()
    docs, tasks = [], []
    async with asyncio.TaskGroup() as group:
        for number in range(10):
            batch = Batch()
            docs.append(batch.insert(QUEUES, queue(f"q{number}")))
            tasks.append(group.create_task(store.commit(batch)))
        await asyncio.sleep(0.002)
        for task in tasks[::2]:
            task.cancel()
    for task, doc in list(zip(tasks, docs, strict=True))[1::2]:
        assert task.result()
        assert await store.get(QUEUES, doc.id) == doc
    await store.close()


async def test_a_reader_of_the_feed_ends_whenever_it_is_cancelled(mongodb_url: str) -> None:
    """At any step of the loop: some of them are where `asyncio.wait_for` of Python 3.11 loses a cancellation."""
    store = MongoStore(mongodb_url, SystemClock())
    await store.open()
    head = await store.head()
    batch = Batch()
    batch.emit(event())
    await store.commit(batch)
    for steps in range(40):
        got = asyncio.Event()

        async def read(got: asyncio.Event) -> None:
            async for _ in store.follow(head):
                got.set()

        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(read(got))
            await got.wait()
            for _ in range(steps):
                await asyncio.sleep(0)
            begun = time.monotonic()
            reader.cancel()
        assert time.monotonic() - begun < 0.9, f"cancelled after {steps} steps"
    await store.close()


async def test_a_lost_cancellation_is_noticed() -> None:
    async def swallow() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "nothing happened"
        return "slept"

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(heed(swallow()))
        await asyncio.sleep(0)
        task.cancel()
    assert task.cancelled()


async def test_events_that_fell_out_of_the_log() -> None:
    """The replica set keeps so much of its log; a cursor from before is gone, not silent."""
    if mongod.binary() is None:
        absent("mongod")
    with mongod.ReplicaSet(options=("--oplogSize", "2", "--syncdelay", "1")) as members:
        store = MongoStore(members.url, SystemClock())
        await store.open()
        head = await store.head()
        filler = store._parts.database["filler"]
        gone = ""
        for _ in range(60):
            await filler.insert_many([{"data": b"x" * 500_000} for _ in range(4)])
            try:
                async with asyncio.timeout(0.3):
                    await anext(store.follow(head))
            except TimeoutError:
                continue
            except CursorGone as error:
                gone = str(error)
                break
        assert gone == "the feed no longer reaches back to this cursor"
        batch = Batch()
        batch.emit(event("after"))
        head = await store.head()
        await store.commit(batch)
        async for items in store.follow(head):
            assert [item.event.type for item in items] == ["after"]
            break
        await store.close()
