"""Writes deliveries: each change in one batch with what the message shows of it and its event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from gateway.errors import Conflict
from gateway.model.conversation import Conversation
from gateway.model.document import Clock
from gateway.model.event import Event
from gateway.model.message import Delivery, Message
from gateway.service.outbox.status import view
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CONVERSATIONS, DELIVERIES, MESSAGES
from gateway.store.contract import Store

ATTEMPTS = 10

Decide = Callable[[Delivery], Delivery | None]
"""The delivery as it should be; None: leave it as it is."""


class Ledger:
    """`change` is the one way a delivery is changed, but for the claim that precedes a send."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def claim(self, delivery: Delivery, lease: Lease) -> Delivery:
        """Enter `sending`, in the batch's fence; the attempt is counted. Raises Conflict, Fenced or StoreUnavailable.

        It has no event: nothing has come of the attempt yet.
        """
        batch = Batch()
        batch.fence(lease)
        claimed = batch.put(
            DELIVERIES,
            replace(delivery, status="sending", attempts=delivery.attempts + 1, next_at=None, lease_token=lease.token),
        )
        await self._store.commit(batch)
        return claimed

    async def change(
        self,
        delivery_id: str,
        decide: Decide,
        *,
        fence: Lease | None = None,
        meta: Mapping[str, Any] | None = None,
        by: str = "",
        known: tuple[Delivery, Message | None, Conversation | None] | None = None,
    ) -> Delivery | None:
        """Change the delivery; returns it as stored, None if nothing was to be changed (or it does not exist).

        `meta`: the channel's notes, added to the message's · `by`: who decided, for the event · `known`: the documents
        as read already, so that they need not be read again. Raises Conflict after many rounds, Fenced and
        StoreUnavailable.
        """
        for _ in range(ATTEMPTS):
            delivery = known[0] if known else await self._store.get(DELIVERIES, delivery_id)
            after = decide(delivery) if delivery is not None else None
            if delivery is None or after is None or after == delivery:
                return None
            message, conversation = known[1:] if known else await self._context(delivery)
            batch = Batch()
            if fence is not None:
                batch.fence(fence)
            stored = batch.put(DELIVERIES, after)
            if message is not None:
                shown = _shown(message, stored, meta or {})
                if shown != message:
                    batch.put(MESSAGES, shown)
                if shown.delivery != message.delivery:
                    batch.emit(self._event(stored, conversation, by))
            try:
                await self._store.commit(batch)
            except Conflict:
                known = None
                continue
            return stored
        raise Conflict(DELIVERIES.name, delivery_id)

    async def _context(self, delivery: Delivery) -> tuple[Message | None, Conversation | None]:
        message = await self._store.get(MESSAGES, delivery.id)
        return message, await self._store.get(CONVERSATIONS, delivery.conversation_id)

    def _event(self, delivery: Delivery, conversation: Conversation | None, by: str) -> Event:
        data: dict[str, Any] = {
            "status": delivery.status,
            "error": delivery.error,
            "attempts": delivery.attempts,
            "dead": delivery.dead,
        }
        if by:
            data["by"] = by
        return Event(
            type="delivery.updated",
            at=self._clock.now(),
            conversation_id=delivery.conversation_id,
            message_id=delivery.id,
            inbox_id=delivery.inbox_id,
            queue_id=conversation.queue_id if conversation is not None else None,
            assignee_id=conversation.assignee_id if conversation is not None else None,
            data=data,
        )


def _shown(message: Message, delivery: Delivery, meta: Mapping[str, Any]) -> Message:
    """The message with the delivery's view, and the channel's notes on it."""
    return replace(
        message,
        delivery=view(delivery),
        sent_at=delivery.sent_at or message.sent_at,
        meta={**message.meta, **meta},
    )
