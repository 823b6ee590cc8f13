"""How conversations and messages are shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from gateway.content.cards import mask_cards
from gateway.model.conversation import Conversation, Priority, Status
from gateway.model.message import (
    Attachment,
    AuthorKind,
    DeliveryStatus,
    Direction,
    Message,
    MessageKind,
)
from gateway.service.services import Services
from gateway.store.collection import CONTACTS
from gateway.web.fields import View
from gateway.web.route import PREFIX


class WindowView(View, frozen=True, kw_only=True):
    """Until when, and how often, the channel lets us answer (null: no limit)."""

    open: bool
    closes_at: datetime | None
    sends_left: int | None


class SlaView(View, frozen=True, kw_only=True):
    """When the targets fall due; `breached` names those missed."""

    policy_id: str
    first_response_due: datetime | None
    next_response_due: datetime | None
    resolution_due: datetime | None
    breached: list[str]


class ConversationView(View, frozen=True, kw_only=True):
    """`queue` is the queue's name; `assignee` the agent's id, null where nobody has it; `waiting_since`: since when the
    customer waits for an answer; `queued_at`: since when it waits for an agent."""

    id: str
    status: Status
    queue: str
    queue_id: str
    assignee: str | None
    assignee_name: str | None
    priority: Priority
    tags: list[str]
    contact_id: str
    contact_name: str
    inbox_id: str
    inbox_name: str
    channel: str
    subject: str
    language: str | None
    unread: int
    message_count: int
    last_message_at: datetime
    last_message_preview: str
    waiting_since: datetime | None
    queued_at: datetime | None
    snoozed_until: datetime | None
    first_response_at: datetime | None
    resolved_at: datetime | None
    created_at: datetime
    updated_at: datetime
    window: WindowView | None
    sla: SlaView | None
    case: str | None
    automatic: bool
    version: int


class AuthorView(View, frozen=True, kw_only=True):
    kind: AuthorKind
    id: str
    name: str


class AttachmentView(View, frozen=True, kw_only=True):
    """`type`: found from the content; `content_id`: what inline images are called in `html`."""

    id: str
    name: str
    type: str
    size: int
    url: str
    inline: bool
    content_id: str | None


class DeliveryState(View, frozen=True, kw_only=True):
    status: DeliveryStatus
    error: str | None
    attempts: int


class MessageView(View, frozen=True, kw_only=True):
    """`visible_text`: without quotes and signature, where they were found; `masked`: it has card numbers, which are
    masked in all texts here, and its HTML is held back (see `…/reveal`)."""

    id: str
    conversation_id: str
    direction: Direction
    kind: MessageKind
    author: AuthorView
    text: str
    visible_text: str | None
    masked: bool
    html: str | None
    subject: str | None
    attachments: list[AttachmentView]
    source: AttachmentView | None
    external_id: str | None
    language: str | None
    created_at: datetime
    sent_at: datetime | None
    delivery: DeliveryState | None


async def conversation_views(services: Services, found: Sequence[Conversation]) -> list[ConversationView]:
    """The conversations, with the names of their contacts."""
    contacts = await services.store.get_many(CONTACTS, list({conversation.contact_id for conversation in found}))
    return [
        conversation_view(
            services,
            conversation,
            contacts[conversation.contact_id].name if conversation.contact_id in contacts else "",
        )
        for conversation in found
    ]


def conversation_view(services: Services, conversation: Conversation, contact_name: str) -> ConversationView:
    directory = services.directory
    queue = directory.queues.get(conversation.queue_id)
    inbox = directory.inboxes.get(conversation.inbox_id)
    agent = directory.agents.get(conversation.assignee_id or "")
    return ConversationView(
        id=conversation.id,
        status=conversation.status,
        queue=queue.name if queue is not None else "",
        queue_id=conversation.queue_id,
        assignee=conversation.assignee_id,
        assignee_name=agent.name if agent is not None else None,
        priority=conversation.priority,
        tags=list(conversation.tags),
        contact_id=conversation.contact_id,
        contact_name=contact_name,
        inbox_id=conversation.inbox_id,
        inbox_name=inbox.name if inbox is not None else "",
        channel=conversation.channel,
        subject=conversation.subject,
        language=conversation.language,
        unread=conversation.unread,
        message_count=conversation.message_count,
        last_message_at=conversation.last_message_at,
        last_message_preview=mask_cards(conversation.last_message_preview) or conversation.last_message_preview,
        waiting_since=conversation.waiting_since,
        queued_at=conversation.queued_at,
        snoozed_until=conversation.snoozed_until,
        first_response_at=conversation.first_response_at,
        resolved_at=conversation.resolved_at,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        window=window_view(conversation, services.clock.now()),
        sla=sla_view(conversation),
        case=conversation.case_id,
        automatic=conversation.automatic,
        version=conversation.version,
    )


def window_view(conversation: Conversation, now: datetime) -> WindowView | None:
    window = conversation.window
    if window is None:
        return None
    in_time = window.closes_at is None or window.closes_at > now
    return WindowView(
        open=in_time and (window.sends_left is None or window.sends_left > 0),
        closes_at=window.closes_at,
        sends_left=window.sends_left,
    )


def sla_view(conversation: Conversation) -> SlaView | None:
    sla = conversation.sla
    if sla is None:
        return None
    return SlaView(
        policy_id=sla.policy_id,
        first_response_due=sla.first_response_due,
        next_response_due=sla.next_response_due,
        resolution_due=sla.resolution_due,
        breached=list(sla.breached),
    )


def message_view(message: Message) -> MessageView:
    masked = message.masked_text is not None
    visible = message.visible_text
    return MessageView(
        id=message.id,
        conversation_id=message.conversation_id,
        direction=message.direction,
        kind=message.kind,
        author=AuthorView(kind=message.author.kind, id=message.author.id, name=message.author.name),
        text=message.masked_text if message.masked_text is not None else message.text,
        visible_text=(mask_cards(visible) or visible) if visible is not None else None,
        masked=masked,
        html=None if masked else message.html,
        subject=message.subject,
        attachments=[attachment_view(message, attachment) for attachment in message.attachments],
        source=attachment_view(message, message.raw) if message.raw is not None else None,
        external_id=message.external_id,
        language=message.language,
        created_at=message.created_at,
        sent_at=message.sent_at,
        delivery=DeliveryState(
            status=message.delivery.status, error=message.delivery.error, attempts=message.delivery.attempts
        )
        if message.delivery is not None
        else None,
    )


def attachment_view(message: Message, attachment: Attachment) -> AttachmentView:
    return AttachmentView(
        id=attachment.id,
        name=attachment.name,
        type=attachment.type,
        size=attachment.size,
        url=f"{PREFIX}/attachments/{message.id}/{attachment.id}",
        inline=attachment.inline,
        content_id=attachment.content_id,
    )
