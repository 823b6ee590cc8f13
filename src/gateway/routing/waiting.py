"""The order in which waiting conversations are offered to agents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from gateway.model.conversation import PRIORITY_RANK, Conversation
from gateway.model.team import Queue


def aged_priority(conversation: Conversation, queue: Queue | None, now: datetime) -> int:
    """Its rank (low 0 … urgent 3), one step higher for each `ageing_seconds` it has waited in the queue.

    The steps have no upper end: whatever comes in, what has waited long enough is next."""
    rank = PRIORITY_RANK[conversation.priority]
    if queue is None or queue.ageing_seconds <= 0 or conversation.queued_at is None:
        return rank
    return rank + int(max(0.0, (now - conversation.queued_at).total_seconds()) // queue.ageing_seconds)


def order_waiting(
    conversations: Iterable[Conversation], queues: Mapping[str, Queue], now: datetime
) -> list[Conversation]:
    """The next first: by the queue's priority, then the conversation's with ageing, then who waits longest."""

    def key(conversation: Conversation) -> tuple[int, int, datetime, str]:
        queue = queues.get(conversation.queue_id)
        return (
            -(queue.priority if queue else 0),
            -aged_priority(conversation, queue, now),
            conversation.queued_at or conversation.created_at,
            conversation.id,
        )

    return sorted(conversations, key=key)
