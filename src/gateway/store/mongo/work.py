"""A batch made ready: its documents are BSON already, so that what cannot be stored is refused before a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bson.raw_bson import RawBSONDocument

from gateway.store.batch import Batch, Lease, Write
from gateway.store.mongo.codec import codec
from gateway.store.mongo.events import Line, to_line


@dataclass(frozen=True, slots=True)
class Ready:
    """One write; `body` for insert, put and load."""

    write: Write
    body: RawBSONDocument | None

    @property
    def size(self) -> int:
        return len(self.body.raw) if self.body is not None else 0


@dataclass(slots=True)
class Work:
    """What one transaction writes: a batch, or several that have nothing in common. `keys` name all it touches."""

    writes: list[Ready] = field(default_factory=list)
    events: list[Line] = field(default_factory=list)
    fences: list[Lease] = field(default_factory=list)
    keys: frozenset[tuple[str, str]] = frozenset()
    size: int = 0


def prepare(batch: Batch) -> Work:
    """Raises Refused for documents that cannot be stored."""
    writes = [Ready(write, None if write.doc is None else codec(write.collection).encode(write.doc)) for write in batch]
    events = [to_line(event) for event in batch.events]
    keys = {("", lease.name) for lease in batch.fences} | {(write.collection.name, write.id) for write in batch}
    size = sum(ready.size for ready in writes) + sum(len(event.text) for event in events)
    return Work(writes, events, list(batch.fences), frozenset(keys), size)


def merge(works: Iterable[Work]) -> Work:
    """One transaction's worth of several batches, events in the order of the batches."""
    merged = Work()
    keys: set[tuple[str, str]] = set()
    for work in works:
        merged.writes += work.writes
        merged.events += work.events
        merged.fences += work.fences
        merged.size += work.size
        keys |= work.keys
    merged.keys = frozenset(keys)
    return merged
