"""Facts: all that rule conditions may look at, gathered once per message, so that deciding needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from gateway.model.contact import Contact, Identity, Verification
from gateway.model.conversation import Conversation, Priority, Status
from gateway.model.inbox import Inbox
from gateway.model.message import Message, MessageKind
from gateway.routing.fold import TEXT_LIMIT, fold

RuleEvent = Literal["new", "reopened", "message"]
"""new: a conversation begins · reopened: a resolved one got a message · message: a running one got another."""


class Previous(msgspec.Struct, frozen=True, kw_only=True):
    """What was before: a reopened conversation's own values, else those of the contact's last conversation."""

    queue: str | None = None
    """The queue's name."""
    assignee: str | None = None
    """The agent's e-mail address."""
    priority: Priority | None = None
    tags: tuple[str, ...] = ()
    resolved_at: datetime | None = None


class QueueLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How a queue stands now."""

    waiting: int = 0
    """Conversations in it without an agent."""
    online: int = 0
    """Agents online who serve it."""
    open: bool = True


@dataclass(kw_only=True)
class Facts:
    """One message and its surroundings. `queue`, `assignee`, `tags`, `priority`, `status` are the conversation's before
    this decision (None or the defaults for a new one). Queues go by name, agents by e-mail address, times are UTC."""

    now: datetime
    event: RuleEvent = "new"
    channel: str = ""
    inbox_id: str = ""
    inbox_name: str = ""
    kind: MessageKind = "message"
    text: str = ""
    """The visible part where there is one (no quotes, no signature)."""
    subject: str = ""
    language: str | None = None
    sender_address: str = ""
    verified: Verification = "none"
    contact_name: str = ""
    contact_email: str | None = None
    contact_phone: str | None = None
    contact_language: str | None = None
    contact_attributes: Mapping[str, Any] = field(default_factory=dict)
    contact_tags: tuple[str, ...] = ()
    contact_created_at: datetime | None = None
    tags: tuple[str, ...] = ()
    priority: Priority = "normal"
    status: Status = "open"
    queue: str | None = None
    assignee: str | None = None
    message_count: int = 1
    """Messages of the conversation, this one included."""
    waiting_since: datetime | None = None
    attachment_types: tuple[str, ...] = ()
    """Media types found from the content, one for each attachment."""
    attachment_names: tuple[str, ...] = ()
    attachment_bytes: int = 0
    previous: Previous | None = None
    queues: Mapping[str, QueueLoad] = field(default_factory=dict)
    window_closes_at: datetime | None = None
    window_sends_left: int | None = None
    bot_reason: str | None = None
    """Why a bot handed it over; None: no bot did."""
    bot_confidence: float | None = None

    @cached_property
    def text_folded(self) -> str:
        return fold(self.text[:TEXT_LIMIT])

    @cached_property
    def text_folded_bytes(self) -> bytes:
        return self.text_folded.encode("utf-8", "replace")

    @cached_property
    def subject_folded(self) -> str:
        return fold(self.subject[:TEXT_LIMIT])

    @cached_property
    def text_bytes(self) -> bytes:
        """For regular expressions, which run on UTF-8."""
        return self.text[:TEXT_LIMIT].encode("utf-8", "replace")

    @cached_property
    def subject_bytes(self) -> bytes:
        return self.subject[:TEXT_LIMIT].encode("utf-8", "replace")

    @cached_property
    def tags_folded(self) -> frozenset[str]:
        return frozenset(map(fold, self.tags))

    @cached_property
    def _local(self) -> dict[str, datetime]:
        return {}

    def local(self, zone: ZoneInfo) -> datetime:
        """`now` in the zone, reckoned once per zone."""
        known = self._local.get(zone.key)
        if known is None:
            known = self._local[zone.key] = self.now.astimezone(zone)
        return known


def facts_of(
    *,
    now: datetime,
    event: RuleEvent,
    inbox: Inbox,
    message: Message,
    contact: Contact,
    identity: Identity,
    conversation: Conversation | None = None,
    queue_name: str | None = None,
    assignee_email: str | None = None,
    previous: Previous | None = None,
    queues: Mapping[str, QueueLoad] | None = None,
    bot_reason: str | None = None,
    bot_confidence: float | None = None,
) -> Facts:
    """The facts of a stored (or about to be stored) message: live intake, dry run and replay all build them here.

    `conversation` is as it stands with this message in it; None for one that only begins. `queue_name` and
    `assignee_email` name its queue and agent.
    """
    window = conversation.window if conversation else None
    return Facts(
        now=now,
        event=event,
        channel=inbox.kind,
        inbox_id=inbox.id,
        inbox_name=inbox.name,
        kind=message.kind,
        text=message.visible_text if message.visible_text is not None else message.text,
        subject=message.subject or (conversation.subject if conversation else ""),
        language=message.language or (conversation.language if conversation else None) or contact.language,
        sender_address=identity.address,
        verified=identity.verification,
        contact_name=contact.name,
        contact_email=contact.email,
        contact_phone=contact.phone,
        contact_language=contact.language,
        contact_attributes=contact.attributes,
        contact_tags=contact.tags,
        contact_created_at=contact.created_at,
        tags=conversation.tags if conversation else (),
        priority=conversation.priority if conversation else "normal",
        status=conversation.status if conversation else "open",
        queue=queue_name,
        assignee=assignee_email,
        message_count=conversation.message_count if conversation else 1,
        waiting_since=conversation.waiting_since if conversation else None,
        attachment_types=tuple([file.type for file in message.attachments]),
        attachment_names=tuple([file.name for file in message.attachments]),
        attachment_bytes=sum([file.size for file in message.attachments]),
        previous=previous,
        queues=queues if queues is not None else {},
        window_closes_at=window.closes_at if window else None,
        window_sends_left=window.sends_left if window else None,
        bot_reason=bot_reason,
        bot_confidence=bot_confidence,
    )
