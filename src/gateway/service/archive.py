"""Backup, restore and copy: a store as one file, the same for both engines.

The archive is a zip: `omnigate.json` (what it is), `{collection}.jsonl` (a document a line), `blobs/{sha256}`. Events
are not part of it: readers of the feed reload after a restore.
"""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import Problem, Refused
from gateway.model.document import Clock, Document
from gateway.service.first_start import mark
from gateway.store.batch import Batch
from gateway.store.collection import CHECKPOINTS, COLLECTIONS, Collection
from gateway.store.contract import SCHEMA_VERSION, Store

PAGE = 200
FORMAT = "omnigate-archive"
KEPT: tuple[Collection[Any], ...] = tuple(one for one in COLLECTIONS if one is not CHECKPOINTS)
"""Checkpoints belong to the feed of the store they were made in."""

BY_NAME: dict[str, Collection[Any]] = {collection.name: collection for collection in KEPT}


async def documents(store: Store, collection: Collection[Any]) -> AsyncIterator[list[Document]]:
    """All documents of a collection, a page at a time."""
    after: str | None = None
    while True:
        page = await store.find(collection, order="id", after=after, limit=PAGE)
        if page.items:
            yield page.items
        after = page.next
        if after is None:
            return


async def dump(store: Store, path: Path, clock: Clock) -> dict[str, int]:
    """Write the archive; returns how many documents each collection has. The file appears whole or not at all."""
    counts: dict[str, int] = {}
    partial = path.with_name(path.name + ".partial")
    archive = await asyncio.to_thread(zipfile.ZipFile, partial, "w", zipfile.ZIP_DEFLATED)
    try:
        for collection in KEPT:
            counts[collection.name] = await _dump_collection(store, archive, collection)
        blobs = 0
        async for name in store.blobs.names():
            data = await store.blobs.get(name)
            if data is not None:
                await asyncio.to_thread(archive.writestr, f"blobs/{name}", data)
                blobs += 1
        about = {"format": FORMAT, "schema": SCHEMA_VERSION, "at": clock.now().isoformat(), "documents": counts}
        await asyncio.to_thread(archive.writestr, "omnigate.json", json.dumps(about))
    finally:
        await asyncio.to_thread(archive.close)
    await asyncio.to_thread(partial.replace, path)
    return {**counts, "blobs": blobs}


async def _dump_collection(store: Store, archive: zipfile.ZipFile, collection: Collection[Any]) -> int:
    count = 0
    entry = await asyncio.to_thread(archive.open, f"{collection.name}.jsonl", "w", force_zip64=True)
    try:
        async for page in documents(store, collection):
            lines = b"".join(msgspec.json.encode(document) + b"\n" for document in page)
            await asyncio.to_thread(entry.write, lines)
            count += len(page)
    finally:
        await asyncio.to_thread(entry.close)
    return count


async def restore(store: Store, path: Path) -> dict[str, int]:
    """Load the archive into an empty store; Refused if it is not empty, or the file is not such an archive."""
    await _must_be_empty(store)
    try:
        archive = await asyncio.to_thread(zipfile.ZipFile, path)
        about = json.loads(await asyncio.to_thread(archive.read, "omnigate.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise Refused(Problem(str(path), f"is not an Omnigate archive: {error}")) from None
    with archive:
        if about.get("format") != FORMAT or about.get("schema", 0) > SCHEMA_VERSION:
            raise Refused(Problem(str(path), "was made by a newer program; update this one first"))
        counts: dict[str, int] = {}
        for name in archive.namelist():
            if name.startswith("blobs/"):
                await store.blobs.put(await asyncio.to_thread(archive.read, name))
                counts["blobs"] = counts.get("blobs", 0) + 1
            elif name.endswith(".jsonl") and name.removesuffix(".jsonl") in BY_NAME:
                collection = BY_NAME[name.removesuffix(".jsonl")]
                counts[collection.name] = await _restore_collection(store, archive, name, collection)
    await mark(store)
    return counts


async def _restore_collection(store: Store, archive: zipfile.ZipFile, name: str, collection: Collection[Any]) -> int:
    count = 0
    decoder = msgspec.json.Decoder(collection.type)
    entry = await asyncio.to_thread(archive.open, name)
    with entry:
        while lines := await asyncio.to_thread(_lines, entry):
            batch = Batch()
            for line in lines:
                batch.load(collection, decoder.decode(line))
            await store.commit(batch)
            count += len(lines)
    return count


def _lines(entry: Any) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < PAGE and (line := entry.readline()):
        found.append(line)
    return found


async def copy(source: Store, target: Store) -> dict[str, int]:
    """Everything of one store into another, empty one."""
    await _must_be_empty(target)
    counts: dict[str, int] = {}
    async for name in source.blobs.names():
        data = await source.blobs.get(name)
        if data is not None:
            await target.blobs.put(data)
            counts["blobs"] = counts.get("blobs", 0) + 1
    for collection in KEPT:
        async for page in documents(source, collection):
            batch = Batch()
            for document in page:
                batch.load(collection, document)
            await target.commit(batch)
            counts[collection.name] = counts.get(collection.name, 0) + len(page)
    await mark(target)
    return counts


async def _must_be_empty(store: Store) -> None:
    for collection in KEPT:
        if await store.count(collection, limit=1):
            raise Refused(Problem("store", f"must be empty, and has {collection.name}; name a new one"))
