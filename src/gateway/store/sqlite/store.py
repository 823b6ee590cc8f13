"""`SqliteStore`: the store contract on one file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from gateway.errors import StoreUnavailable
from gateway.model.document import Clock, Document
from gateway.store.batch import Batch, Lease
from gateway.store.blobs import LocalBlobs
from gateway.store.collection import Collection
from gateway.store.contract import FeedItem, Page, SearchEntry, SearchHit, Store, Where
from gateway.store.sqlite import feed, leases, migrations, query, search
from gateway.store.sqlite.backup import copy_store
from gateway.store.sqlite.checkpoint import LOG_PAGES, Checkpointer
from gateway.store.sqlite.connection import FileLock, connect
from gateway.store.sqlite.feed import Feed, to_cursor
from gateway.store.sqlite.layout import layout_of, milliseconds
from gateway.store.sqlite.reader import Readers
from gateway.store.sqlite.writer import Writer

D = TypeVar("D", bound=Document)
T = TypeVar("T")

_WRITER_CACHE_KIB = 32_768
_INDEXER_CACHE_KIB = 16_384
_CHECKPOINT_CACHE_KIB = 1_024
_WRITE_LIMIT = 2_000
_READ_LIMIT = 10_000
_SEARCH_LIMIT = 200


class _Running:
    """The threads of an open store."""

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, writing: sqlite3.Connection, indexing: sqlite3.Connection
    ) -> None:
        trimmed, head = feed.bounds(writing)
        self.readers = Readers(path, loop, threads=2, limit=_READ_LIMIT, name="store-reader")
        self.search_readers = Readers(search.beside(path), loop, threads=1, limit=_SEARCH_LIMIT, name="store-search")
        self.feed = Feed(trimmed, head, lambda after, limit: self.readers.submit(lambda c: feed.read(c, after, limit)))
        self.checkpointer = Checkpointer(connect(path, write=True, cache_kib=_CHECKPOINT_CACHE_KIB))
        self.writer = Writer(
            writing,
            loop,
            seq=head,
            limit=_WRITE_LIMIT,
            written=self.checkpointer.changed,
            committed=self.feed.committed,
            name="store-writer",
        )
        self.indexer = Writer(
            indexing,
            loop,
            seq=0,
            limit=_SEARCH_LIMIT,
            written=lambda: None,
            committed=lambda events: None,
            name="store-indexer",
        )

    def close(self) -> None:
        """Finish what is queued; blocks."""
        for part in (self.indexer, self.search_readers, self.readers, self.writer, self.checkpointer):
            part.close()


class SqliteStore(Store):
    """The store in `path` (made with its folder if missing), its search index beside it, its attachments in `blobs`
    (default: a folder `blobs` beside it). One process at a time may have it open."""

    def __init__(self, path: Path, clock: Clock, *, blobs: Path | None = None) -> None:
        self.path = path
        self._clock = clock
        self._lock = FileLock(path)
        self._local_blobs = LocalBlobs(blobs or path.parent / "blobs")
        self.blobs = self._local_blobs
        self._open: _Running | None = None

    @property
    def _running(self) -> _Running:
        if self._open is None:
            raise StoreUnavailable("the store is not open")
        return self._open

    async def open(self) -> None:
        connections = await asyncio.to_thread(self._connect)
        try:
            self._open = await asyncio.to_thread(_Running, self.path, asyncio.get_running_loop(), *connections)
            await self._local_blobs.open()
        except BaseException:
            self._lock.give_back()
            raise

    def _connect(self) -> tuple[sqlite3.Connection, sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{self.path.parent} cannot be made: {error.strerror}") from error
        self._lock.take()
        opened: list[sqlite3.Connection] = []
        try:
            opened.append(connect(self.path, write=True, cache_kib=_WRITER_CACHE_KIB, log_pages=LOG_PAGES))
            migrations.migrate(opened[0], self.path)
            leases.expire_all(opened[0])
            opened.append(connect(search.beside(self.path), write=True, cache_kib=_INDEXER_CACHE_KIB))
            search.migrate(opened[1], search.beside(self.path))
        except BaseException as error:
            for connection in opened:
                connection.close()
            self._lock.give_back()
            if isinstance(error, sqlite3.Error):
                raise StoreUnavailable(f"{self.path} cannot be opened: {error}") from error
            raise
        return opened[0], opened[1]

    async def close(self) -> None:
        running, self._open = self._open, None
        if running is not None:
            running.feed.close()
            await asyncio.to_thread(running.close)
            self._lock.give_back()

    async def ping(self) -> None:
        await self._running.writer.submit(_touch)

    # reading

    async def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        return await self._running.readers.submit(read)

    async def get(self, collection: Collection[D], id: str) -> D | None:
        return (await self.get_many(collection, (id,))).get(id)

    async def get_many(self, collection: Collection[D], ids: Sequence[str]) -> dict[str, D]:
        layout = layout_of(collection)
        return await self._read(lambda connection: query.get_many(connection, layout, ids)) if ids else {}

    async def find_keys(
        self, collection: Collection[D], key: str, values: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], D]:
        layout = layout_of(collection)
        return await self._read(lambda connection: query.find_keys(connection, layout, key, values)) if values else {}

    async def find(
        self,
        collection: Collection[D],
        where: Where | None = None,
        *,
        order: str = "id",
        after: str | None = None,
        limit: int = 50,
    ) -> Page[D]:
        layout = layout_of(collection)
        return await self._read(
            lambda connection: query.find(connection, layout, where or {}, order=order, after=after, limit=limit)
        )

    async def count(self, collection: Collection[Any], where: Where | None = None, *, limit: int = 10_000) -> int:
        layout = layout_of(collection)
        return await self._read(lambda connection: query.count(connection, layout, where or {}, limit))

    # writing

    async def commit(self, batch: Batch) -> str:
        return to_cursor(await self._running.writer.submit(batch))

    # the feed

    async def head(self) -> str:
        return to_cursor(self._running.feed.head)

    def follow(self, after: str) -> AsyncIterator[list[FeedItem]]:
        return self._running.feed.follow(after)

    async def trim(self, before: datetime) -> int:
        limit = milliseconds(before)
        total = 0
        while True:  # a bounded piece at a time, so that commits get in between
            running = self._running
            dropped, last = await running.writer.submit(lambda connection: feed.trim(connection, limit))
            if not dropped:
                return total
            running.feed.trimmed(last)
            total += dropped

    # leases

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> dict[str, Lease]:
        result: dict[str, Lease] = await self._running.writer.submit(
            lambda connection: leases.acquire(connection, self._clock, names, holder, ttl)
        )
        return result

    async def release(self, given: Sequence[Lease]) -> None:
        if given:
            await self._running.writer.submit(lambda connection: leases.release(connection, given))

    # search

    async def index(self, entries: Sequence[SearchEntry]) -> None:
        if entries:
            await self._running.indexer.submit(lambda connection: search.index(connection, entries))

    async def unindex(self, message_ids: Sequence[str]) -> None:
        if message_ids:
            await self._running.indexer.submit(lambda connection: search.unindex(connection, message_ids))

    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> list[SearchHit]:
        return await self._running.search_readers.submit(
            lambda connection: search.search(connection, query, limit, after)
        )

    # beyond the contract

    async def backup_to(self, path: Path) -> None:
        """Copy the store and its search index to `path` and beside it while both are in use (see `copy_store`)."""
        await asyncio.to_thread(copy_store, self.path, path)


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'ping'")
