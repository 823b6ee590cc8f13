"""What must be done from time to time: old things go, snoozed conversations wake, missed targets are marked.

One node does it, under a lease, one chore after the other, each in bounded pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from msgspec.structs import replace

from gateway.errors import Conflict, StoreError
from gateway.model.conversation import Conversation, Status
from gateway.model.document import Clock, Document
from gateway.model.event import Event
from gateway.routing.sla import mark_breached
from gateway.service.leased import run_leased
from gateway.store.batch import Batch, Lease
from gateway.store.collection import (
    CONVERSATIONS,
    IDEMPOTENCY,
    SESSIONS,
    THROTTLES,
    WEBHOOK_DELIVERIES,
    Collection,
)
from gateway.store.contract import Range, Store

log = structlog.get_logger("housekeeping")

PIECE = 200
PIECES = 50
"""In one go of a chore; what is left waits for the next."""

IDEMPOTENCY_KEPT = timedelta(hours=24)
THROTTLES_KEPT = timedelta(days=1)
DELIVERED_KEPT = timedelta(days=3)
UNDELIVERED_KEPT = timedelta(days=30)

UNRESOLVED: tuple[Status, ...] = ("open", "pending", "snoozed")


@dataclass(frozen=True, slots=True)
class Chore:
    """`run(now, lease)` returns how many things it did."""

    name: str
    every: float
    run: Callable[[datetime, Lease], Awaitable[int]]


class Housekeeping:
    """`wake_snoozed(now)` opens the snoozed conversations whose time has come, a bounded number at a time, and returns
    how many. `event_days`: how long the feed reaches back. Run `run` in a task, on every node."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: str,
        *,
        wake_snoozed: Callable[[datetime], Awaitable[int]],
        event_days: int = 7,
    ) -> None:
        self._store = store
        self._clock = clock
        self._node = node
        self._wake_snoozed = wake_snoozed
        self._event_days = event_days
        self._scan: tuple[int, str | None] = (0, None)
        self.chores: tuple[Chore, ...] = (
            Chore("wake", 5, self._wake),
            Chore("sla", 5, self._mark_breaches),
            Chore("events", 600, self._trim_events),
            Chore("sessions", 600, self._expired_sessions),
            Chore("throttles", 600, self._old_throttles),
            Chore("idempotency", 600, self._old_idempotency),
            Chore("webhooks", 600, self._old_deliveries),
        )

    async def run(self) -> None:
        """Do the chores, each at its intervals, until cancelled."""
        await run_leased(self._store, "housekeeping", self._node, self._work)

    async def _work(self, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        due = {chore.name: loop.time() for chore in self.chores}
        while True:
            for chore in self.chores:
                if due[chore.name] <= loop.time():
                    await self._do(chore, lease)
                    due[chore.name] = loop.time() + chore.every
            await asyncio.sleep(max(0.0, min(due.values()) - loop.time()))

    async def _do(self, chore: Chore, lease: Lease) -> None:
        try:
            done = await chore.run(self._clock.now(), lease)
        except StoreError:
            raise
        except Exception:  # one chore that fails must not keep the others from being done
            log.exception("housekeeping.failed", chore=chore.name)
        else:
            if done:
                log.info("housekeeping.done", chore=chore.name, count=done)

    # the chores

    async def _wake(self, now: datetime, lease: Lease) -> int:
        total = 0
        for _ in range(PIECES):
            woken = await self._wake_snoozed(now)
            total += woken
            if not woken:
                break
        return total

    async def _trim_events(self, now: datetime, lease: Lease) -> int:
        return await self._store.trim(now - timedelta(days=self._event_days))

    async def _expired_sessions(self, now: datetime, lease: Lease) -> int:
        return await self._purge(SESSIONS, {"expires_at": Range(end=now)}, "expires_at", lease)

    async def _old_throttles(self, now: datetime, lease: Lease) -> int:
        return await self._purge(THROTTLES, {"at": Range(end=now - THROTTLES_KEPT)}, "at", lease)

    async def _old_idempotency(self, now: datetime, lease: Lease) -> int:
        return await self._purge(IDEMPOTENCY, {"at": Range(end=now - IDEMPOTENCY_KEPT)}, "at", lease)

    async def _old_deliveries(self, now: datetime, lease: Lease) -> int:
        total = 0
        for status, kept in (("sent", DELIVERED_KEPT), ("failed", UNDELIVERED_KEPT), ("queued", UNDELIVERED_KEPT)):
            where = {"status": status, "created_at": Range(end=now - kept)}
            total += await self._purge(WEBHOOK_DELIVERIES, where, "created_at", lease)
        return total

    async def _purge(self, collection: Collection[Any], where: dict[str, Any], order: str, lease: Lease) -> int:
        """Delete what matches, oldest first."""
        total = 0
        for _ in range(PIECES):
            page = await self._store.find(collection, where, order=order, limit=PIECE)
            total += await self._delete(collection, page.items, lease)
            if page.next is None:
                break
        return total

    async def _delete(self, collection: Collection[Any], documents: list[Document], lease: Lease) -> int:
        batch = Batch()
        batch.fence(lease)
        for document in documents:
            batch.delete(collection, document)
        if not batch:
            return 0
        try:
            await self._store.commit(batch)
        except Conflict:
            # One of them is in use again. They are few: each on its own.
            return sum([await self._delete(collection, [one], lease) for one in documents]) if len(documents) > 1 else 0
        return len(documents)

    async def _mark_breaches(self, now: datetime, lease: Lease) -> int:
        """Look through unresolved conversations for missed targets, a bounded number at a time; next time go on where
        this one stopped."""
        total = 0
        for _ in range(PIECES):
            at, after = self._scan
            page = await self._store.find(
                CONVERSATIONS, {"status": UNRESOLVED[at]}, order="last_message_at", after=after, limit=PIECE
            )
            total += await self._breach(page.items, now, lease)
            if page.next is not None:
                self._scan = at, page.next
                continue
            self._scan = (at + 1) % len(UNRESOLVED), None
            if self._scan[0] == 0:
                break
        return total

    async def _breach(self, conversations: list[Conversation], now: datetime, lease: Lease) -> int:
        missed = 0
        for conversation in conversations:
            clock = conversation.sla
            if clock is None or (marked := mark_breached(clock, now)) == clock:
                continue
            batch = Batch()
            batch.fence(lease)
            batch.put(CONVERSATIONS, replace(conversation, sla=marked))
            batch.emit(
                Event(
                    type="sla.breached",
                    at=now,
                    conversation_id=conversation.id,
                    inbox_id=conversation.inbox_id,
                    queue_id=conversation.queue_id,
                    assignee_id=conversation.assignee_id,
                    data={
                        "policy_id": marked.policy_id,
                        "targets": [target for target in marked.breached if target not in clock.breached],
                    },
                )
            )
            try:
                await self._store.commit(batch)
                missed += 1
            except Conflict:
                continue  # it is being answered right now; looked at again next time
        return missed
