"""The one table of what conditions may look at: name, type, meaning. Checks, explanations, the JSON Schema and the
editor are all made from it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, get_args

from gateway.model.contact import Verification
from gateway.model.conversation import PRIORITY_RANK, Status
from gateway.model.message import MessageKind
from gateway.routing.facts import Facts, Previous, RuleEvent
from gateway.routing.fold import TEXT_LIMIT
from gateway.routing.problem import did_you_mean


class Kind(enum.Enum):
    """The types of fields; the value is what messages call it."""

    TEXT = "text"
    STRING = "a short text"
    LANGUAGE = "a language"
    CHOICE = "one of a few words"
    NUMBER = "a number"
    FLAG = "true or false"
    LIST = "a list of texts"
    ANY = "any value"
    HOURS = "opening hours"
    WEEKDAY = "a weekday"
    DATE = "a date"


Getter = Callable[[Facts], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be compared. `get` answers None where there is nothing."""

    name: str
    kind: Kind
    description: str
    get: Getter
    choices: tuple[str, ...] = ()
    """In rising order where `ordered`."""
    ordered: bool = False
    summary: str = ""
    """The key of `facts_summary` that shows it, where that is not its name."""
    default: Any = None
    """What it is when the summary leaves it out."""

    @property
    def summary_key(self) -> str:
        return self.summary or self.name


def _domain(facts: Facts) -> str | None:
    _, at, domain = facts.sender_address.rpartition("@")
    return domain if at else None


def _age_days(facts: Facts) -> float | None:
    created = facts.contact_created_at
    return None if created is None else (facts.now - created).total_seconds() / 86_400


def _waiting_minutes(facts: Facts) -> float | None:
    since = facts.waiting_since
    return None if since is None else (facts.now - since).total_seconds() / 60


def _window_open(facts: Facts) -> bool:
    closes = facts.window_closes_at
    return (closes is None or closes > facts.now) and facts.window_sends_left != 0


def _window_minutes(facts: Facts) -> float | None:
    closes = facts.window_closes_at
    return None if closes is None else (closes - facts.now).total_seconds() / 60


def _previous(read: Callable[[Previous], Any]) -> Getter:
    def get(facts: Facts) -> Any:
        return None if facts.previous is None else read(facts.previous)

    return get


def _resolved_hours(facts: Facts) -> float | None:
    if facts.previous is None or facts.previous.resolved_at is None:
        return None
    return (facts.now - facts.previous.resolved_at).total_seconds() / 3600


def _inbox(facts: Facts) -> str:
    return facts.inbox_name or facts.inbox_id


