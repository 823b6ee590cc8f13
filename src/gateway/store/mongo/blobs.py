"""Attachment bytes: up to a chunk within their own document, else in chunks beside it.

All of a blob is written in one transaction, so there is never half of one, whoever dies, deletes, or writes the same
bytes at the same moment.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from pymongo.errors import DuplicateKeyError, PyMongoError

from gateway import faults
from gateway.errors import StoreUnavailable
from gateway.store.contract import Blobs
from gateway.store.mongo.driver import Database, Raw, Session, aw
from gateway.store.mongo.failures import Patience, insist, unavailable
from gateway.store.mongo.indexes import BLOB_CHUNKS, BLOBS
from gateway.store.mongo.transaction import Transactions

CHUNK = 1024 * 1024
_LONG = 256 * 1024
"""Bytes that are hashed on the loop; more of them are hashed in a thread."""


class _ThereError(Exception):
    """The blob is there by now."""


class MongoBlobs(Blobs):
    def __init__(self, database: Database, transactions: Transactions, patience: float) -> None:
        self._transactions = transactions
        self._heads = database[BLOBS]
        self._chunks = database[BLOB_CHUNKS]
        self._patience = patience

    async def put(self, data: bytes) -> str:
        name = await asyncio.to_thread(_name, data) if len(data) > _LONG else _name(data)
        patience = Patience(self._patience)
        while await insist(self._patience, lambda: self._heads.find_one({"_id": name}, {"_id": 1})) is None:
            try:
                await self._transactions.run(lambda session: self._write(session, name, data), patience)
                break
            except _ThereError:  # another writes the same bytes; the majority has them in a moment
                if patience.over():
                    raise StoreUnavailable("MongoDB cannot answer: an attachment stays unconfirmed") from None
                await patience.pause()
        faults.reach("store.blob.after")
        return name

    async def get(self, sha256: str) -> bytes | None:
        head: Raw | None = await insist(self._patience, lambda: self._heads.find_one({"_id": sha256}))
        if head is None:
            return None
        if "data" in head:
            return bytes(head["data"])
        within = {"_id": {"$gte": f"{sha256}/", "$lt": f"{sha256}0"}}  # "0" comes right behind "/"
        rows = await insist(self._patience, lambda: self._chunks.find(within).sort([("_id", 1)]).to_list(None))
        data = b"".join(row["data"] for row in rows)
        return data if len(data) == head["size"] else None  # deleted meanwhile

    async def delete(self, sha256: str) -> None:
        await self._transactions.run(lambda session: self._remove(session, sha256))

    async def names(self) -> AsyncIterator[str]:
        rows = self._heads.find({"_id": {"$gt": ""}}, {"_id": 1}).hint([("_id", 1)])
        try:
            async for row in rows:
                yield row["_id"]
        except PyMongoError as error:
            raise unavailable(error) from error
        finally:
            await aw(rows.close())

    async def _write(self, session: Session, name: str, data: bytes) -> None:
        head: Raw = {"_id": name, "size": len(data)}
        inline = len(data) <= CHUNK
        try:
            await self._heads.insert_one({**head, "data": data} if inline else head, session=session)
        except DuplicateKeyError as error:
            raise _ThereError from error
        if not inline:
            for number, at in enumerate(range(0, len(data), CHUNK)):
                row = {"_id": f"{name}/{number:06d}", "data": data[at : at + CHUNK]}
                await self._chunks.insert_one(row, session=session)
        faults.reach("store.blob.before")

    async def _remove(self, session: Session, name: str) -> None:
        await self._heads.delete_one({"_id": name}, session=session)
        await self._chunks.delete_many({"_id": {"$gte": f"{name}/", "$lt": f"{name}0"}}, session=session)


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
