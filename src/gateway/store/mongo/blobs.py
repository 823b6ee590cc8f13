"""Attachment bytes: small ones within their own document, larger ones in chunks beside it.

Chunks are written first, under the id of this upload, and the blob's document last: with it all of the blob is there,
before it nothing. (A transaction would be simpler, but MongoDB keeps all of one in its cache, and on a small machine
25 MB do not fit.) Of two nodes that write the same bytes one has its document there first; the other takes its chunks
away again. A note of each upload, removed at its end, lets `sweep` find what a killed program left.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

from pymongo import ReplaceOne
from pymongo.errors import DuplicateKeyError, PyMongoError

from gateway import faults
from gateway.errors import StoreUnavailable
from gateway.store.contract import Blobs
from gateway.store.mongo.driver import Database, Raw, aw
from gateway.store.mongo.failures import Patience, insist, unavailable
from gateway.store.mongo.indexes import BLOB_CHUNKS, BLOB_UPLOADS, BLOBS

CHUNK = 1024 * 1024
"""Bytes; a blob of up to this many is in one document."""

_AT_ONCE = 8
"""Chunks in one write."""

_LONG = 256 * 1024
"""Bytes that are hashed on the loop; more of them are hashed in a thread."""

_LEFT_SECONDS = 24 * 3600
"""An upload that began so long ago was left by a program that died."""


class MongoBlobs(Blobs):
    def __init__(self, database: Database, patience: float) -> None:
        self._blobs = database[BLOBS]
        self._chunks = database[BLOB_CHUNKS]
        self._uploads = database[BLOB_UPLOADS]
        self._patience = patience

    async def put(self, data: bytes) -> str:
        name = await asyncio.to_thread(_name, data) if len(data) > _LONG else _name(data)
        patience = Patience(self._patience)
        while await insist(self._patience, lambda: self._blobs.find_one({"_id": name}, {"_id": 1})) is None:
            if await self._write(name, data):
                break
            # another had it there first, and the majority confirms it in a moment
            if patience.over():
                raise StoreUnavailable("MongoDB cannot answer: an attachment stays unconfirmed")
            await patience.pause()
        faults.reach("store.blob.after")
        return name

    async def _write(self, name: str, data: bytes) -> bool:
        """False: there is one by now."""
        if len(data) <= CHUNK:
            faults.reach("store.blob.before")
            return await self._insert({"_id": name, "size": len(data), "data": data})
        upload = uuid4().hex
        note: list[Raw] = [{"$set": {"name": name, "at": "$$NOW"}}]
        await insist(self._patience, lambda: self._uploads.update_one({"_id": upload}, note, upsert=True))
        for start in range(0, len(data), CHUNK * _AT_ONCE):
            await self._write_chunks(upload, data, range(start, min(start + CHUNK * _AT_ONCE, len(data)), CHUNK))
        faults.reach("store.blob.before")
        mine = await self._insert({"_id": name, "size": len(data), "upload": upload})
        await self._end(upload, keep=mine)
        return mine

    async def _write_chunks(self, upload: str, data: bytes, starts: range) -> None:
        rows: list[Raw] = [{"_id": f"{upload}/{at // CHUNK:06d}", "data": data[at : at + CHUNK]} for at in starts]
        writes = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
        await insist(self._patience, lambda: self._chunks.bulk_write(writes, ordered=False))

    async def _insert(self, blob: Raw) -> bool:
        async def attempt() -> bool:
            try:
                await self._blobs.insert_one(blob)
            except DuplicateKeyError:
                return False
            return True

        if await insist(self._patience, attempt):
            return True
        there = await insist(self._patience, lambda: self._blobs.find_one({"_id": blob["_id"]}, {"upload": 1}))
        # an insert whose answer was lost finds itself
        return there is not None and there.get("upload", "") == blob.get("upload")

    async def _end(self, upload: str, *, keep: bool) -> None:
        if not keep:
            await insist(self._patience, lambda: self._chunks.delete_many(_chunks_of(upload)))
        await insist(self._patience, lambda: self._uploads.delete_one({"_id": upload}))

    async def get(self, sha256: str) -> bytes | None:
        while True:
            blob: Raw | None = await insist(self._patience, lambda: self._blobs.find_one({"_id": sha256}))
            if blob is None:
                return None
            if "data" in blob:
                return bytes(blob["data"])
            data = await self._read_chunks(blob["upload"])
            if len(data) == blob["size"]:
                return data
            # deleted meanwhile, and perhaps written again

    async def _read_chunks(self, upload: str) -> bytes:
        chunks = self._chunks
        rows = await insist(self._patience, lambda: chunks.find(_chunks_of(upload), sort=[("_id", 1)]).to_list(None))
        return b"".join(row["data"] for row in rows)

    async def delete(self, sha256: str) -> None:
        blob = await insist(self._patience, lambda: self._blobs.find_one({"_id": sha256}, {"upload": 1}))
        if blob is None:
            return
        upload = blob.get("upload")
        if upload is not None:
            note = {"$set": {"name": sha256, "at": "$$NOW"}}
            await insist(self._patience, lambda: self._uploads.update_one({"_id": upload}, [note], upsert=True))
        gone: Any = await insist(self._patience, lambda: self._blobs.delete_one({"_id": sha256, "upload": upload}))
        if upload is not None and gone.deleted_count:
            await self._end(upload, keep=False)

    async def names(self) -> AsyncIterator[str]:
        rows = self._blobs.find({"_id": {"$gt": ""}}, {"_id": 1}).hint([("_id", 1)])
        try:
            async for row in rows:
                yield row["_id"]
        except PyMongoError as error:
            raise unavailable(error) from error
        finally:
            await aw(rows.close())

    async def sweep(self) -> None:
        """Remove chunks of uploads and deletions that were never finished."""
        old = {"$expr": {"$lt": ["$at", {"$subtract": ["$$NOW", _LEFT_SECONDS * 1000]}]}}
        for left in await self._uploads.find(old).to_list(None):
            blob = await self._blobs.find_one({"_id": left["name"], "upload": left["_id"]}, {"_id": 1})
            await self._end(left["_id"], keep=blob is not None)


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _chunks_of(upload: str) -> Raw:
    return {"_id": {"$gte": f"{upload}/", "$lt": f"{upload}0"}}  # "0" comes right behind "/"