_PRIORITIES = tuple(PRIORITY_RANK)
_KINDS = get_args(MessageKind)

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field(
            "event",
            Kind.CHOICE,
            "what happened: a conversation begins, a resolved one gets a message, a running one gets another",
            attrgetter("event"),
            get_args(RuleEvent),
        ),
        Field("channel", Kind.STRING, "the kind of inbox: mail, api, webchat …", attrgetter("channel")),
        Field("inbox", Kind.STRING, "the inbox, by name or id", _inbox),
        Field(
            "kind",
            Kind.CHOICE,
            "what the message is: written by a person, a bounce, an automatic reply …",
            attrgetter("kind"),
            _KINDS,
            default="message",
        ),
        Field(
            "text",
            Kind.TEXT,
            f"the message without quotes and signature (its first {TEXT_LIMIT} characters)",
            attrgetter("text"),
        ),
        Field("text.length", Kind.NUMBER, "characters of the text", lambda f: len(f.text), summary="text"),
        Field("subject", Kind.TEXT, "the subject, where the channel has one", attrgetter("subject")),
        Field(
            "language",
            Kind.LANGUAGE,
            "the language the customer writes: zh, en …; zh also means zh-TW",
            attrgetter("language"),
        ),
        Field("sender.address", Kind.STRING, "the address on the channel", attrgetter("sender_address")),
        Field(
            "sender.domain", Kind.STRING, "what follows the @ of an e-mail address", _domain, summary="sender.address"
        ),
        Field("contact.name", Kind.STRING, "the contact's name", attrgetter("contact_name")),
        Field("contact.email", Kind.STRING, "the contact's e-mail address", attrgetter("contact_email")),
        Field("contact.phone", Kind.STRING, "the contact's phone number", attrgetter("contact_phone")),
        Field("contact.language", Kind.LANGUAGE, "the contact's own setting", attrgetter("contact_language")),
        Field("contact.tags", Kind.LIST, "the contact's tags", attrgetter("contact_tags")),
        Field(
            "contact.verified",
            Kind.CHOICE,
            "how the sender's address was proven",
            attrgetter("verified"),
            get_args(Verification),
            ordered=True,
            default="none",
        ),
        Field("contact.age_days", Kind.NUMBER, "days since the contact's first message", _age_days),
        Field("tags", Kind.LIST, "the conversation's tags", attrgetter("tags")),
        Field(
            "priority",
            Kind.CHOICE,
            "the conversation's priority",
            attrgetter("priority"),
            _PRIORITIES,
            ordered=True,
            default="normal",
        ),
        Field(
            "status",
            Kind.CHOICE,
            "the conversation's status",
            attrgetter("status"),
            get_args(Status),
            default="open",
        ),
        Field("queue", Kind.STRING, "the name of the queue it is in now", attrgetter("queue")),
        Field("assignee", Kind.STRING, "the e-mail address of the agent who has it now", attrgetter("assignee")),
        Field(
            "message_count",
            Kind.NUMBER,
            "messages of the conversation, this one included",
            attrgetter("message_count"),
        ),
        Field("waiting_minutes", Kind.NUMBER, "minutes the customer has waited for an answer", _waiting_minutes),
        Field(
            "attachments.count",
            Kind.NUMBER,
            "how many files are attached",
            lambda f: len(f.attachment_types),
            summary="attachments.types",
        ),
        Field(
            "attachments.types",
            Kind.LIST,
            "the files' media types, found from their content; image/* means any image",
            attrgetter("attachment_types"),
        ),
        Field("attachments.names", Kind.LIST, "the files' names", attrgetter("attachment_names")),
        Field("attachments.bytes", Kind.NUMBER, "the files' size together", attrgetter("attachment_bytes")),
        Field("hours", Kind.HOURS, "the time of the week, in a time zone", attrgetter("now"), summary="at"),
        Field(
            "weekday",
            Kind.WEEKDAY,
            "mon, tue, wed, thu, fri, sat or sun, in a time zone",
            attrgetter("now"),
            summary="at",
        ),
        Field("date", Kind.DATE, "the day, as 2026-10-01, in a time zone", attrgetter("now"), summary="at"),
        Field(
            "previous.queue",
            Kind.STRING,
            "the queue it was in when resolved, or the contact's last conversation was in",
            _previous(attrgetter("queue")),
        ),
        Field(
            "previous.assignee",
            Kind.STRING,
            "the e-mail address of the agent who had it before",
            _previous(attrgetter("assignee")),
        ),
        Field(
            "previous.priority",
            Kind.CHOICE,
            "the priority it had before",
            _previous(attrgetter("priority")),
            _PRIORITIES,
            ordered=True,
        ),
        Field("previous.tags", Kind.LIST, "the tags it had before", _previous(attrgetter("tags"))),
        Field("previous.resolved_hours_ago", Kind.NUMBER, "hours since it was resolved", _resolved_hours),
        Field(
            "window.open",
            Kind.FLAG,
            "whether the channel lets us answer now",
            _window_open,
            summary="window.closes_at",
        ),
        Field(
            "window.closes_in_minutes",
            Kind.NUMBER,
            "minutes until the channel's reply window closes",
            _window_minutes,
            summary="window.closes_at",
        ),
        Field(
            "window.sends_left",
            Kind.NUMBER,
            "answers the channel still lets us send",
            attrgetter("window_sends_left"),
        ),
        Field("bot.reason", Kind.STRING, "why a bot handed the conversation over", attrgetter("bot_reason")),
        Field("bot.confidence", Kind.NUMBER, "how sure the bot was, 0 to 1", attrgetter("bot_confidence")),
    )
}
"""Fields with a fixed name. Besides: `contact.attributes.{name}` and `queues.{queue}.waiting|online|open`."""

ATTRIBUTES = "contact.attributes."
QUEUES = "queues."
INDEXED = ("channel", "inbox", "language", "queue")
"""Conditions `eq` and `in` on these pick a message's candidate rules without evaluating the others."""


def find_field(name: str) -> Field | None:
    """The field of that name; made up on the spot for attributes and queues."""
    known = FIELDS.get(name)
    if known is not None:
        return known
    if name.startswith(ATTRIBUTES) and len(name) > len(ATTRIBUTES):
        return _attribute(name)
    if name.startswith(QUEUES):
        queue, dot, what = name[len(QUEUES) :].rpartition(".")
        if dot and queue and what in ("waiting", "online", "open"):
            return _queue_field(name, queue, what)
    return None


def queue_of(field: Field) -> str | None:
    """The queue a `queues.{queue}.…` field is about."""
    if not field.name.startswith(QUEUES):
        return None
    return field.name[len(QUEUES) :].rpartition(".")[0]


def suggest_field(name: str) -> str:
    """A hint for a name that is no field."""
    if name.startswith(QUEUES):
        return "; write queues.NAME.waiting, queues.NAME.online or queues.NAME.open"
    if name == ATTRIBUTES.rstrip("."):
        return "; write contact.attributes.NAME"
    return did_you_mean(name, FIELDS)


def _attribute(name: str) -> Field:
    key = name[len(ATTRIBUTES) :]
    path = key.split(".")

    def get(facts: Facts) -> Any:
        attributes = facts.contact_attributes
        if key in attributes:
            return attributes[key]
        if len(path) == 1:
            return None
        value: Any = attributes
        for part in path:
            if not isinstance(value, dict) or part not in value:
                return None
            value = value[part]
        return value

    return Field(name, Kind.ANY, "what the app or an agent noted of the contact", get)


def _queue_field(name: str, queue: str, what: str) -> Field:
    kind, description = {
        "waiting": (Kind.NUMBER, "conversations that wait in the queue"),
        "online": (Kind.NUMBER, "agents online who serve the queue"),
        "open": (Kind.FLAG, "whether the queue is within its opening hours"),
    }[what]
    read = attrgetter(what)

    def get(facts: Facts) -> Any:
        load = facts.queues.get(queue)
        return None if load is None else read(load)

    return Field(name, kind, description, get)
