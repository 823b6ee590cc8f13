"""How the inboxes do: kept in the store for all nodes and admins to see, written only when it tells something new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from msgspec.structs import replace

from gateway.errors import StoreError
from gateway.model.document import Clock
from gateway.model.event import Event
from gateway.model.inbox import Health, Inbox, InboxHealth
from gateway.store.batch import Batch
from gateway.store.collection import INBOX_HEALTH
from gateway.store.contract import Store

log = structlog.get_logger("health")

BATCH = 100
GATHER = 0.1
"""Seconds for which changes are gathered into one write."""
DETAILS_EVERY = 5.0
"""Seconds between writes where only details changed (a count of mails goes up all the time)."""


class HealthBoard:
    """Run `run` in a task; `report` from anywhere."""

    def __init__(self, store: Store, clock: Clock, inboxes: Callable[[], Mapping[str, Inbox]], node: str) -> None:
        self._store = store
        self._clock = clock
        self._inboxes = inboxes
        self._node = node
        self._known: dict[str, Health] = {}
        self._pending: dict[str, Health] = {}
        self._written_at: dict[str, float] = {}
        self._bell = asyncio.Event()

    def report(self, inbox_id: str, health: Health) -> None:
        """Tell how the inbox does; shown within a moment."""
        if self._known.get(inbox_id) != health:
            self._known[inbox_id] = health
            self._pending[inbox_id] = health
            self._bell.set()

    def known(self, inbox_id: str) -> Health | None:
        """What was last reported on this node."""
        return self._known.get(inbox_id)

    def forget(self, inbox_id: str) -> None:
        """The inbox is gone."""
        for kept in (self._known, self._pending, self._written_at):
            kept.pop(inbox_id, None)

    async def run(self) -> None:
        """Write what is reported, until cancelled."""
        while True:
            await self._bell.wait()
            await asyncio.sleep(GATHER)
            self._bell.clear()
            try:
                wait = await self._flush()
            except StoreError as error:
                log.warning("health.unwritten", error=str(error))
                wait = 1.0
            except Exception:  # connectors must not end because their health cannot be shown
                log.exception("health.unwritten")
                wait = DETAILS_EVERY
            if wait is not None:
                try:
                    async with asyncio.timeout(wait):
                        await self._bell.wait()
                except TimeoutError:
                    self._bell.set()

    async def _flush(self) -> float | None:
        """Write what is due; returns seconds until details that wait are, None if none do."""
        now = asyncio.get_running_loop().time()
        waits: list[float] = []
        ids = [id for id in self._pending if id in self._inboxes()]
        for start in range(0, len(ids), BATCH):
            chunk = ids[start : start + BATCH]
            stored = await self._store.get_many(INBOX_HEALTH, chunk)
            batch = Batch()
            done: dict[str, Health] = {}
            for id in chunk:
                health, before = self._pending[id], stored.get(id)
                if before is not None and _told(before.health) == _told(health):
                    wait = self._written_at.get(id, 0.0) + DETAILS_EVERY - now
                    if before.health.details != health.details and wait > 0:
                        waits.append(wait)
                        continue
                done[id] = health
                self._put(batch, id, before, health)
            if batch:
                await self._store.commit(batch)
            for id, health in done.items():
                self._written_at[id] = now
                if self._pending.get(id) == health:
                    del self._pending[id]
        return min(waits, default=None)

    def _put(self, batch: Batch, id: str, before: InboxHealth | None, health: Health) -> None:
        now = self._clock.now()
        known = before.health if before is not None else None
        same = known is not None and known.state == health.state
        after = replace(health, since=known.since if same and known is not None else now)
        if before is None:
            batch.insert(INBOX_HEALTH, InboxHealth(id=id, health=after, node=self._node))
        elif known != after:
            batch.put(INBOX_HEALTH, replace(before, health=after, node=self._node))
        else:
            return
        if known is None or _told(known) != _told(after):
            batch.emit(
                Event(
                    type="inbox.health",
                    at=now,
                    inbox_id=id,
                    audience="admins",
                    data={"state": after.state, "reason": after.reason, "action": after.action},
                )
            )


def _told(health: Health) -> tuple[str, str, str]:
    return health.state, health.reason, health.action
