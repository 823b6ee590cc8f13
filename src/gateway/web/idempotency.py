"""Idempotency-Key: the same POST made again gets the same answer, and makes nothing twice.

A record is put down before the work and holds the answer after it. It also reserves the id of what will be made: a
repeat after a crash in between gives the new thing the same id, so the store refuses a second one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta

import msgspec
from msgspec.structs import replace

from gateway.errors import Conflict, Duplicate
from gateway.model.access import Actor, IdempotencyRecord
from gateway.model.document import Clock, Ids
from gateway.service.seal import Seal
from gateway.store.batch import Batch
from gateway.store.collection import IDEMPOTENCY
from gateway.store.contract import Store
from gateway.web.problem import HttpProblem, bad, wait

HEADER = "Idempotency-Key"
MAX_KEY = 255
MAX_AGE = timedelta(hours=24)
"""Older records are as if they were not; housekeeping deletes them."""
UNDER_WAY = timedelta(seconds=90)
"""A request without an answer for this long was cut off (no route runs longer)."""
RESUMABLE_AFTER = timedelta(seconds=5)
"""The same where the work can safely be done twice at a time: both make the same thing, and the store takes one."""
PENDING = 0


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a record's body holds: the reserved id, then the answer (sealed where it holds a secret)."""

    reserved_id: str
    content: str = ""
    sealed: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do the work. `reserved_id`: the id for what is made."""

    record: IdempotencyRecord
    reserved_id: str


@dataclass(frozen=True, slots=True)
class Replay:
    """The work was done: this was the answer."""

    status: int
    body: bytes


class Idempotency:
    def __init__(self, store: Store, clock: Clock, ids: Ids, seal: Seal) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._seal = seal

    async def begin(self, actor: Actor, target: str, key: str, body: bytes, *, resumable: bool) -> Claim | Replay:
        """Claim the key, or give the answer it got before. Raises a 422 for the key with another body, and a 409 while
        the first request is under way, or where it was cut off and cannot be made again without doubling
        (`resumable`: the route uses the reserved id, so it can)."""
        if not key or len(key) > MAX_KEY or not key.isprintable():
            raise bad(422, f"{HEADER} must have 1 to {MAX_KEY} printable characters", (HEADER, "is not usable"))
        id = hashlib.sha256(f"{actor.id}\n{target}\n{key}".encode("utf-8", "surrogateescape")).hexdigest()
        fingerprint = hashlib.sha256(body).hexdigest()
        for _ in range(4):
            known = await self._store.get(IDEMPOTENCY, id)
            now = self._clock.now()
            batch = Batch()
            if known is None or now - known.at > MAX_AGE:
                reserved = self._ids()
                fresh = IdempotencyRecord(
                    id=id, fingerprint=fingerprint, status=PENDING, body=pack(Stored(reserved_id=reserved)), at=now
                )
                record = (
                    batch.insert(IDEMPOTENCY, fresh)
                    if known is None
                    else batch.put(IDEMPOTENCY, replace(fresh, version=known.version))
                )
            else:
                stored = msgspec.json.decode(known.body, type=Stored)
                if known.fingerprint != fingerprint:
                    raise bad(422, f"this {HEADER} was used with another body", (HEADER, "belongs to another request"))
                if known.status != PENDING:
                    return Replay(known.status, self._opened(id, stored))
                if now - known.at < (RESUMABLE_AFTER if resumable else UNDER_WAY):
                    raise wait(409, f"the request with this {HEADER} is still under way", 1)
                if not resumable:
                    raise HttpProblem(
                        409,
                        "the first request with this key was cut off; look whether it took effect before you make it "
                        "again with a new key",
                    )
                reserved = stored.reserved_id
                record = batch.put(IDEMPOTENCY, replace(known, at=now))
            try:
                await self._store.commit(batch)
            except (Conflict, Duplicate):
                continue
            return Claim(record, reserved)
        raise wait(409, f"the request with this {HEADER} is still under way", 1)

    async def finish(self, claim: Claim, status: int, body: bytes, *, secret: bool) -> None:
        """Keep the answer for repeats."""
        text = body.decode()
        stored = Stored(
            reserved_id=claim.reserved_id,
            content=self._seal.seal(text, context(claim.record.id)) if secret else text,
            sealed=secret,
        )
        batch = Batch()
        batch.put(IDEMPOTENCY, replace(claim.record, status=status, body=pack(stored)))
        await self._store.commit(batch)

    async def abandon(self, claim: Claim) -> None:
        """The work was refused and changed nothing: the key is free again."""
        batch = Batch()
        batch.delete(IDEMPOTENCY, claim.record)
        await self._store.commit(batch)

    def _opened(self, id: str, stored: Stored) -> bytes:
        text = self._seal.open(stored.content, context(id)) if stored.sealed else stored.content
        return text.encode()


def pack(stored: Stored) -> str:
    return msgspec.json.encode(stored).decode()


def context(id: str) -> str:
    """What a kept answer is sealed for."""
    return f"idempotency/{id}"
