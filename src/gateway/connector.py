"""The connector contract: what a channel's folder under connectors/ provides, and what it is given.

A connector folder `connectors/{kind}/__init__.py` has `SPEC: ConnectorSpec`. Importing it loads no client library:
`SPEC.create` does. A connector makes one attempt at what it is asked; retries, limits, order and storage are the
gateway's. It knows this contract and its provider, nothing else.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import aiohttp
import msgspec
import structlog

from gateway.model.contact import Verification
from gateway.model.document import Clock
from gateway.model.inbox import Health
from gateway.model.message import Attachment, DeliveryStatus, MessageKind


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel can carry; the composer and the outbox go by it."""

    max_text: int | None = None
    """Characters per message; None: no limit."""
    rich_text: bool = False
    attachments: bool = False
    max_attachment_bytes: int | None = None
    attachment_types: tuple[str, ...] = ()
    """Media types or families (`image/*`); empty: any."""
    subject: bool = False
    buttons: int = 0
    typing: bool = False
    receipts: tuple[DeliveryStatus, ...] = ()
    """Which states the provider reports after `sent`."""
    threading: bool = False
    idempotent_send: bool = False
    """The same attempt made again with the same `Outgoing.id` cannot reach the customer twice."""
    lookup: bool = False
    """`Connector.lookup` can settle an unknown delivery."""
    window_hours: float | None = None
    window_sends: int | None = None
    send_deadline_hours: float = 24
    rate_per_second: float | None = None
    """What the provider allows the whole account; None: no limit."""
    chat_rate_per_second: float | None = None
    """What the provider allows one chat."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment as it came: its bytes, or an address they are fetched from behind the SSRF guard."""

    name: str
    claimed_type: str = ""
    data: bytes | None = None
    url: str | None = None
    content_id: str | None = None
    inline: bool = False


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote. `address` identifies them within `namespace` (None: the inbox's own, `{kind}:{inbox_id}`)."""

    address: str
    namespace: str | None = None
    name: str = ""
    email: str | None = None
    phone: str | None = None
    verification: Verification = "none"
    language: str | None = None
    attributes: dict[str, Any] = {}


class Threading(msgspec.Struct, frozen=True, kw_only=True):
    """How a message finds its conversation; the first that leads to one in the same inbox wins.

    `conversation_id`: proven by an unguessable token of ours · `own_key`: the message's own key (a Message-ID) ·
    `keys`: those it refers to, nearest first · `subject`: normalised, matched with the contact within `subject_hours`.
    Channels without threads leave it None: the contact's open conversation in the inbox is meant.
    """

    conversation_id: str | None = None
    own_key: str | None = None
    keys: tuple[str, ...] = ()
    subject: str | None = None
    subject_hours: float = 72


class StatusUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt: what became of a message we sent, found by the delivery's id or the provider's id of it."""

    status: DeliveryStatus
    delivery_id: str | None = None
    provider_id: str | None = None
    reason: str = ""
    code: str = ""
    at: datetime | None = None


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A message from outside, normalised. `external_id` is the provider's id, or derived from the content."""

    external_id: str
    sender: Sender
    kind: MessageKind = "message"
    text: str = ""
    visible_text: str | None = None
    html: str | None = None
    """As it came; the gateway sanitises it."""
    subject: str | None = None
    files: tuple[File, ...] = ()
    sent_at: datetime | None = None
    thread: Threading | None = None
    status: StatusUpdate | None = None
    """What a bounce or receipt says of a message of ours; applied with the message, in one commit."""
    raw: bytes | None = None
    """The source, kept where it could not be read in full."""
    meta: dict[str, Any] = {}
    """The connector's notes, JSON values; handed back in `Outgoing.reply_to`. The gateway reads two: `automatic` (a
    machine wrote it) and `bulk` (it went to many); no rule answers those by itself."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """An inbound message is durable and routed."""

    message_id: str
    conversation_id: str
    duplicate: bool = False


class OutgoingFile(msgspec.Struct, frozen=True, kw_only=True):
    attachment: Attachment
    data: bytes


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send. `id` is the delivery's: the idempotency key, the same at every attempt."""

    id: str
    conversation_id: str
    address: str
    """The recipient's address in the channel."""
    recipient_name: str = ""
    text: str
    html: str | None = None
    subject: str | None = None
    files: tuple[OutgoingFile, ...] = ()
    author_name: str = ""
    automatic: bool = False
    """Written by a rule, bot or survey, not a person: mark it so, so that no robot answers it."""
    created_at: datetime
    attempt: int = 1
    reply_to: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """`meta` of the customer's last message, with its `external_id`, `subject`, `text` and `sent_at`."""
    thread_meta: tuple[Mapping[str, Any], ...] = ()
    """`meta` of the conversation's messages, oldest first (bounded)."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """The provider accepted it. `delivered`: it is at the customer already (a poll took it)."""

    provider_id: str | None = None
    delivered: bool = False
    meta: dict[str, Any] = {}


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was tried with the settings."""

    name: str
    ok: bool
    detail: str = ""
    action: str = ""


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    """What follows /hooks/{inbox_id}."""
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    remote: str
    url: str
    """As the provider called it (behind a proxy: from the configured public address)."""


class WebhookResponse(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Sink(Protocol):
    """Where a connector hands over what came in."""

    async def accept(self, messages: Sequence[Inbound]) -> list[Accepted]:
        """Returns once all are durable and routed: only then confirm them to the source. Waits while the gateway is
        full (raises Overloaded where the caller must answer at once, as in a webhook)."""
        ...

    async def status(self, updates: Sequence[StatusUpdate]) -> None:
        """Receipts; returns once durable. Those for messages that are not ours are dropped."""
        ...

    async def load(self, key: str) -> dict[str, Any]:
        """What `save` kept under the key, or {}."""
        ...

    async def save(self, key: str, data: dict[str, Any]) -> None:
        """Keep a cursor, durably, under the inbox's lease: raises Fenced where another node polls by now."""
        ...


class ChannelLog(Protocol):
    """The inbox's bounded log of exchanges with its provider. Secrets that the spec names are redacted."""

    def record(
        self,
        direction: Literal["in", "out"],
        summary: str,
        *,
        ok: bool = True,
        request: str = "",
        response: str = "",
        elapsed_ms: float = 0,
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a connector is given; there is no way from here to the rest of the gateway."""

    inbox_id: str
    inbox_name: str
    sink: Sink
    http: aiohttp.ClientSession
    """For the provider's address, as the admin set it; not for addresses found in messages."""
    fetch: Callable[[str, int], Any]
    """`await fetch(url, max_bytes)` → (bytes, media type): for addresses from messages, behind the SSRF guard."""
    clock: Clock
    log: structlog.stdlib.BoundLogger
    channel_log: ChannelLog
    report: Callable[[Health], None]
    """Tell how the line is; shown to admins at once."""
    secret: bytes
    """32 bytes of the inbox's own, the same at every start and on every node: for tokens in addresses and ids."""
    public_url: str = ""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when an admin asks to poll now."""


class Connector(ABC):
    """One running inbox. Life: `async with connector:`, `run` in a task of its own, `send` and `webhook` beside it."""

    async def __aenter__(self) -> Connector:
        """Make ready to send; must not need the network (a provider that is down must not stop the start)."""
        return self

    async def __aexit__(self, *exc: object) -> None:  # noqa: B027 - most have nothing to close
        """Close what was opened; ends within seconds."""

    async def run(self) -> None:
        """Pull messages until cancelled. Whatever it raises, the supervisor reports, and starts it anew with backoff;
        Unauthorized stops the inbox until an admin changes it. Channels that are pushed to leave this as it is."""
        await asyncio.Event().wait()

    @abstractmethod
    async def check(self) -> list[CheckResult]:
        """Prove the settings against the provider; sends nothing to anyone and raises nothing for a wrong setting."""

    @abstractmethod
    async def send(self, message: Outgoing) -> Sent:
        """One attempt. Raises a SendError of gateway.errors, and Unknown only if the provider may have accepted."""

    async def lookup(self, message: Outgoing) -> Sent | None:
        """Settle an unknown delivery (where capabilities.lookup): Sent if the provider has it, None if it has not."""
        raise LookupError("this channel cannot look a message up")

    async def webhook(self, request: WebhookRequest) -> WebhookResponse:
        """Answer a call to /hooks/{inbox_id}; 2xx only after `sink.accept` returned."""
        return WebhookResponse(status=404, body=b"this inbox takes no webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSpec:
    """What a channel is, without loading its client library."""

    kind: str
    """`[a-z][a-z0-9_]*`, the folder's name."""
    title: str
    settings: type[msgspec.Struct]
    """Kw-only, frozen, forbid_unknown_fields; the admin form and its checks are made from its JSON Schema: titles,
    descriptions and limits are given with msgspec.Meta."""
    secrets: tuple[str, ...] = ()
    """Names of settings that are sealed at rest, write-only in the API, and redacted in logs."""
    capabilities: Capabilities
    create: Callable[[Any, Context], Connector]
    """`create(settings, context)`; secrets arrive in the clear; may raise gateway.errors.Refused naming settings."""
    validate: Callable[[Any], Sequence[tuple[str, str]]] = lambda settings: ()
    """Checks between settings: (setting, what is wrong) pairs."""
    pulls: bool = False
    """`run` polls or listens at the provider: one node at a time does, under a lease."""
    webhooks: bool = False
