"""Rules' own examples (`tests:`): given these facts, expect this. They run at every check and before every publishing.

tests:
  - given: {text: 我要退款, channel: api, language: zh}
    expect: {queue: payments, priority: high, tags: [refund]}
  - given: {text: hello}
    expect: no match
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.model.conversation import PRIORITY_RANK
from gateway.routing.facts import Facts, Previous, QueueLoad
from gateway.routing.fields import ATTRIBUTES, Field, Kind, find_field, queue_of, suggest_field
from gateway.routing.names import Names
from gateway.routing.report import MAX_TEXT, Report
from gateway.routing.rule import Example
from gateway.routing.source import Node, kind_of

DEFAULT_NOW = datetime(2026, 1, 7, 12, 0, tzinfo=UTC)
"""When a test happens that does not say `at`: a Wednesday noon, UTC."""

_DERIVED = {
    "text.length": "text",
    "sender.domain": "sender.address",
    "attachments.count": "attachments.names",
    "hours": "at",
    "weekday": "at",
    "date": "at",
}
"""Fields reckoned from others: what to give instead."""

EXPECTATIONS: dict[str, str] = {
    "rule": "the rule that decides, by id",
    "queue": "the queue's name; null: no rule names one",
    "bot": "the bot queue's name",
    "assign": "the preferred agent",
    "priority": "the priority it is given",
    "tags": "tags that are added, among others",
    "tags_removed": "tags that are removed, among others",
    "skills": "skills that are asked for, among others",
    "sla": "the SLA policy",
    "language": "the language it is given",
    "reply": "a part of an automatic answer",
    "close": "whether it is resolved",
    "open_case": "the kind of case",
    "notify": "who is told, among others",
    "webhook": "webhooks called, among others",
}
LISTS = ("tags", "tags_removed", "skills", "notify", "webhook")


def read_examples(node: Node, report: Report, names: Names) -> list[Example]:
    """The examples under a `tests:`; broken ones are reported and left out."""
    if not isinstance(node.value, list):
        report.add(node, f"tests must be a list, not {kind_of(node)}")
        return []
    found = [_read(item, report, names) for item in report.items(node, "tests")] if node.value else []
    return [example for example in found if example is not None]


def _read(node: Node, report: Report, names: Names) -> Example | None:
    before = len(report.problems)
    entries = report.mapping(node, "a test", ("name", "given", "expect"))
    for key in ("given", "expect"):
        if isinstance(node.value, dict) and key not in entries:
            report.add(node, f"a test needs {key}")
    name = report.text(entries["name"], "name") if "name" in entries else ""
    facts = _given(entries["given"], report) if "given" in entries else None
    expect = _expect(entries["expect"], report, names) if "expect" in entries else None
    if len(report.problems) > before or facts is None:
        return None
    return Example(
        rule=report.rule,
        name=name or "",
        facts=facts,
        expect=expect,
        file=report.file,
        line=node.line,
        column=node.column,
    )


def _expect(node: Node, report: Report, names: Names) -> dict[str, Any] | None:
    if node.value == "no match":
        return None
    if isinstance(node.value, str) or not node.value:
        report.add(node, 'expect must be "no match" or name what comes of it, such as {queue: support}')
        return None
    found: dict[str, Any] = {}
    for key, value in report.mapping(node, "expect", EXPECTATIONS).items():
        if key in LISTS:
            found[key] = report.texts(value, f"expect {key}")
        elif key == "close":
            found[key] = report.flag(value, "expect close")
        elif key == "priority":
            found[key] = report.word(value, "expect priority", PRIORITY_RANK)
        elif key == "queue" and value.value is None:
            found[key] = None
        else:
            found[key] = report.text(value, f"expect {key}", limit=MAX_TEXT)
    if names.queues is not None and found.get("queue") is not None and found["queue"] not in names.queues:
        report.add(node.value["queue"], f'there is no queue "{found["queue"]}"')
    return found


class _Given:
    """Gathers the values of a `given` into Facts."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.plain: dict[str, Any] = {"now": now}
        self.attributes: dict[str, Any] = {}
        self.previous: dict[str, Any] = {}
        self.queues: dict[str, dict[str, Any]] = {}

    def put(self, field: Field, value: Any) -> None:
        name = field.name
        if name.startswith(ATTRIBUTES):
            self.attributes[name[len(ATTRIBUTES) :]] = value
        elif (queue := queue_of(field)) is not None:
            self.queues.setdefault(queue, {})[name.rpartition(".")[2]] = value
        elif name == "previous.resolved_hours_ago":
            self.previous["resolved_at"] = self.now - timedelta(hours=value)
        elif name.startswith("previous."):
            self.previous[name.removeprefix("previous.")] = value
        elif name == "contact.age_days":
            self.plain["contact_created_at"] = self.now - timedelta(days=value)
        elif name == "waiting_minutes":
            self.plain["waiting_since"] = self.now - timedelta(minutes=value)
        elif name == "window.open":
            self.plain["window_closes_at"] = self.now + timedelta(hours=1 if value else -1)
        elif name == "window.closes_in_minutes":
            self.plain["window_closes_at"] = self.now + timedelta(minutes=value)
        elif name == "contact.verified":
            self.plain["verified"] = value
        elif name == "inbox":
            self.plain["inbox_id"] = self.plain["inbox_name"] = value
        else:
            self.plain[name.replace("attachments.", "attachment_").replace(".", "_")] = value

    def facts(self) -> Facts:
        types, names = self.plain.get("attachment_types", ()), self.plain.get("attachment_names", ())
        if len(types) < len(names):
            self.plain["attachment_types"] = (*types, *["application/octet-stream"] * (len(names) - len(types)))
        return Facts(
            **self.plain,
            contact_attributes=self.attributes,
            previous=Previous(**self.previous) if self.previous else None,
            queues={name: QueueLoad(**load) for name, load in self.queues.items()},
        )


