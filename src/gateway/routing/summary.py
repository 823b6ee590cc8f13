"""What a decision keeps of the facts: by field name, small enough to be stored with every conversation."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Any

from gateway.routing.facts import Facts, Previous

SUMMARY_LENGTH = 200
_SUMMARY_ITEMS = 30


def facts_summary(facts: Facts) -> dict[str, Any]:
    """The facts by field name, for Decision.facts: empty ones left out, texts cut to 200 characters, lists to 30 items.

    Card numbers are not masked here: give `Facts` the masked text, or mask what comes out.
    """
    found: dict[str, Any] = {"at": facts.now.isoformat(), "event": facts.event}
    for name, value in (
        ("channel", facts.channel),
        ("inbox", facts.inbox_name or facts.inbox_id),
        ("text", facts.text),
        ("subject", facts.subject),
        ("language", facts.language),
        ("sender.address", facts.sender_address),
        ("contact.name", facts.contact_name),
        ("contact.email", facts.contact_email),
        ("contact.phone", facts.contact_phone),
        ("contact.language", facts.contact_language),
        ("queue", facts.queue),
        ("assignee", facts.assignee),
        ("bot.reason", facts.bot_reason),
    ):
        if value:
            found[name] = _cut(value)
    if facts.kind != "message":
        found["kind"] = facts.kind
    if facts.verified != "none":
        found["contact.verified"] = facts.verified
    if facts.priority != "normal":
        found["priority"] = facts.priority
    if facts.status != "open":
        found["status"] = facts.status
    found["message_count"] = facts.message_count
    if facts.tags:
        found["tags"] = _items(facts.tags)
    if facts.contact_tags:
        found["contact.tags"] = _items(facts.contact_tags)
    for key in islice(facts.contact_attributes, _SUMMARY_ITEMS):
        found[f"contact.attributes.{key}"] = _plain(facts.contact_attributes[key])
    if facts.attachment_types:
        found["attachments.types"] = _items(facts.attachment_types)
        found["attachments.names"] = _items(facts.attachment_names)
        found["attachments.bytes"] = facts.attachment_bytes
    if facts.waiting_since is not None:
        found["waiting_minutes"] = round((facts.now - facts.waiting_since).total_seconds() / 60, 1)
    if facts.bot_confidence is not None:
        found["bot.confidence"] = facts.bot_confidence
    if facts.previous is not None:
        _add_previous(found, facts.previous, facts.now)
    for queue, load in facts.queues.items():
        found[f"queues.{queue}"] = {"waiting": load.waiting, "online": load.online, "open": load.open}
    if facts.window_closes_at is not None:
        found["window.closes_at"] = facts.window_closes_at.isoformat()
    if facts.window_sends_left is not None:
        found["window.sends_left"] = facts.window_sends_left
    return found


def _add_previous(found: dict[str, Any], previous: Previous, now: datetime) -> None:
    for name in ("queue", "assignee", "priority"):
        if value := getattr(previous, name):
            found[f"previous.{name}"] = value
    if previous.tags:
        found["previous.tags"] = _items(previous.tags)
    if previous.resolved_at is not None:
        found["previous.resolved_hours_ago"] = round((now - previous.resolved_at).total_seconds() / 3600, 2)


def _cut(text: str) -> str:
    return text if len(text) <= SUMMARY_LENGTH else text[: SUMMARY_LENGTH - 1] + "…"


def _items(values: Iterable[str]) -> list[str]:
    return [_cut(value) for value in islice(values, _SUMMARY_ITEMS)]


def _plain(value: Any) -> Any:
    """A single JSON value of bounded size; lists and mappings as text."""
    if isinstance(value, str):
        return _cut(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return _cut(", ".join([_cut(str(item)) for item in value[:_SUMMARY_ITEMS]]))
    return _cut(str(value))
