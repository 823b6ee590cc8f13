"""A batch made ready: its documents are BSON already, so that what cannot be stored is refused before a transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from bson.raw_bson import RawBSONDocument

from gateway.errors import Problem, Refused
from gateway.model.event import Event
from gateway.store.batch import Batch, Lease, Write
from gateway.store.mongo.codec import MAX_BYTES, codec


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
    events: list[dict[str, Any]] = field(default_factory=list)
    fences: list[Lease] = field(default_factory=list)
    keys: frozenset[tuple[str, str]] = frozenset()
    size: int = 0


def _event(event: Event) -> dict[str, Any]:
    """`event` is the whole event as JSON text; the rest is for people who look, and for `trim`."""
    try:
        text = msgspec.json.encode(event).decode()
    except UnicodeError as error:
        raise Refused(Problem("", f"the store cannot keep this: {error}")) from error
    if len(text) > MAX_BYTES // 2:
        raise Refused(Problem("", f"an event of {len(text)} characters is more than the store keeps"))
    return {"type": event.type, "at": event.at, "event": text}


def prepare(batch: Batch) -> Work:
    """Raises Refused for documents that cannot be stored."""
    writes = [Ready(write, None if write.doc is None else codec(write.collection).encode(write.doc)) for write in batch]
    events = [_event(event) for event in batch.events]
    keys = {("", lease.name) for lease in batch.fences} | {(write.collection.name, write.id) for write in batch}
    size = sum(ready.size for ready in writes) + sum(len(event["event"]) for event in events)
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
