"""Conversations: one thread of talk between a contact and the house, on one inbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value

Status = Literal["open", "pending", "snoozed", "resolved"]
"""open: waits for us · pending: waits for the customer · snoozed: open again at `snoozed_until` · resolved: done."""

Priority = Literal["low", "normal", "high", "urgent"]
PRIORITY_RANK: dict[str, int] = {"low": 0, "normal": 1, "high": 2, "urgent": 3}


class ReplyWindow(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Until when, and how often, the channel lets us answer (None: no limit)."""

    opened_by: str | None = None
    closes_at: datetime | None = None
    sends_left: int | None = None


class SlaClock(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Which policy applies and when its targets fall due or were met."""

    policy_id: str
    first_response_due: datetime | None = None
    next_response_due: datetime | None = None
    resolution_due: datetime | None = None
    breached: tuple[str, ...] = ()


class Conversation(Document, frozen=True, kw_only=True, omit_defaults=True):
    """`assignee_id` is set exactly while an agent's capacity is held for it (see AgentState.held)."""

    inbox_id: str
    channel: str
    contact_id: str
    identity_id: str
    """The address answers go to."""
    status: Status = "open"
    queue_id: str
    assignee_id: str | None = None
    bot_id: str | None = None
    preferred_agent_id: str | None = None
    """Who had it last: asked first when it comes back."""
    priority: Priority = "normal"
    tags: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    """What an agent must know to be offered it; set by rules, on top of the queue's."""
    language: str | None = None
    subject: str = ""
    unread: int = 0
    message_count: int = 0
    waiting_since: datetime | None = None
    """Since when the customer waits for an answer; None: we answered last."""
    queued_at: datetime | None = None
    """Since when it waits for an agent in its queue; None: it has one, or needs none."""
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime
    last_message_preview: str = ""
    first_response_at: datetime | None = None
    resolved_at: datetime | None = None
    reopened: int = 0
    snoozed_until: datetime | None = None
    window: ReplyWindow | None = None
    sla_policy_id: str | None = None
    sla: SlaClock | None = None
    case_id: str | None = None
    automatic: bool = False
    """Collects an inbox's bounces and automatic mail that belong to no conversation; never queued."""
    attributes: dict[str, Any] = {}


class ThreadRef(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Where a mail thread's key leads. id: `{inbox_id}/{key}`, so a key never leads across inboxes.

    Keys are a message's own Message-ID and each one it refers to, so a parent that arrives after its reply finds the
    conversation too.
    """

    inbox_id: str
    conversation_id: str
    at: datetime
