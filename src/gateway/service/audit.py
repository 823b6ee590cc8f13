"""The audit log: who changed what, and who came in, as a chain in which a gap or a change shows.

Each entry's hash covers the one before it. An entry is committed in the batch of the change it tells of, so there is
neither a change without its entry nor an entry without its change.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.errors import Duplicate, Overloaded
from gateway.model.access import Actor, AuditEntry
from gateway.model.document import Clock
from gateway.store.batch import Batch
from gateway.store.collection import AUDIT
from gateway.store.contract import Page, Range, Store

ATTEMPTS = 12
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """`entries` that were read; `broken_at`: the number of the first that does not fit, None where all do."""

    entries: int
    broken_at: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.broken_at is None


class Audit:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._lock = asyncio.Lock()
        self._head: tuple[int, str] | None = None

    async def commit(
        self, batch: Batch, actor: Actor, action: str, target: str = "", detail: Mapping[str, Any] | None = None
    ) -> str:
        """Commit the batch with an entry on it; returns the feed's cursor.

        Another node may take the next place in the chain first: then the entry moves behind it. What else keeps the
        batch from being written (Conflict, Duplicate …) is raised as by `Store.commit`.
        """
        entry = AuditEntry(
            id="",
            at=self._clock.now(),
            actor=actor.id,
            actor_name=actor.name,
            action=action,
            target=target,
            address=actor.address,
            detail=msgspec.to_builtins(dict(detail or {})),
        )
        async with self._lock:
            for attempt in range(ATTEMPTS):
                seq, previous = self._head or await self._read_head()
                placed = replace(entry, id=entry_id(seq + 1), seq=seq + 1, previous=previous)
                placed = replace(placed, hash=entry_hash(placed))
                batch.insert(AUDIT, placed)
                try:
                    cursor = await self._store.commit(batch)
                except Duplicate as error:
                    batch.writes.pop((AUDIT.name, placed.id))
                    self._head = None
                    if error.collection != AUDIT.name:
                        raise
                    await asyncio.sleep(random.uniform(0, 0.01 * (attempt + 1)))
                except BaseException:
                    batch.writes.pop((AUDIT.name, placed.id))
                    self._head = None
                    raise
                else:
                    self._head = (placed.seq, placed.hash)
                    return cursor
        raise Overloaded("the audit log")

    async def find(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[AuditEntry]:
        """Entries, newest first."""
        where: dict[str, Any] = {
            name: value for name, value in (("actor", actor), ("action", action), ("target", target)) if value
        }
        if start is not None or end is not None:
            where["at"] = Range(start, end)
        return await self._store.find(AUDIT, where, order="-seq", after=after, limit=limit)

    async def verify(self) -> ChainCheck:
        """Read the whole chain, oldest first, and check every link."""
        count, previous, after = 0, "", None
        while True:
            page = await self._store.find(AUDIT, order="seq", after=after, limit=200)
            for entry in page.items:
                if entry.seq != count + 1:
                    return ChainCheck(count, count + 1, "an entry is missing")
                if entry.previous != previous:
                    return ChainCheck(count, entry.seq, "does not follow the entry before it")
                if entry.hash != entry_hash(entry):
                    return ChainCheck(count, entry.seq, "was changed after it was written")
                count, previous = entry.seq, entry.hash
            after = page.next
            if after is None:
                return ChainCheck(count)

    async def _read_head(self) -> tuple[int, str]:
        page = await self._store.find(AUDIT, order="-seq", limit=1)
        return (page.items[0].seq, page.items[0].hash) if page.items else (0, "")


def entry_id(seq: int) -> str:
    return f"{seq:012d}"


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256 (hex) over the entry, `previous` included, `hash` and the store's version left out."""
    bare = replace(entry, hash="", version=0)
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()


def changes(before: msgspec.Struct, after: msgspec.Struct, *, hide: tuple[str, ...] = ()) -> dict[str, Any]:
    """What differs, as {field: [before, after]}; fields named in `hide` only say that they changed."""
    found: dict[str, Any] = {}
    for name in after.__struct_fields__:
        old, new = getattr(before, name), getattr(after, name)
        if old != new and name != "version":
            found[name] = HIDDEN if name in hide else [msgspec.to_builtins(old), msgspec.to_builtins(new)]
    return found
