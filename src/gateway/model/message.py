"""Messages, their attachments, and what became of those sent."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value

Direction = Literal["in", "out", "note", "event"]

MessageKind = Literal["message", "bounce", "complaint", "auto_reply", "receipt", "unparsed"]
"""unparsed: could not be read; the raw source is attached."""

AuthorKind = Literal["contact", "agent", "bot", "rule", "system"]

DeliveryStatus = Literal["queued", "sending", "sent", "delivered", "read", "failed", "unknown"]

Lane = Literal["answer", "bulk"]


class Author(Value, frozen=True, kw_only=True, omit_defaults=True):
    kind: AuthorKind
    id: str = ""
    name: str = ""


class Attachment(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A file beside a message; the bytes are in the blob store under `sha256`."""

    id: str
    name: str
    type: str
    """Media type found from the content, not the sender's claim."""
    size: int
    sha256: str
    claimed_type: str = ""
    content_id: str | None = None
    """For inline images: the cid their HTML refers to."""
    inline: bool = False


class DeliveryView(Value, frozen=True, kw_only=True, omit_defaults=False):
    """Delivery as shown with its message; the Delivery document is what the outbox works on."""

    status: DeliveryStatus
    error: str | None = None
    attempts: int = 0


class Message(Document, frozen=True, kw_only=True, omit_defaults=True):
    """`text` is what the customer wrote, never changed; `visible_text` leaves out quotes and signature."""

    inbox_id: str
    conversation_id: str
    direction: Direction
    kind: MessageKind = "message"
    author: Author
    text: str = ""
    visible_text: str | None = None
    html: str | None = None
    """Sanitised; remote images are held back (see gateway.content.html)."""
    subject: str | None = None
    attachments: tuple[Attachment, ...] = ()
    external_id: str | None = None
    """The provider's id; (inbox_id, external_id) is unique."""
    language: str | None = None
    masked_text: str | None = None
    """Set where `text` has card numbers: the same text with them masked."""
    created_at: datetime
    sent_at: datetime | None = None
    delivery: DeliveryView | None = None
    meta: dict[str, Any] = {}
    """The connector's own notes on it (message id, references, to, cc …)."""
    raw: Attachment | None = None
    """The source as it came, kept where it could not be read in full."""


class Delivery(Document, frozen=True, kw_only=True, omit_defaults=True):
    """An outbox entry; its id is its message's id."""

    inbox_id: str
    conversation_id: str
    identity_id: str = ""
    """Whom it was written to: who writes in the conversation next may be somebody else."""
    shard: int
    lane: Lane = "answer"
    status: DeliveryStatus = "queued"
    attempts: int = 0
    next_at: datetime | None = None
    """When it is due; None: nothing is left to do (final, or an agent must decide)."""
    deadline: datetime
    lease_token: int = 0
    """The fencing token under which `sending` was entered."""
    provider_id: str | None = None
    error: str | None = None
    error_code: str = ""
    dead: bool = False
    """Given up; an admin can retry it."""
    lookups: int = 0
    created_at: datetime
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    read_at: datetime | None = None
