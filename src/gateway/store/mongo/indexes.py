"""Collections and indexes, made when the store is opened. What is there already costs one short question each."""

from __future__ import annotations

import asyncio
from typing import Any

from pymongo import IndexModel

from gateway.store.collection import COLLECTIONS, Collection
from gateway.store.mongo.driver import Database, Raw

EVENTS = "events"
META = "meta"
LEASES = "leases"
SEARCH = "search"
BLOBS = "blobs"
BLOB_CHUNKS = "blob_chunks"
BLOB_UPLOADS = "blob_uploads"

_OWN: dict[str, list[IndexModel]] = {
    EVENTS: [IndexModel([("at", 1)], name="at")],
    META: [],
    LEASES: [],
    SEARCH: [IndexModel([("terms", 1), ("_id", -1)], name="terms")],
    BLOBS: [],
    BLOB_CHUNKS: [],
    BLOB_UPLOADS: [],
}

_AT_ONCE = 8


def models_of(collection: Collection[Any]) -> list[IndexModel]:
    """Unique keys (named `unique_{name}`, over documents that have all their fields), declared indexes with the id
    behind them so that a page goes on within ties, and one for each `many` field."""
    unique = [
        IndexModel(
            [(name, 1) for name in key.fields],
            name=f"unique_{key.name}",
            unique=True,
            partialFilterExpression={name: {"$exists": True} for name in key.fields},
        )
        for key in collection.unique
    ]
    plain = [*collection.indexes, *((name,) for name in collection.many)]
    return unique + [
        IndexModel([*((name, 1) for name in fields), ("_id", 1)], name="_".join(fields)) for fields in plain
    ]


async def create(database: Database) -> None:
    """Create what is missing. A collection must exist before a transaction writes to it."""
    wanted = {collection.name: models_of(collection) for collection in COLLECTIONS} | _OWN
    there = set(await database.list_collection_names())
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ensure(name: str, models: list[IndexModel]) -> None:
        async with gate:
            if models:
                await database[name].create_indexes(models)
            elif name not in there:
                # another node may just do the same
                await database.command({"create": name}, allowable_errors=["NamespaceExists", 48])

    async with asyncio.TaskGroup() as tasks:
        for name, models in wanted.items():
            tasks.create_task(ensure(name, models))
    # counters that are only ever updated, so that two nodes never race to insert them
    for id in ("ping", "head", "feed"):
        present: Raw | None = await database[META].find_one({"_id": id})
        if present is None:
            await database[META].update_one({"_id": id}, {"$setOnInsert": {"n": 0}}, upsert=True)
