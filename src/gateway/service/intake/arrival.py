"""A message on its way in, from the connector's hand-over to its commit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from gateway.connector import Accepted, Inbound
from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation
from gateway.model.inbox import Inbox
from gateway.model.message import Attachment, Delivery, Message
from gateway.store.batch import Lease


@dataclass(slots=True)
class Arrival:
    """An inbound message with all that could be made ready before it is decided. `done` is set once it is durable."""

    inbox: Inbox
    inbound: Inbound
    message_id: str
    at: datetime
    done: asyncio.Future[Accepted]
    attachments: tuple[Attachment, ...] = ()
    raw: Attachment | None = None
    text: str = ""
    html: str | None = None
    language: str | None = None
    masked_text: str | None = None
    meta: dict[str, object] | None = None
    fence: Lease | None = None

    @property
    def address(self) -> tuple[str, str]:
        """(namespace, address) of the sender's identity."""
        sender = self.inbound.sender
        return sender.namespace or f"{self.inbox.kind}:{self.inbox.id}", sender.address


@dataclass(frozen=True, slots=True)
class Situation:
    """What a message meets: who wrote (version 0: new), the conversation it belongs to (None: a new one), and the
    message of ours that it reports on."""

    contact: Contact
    identity: Identity
    conversation: Conversation | None
    delivery: Delivery | None = None
    reported: Message | None = None
