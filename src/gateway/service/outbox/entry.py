"""Outbox entries: which shard they are on, how a new one looks, which ones hold back the later ones."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

from gateway.connector import Capabilities
from gateway.model.conversation import Conversation
from gateway.model.message import Delivery, Lane, Message

SHARDS = 16
"""How many parts the outbox has; a node leases parts. All entries of an inbox are on one part, so that its limits are
kept in one place."""


def shard_of(inbox_id: str, shards: int = SHARDS) -> int:
    """The inbox's shard, 0 … shards-1; the same on every node and at every start."""
    return zlib.crc32(inbox_id.encode()) % shards


def new_delivery(
    message: Message, conversation: Conversation, capabilities: Capabilities, *, lane: Lane = "answer", now: datetime
) -> Delivery:
    """The entry that sends `message`, due at once; commit it in the message's batch.

    Its deadline is the channel's, or the end of the reply window where that comes first.
    """
    return Delivery(
        id=message.id,
        inbox_id=message.inbox_id,
        conversation_id=conversation.id,
        identity_id=conversation.identity_id,
        shard=shard_of(message.inbox_id),
        lane=lane,
        status="queued",
        next_at=now,
        deadline=_deadline(conversation, capabilities, now),
        created_at=now,
    )


def renewed(delivery: Delivery, conversation: Conversation, capabilities: Capabilities, now: datetime) -> Delivery:
    """The entry as if new, after a person asked for another try."""
    return Delivery(
        id=delivery.id,
        version=delivery.version,
        inbox_id=delivery.inbox_id,
        conversation_id=delivery.conversation_id,
        identity_id=delivery.identity_id,
        shard=delivery.shard,
        lane=delivery.lane,
        status="queued",
        next_at=now,
        deadline=_deadline(conversation, capabilities, now),
        created_at=delivery.created_at,
    )


def holds_back(delivery: Delivery) -> bool:
    """Whether later entries of its conversation must wait for this one.

    One that failed, or that waits for an agent's decision, holds nothing back; one that is to be looked up does, since
    that ends soon and may put it back in the queue.
    """
    if delivery.status == "unknown":
        return delivery.next_at is not None
    return delivery.status in ("queued", "sending")


def _deadline(conversation: Conversation, capabilities: Capabilities, now: datetime) -> datetime:
    deadline = now + timedelta(hours=capabilities.send_deadline_hours)
    closes_at = conversation.window.closes_at if conversation.window else None
    if closes_at is not None and now < closes_at < deadline:
        return closes_at
    return deadline
