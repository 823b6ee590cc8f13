"""Events for what happened to conversations and messages: small, yet enough for a desk to show it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.model.conversation import Conversation
from gateway.model.event import Event
from gateway.model.message import Message

PREVIEW = 200

SHOWN = (
    "status",
    "queue_id",
    "assignee_id",
    "priority",
    "tags",
    "language",
    "subject",
    "unread",
    "last_message_at",
    "last_message_preview",
    "waiting_since",
    "queued_at",
    "snoozed_until",
    "contact_id",
    "first_response_at",
    "resolved_at",
)
"""What a conversation's events carry when it changed."""


def message_created(message: Message, conversation: Conversation) -> Event:
    """A message came in, or was written."""
    shown = message.masked_text or message.visible_text or message.text
    return Event(
        type="message.created",
        at=message.created_at,
        conversation_id=conversation.id,
        message_id=message.id,
        inbox_id=conversation.inbox_id,
        queue_id=conversation.queue_id,
        assignee_id=conversation.assignee_id,
        data={
            "direction": message.direction,
            "kind": message.kind,
            "author": message.author.name,
            "preview": shown[:PREVIEW],
            "attachments": len(message.attachments),
            "channel": conversation.channel,
            "unread": conversation.unread,
            "status": conversation.status,
        },
    )


def conversation_created(conversation: Conversation, now: datetime) -> Event:
    """A conversation began."""
    return _about(conversation, "conversation.created", now, {name: getattr(conversation, name) for name in SHOWN})


def conversation_updated(before: Conversation, after: Conversation, now: datetime) -> Event | None:
    """What changed; None if nothing that is shown did. Who could see it before is told too, in `was`."""
    data = {name: getattr(after, name) for name in SHOWN if getattr(after, name) != getattr(before, name)}
    if not data:
        return None
    if before.queue_id != after.queue_id or before.assignee_id != after.assignee_id:
        data["was"] = {"queue_id": before.queue_id, "assignee_id": before.assignee_id}
    return _about(after, "conversation.updated", now, data)


def _about(conversation: Conversation, kind: str, now: datetime, data: dict[str, Any]) -> Event:
    return Event(
        type=kind,
        at=now,
        conversation_id=conversation.id,
        inbox_id=conversation.inbox_id,
        queue_id=conversation.queue_id,
        assignee_id=conversation.assignee_id,
        data=data,
    )
