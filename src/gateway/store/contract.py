"""What a store engine does. Both engines pass tests/store/."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from gateway.model.document import Document
from gateway.model.event import Event
from gateway.store.batch import Batch, Lease
from gateway.store.collection import Collection

D = TypeVar("D", bound=Document)

SCHEMA_VERSION = 1
"""Raised by one with every change of the stored form; each engine's `migrations` module says how to get there."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equal to one of the values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Not equal to the value (`Not(None)`: present)."""

    value: Any


@dataclass(frozen=True, slots=True)
class Range:
    """At or above `start`, below `end`; None leaves that side open. Never matches None."""

    start: Any = None
    end: Any = None


Where = Mapping[str, Any]
"""field → value (None: absent), OneOf, Not or Range; all must hold. For a `many` field: a value it contains."""


@dataclass(frozen=True, slots=True)
class Page(Generic[D]):
    """`next`: the opaque cursor of the next page, None at the end."""

    items: list[D]
    next: str | None


@dataclass(frozen=True, slots=True)
class FeedItem:
    """`cursor` is text that sorts in feed order."""

    cursor: str
    event: Event


@dataclass(frozen=True, slots=True)
class SearchEntry:
    """What a message is found by. Indexing the same message again replaces its entry."""

    message_id: str
    conversation_id: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class SearchHit:
    message_id: str
    conversation_id: str


class Blobs(ABC):
    """Attachment bytes, stored once by content."""

    @abstractmethod
    async def put(self, data: bytes) -> str:
        """Keep the bytes durably; returns their SHA-256 (hex). Keeping the same bytes again costs nothing."""

    @abstractmethod
    async def get(self, sha256: str) -> bytes | None:
        """The bytes, or None if there are none under this name."""

    @abstractmethod
    async def delete(self, sha256: str) -> None:
        """Forget the bytes; no error if there are none."""

    @abstractmethod
    def names(self) -> AsyncIterator[str]:
        """All names, in no order (backup, copy)."""


class Store(ABC):
    """A document store with atomic batches, a change feed and leases."""

    blobs: Blobs

    @abstractmethod
    async def open(self) -> None:
        """Connect, create or migrate; raises StoreTooNew or StoreUnavailable in one clear line."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def ping(self) -> None:
        """Raises StoreUnavailable unless a write would work now."""

    # reading

    @abstractmethod
    async def get(self, collection: Collection[D], id: str) -> D | None: ...

    @abstractmethod
    async def get_many(self, collection: Collection[D], ids: Sequence[str]) -> dict[str, D]:
        """Those that exist, by id."""

    @abstractmethod
    async def find_keys(
        self, collection: Collection[D], key: str, values: Sequence[tuple[Any, ...]]
    ) -> dict[tuple[Any, ...], D]:
        """Documents by the unique key named `key`: those that exist, by the key's values (each in declared order)."""

    @abstractmethod
    async def find(
        self,
        collection: Collection[D],
        where: Where | None = None,
        *,
        order: str = "id",
        after: str | None = None,
        limit: int = 50,
    ) -> Page[D]:
        """A page in the order of one field (`-field`: falling), ties by id in the same direction; documents without
        the field come first when rising. A malformed `after` raises Refused."""

    @abstractmethod
    async def count(self, collection: Collection[Any], where: Where | None = None, *, limit: int = 10_000) -> int:
        """How many there are, counted up to `limit`."""

    # writing

    @abstractmethod
    async def commit(self, batch: Batch) -> str:
        """Write all or nothing, durably (SQLite: fsynced WAL; MongoDB: majority, journaled). Returns a cursor at or
        after the batch's events. Raises Duplicate, Conflict or Fenced, and then nothing was written; or
        StoreUnavailable, after which it may have been, if the line broke in the commit.

        Batches that are committed concurrently may share a transaction; none fails because of another."""

    # the feed

    @abstractmethod
    async def head(self) -> str:
        """The cursor behind which only events of later commits come."""

    @abstractmethod
    def follow(self, after: str) -> AsyncIterator[list[FeedItem]]:
        """Events after the cursor, in commit order, then new ones as they come, for ever.

        Raises CursorGone when the feed no longer reaches back, Refused for a malformed cursor."""

    @abstractmethod
    async def trim(self, before: datetime) -> int:
        """Drop events older than the moment; returns how many."""

    # leases

    @abstractmethod
    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> dict[str, Lease]:
        """Take or renew leases for `ttl` seconds. Returns those the holder has now; a renewed one keeps its token."""

    @abstractmethod
    async def release(self, leases: Sequence[Lease]) -> None:
        """Give them back, so that others need not wait; those lost meanwhile are passed over."""

    # search

    @abstractmethod
    async def index(self, entries: Sequence[SearchEntry]) -> None:
        """Make messages findable (durable, but apart from `commit`: the indexer follows the feed)."""

    @abstractmethod
    async def unindex(self, message_ids: Sequence[str]) -> None: ...

    @abstractmethod
    async def search(self, query: str, *, limit: int = 50, after: str | None = None) -> list[SearchHit]:
        """Messages that have every term of the query, newest first (by message id); `after`: a message id to go on
        behind. A query without terms finds nothing."""
