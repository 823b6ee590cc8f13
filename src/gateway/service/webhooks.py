"""Outgoing webhooks: every event that a webhook asks for is queued for it durably, once, and sent until it is taken.

One node follows the feed, under a lease: an event's deliveries and the place in the feed are committed together, so a
kill neither loses nor doubles one. Sending is at least once; `webhook-id` lets the receiver drop a repeat.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

import structlog
from msgspec.structs import replace

from gateway.errors import Clash, Conflict, CursorGone, NotFound
from gateway.model.document import Clock, Ids
from gateway.model.event import Event, Webhook, WebhookDelivery
from gateway.service.feed import Entry, Feed, signal
from gateway.service.guard import Guard
from gateway.service.leased import run_leased
from gateway.service.seal import Seal
from gateway.service.webhook_sender import Attempt, Caller, Sender, change_webhook, enabled_webhooks
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CHECKPOINTS, WEBHOOK_DELIVERIES, WEBHOOKS, Checkpoint
from gateway.store.contract import Page, Store

log = structlog.get_logger("webhooks")

CHECKPOINT = "webhooks"
SAVE_EVERY = 5.0
"""Seconds between checkpoints while no webhook asks for what happens."""
MAX_QUEUED = 50_000
"""Deliveries that may wait for one webhook; a receiver that far behind is switched off."""
COUNT_EVERY = 30.0
PAGE = 200


def wants(webhook: Webhook, event: Event) -> bool:
    """Whether the webhook asks for the event: by its type, its family (`message.*`), or all; never for what was before
    the webhook."""
    if event.at < webhook.created_at:
        return False
    if not webhook.types:
        return True
    return event.type in webhook.types or f"{event.type.partition('.')[0]}.*" in webhook.types


class Webhooks:
    """Run `run` in a task, on every node: one of them works. `close` when done."""

    def __init__(
        self, *, store: Store, feed: Feed, clock: Clock, ids: Ids, seal: Seal, guard: Guard, node: str
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._ids = ids
        self._node = node
        self._caller = Caller(guard, seal, clock)
        self._sender = Sender(store, clock, self._caller)
        self._hooks: list[Webhook] = []

    async def run(self) -> None:
        """Queue and send until cancelled."""
        try:
            await run_leased(self._store, "webhooks", self._node, self._work)
        finally:
            await self._caller.close()

    async def close(self) -> None:
        await self._caller.close()

    # for admins

    async def ping(self, id: str) -> Attempt:
        """Send a test event now; returns what came of it."""
        webhook = await self._get(id)
        body = signal("ping", "", self._clock.now())
        return await self._caller.call(webhook, f"{id}/ping-{self._ids()}", body)

    async def deliveries(
        self,
        id: str,
        status: Literal["queued", "sent", "failed"] | None = None,
        *,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[WebhookDelivery]:
        """The webhook's deliveries, newest first."""
        await self._get(id)
        where: dict[str, object] = {"webhook_id": id}
        if status is not None:
            where["status"] = status
        return await self._store.find(WEBHOOK_DELIVERIES, where, order="-created_at", after=after, limit=limit)

    async def replay(self, id: str, delivery_id: str) -> WebhookDelivery:
        """Send a delivery again, with the same `webhook-id`; Clash while it is still queued."""
        webhook = await self._get(id)
        if not webhook.enabled:
            raise Clash("the webhook is switched off")
        for _ in range(5):
            delivery = await self._store.get(WEBHOOK_DELIVERIES, delivery_id)
            if delivery is None or delivery.webhook_id != id:
                raise NotFound("delivery", delivery_id)
            if delivery.status == "queued":
                raise Clash("the delivery is queued already")
            batch = Batch()
            queued = batch.put(WEBHOOK_DELIVERIES, self._again(delivery))
            try:
                await self._store.commit(batch)
            except Conflict:
                continue
            self._sender.wake()
            return queued
        raise Conflict(WEBHOOK_DELIVERIES.name, delivery_id)

    async def replay_failed(self, id: str) -> int:
        """Send all failed deliveries of the webhook again; returns how many there were."""
        webhook = await self._get(id)
        if not webhook.enabled:
            raise Clash("the webhook is switched off")
        count = 0
        while True:
            page = await self._store.find(WEBHOOK_DELIVERIES, {"webhook_id": id, "status": "failed"}, limit=PAGE)
            if not page.items:
                return count
            batch = Batch()
            for delivery in page.items:
                batch.put(WEBHOOK_DELIVERIES, self._again(delivery))
            try:
                await self._store.commit(batch)
            except Conflict:
                continue  # one of them was replayed alone meanwhile
            count += len(page.items)
            self._sender.wake()

    def _again(self, delivery: WebhookDelivery) -> WebhookDelivery:
        return replace(delivery, status="queued", attempts=0, next_at=self._clock.now(), error=None)

    async def _get(self, id: str) -> Webhook:
        webhook = await self._store.get(WEBHOOKS, id)
        if webhook is None:
            raise NotFound("webhook", id)
        return webhook

    # the work of the one node

    async def _work(self, lease: Lease) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sender.run(lease))
            group.create_task(self._follow(lease))

    async def _follow(self, lease: Lease) -> None:
        while not self._feed.closed:
            checkpoint = await self._store.get(CHECKPOINTS, CHECKPOINT)
            if checkpoint is None:
                batch = Batch()
                batch.fence(lease)
                checkpoint = batch.insert(CHECKPOINTS, Checkpoint(id=CHECKPOINT, cursor=await self._store.head()))
                await self._store.commit(batch)
            try:
                await self._queue_from(checkpoint, lease)
            except CursorGone:
                await self._skip_gap(checkpoint, lease)

    async def _queue_from(self, checkpoint: Checkpoint, lease: Lease) -> None:
        self._hooks = await enabled_webhooks(self._store)
        saved_at = counted_at = time.monotonic()
        async with self._feed.subscribe(checkpoint.cursor, patient=False) as reader:
            while not self._feed.closed:
                entries = await reader.next(limit=PAGE, timeout=SAVE_EVERY)
                batch = Batch()
                for entry in entries:
                    if _is_about_webhooks(entry.event):
                        self._hooks = await enabled_webhooks(self._store)
                    for webhook in self._hooks:
                        if wants(webhook, entry.event):
                            batch.insert(WEBHOOK_DELIVERIES, self._delivery(webhook, entry))
                now = time.monotonic()
                if batch or (reader.cursor != checkpoint.cursor and now - saved_at >= SAVE_EVERY):
                    checkpoint = await self._commit(batch, checkpoint, reader.cursor, lease)
                    saved_at = now
                if now - counted_at >= COUNT_EVERY:
                    counted_at = now
                    await self._check_backlog(self._hooks)

    async def _commit(self, batch: Batch, checkpoint: Checkpoint, cursor: str, lease: Lease) -> Checkpoint:
        news = bool(batch)
        batch.fence(lease)
        checkpoint = batch.put(CHECKPOINTS, replace(checkpoint, cursor=cursor))
        await self._store.commit(batch)
        if news:
            self._sender.wake()
        return checkpoint

    async def _skip_gap(self, checkpoint: Checkpoint, lease: Lease) -> None:
        """The feed was trimmed past our place (no node ran for days): every receiver is told to reload."""
        log.error("webhooks.gap")
        head, now = await self._store.head(), self._clock.now()
        batch = Batch()
        for webhook in await enabled_webhooks(self._store):
            entry = Entry(head, Event(type="reload", at=now))
            batch.insert(WEBHOOK_DELIVERIES, self._delivery(webhook, entry))
        await self._commit(batch, checkpoint, head, lease)

    def _delivery(self, webhook: Webhook, entry: Entry) -> WebhookDelivery:
        now = self._clock.now()
        return WebhookDelivery(
            id=f"{webhook.id}/{entry.cursor}",
            webhook_id=webhook.id,
            event_type=entry.event.type,
            cursor=entry.cursor,
            payload=entry.json.decode(),
            next_at=now,
            created_at=now,
        )

    async def _check_backlog(self, hooks: Sequence[Webhook]) -> None:
        for webhook in hooks:
            where = {"webhook_id": webhook.id, "status": "queued"}
            if await self._store.count(WEBHOOK_DELIVERIES, where, limit=MAX_QUEUED + 1) > MAX_QUEUED:
                reason = f"more than {MAX_QUEUED} deliveries are waiting"
                await change_webhook(self._store, webhook.id, self._clock.now(), failing=True, disable=reason)


def _is_about_webhooks(event: Event) -> bool:
    return event.type.startswith("webhook.") or (
        event.type == "config.changed" and event.data.get("collection") == WEBHOOKS.name
    )
