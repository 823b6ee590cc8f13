"""The way out of one inbox: its due entries in order, several conversations at once, within the channel's limits."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import timedelta

import structlog

from gateway.connector import Connector, Sent
from gateway.errors import Conflict, Fenced, RateLimited, StoreError, Unauthorized
from gateway.model.message import Delivery, Lane
from gateway.service.outbox.entry import holds_back, shard_of
from gateway.service.outbox.rate import Limits
from gateway.service.outbox.work import Work
from gateway.store.batch import Lease
from gateway.store.collection import DELIVERIES
from gateway.store.contract import OneOf, Range

log = structlog.get_logger("outbox")

READY = 64
"""How many due entries are read ahead."""
PAGES = 20
"""How many pages of entries that must wait are passed over to find one that need not."""
LANES: tuple[Lane, ...] = ("answer", "bulk")
LOOK_AGAIN = 5.0
"""Seconds after which a conversation that is held back is looked at again."""
STOPPED = 30.0
"""Seconds between looks at the deadlines of an inbox that cannot send."""


class Line:
    """`run` ends when nothing is due soon; `ring` and run it again when there is something new."""

    def __init__(self, inbox_id: str, work: Work, slots: asyncio.Semaphore, concurrency: int) -> None:
        self.inbox_id = inbox_id
        self.active = False
        self.rung = False
        self._shard = shard_of(inbox_id)
        self._work = work
        self._slots = slots
        self._concurrency = concurrency
        capabilities = work.capabilities(inbox_id)
        self._limits = Limits(capabilities.rate_per_second, capabilities.chat_rate_per_second)
        self._bell = asyncio.Event()
        self._ready: deque[Delivery] = deque()
        self._stale = True  # the read-ahead is not all there is
        self._passed_over = False  # one was due while its conversation was busy
        self._busy: set[str] = set()
        self._later: dict[str, float] = {}
        self._refused_by: Connector | None = None
        self._stopping = False

    def ring(self) -> None:
        """Something new may be due."""
        self.rung = True
        self._ready.clear()
        self._later.clear()
        self._stale = True
        self._bell.set()

    def nudge(self) -> None:
        """Something is due that may not be known here; what waits for a reason goes on waiting."""
        self._stale = True
        self._bell.set()

    def stop(self) -> None:
        """Begin nothing more; `run` ends when what is under way has ended."""
        self._stopping = True
        self._bell.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as sends:
            while not self._stopping:
                self.rung = False
                self._bell.clear()
                wait = await self._guarded_round(sends)
                if self._stopping or (wait is None and not self._busy and not self.rung):
                    return
                try:
                    async with asyncio.timeout(wait):
                        await self._bell.wait()
                except TimeoutError:
                    self._stale = True

    async def _guarded_round(self, sends: asyncio.TaskGroup) -> float | None:
        try:
            return await self._round(sends)
        except StoreError as error:
            log.warning("outbox.round", inbox=self.inbox_id, error=str(error))
            return 1.0
        except Exception:
            log.exception("outbox.round", inbox=self.inbox_id)
            return LOOK_AGAIN

    async def _round(self, sends: asyncio.TaskGroup) -> float | None:
        """Begin what may begin; returns seconds until there may be more, None if only a ring or an end can bring it."""
        lease = self._work.shards.lease(self._shard)
        if lease is None:
            return None
        connector = self._work.connectors.connector(self.inbox_id)
        if connector is None or connector is self._refused_by:
            return await self._expire()
        waits: list[float] = []
        while len(self._busy) < self._concurrency and not self._stopping:
            pause = self._limits.wait(self._now())
            if pause > 0:
                waits.append(pause)
                break
            delivery = await self._next(waits)
            if delivery is None:
                break
            head = await self._head(delivery, waits, lease)
            if head is None:
                continue
            await self._slots.acquire()
            self._busy.add(head.conversation_id)
            if head.status == "queued":
                self._limits.take(head.conversation_id, self._now())
            sends.create_task(self._serve(head, connector, lease))
        if not waits and not self._busy:
            return await self._next_due()
        return min(waits, default=None)

    # choosing

    async def _next(self, waits: list[float]) -> Delivery | None:
        """The next due entry whose conversation is free, answers first."""
        while True:
            if not self._ready:
                if not self._stale:
                    return None
                await self._read_ahead(waits)
                if not self._ready:
                    return None
            delivery = self._ready.popleft()
            if not self._held(delivery, waits):
                return delivery

    def _held(self, delivery: Delivery, waits: list[float]) -> bool:
        conversation = delivery.conversation_id
        if conversation in self._busy:
            self._passed_over = True
            return True
        now = self._now()
        wait = max(self._later.get(conversation, now) - now, self._limits.chat_wait(conversation, now))
        if wait > 0:
            waits.append(wait)
        return wait > 0

    async def _read_ahead(self, waits: list[float]) -> None:
        now = self._now()
        self._later = {conversation: at for conversation, at in self._later.items() if at > now}
        self._stale = False
        found: list[Delivery] = []
        for lane in LANES:
            where = {"inbox_id": self.inbox_id, "lane": lane, "next_at": Range(end=self._just_after_now())}
            after: str | None = None
            for _ in range(PAGES):
                page = await self._work.store.find(DELIVERIES, where, order="next_at", after=after, limit=READY)
                found += [delivery for delivery in page.items if not self._held(delivery, waits)]
                after = page.next
                if after is None or len(found) >= READY:
                    break
            if after is not None:
                self._stale = True  # before a ring during the reading is forgotten: there is more
                break
        self._ready.extend(found)

    async def _head(self, delivery: Delivery, waits: list[float], lease: Lease) -> Delivery | None:
        """The conversation's first entry that is not done with, if something is to be done about it now."""
        where = {"conversation_id": delivery.conversation_id, "status": OneOf(("queued", "sending", "unknown"))}
        after: str | None = None
        while True:
            page = await self._work.store.find(DELIVERIES, where, order="id", after=after, limit=20)
            head = next((known for known in page.items if holds_back(known)), None)
            after = page.next
            if head is not None or after is None:
                break
        if head is None:
            return None
        if head.id != delivery.id:
            self._passed_over = True
        wait = LOOK_AGAIN
        if head.status == "sending":
            # This line alone sends for the inbox, and not to this conversation now: it was left behind.
            await self._work.take_over(head, lease)
            self._stale = True
            return None
        if head.next_at is not None:
            wait = (head.next_at - self._work.clock.now()).total_seconds()
            if wait <= 0:
                return head
        self._later[delivery.conversation_id] = self._now() + min(wait, LOOK_AGAIN)
        waits.append(min(wait, LOOK_AGAIN))
        return None

    async def _next_due(self) -> float | None:
        """Seconds until the next entry is due; None: there is none."""
        soonest: list[float] = []
        for lane in LANES:
            where = {"inbox_id": self.inbox_id, "lane": lane, "next_at": Range(start=self._just_after_now())}
            page = await self._work.store.find(DELIVERIES, where, order="next_at", limit=1)
            soonest += [
                (known.next_at - self._work.clock.now()).total_seconds() for known in page.items if known.next_at
            ]
        return max(0.01, min(soonest)) if soonest else None

    # doing

    async def _serve(self, delivery: Delivery, connector: Connector, lease: Lease) -> None:
        try:
            await self._do(delivery, connector, lease)
        except Conflict:
            self._stale = True  # a receipt or a person was faster
        except Fenced:
            self._work.shards.lose(self._shard)
        except StoreError as error:
            log.warning("outbox.send", inbox=self.inbox_id, delivery=delivery.id, error=str(error))
            self._later[delivery.conversation_id] = self._now() + 1.0
            self._passed_over = True
        except Exception:
            log.exception("outbox.send", inbox=self.inbox_id, delivery=delivery.id)
            self._later[delivery.conversation_id] = self._now() + LOOK_AGAIN
            self._passed_over = True
        finally:
            self._slots.release()
            self._busy.discard(delivery.conversation_id)
            if self._passed_over:
                self._passed_over = False
                self._stale = True
            self._bell.set()

    async def _do(self, delivery: Delivery, connector: Connector, lease: Lease) -> None:
        work = self._work
        if delivery.status == "unknown":
            try:
                await work.look_up(delivery, connector)
            except Unauthorized as error:
                self._refuse(connector, error)
            return
        if delivery.deadline <= work.clock.now():
            await work.give_up(
                delivery, f"not sent before its deadline: {delivery.error or 'the inbox could not send'}"
            )
            return
        outcome = await work.send(delivery, connector, lease)
        if isinstance(outcome, Unauthorized):
            self._refuse(connector, outcome)
        elif isinstance(outcome, RateLimited):
            self._limits.pause(outcome.retry_after, self._now())
        if not isinstance(outcome, Sent):
            log.info(
                "outbox.attempt",
                inbox=self.inbox_id,
                delivery=delivery.id,
                attempt=delivery.attempts + 1,
                outcome=type(outcome).__name__,
            )

    def _refuse(self, connector: Connector, error: Unauthorized) -> None:
        self._refused_by = connector
        self._work.connectors.refused(self.inbox_id, connector, error.reason)

    async def _expire(self) -> float | None:
        """Give up what is past its deadline while the inbox cannot send, or never will again."""
        gone = self.inbox_id not in self._work.directory.inboxes
        now = self._work.clock.now()
        where = {"inbox_id": self.inbox_id, "next_at": Range(end=self._just_after_now())}
        while True:
            # The longest due come first, and with them the earliest deadlines: one page without any is enough.
            page = await self._work.store.find(DELIVERIES, where, order="next_at", limit=READY)
            ended = [known for known in page.items if gone or known.deadline <= now]
            for delivery in ended:
                reason = "the inbox was deleted" if gone else f"not sent before its deadline: {_why(delivery)}"
                await self._work.give_up(delivery, reason)
            if not ended:
                return STOPPED if page.items else None

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _just_after_now(self) -> object:
        return self._work.clock.now() + timedelta(milliseconds=1)


def _why(delivery: Delivery) -> str:
    return delivery.error or "the inbox could not send"
