"""The outbox of one node: holds shards, runs a line for each inbox that has something to send."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import structlog
from msgspec.structs import replace

from gateway.errors import Clash, NotFound, StoreError
from gateway.model.access import Actor
from gateway.model.document import Clock, token
from gateway.model.event import Event
from gateway.model.message import Delivery
from gateway.registry import Registry
from gateway.service.outbox.entry import renewed, shard_of
from gateway.service.outbox.ledger import Decide, Ledger
from gateway.service.outbox.line import Line
from gateway.service.outbox.retry import Rand, given_up
from gateway.service.outbox.shards import RENEW_EVERY, TTL, Shards
from gateway.service.outbox.work import SEND_SECONDS, Connectors, Inboxes, Work
from gateway.store.collection import CONVERSATIONS, DELIVERIES
from gateway.store.contract import OneOf, Range, Store

log = structlog.get_logger("outbox")

PAGE = 500
PAGES_A_SWEEP = 10


class Outbox:
    """Run `run` in a task; `drain`, then cancel it.

    `concurrency`: sends at a time per inbox; `parallel`: on the whole node. `sweep_seconds`: how often due entries are
    looked for that nobody told this node of (another node's, or those of a dead one).
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Inboxes,
        registry: Registry,
        connectors: Connectors,
        *,
        node: str = "",
        concurrency: int = 8,
        parallel: int = 64,
        send_seconds: float = SEND_SECONDS,
        lease_seconds: float = TTL,
        renew_seconds: float = RENEW_EVERY,
        sweep_seconds: float = 2.0,
        rand: Rand = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._concurrency = concurrency
        self._sweep_seconds = sweep_seconds
        self._slots = asyncio.Semaphore(parallel)
        # Never the same name twice, or a restarted node would renew its old leases under their old tokens.
        self._shards = Shards(store, f"{node}/{token(9)}", ttl=lease_seconds, every=renew_seconds)
        self._ledger = Ledger(store, clock)
        self._work = Work(store, clock, directory, registry, connectors, self._ledger, self._shards, rand, send_seconds)
        self._lines: dict[str, Line] = {}
        self._group: asyncio.TaskGroup | None = None
        self._to_take_over: set[int] = set()
        self._news = asyncio.Event()
        self._swept: str | None = None
        self._stop = asyncio.Event()
        self._idle = asyncio.Event()
        self._done = asyncio.Event()

    # running

    async def run(self) -> None:
        """Send what is due on the shards this node holds, until drained or cancelled."""
        try:
            async with asyncio.TaskGroup() as lines, asyncio.TaskGroup() as keepers:
                self._group = lines
                tasks = [
                    keepers.create_task(self._shards.keep(self._gained)),
                    keepers.create_task(self._sweep()),
                ]
                await self._stop.wait()
                await self._all_idle()
                for task in tasks:
                    task.cancel()
        finally:
            self._group = None
            await self._release()
            self._done.set()

    async def drain(self, seconds: float) -> bool:
        """Begin no more sends and wait for those under way, at most so long; whether all ended. Cancel `run` then:
        sends that are cut off are found by the next holder of the shard."""
        self._stop.set()
        for line in self._lines.values():
            line.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._done.wait()
        except TimeoutError:
            return False
        return True

    def notify(self, inbox_id: str) -> None:
        """The inbox has something new to send, or can send again."""
        if self._group is None or self._stop.is_set() or self._shards.lease(shard_of(inbox_id)) is None:
            return
        line = self._lines.get(inbox_id)
        if line is None:
            line = self._lines[inbox_id] = Line(inbox_id, self._work, self._slots, self._concurrency)
        line.ring()
        if not line.active:
            line.active = True
            self._group.create_task(self._run_line(line))

    def heard(self, event: Event) -> None:
        """An event of the feed: an answer that was written on another node is sent at once."""
        if event.type == "message.created" and event.data.get("direction") == "out" and event.inbox_id:
            self.notify(event.inbox_id)

    # people

    async def retry(self, delivery_id: str, actor: Actor) -> Delivery:
        """Send a failed or unknown delivery again, by a person's decision. Raises NotFound, or Clash where there is
        nothing to be repeated."""
        delivery = await self._get(delivery_id)
        conversation = await self._store.get(CONVERSATIONS, delivery.conversation_id)
        if conversation is None:
            raise NotFound("conversation", delivery.conversation_id)
        capabilities = self._work.capabilities(delivery.inbox_id)

        def decide(known: Delivery) -> Delivery:
            if known.status == "sending":
                raise Clash("it is being sent right now")
            if known.status in ("sent", "delivered", "read"):
                raise Clash(f"it was {known.status} already")
            return renewed(known, conversation, capabilities, self._clock.now())

        return await self._decided(delivery, decide, actor)

    async def settle(self, delivery_id: str, as_: Literal["sent", "discard"], actor: Actor) -> Delivery:
        """Decide about a delivery whose fate is unknown (or that failed, or waits): it was sent, or shall not be."""
        delivery = await self._get(delivery_id)

        def decide(known: Delivery) -> Delivery:
            if known.status == "sending":
                raise Clash("it is being sent right now")
            if known.status in ("sent", "delivered", "read"):
                raise Clash(f"it was {known.status} already")
            if as_ == "discard":
                return replace(given_up(known, f"discarded by {actor.name or actor.id}", "discarded"), dead=False)
            now = self._clock.now()
            return replace(
                known, status="sent", next_at=None, dead=False, error=None, error_code="", sent_at=known.sent_at or now
            )

        return await self._decided(delivery, decide, actor)

    async def _get(self, delivery_id: str) -> Delivery:
        delivery = await self._store.get(DELIVERIES, delivery_id)
        if delivery is None:
            raise NotFound("delivery", delivery_id)
        return delivery

    async def _decided(self, delivery: Delivery, decide: Decide, actor: Actor) -> Delivery:
        changed = await self._ledger.change(delivery.id, decide, by=actor.name or actor.id)
        self.notify(delivery.inbox_id)
        return changed or await self._get(delivery.id)

    # inside

    def _gained(self, shards: Sequence[int]) -> None:
        if shards:
            log.info("outbox.shards", gained=len(shards), held=len(self._shards.held()))
            self._to_take_over.update(shards)
            self._news.set()

    async def _run_line(self, line: Line) -> None:
        try:
            while True:
                await line.run()
                if not line.rung or self._stop.is_set():
                    break
        finally:
            line.active = False
            self._idle.set()

    async def _all_idle(self) -> None:
        while any(line.active for line in self._lines.values()):
            self._idle.clear()
            await self._idle.wait()

    async def _sweep(self) -> None:
        while True:
            try:
                await self._take_over()
                await self._wake_due()
            except StoreError as error:
                log.warning("outbox.sweep", error=str(error))
            except Exception:
                log.exception("outbox.sweep")
            try:
                async with asyncio.timeout(self._sweep_seconds):
                    await self._news.wait()
                self._news.clear()
            except TimeoutError:
                pass

    async def _take_over(self) -> None:
        """Settle what earlier holders of newly held shards left in `sending`."""
        for shard in sorted(self._to_take_over):
            after: str | None = None
            while True:
                lease = self._shards.lease(shard)
                if lease is None:
                    break
                where = {"shard": shard, "status": "sending"}
                page = await self._store.find(DELIVERIES, where, after=after, limit=PAGE)
                for delivery in page.items:
                    if delivery.lease_token != lease.token:
                        await self._work.take_over(delivery, lease)
                after = page.next
                if after is None:
                    break
            self._to_take_over.discard(shard)

    async def _wake_due(self) -> None:
        """Wake the lines of inboxes with due entries. What a sweep does not reach, the next one begins with."""
        where = {
            "shard": OneOf(self._shards.held()),
            "next_at": Range(end=self._clock.now() + timedelta(milliseconds=1)),
        }
        if not where["shard"].values:  # type: ignore[attr-defined]
            return
        inbox_ids: set[str] = set()
        for _ in range(PAGES_A_SWEEP):
            page = await self._store.find(DELIVERIES, where, order="next_at", after=self._swept, limit=PAGE)
            inbox_ids.update(delivery.inbox_id for delivery in page.items)
            self._swept = page.next
            if page.next is None:
                break
        for inbox_id in inbox_ids:
            line = self._lines.get(inbox_id)
            if line is not None and line.active:
                line.nudge()
            else:
                self.notify(inbox_id)

    async def _release(self) -> None:
        try:
            async with asyncio.timeout(2.0):
                await self._shards.release()
        except (StoreError, TimeoutError) as error:
            log.warning("outbox.release", error=str(error))
