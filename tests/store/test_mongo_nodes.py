"""MongoDB: several nodes on one database, each with a store of its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from pymongo import AsyncMongoClient, MongoClient

from gateway.errors import Conflict, Duplicate, Fenced, StoreError
from gateway.model.document import SystemClock
from gateway.model.team import Queue
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CHECKPOINTS as COUNTERS
from gateway.store.collection import MESSAGES, QUEUES, Checkpoint
from gateway.store.contract import SearchEntry, Store
from gateway.store.mongo.blobs import CHUNK
from gateway.store.mongo.indexes import BLOB_CHUNKS, BLOB_UPLOADS, LEASES
from gateway.store.mongo.store import MongoStore
from tests.servers import mongod
from tests.store.sample import START, event, message, new_id, queue

Nodes = tuple[MongoStore, MongoStore]


@pytest.fixture(params=["pymongo", "pymongo and motor"])
async def nodes(request: pytest.FixtureRequest, mongodb_server: str) -> AsyncIterator[Nodes]:
    url = mongod.database_url(mongodb_server, mongod.fresh_name())
    first = MongoStore(url, SystemClock())
    second = MongoStore(url, SystemClock(), driver="motor" if "motor" in request.param else "pymongo")
    await asyncio.gather(first.open(), second.open())  # both find an empty database
    yield first, second
    await first._parts.client.drop_database(first._parts.database.name)
    await first.close()
    await second.close()


async def try_commit(store: Store, batch: Batch) -> StoreError | None:
    try:
        await store.commit(batch)
    except (Conflict, Duplicate, Fenced) as error:
        return error
    return None


async def put_queue(store: Store, name: str) -> Queue:
    batch = Batch()
    doc = batch.insert(QUEUES, queue(name))
    await store.commit(batch)
    return doc


async def test_one_of_two_gets_an_id_a_key_and_a_version(nodes: Nodes) -> None:
    doc = await put_queue(nodes[0], "shared")
    for number in range(8):
        insert = [Batch() for _ in nodes]
        same = new_id()
        for batch in insert:
            batch.insert(QUEUES, replace(queue(f"n{number}-{id(batch)}"), id=same))
        unique = [Batch() for _ in nodes]
        for batch in unique:
            batch.insert(MESSAGES, message(external_id=f"e{number}"))
        change = [Batch() for _ in nodes]
        for batch in change:
            doc_after = batch.put(QUEUES, replace(doc, priority=doc.priority + 1))
        for batches, kind in ((insert, Duplicate), (unique, Duplicate), (change, Conflict)):
            results = await asyncio.gather(*map(try_commit, nodes, batches))
            assert sorted(type(one).__name__ for one in results) == sorted([kind.__name__, "NoneType"]), results
        doc = doc_after
    stored = await nodes[1].get(QUEUES, doc.id)
    assert stored is not None
    assert stored.priority == 8


async def test_increments_from_both_nodes_all_count(nodes: Nodes) -> None:
    doc = await put_queue(nodes[0], "counter")

    async def count(store: Store) -> None:
        for _ in range(15):
            while True:
                now = await store.get(QUEUES, doc.id)
                assert now is not None
                batch = Batch()
                batch.put(QUEUES, replace(now, priority=now.priority + 1))
                if await try_commit(store, batch) is None:
                    break

    await asyncio.gather(*(count(store) for store in nodes for _ in range(3)))
    stored = await nodes[0].get(QUEUES, doc.id)
    assert stored is not None
    assert stored.priority == 90


async def test_a_conflict_can_be_read_at_once(nodes: Nodes) -> None:
    """Who is refused reads again, and must see what was in the way."""
    doc = await put_queue(nodes[0], "seen")
    for number in range(20):
        batches = [Batch(), Batch()]
        for batch in batches:
            batch.put(QUEUES, replace(doc, priority=number + 1))
        results = await asyncio.gather(*map(try_commit, nodes, batches))
        loser = nodes[0] if results[0] is not None else nodes[1]
        now = await loser.get(QUEUES, doc.id)
        assert now is not None
        assert now.version == doc.version + 1
        doc = now


async def test_each_checks_what_the_other_changes(nodes: Nodes) -> None:
    """Write skew: each decides by a document the other one is changing. Only one may come through."""
    for number in range(12):
        a, b = await put_queue(nodes[0], f"a{number}"), await put_queue(nodes[0], f"b{number}")
        one, two = Batch(), Batch()
        one.check(QUEUES, a.id, 1)
        one.put(QUEUES, replace(b, priority=1))
        two.check(QUEUES, b.id, 1)
        two.put(QUEUES, replace(a, priority=1))
        results = await asyncio.gather(*map(try_commit, nodes, (one, two)))
        assert any(isinstance(result, Conflict) for result in results), number
        assert any(result is None for result in results), number


async def test_each_checks_that_the_others_document_is_absent(nodes: Nodes) -> None:
    for number in range(12):
        a, b = queue(f"x{number}"), queue(f"y{number}")
        one, two = Batch(), Batch()
        one.check(QUEUES, a.id, 0)
        one.insert(QUEUES, b)
        two.check(QUEUES, b.id, 0)
        two.insert(QUEUES, a)
        results = await asyncio.gather(*map(try_commit, nodes, (one, two)))
        assert any(isinstance(result, Conflict) for result in results), number
        assert len(await nodes[0].get_many(QUEUES, [a.id, b.id])) == 1


async def test_batches_that_share_a_transaction_fail_alone(nodes: Nodes) -> None:
    taken = await put_queue(nodes[0], "taken")
    batches: list[Batch] = []
    for number in range(40):
        batch = Batch()
        batch.insert(QUEUES, queue("taken" if number % 10 == 3 else f"free{number}"))
        if number % 10 == 7:
            batch.put(QUEUES, replace(taken, version=9))
        batch.emit(event(f"test.{number}"))
        batches.append(batch)
    head = await nodes[0].head()
    results = await asyncio.gather(*(try_commit(nodes[0], batch) for batch in batches))
    assert [type(result).__name__ for result in results] == [
        "Duplicate" if number % 10 == 3 else "Conflict" if number % 10 == 7 else "NoneType" for number in range(40)
    ]
    seen: list[str] = []
    feed = nodes[1].follow(head)
    async with asyncio.timeout(10):
        while len(seen) < 32:
            seen += [item.event.type for item in await anext(feed)]
    assert set(seen) == {f"test.{number}" for number in range(40) if number % 10 not in (3, 7)}
    assert len(seen) == 32


async def test_all_nodes_see_one_feed(nodes: Nodes) -> None:
    head = await nodes[0].head()

    async def emit(store: Store, name: str) -> None:
        for number in range(10):
            batch = Batch()
            batch.emit(event(f"{name}.{number}.a"))
            batch.emit(event(f"{name}.{number}.b"))
            await store.commit(batch)

    async def read(store: Store) -> list[tuple[str, str]]:
        got: list[tuple[str, str]] = []
        async for items in store.follow(head):
            got += [(item.cursor, item.event.type) for item in items]
            if len(got) >= 80:
                break
        return got

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(read(store)) for store in nodes]
        for number in range(4):
            tasks.create_task(emit(nodes[number % 2], str(number)))
    first, second = (reader.result() for reader in readers)
    assert first == second
    assert [cursor for cursor, _ in first] == sorted({cursor for cursor, _ in first})
    for number in range(4):
        own = [type for _, type in first if type.startswith(f"{number}.")]
        assert own == [f"{number}.{count}.{part}" for count in range(10) for part in "ab"]


async def test_who_lost_the_lease_writes_nothing_after_the_new_holder_began(nodes: Nodes) -> None:
    """The old holder writes as fast as it can, under a lease it no longer renews; the new one notes what it found when
    it got the lease. Nothing may be written behind its back."""
    for number in range(6):
        name = f"lease{number}"
        lease = (await nodes[0].acquire([name], "old", 0.15))[name]
        begin = Batch()
        doc: Checkpoint = begin.insert(COUNTERS, Checkpoint(id=name, cursor="0"))
        await nodes[0].commit(begin)
        fenced = asyncio.Event()

        async def write(doc: Checkpoint, lease: Lease, fenced: asyncio.Event) -> int:
            written = 0
            while True:
                batch = Batch()
                batch.fence(lease)
                changed = batch.put(COUNTERS, replace(doc, cursor=str(written + 1)))
                try:
                    await nodes[0].commit(batch)
                except Fenced:
                    fenced.set()
                    return written
                written, doc = written + 1, changed

        async def take(name: str, fenced: asyncio.Event) -> str:
            while not (got := await nodes[1].acquire([name], "new", 10)):
                await asyncio.sleep(random.uniform(0, 0.01))
            assert got[name].token == 2
            found = await nodes[1].get(COUNTERS, name)
            assert found is not None
            await fenced.wait()
            later = await nodes[1].get(COUNTERS, name)
            assert later == found, "the old holder wrote after the new one had begun"
            return found.cursor

        async with asyncio.timeout(20):
            written, found = await asyncio.gather(write(doc, lease, fenced), take(name, fenced))
        assert str(written) == found
        assert written > 0


async def test_a_lease_in_heavy_use_is_renewed(nodes: Nodes) -> None:
    """Every fenced batch writes to the lease; its renewal must come through all the same."""
    lease = (await nodes[0].acquire(["busy"], "me", 10))["busy"]
    stop = time.monotonic() + 1.5
    slowest = 0.0

    async def work(number: int) -> int:
        done = 0
        while time.monotonic() < stop:
            batch = Batch()
            batch.fence(lease)
            batch.insert(QUEUES, queue(f"{number}-{done}"))
            await nodes[0].commit(batch)
            done += 1
        return done

    async def renew() -> int:
        nonlocal slowest
        while time.monotonic() < stop:
            begun = time.monotonic()
            assert (await nodes[0].acquire(["busy"], "me", 10))["busy"].token == lease.token
            slowest = max(slowest, time.monotonic() - begun)
            await asyncio.sleep(0.1)
        return 0

    done = await asyncio.gather(*(work(number) for number in range(16)), renew())
    assert slowest < 2
    assert sum(done) > 50


async def test_leases_expire_by_the_servers_clock(mongodb_server: str) -> None:
    """A node whose clock is an hour ahead takes nothing from one whose clock is right."""

    class Ahead(SystemClock):
        def now(self) -> Any:
            return super().now() + timedelta(hours=1)

    url = mongod.database_url(mongodb_server, mongod.fresh_name())
    right, ahead = MongoStore(url, SystemClock()), MongoStore(url, Ahead())
    await right.open()
    await ahead.open()
    try:
        assert await right.acquire(["a"], "right", 30)
        assert await ahead.acquire(["a"], "ahead", 30) == {}
    finally:
        await right._parts.client.drop_database(right._parts.database.name)
        await right.close()
        await ahead.close()


async def test_the_same_attachment_from_both_nodes(nodes: Nodes) -> None:
    large = random.randbytes(3 * CHUNK + 17)
    names = await asyncio.gather(*(store.blobs.put(data) for store in nodes * 3 for data in (large, b"small")))
    assert len(set(names)) == 2
    database = nodes[0]._parts.database
    assert await database[BLOB_CHUNKS].count_documents({}) == 4, "chunks of the slower ones were left"
    assert await database[BLOB_UPLOADS].count_documents({}) == 0
    for store in nodes:
        assert await store.blobs.get(names[0]) == large
    await asyncio.gather(*(store.blobs.delete(name) for store in nodes for name in names[:2]))
    assert await nodes[1].blobs.get(names[0]) is None
    assert await database[BLOB_CHUNKS].count_documents({}) == 0
    assert await nodes[1].blobs.put(large) == names[0]
    assert await nodes[0].blobs.get(names[0]) == large


async def test_what_a_killed_upload_left_is_swept(nodes: Nodes, mongodb_server: str) -> None:
    kept = await nodes[0].blobs.put(random.randbytes(2 * CHUNK))
    name = nodes[0]._parts.database.name
    with MongoClient[dict[str, Any]](mongodb_server, tz_aware=True) as client:
        database = client[name]
        upload = database["blobs"].find_one({"_id": kept})
        assert upload is not None
        long_ago = START - timedelta(days=700)
        database[BLOB_UPLOADS].insert_many(
            [
                {"_id": "dead", "name": "f" * 64, "at": long_ago},
                {"_id": upload["upload"], "name": kept, "at": long_ago},
                {"_id": "young", "name": "e" * 64, "at": SystemClock().now()},
            ]
        )
        database[BLOB_CHUNKS].insert_many([{"_id": "dead/000000", "data": b"x"}, {"_id": "young/000000", "data": b"x"}])
        await nodes[0].blobs.sweep()  # type: ignore[attr-defined]
        assert {row["_id"] for row in database[BLOB_CHUNKS].find({}, {"_id": 1})} == {
            "young/000000",
            *(f"{upload['upload']}/{number:06d}" for number in range(2)),
        }
        assert [row["_id"] for row in database[BLOB_UPLOADS].find()] == ["young"]


async def test_the_same_message_indexed_by_both(nodes: Nodes) -> None:
    for number in range(10):
        entry = SearchEntry(f"m{number}", "c", START, f"退款 order {number}")
        await asyncio.gather(*(store.index([entry]) for store in nodes))
    assert len(await nodes[0].search("退款")) == 10


async def test_a_program_that_died_in_a_transaction_is_not_waited_for(nodes: Nodes, mongodb_server: str) -> None:
    """It leaves what it wrote locked, by default for a minute: here a conversation's document and the lease of its
    shard, both of which another node goes on with."""
    doc = await put_queue(nodes[0], "locked")
    await nodes[0].acquire(["shard"], "dead", 0.05)
    await asyncio.sleep(0.1)
    database = nodes[0]._parts.database.name
    with MongoClient[dict[str, Any]](mongodb_server) as admin:
        limit = admin.admin.command({"getParameter": 1, "transactionLifetimeLimitSeconds": 1})
        admin.admin.command({"setParameter": 1, "transactionLifetimeLimitSeconds": 60})
    dead = AsyncMongoClient[dict[str, Any]](mongodb_server, appName="omnigate")
    try:
        async with dead.start_session() as session:
            await session.start_transaction()
            await dead[database]["queues"].update_one({"_id": doc.id}, {"$set": {"priority": 9}}, session=session)
            await dead[database][LEASES].update_one({"_id": "shard"}, {"$set": {"used": 1}}, session=session)
            begun = time.monotonic()
            batch = Batch()
            batch.put(QUEUES, replace(doc, priority=1))
            _, leases = await asyncio.gather(nodes[1].commit(batch), nodes[1].acquire(["shard"], "alive", 10))
            assert leases["shard"].token == 2
            assert time.monotonic() - begun < 10
    finally:
        await dead.close()
        with MongoClient[dict[str, Any]](mongodb_server) as admin:
            value = limit["transactionLifetimeLimitSeconds"]
            admin.admin.command({"setParameter": 1, "transactionLifetimeLimitSeconds": value})
    stored = await nodes[0].get(QUEUES, doc.id)
    assert stored is not None
    assert stored.priority == 1