def _given(node: Node, report: Report) -> Facts | None:
    if not isinstance(node.value, dict) or not node.value:
        report.add(node, f"given must be a mapping of fields, such as {{text: hello}}, not {kind_of(node)}")
        return None
    before = len(report.problems)
    given = _Given(_moment(node.value["at"], report) if "at" in node.value else DEFAULT_NOW)
    for name, value in node.value.items():
        field = find_field(name)
        if name == "at":
            continue
        if field is None:
            report.add(node.key(name), f'there is no field "{name}"{suggest_field(name)}')
        elif name in _DERIVED:
            report.add(node.key(name), f"{name} follows from {_DERIVED[name]}: give that")
        else:
            wrong = len(report.problems)
            found = _value(field, value, report)
            if len(report.problems) == wrong:
                given.put(field, found)
    return given.facts() if len(report.problems) == before else None


def _moment(node: Node, report: Report) -> datetime:
    text = report.text(node, "at")
    try:
        moment = datetime.fromisoformat(text or "")
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    if text is not None:
        report.add(node, f'at: "{text}" is not a time with its offset; write it like 2026-01-07T09:30:00+08:00')
    return DEFAULT_NOW


def _value(field: Field, node: Node, report: Report) -> Any:
    match field.kind:
        case Kind.CHOICE:
            return report.word(node, field.name, field.choices)
        case Kind.NUMBER:
            if isinstance(node.value, int | float) and not isinstance(node.value, bool) and abs(node.value) < 1e9:
                return node.value
            report.add(node, f"{field.name} must be a number, not {kind_of(node)}")
            return None
        case Kind.FLAG:
            return report.flag(node, field.name)
        case Kind.LIST:
            return report.texts(node, field.name)
        case Kind.ANY:
            return node.plain()
        case _:
            return report.text(node, field.name, limit=MAX_TEXT * 10, empty=True)
