"""A batch: writes, checks and events that are committed together or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from gateway.model.document import Document
from gateway.model.event import Event
from gateway.store.collection import Collection

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do something alone until `expires_at`. `token` rises with each new holder: a batch that is fenced
    with an older one is refused, so a holder that was paused past its lease cannot write."""

    name: str
    holder: str
    token: int
    expires_at: datetime


@dataclass(slots=True)
class Write:
    """insert: no document may have the id · put: replace the one at version `expect` · delete: remove the one at
    `expect` · check: it must be at `expect` (0: must not exist) · load: write whatever is there (restore, copy)."""

    op: Literal["insert", "put", "delete", "check", "load"]
    collection: Collection[Any]
    id: str
    doc: Document | None
    expect: int = 0


@dataclass(slots=True)
class Batch:
    """Collects writes; hand it to `Store.commit`. A document may be put several times: the last one is written,
    checked against the version it had before the batch."""

    writes: dict[tuple[str, str], Write] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    fences: list[Lease] = field(default_factory=list)

    def insert(self, collection: Collection[D], doc: D) -> D:
        """Add a new document; the commit raises Duplicate (key `id` or a unique key) if there is one."""
        stored = replace(doc, version=1)
        self.writes[collection.name, doc.id] = Write("insert", collection, doc.id, stored)
        return stored

    def put(self, collection: Collection[D], doc: D) -> D:
        """Replace the document at `doc.version`; the commit raises Conflict if it is elsewhere by now."""
        stored = replace(doc, version=doc.version + 1)
        key = (collection.name, doc.id)
        earlier = self.writes.get(key)
        if earlier is not None and earlier.op in ("insert", "put"):
            earlier.doc = stored
        elif earlier is not None and earlier.op == "check":
            self.writes[key] = Write("put", collection, doc.id, stored, earlier.expect)
        else:
            self.writes[key] = Write("put", collection, doc.id, stored, doc.version)
        return stored

    def delete(self, collection: Collection[D], doc: D) -> None:
        """Remove the document at `doc.version`; one that this batch was to add is not added."""
        key = (collection.name, doc.id)
        earlier = self.writes.get(key)
        if earlier is not None and earlier.op == "insert":
            self.writes[key] = Write("check", collection, doc.id, None, 0)
        else:
            expect = earlier.expect if earlier is not None and earlier.op == "put" else doc.version
            self.writes[key] = Write("delete", collection, doc.id, None, expect)

    def check(self, collection: Collection[Any], id: str, version: int) -> None:
        """The commit raises Conflict unless the document is at `version` (0: absent)."""
        self.writes.setdefault((collection.name, id), Write("check", collection, id, None, version))

    def load(self, collection: Collection[D], doc: D) -> None:
        """Write the document as it is, with its version, whatever is there: for restore and copy only."""
        self.writes[collection.name, doc.id] = Write("load", collection, doc.id, doc)

    def emit(self, event: Event) -> None:
        """Append to the change feed, in order, with the commit."""
        self.events.append(event)

    def fence(self, lease: Lease) -> None:
        """The commit raises Fenced unless the lease's token is still the latest."""
        self.fences.append(lease)

    def __iter__(self) -> Iterator[Write]:
        return iter(self.writes.values())

    def __bool__(self) -> bool:
        return bool(self.writes or self.events)
