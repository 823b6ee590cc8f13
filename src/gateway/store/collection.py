"""Declarations: which collections there are, what they can be found by, and which keys are unique in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.model.access import ApiToken, AuditEntry, IdempotencyRecord, LoginThrottle, Session
from gateway.model.contact import Contact, Identity, Merge
from gateway.model.conversation import Conversation, ThreadRef
from gateway.model.decision import Decision, RulePointer, RuleSetVersion
from gateway.model.document import Document
from gateway.model.event import Webhook, WebhookDelivery
from gateway.model.inbox import ChannelLogEntry, ConnectorState, Inbox, InboxHealth
from gateway.model.message import Delivery, Message
from gateway.model.team import Agent, AgentState, CannedReply, Queue, SlaPolicy, Tag

D = TypeVar("D", bound=Document)


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique key. A document with None in any of its fields is not under it."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Collection(Generic[D]):
    """`fields` are the attributes that `find` may filter and sort by (text, number, bool or datetime, or None);
    `many` are tuples of text that `find` may ask to contain a value. Every collection has `id`."""

    name: str
    type: type[D]
    fields: tuple[str, ...] = ()
    many: tuple[str, ...] = ()
    unique: tuple[Unique, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()


class Checkpoint(Document, frozen=True, kw_only=True, omit_defaults=True):
    """How far a reader of the feed has come."""

    cursor: str


INBOXES = Collection("inboxes", Inbox, fields=("kind", "name", "enabled"), unique=(Unique("name", ("name",)),))
INBOX_HEALTH = Collection("inbox_health", InboxHealth)
CONNECTOR_STATES = Collection("connector_states", ConnectorState, fields=("inbox_id",), indexes=(("inbox_id",),))
CHANNEL_LOG = Collection("channel_log", ChannelLogEntry, fields=("inbox_id", "at"), indexes=(("inbox_id", "at"),))
CONTACTS = Collection(
    "contacts",
    Contact,
    fields=("email", "phone", "name", "updated_at", "created_at", "merged_into"),
    indexes=(("updated_at",), ("email",), ("phone",), ("merged_into",)),
)
IDENTITIES = Collection(
    "identities",
    Identity,
    fields=("contact_id", "namespace", "address"),
    unique=(Unique("address", ("namespace", "address")),),
    indexes=(("contact_id",),),
)
MERGES = Collection("merges", Merge, fields=("winner_id", "loser_id"), indexes=(("winner_id",), ("loser_id",)))
CONVERSATIONS = Collection(
    "conversations",
    Conversation,
    fields=(
        "inbox_id",
        "contact_id",
        "status",
        "queue_id",
        "assignee_id",
        "priority",
        "last_message_at",
        "created_at",
        "queued_at",
        "waiting_since",
        "snoozed_until",
    ),
    many=("tags",),
    indexes=(
        ("last_message_at",),
        ("status", "last_message_at"),
        ("queue_id", "status", "last_message_at"),
        ("assignee_id", "status", "last_message_at"),
        ("inbox_id", "last_message_at"),
        ("contact_id", "inbox_id", "last_message_at"),
        ("queue_id", "priority", "queued_at"),
        ("snoozed_until",),
    ),
)
THREADS = Collection("threads", ThreadRef, fields=("conversation_id", "at"), indexes=(("conversation_id",),))
MESSAGES = Collection(
    "messages",
    Message,
    fields=("inbox_id", "conversation_id", "external_id"),
    unique=(Unique("external_id", ("inbox_id", "external_id")),),
    indexes=(("conversation_id",),),
)
DELIVERIES = Collection(
    "deliveries",
    Delivery,
    fields=("inbox_id", "conversation_id", "shard", "lane", "status", "next_at", "provider_id", "dead", "created_at"),
    indexes=(
        ("shard", "next_at"),
        ("shard", "status"),
        ("inbox_id", "lane", "next_at"),
        ("inbox_id", "status"),
        ("conversation_id", "status"),
        ("inbox_id", "provider_id"),
        ("inbox_id", "dead", "created_at"),
    ),
)
QUEUES = Collection("queues", Queue, fields=("name",), unique=(Unique("name", ("name",)),))
AGENTS = Collection("agents", Agent, fields=("email", "role"), unique=(Unique("email", ("email",)),))
AGENT_STATES = Collection("agent_states", AgentState, fields=("presence",))
SLA_POLICIES = Collection("sla_policies", SlaPolicy, fields=("name",), unique=(Unique("name", ("name",)),))
CANNED = Collection("canned", CannedReply, fields=("shortcut",), unique=(Unique("shortcut", ("shortcut",)),))
TAGS = Collection("tags", Tag, fields=("name",), unique=(Unique("name", ("name",)),))
SESSIONS = Collection("sessions", Session, fields=("agent_id", "expires_at"), indexes=(("agent_id",), ("expires_at",)))
API_TOKENS = Collection(
    "api_tokens",
    ApiToken,
    fields=("name", "token_hash", "agent_id"),
    unique=(Unique("token", ("token_hash",)),),
)
THROTTLES = Collection("throttles", LoginThrottle, fields=("at",), indexes=(("at",),))
AUDIT = Collection(
    "audit",
    AuditEntry,
    fields=("seq", "at", "actor", "action", "target"),
    unique=(Unique("seq", ("seq",)),),
    indexes=(("at",), ("target",)),
)
IDEMPOTENCY = Collection("idempotency", IdempotencyRecord, fields=("at",), indexes=(("at",),))
WEBHOOKS = Collection("webhooks", Webhook, fields=("enabled",))
WEBHOOK_DELIVERIES = Collection(
    "webhook_deliveries",
    WebhookDelivery,
    fields=("webhook_id", "status", "next_at", "created_at"),
    indexes=(
        ("status", "created_at"),
        ("webhook_id", "created_at"),
        ("webhook_id", "status", "next_at"),
    ),
)
DECISIONS = Collection("decisions", Decision, fields=("conversation_id", "message_id"), indexes=(("conversation_id",),))
RULE_SETS = Collection("rule_sets", RuleSetVersion, fields=("number",), unique=(Unique("number", ("number",)),))
RULE_POINTER = Collection("rule_pointer", RulePointer)
CHECKPOINTS = Collection("checkpoints", Checkpoint)

COLLECTIONS: tuple[Collection[Document], ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Collection)
)
