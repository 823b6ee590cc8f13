"""The store on MongoDB: the contract's calls, each handed to the module that knows how."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError
from pymongo.write_concern import WriteConcern

from gateway.errors import StoreUnavailable
from gateway.model.document import Clock, Document
from gateway.store.batch import Batch, Lease
from gateway.store.collection import Collection
from gateway.store.contract import FeedItem, Page, SearchEntry, SearchHit, Store, Where
from gateway.store.mongo import indexes, migrations
from gateway.store.mongo.blobs import MongoBlobs
from gateway.store.mongo.codec import codec
from gateway.store.mongo.committer import Committer
from gateway.store.mongo.driver import Client, Database, Driver, Raw, connect, disconnect
from gateway.store.mongo.failures import PATIENCE, insist, unavailable
from gateway.store.mongo.feed import Feed
from gateway.store.mongo.interrupt import Interruptible
from gateway.store.mongo.leases import Leases
from gateway.store.mongo.query import Order, filter_of, keys_filter, unique_named
from gateway.store.mongo.search import Search
from gateway.store.mongo.transaction import Transactions
from gateway.store.mongo.work import prepare
from gateway.store.mongo.writer import Writer

D = TypeVar("D", bound=Document)
T = TypeVar("T")

_PING_SECONDS = 5.0
_CLOSE_SECONDS = 10.0


class _Running:
    """What an open store has."""

    def __init__(self, client: Client, database: Database, clock: Clock, patience: float) -> None:
        self.client = client
        self.database = database
        self.transactions = Transactions(client, patience)
        self.leases = Leases(database, self.transactions, clock)
        self.blobs = MongoBlobs(database, patience)
        self.search = Search(database, patience)
        self.tasks = asyncio.TaskGroup()
        self.calls = Interruptible(self.tasks)
        self.feed = Feed(client, database, patience, self.calls)
        self.committer = Committer(Writer(database, self.transactions).run, self.tasks)


class MongoStore(Store):
    """A store in the database that `url` names (`omnigate` if none), for use from one event loop.

    `patience`: seconds that a call is tried again while the replica set has no primary."""

    def __init__(self, url: str, clock: Clock, *, driver: Driver = "pymongo", patience: float = PATIENCE) -> None:
        self._url = url
        self._clock = clock
        self._driver: Driver = driver
        self._patience = patience
        self._running: _Running | None = None

    async def open(self) -> None:
        client, database = await connect(self._url, self._driver)
        try:
            await _require_replica_set(client, database)
            try:
                found = await migrations.check(database)
                await indexes.create(database)
                await migrations.bring_up(database, found)
            except PyMongoError as error:
                raise unavailable(error) from error
            running = _Running(client, database, self._clock, self._patience)
            await running.blobs.sweep()
            await running.tasks.__aenter__()
        except BaseException:
            await disconnect(client, self._driver)
            raise
        self._running = running
        self.blobs = running.blobs

    async def close(self) -> None:
        """What is being committed is finished, for some seconds."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await running.committer.close()
        except TimeoutError:
            running.committer.abandon()
        await running.calls.close()
        await running.tasks.__aexit__(None, None, None)
        await disconnect(running.client, self._driver)

    @property
    def _parts(self) -> _Running:
        if self._running is None:
            raise StoreUnavailable("the store is not open")
        return self._running

    @property
    def _database(self) -> Database:
        return self._parts.database

    async def ping(self) -> None:
        quick = self._database[indexes.META].with_options(
            write_concern=WriteConcern("majority", j=True, wtimeout=round(_PING_SECONDS * 1000))
        )
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await quick.update_one({"_id": "ping"}, {"$inc": {"n": 1}}, upsert=True)
        except TimeoutError as error:
            raise StoreUnavailable(f"MongoDB did not confirm a write within {_PING_SECONDS:g} seconds") from error
        except PyMongoError as error:
            raise unavailable(error) from error

    # reading

    async def _read(self, attempt: Callable[[], Awaitable[T]]) -> T:
        return await insist(self._patience, attempt)

    async def get(self, collection: Collection[D], id: str) -> D | None:
        row: Raw | None = await self._read(lambda: self._database[collection.name].find_one({"_id": id}))
        return None if row is None else codec(collection).decode(row)

    async def get_many(self, collection: Collection[D], ids: Sequence[str]) -> dict[str, D]:
        if not ids:
            return {}
        docs = await self._fetch(collection, {"_id": {"$in": list(ids)}})
        return {doc.id: doc for doc in docs}

    async def find_keys(
        self, collection: Collection[D], key: str, values: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], D]:
        unique = unique_named(collection, key)
        query = keys_filter(unique, values)
        if query is None:
            return {}
        docs = await self._fetch(collection, query)
        return {tuple(getattr(doc, name) for name in unique.fields): doc for doc in docs}

    async def _fetch(self, collection: Collection[D], query: Raw) -> list[D]:
        decode = codec(collection).decode
        return [decode(row) for row in await self._rows(collection, query)]

    async def _rows(
        self, collection: Collection[Any], query: Raw, sort: list[tuple[str, int]] | None = None, limit: int = 0
    ) -> list[Raw]:
        rows = self._database[collection.name]
        return await self._read(lambda: rows.find(query, sort=sort, limit=limit).to_list(None))

    async def find(
        self,
        collection: Collection[D],
        where: Where | None = None,
        *,
        order: str = "id",
        after: str | None = None,
        limit: int = 50,
    ) -> Page[D]:
        by = Order(collection, order)
        query = filter_of(collection, where)
        rows: list[Raw] = []
        for part in [query] if after is None else by.behind(query, after):
            rows += await self._rows(collection, part, by.sort(), limit + 1 - len(rows))
            if len(rows) > limit:
                break
        docs = [codec(collection).decode(row) for row in rows[:limit]]
        return Page(docs, by.cursor(docs[-1]) if docs and len(rows) > limit else None)

    async def count(self, collection: Collection[Any], where: Where | None = None, *, limit: int = 10_000) -> int:
        query = filter_of(collection, where)
        return await self._read(lambda: self._database[collection.name].count_documents(query, limit=limit))

    # writing

    async def commit(self, batch: Batch) -> str:
        if not batch and not batch.fences:
            return await self.head()
        return await self._parts.committer.commit(prepare(batch))

    # the feed

    async def head(self) -> str:
        return await self._parts.feed.head()

    def follow(self, after: str) -> AsyncIterator[list[FeedItem]]:
        return self._parts.feed.follow(after)

    async def trim(self, before: datetime) -> int:
        return await self._parts.feed.trim(before)

    # leases

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> dict[str, Lease]:
        return await self._parts.leases.acquire(names, holder, ttl)

    async def release(self, leases: Sequence[Lease]) -> None:
        await self._parts.leases.release(leases)

    # search

    async def index(self, entries: Sequence[SearchEntry]) -> None:
        await self._parts.search.index(entries)

    async def unindex(self, message_ids: Sequence[str]) -> None:
        await self._parts.search.unindex(message_ids)

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> list[SearchHit]:
        return await self._parts.search.search(query, limit, after)


async def _require_replica_set(client: Client, database: Database) -> None:
    """Transactions and change streams exist only there."""
    hint = "start mongod with --replSet rs0 and run rs.initiate() in mongosh once (a set of one member will do)"
    try:
        hello: Raw = await database.command({"hello": 1})
    except ServerSelectionTimeoutError as error:
        kinds = {server.server_type_name for server in client.topology_description.server_descriptions().values()}
        if "RSGhost" in kinds:
            raise StoreUnavailable(f"the MongoDB replica set was never initiated: {hint}") from error
        if "Standalone" in kinds:
            raise StoreUnavailable(f"MongoDB runs as a single server, not as a replica set: {hint}") from error
        raise unavailable(error) from error
    except (OperationFailure, PyMongoError) as error:
        raise unavailable(error) from error
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise StoreUnavailable(f"MongoDB runs as a single server, not as a replica set: {hint}")
