"""Events: every change, in the order it was committed. Desk, webhooks and bots read the same feed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value

Audience = Literal["agents", "admins"]


class Event(Value, frozen=True, kw_only=True, omit_defaults=True):
    """`type` is `{thing}.{verb}`: message.created, message.updated, conversation.created, conversation.updated,
    delivery.updated, agent.presence, inbox.updated, inbox.health, queue.updated, rules.published, …

    `queue_id` and `assignee_id` say who may see it (see gateway.routing.visibility); `data` is small: ids, the changed
    fields, a preview.
    """

    type: str
    at: datetime
    conversation_id: str | None = None
    message_id: str | None = None
    inbox_id: str | None = None
    queue_id: str | None = None
    assignee_id: str | None = None
    audience: Audience = "agents"
    data: dict[str, Any] = {}


class Webhook(Document, frozen=True, kw_only=True, omit_defaults=True):
    """An address that gets events, signed. `types`: which (empty: all); a trailing `.*` matches a family."""

    url: str
    secret: str
    """Sealed (see gateway.service.seal)."""
    previous_secret: str | None = None
    """Sealed; signs beside `secret` until `previous_until`, so that a receiver can change over at leisure."""
    previous_until: datetime | None = None
    types: tuple[str, ...] = ()
    enabled: bool = True
    created_at: datetime
    failing_since: datetime | None = None


class WebhookDelivery(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One event on its way to one webhook. id: `{webhook_id}/{cursor}`, so that an event is queued once."""

    webhook_id: str
    event_type: str
    cursor: str
    payload: str
    status: Literal["queued", "sent", "failed"] = "queued"
    attempts: int = 0
    next_at: datetime | None = None
    response_status: int | None = None
    error: str | None = None
    created_at: datetime
    sent_at: datetime | None = None
