"""What a matched rule does (`then`): read, checked, and kept as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.model.conversation import PRIORITY_RANK, Priority
from gateway.routing.fold import fold
from gateway.routing.names import Names
from gateway.routing.problem import did_you_mean
from gateway.routing.reply_text import MAX_REPLY, ReplyText, problem_in
from gateway.routing.report import Report
from gateway.routing.source import Node, kind_of

ACTIONS: dict[str, str] = {
    "queue": "the queue the conversation goes to, by name",
    "bot": "the bot queue it goes to; like queue, but refused where that is not a bot's",
    "assign": "the agent it is offered to first, by e-mail address or id",
    "priority": "low, normal, high or urgent",
    "tags": "tags to add; or {add: […], remove: […]}",
    "skills": "what an agent must know to get it, on top of the queue's skills",
    "sla": "the SLA policy that holds for it, by name or id",
    "language": "sets the conversation's language",
    "reply": "an automatic answer: a text, or {default: …, zh: …, en: …}",
    "close": "true: resolve it",
    "open_case": "true, or the kind of case to open (complaint …)",
    "notify": "agents to tell, by e-mail address or id; or supervisors, admins",
    "webhook": "ids of webhooks to call",
}

NOTIFY_ROLES = ("supervisors", "admins")

_CONFLICTS = (
    ("queue", "bot", "both name where the conversation goes"),
    ("bot", "assign", "a bot's conversation has no agent"),
    ("close", "assign", "a closed conversation has no agent"),
    ("close", "bot", "a closed conversation is not answered"),
    ("close", "open_case", "a case needs an open conversation"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    queue: str | None = None
    bot: str | None = None
    assign: str | None = None
    priority: Priority | None = None
    tags_add: tuple[str, ...] = ()
    tags_remove: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    sla: str | None = None
    language: str | None = None
    reply: ReplyText | None = None
    close: bool = False
    open_case: str | None = None
    notify: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()
    document: dict[str, Any]
    """As written, with the rule's id: for Decision.actions."""


def read_actions(node: Node, report: Report, names: Names) -> Actions | None:
    """A rule's `then`, or None after a complaint."""
    before = len(report.problems)
    entries = report.mapping(node, "then", ACTIONS)
    if isinstance(node.value, dict) and not node.value:
        report.add(node, f"then is empty: the rule does nothing; there are {', '.join(ACTIONS)}")
    for one, other, why in _CONFLICTS:
        if one in entries and other in entries:
            report.add(node.key(other), f"{one} and {other} do not go together: {why}")
    found: dict[str, Any] = {}
    for name, value in entries.items():
        _READERS[name](found, value, report, names)
    for tag in set(map(fold, found.get("tags_add", ()))) & set(map(fold, found.get("tags_remove", ()))):
        report.add(entries["tags"], f'the tag "{tag}" is both added and removed')
    if any(problem.severity == "error" for problem in report.problems[before:]):
        return None
    return Actions(**found, document={"rule": report.rule, **node.plain()})


def _queue(found: dict[str, Any], node: Node, report: Report, names: Names) -> None:
    found["queue"] = read_queue(node, report, names, "queue")


def read_queue(node: Node, report: Report, names: Names, what: str) -> str | None:
    """The name of a queue that is there."""
    name = report.text(node, what)
    if name is not None and names.queues is not None and name not in names.queues:
        hint = did_you_mean(name, names.queues) or f"; there are {', '.join(sorted(names.queues)[:20])}"
        report.add(node, f'there is no queue "{name}"{hint}')
    return name


def _bot(found: dict[str, Any], node: Node, report: Report, names: Names) -> None:
    found["bot"] = name = read_queue(node, report, names, "bot")
    known = (names.queues or {}).get(name or "")
    if known is not None and known.type != "bot":
        report.add(node, f'"{name}" is a queue for people, not a bot\'s; use queue')


def _agent(node: Node, report: Report, names: Names, what: str) -> str | None:
    name = report.text(node, what)
    if name is not None and names.agents is not None and name not in names.agents and fold(name) not in names.agents:
        report.add(node, f'there is no agent "{name}"{did_you_mean(name, names.agents)}')
    return name


def _assign(found: dict[str, Any], node: Node, report: Report, names: Names) -> None:
    found["assign"] = _agent(node, report, names, "assign")


def _priority(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    found["priority"] = report.word(node, "priority", PRIORITY_RANK)


def _tags(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    if not isinstance(node.value, dict):
        found["tags_add"] = report.texts(node, "tags", limit=100)
        return
    entries = report.mapping(node, "tags", ("add", "remove"))
    if not node.value:
        report.add(node, "tags is empty")
    if "add" in entries:
        found["tags_add"] = report.texts(entries["add"], "tags add", limit=100)
    if "remove" in entries:
        found["tags_remove"] = report.texts(entries["remove"], "tags remove", limit=100)


def _skills(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    found["skills"] = report.texts(node, "skills", limit=100)


def _sla(found: dict[str, Any], node: Node, report: Report, names: Names) -> None:
    found["sla"] = name = report.text(node, "sla")
    if name is not None and names.sla_policies is not None and name not in names.sla_policies:
        report.add(node, f'there is no SLA policy "{name}"{did_you_mean(name, names.sla_policies)}')


def _language(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    found["language"] = report.text(node, "language", limit=35)


def _reply(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    texts: dict[str, str] = {}
    if isinstance(node.value, dict):
        if "default" not in node.value:
            report.add(node, "reply by language needs a default, for customers who write another one")
        for language, value in node.value.items():
            text = _reply_text(value, report)
            if text is not None:
                texts[language.lower()] = text
    else:
        text = _reply_text(node, report)
        if text is not None:
            texts["default"] = text
    if "default" in texts:
        found["reply"] = ReplyText(
            texts["default"], {language: text for language, text in texts.items() if language != "default"}
        )


def _reply_text(node: Node, report: Report) -> str | None:
    text = report.text(node, "reply", limit=MAX_REPLY)
    wrong = problem_in(text) if text is not None else None
    if wrong:
        report.add(node, wrong)
        return None
    return text


def _close(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    if node.value is not True:
        report.add(node, f"close can only be true, not {kind_of(node)}; leave it out otherwise")
    found["close"] = True


def _open_case(found: dict[str, Any], node: Node, report: Report, _: Names) -> None:
    found["open_case"] = "complaint" if node.value is True else report.text(node, "open_case", limit=60)


def _notify(found: dict[str, Any], node: Node, report: Report, names: Names) -> None:
    told = []
    for item in report.items(node, "notify"):
        if isinstance(item.value, str) and item.value in NOTIFY_ROLES:
            told.append(item.value)
        elif (agent := _agent(item, report, names, "notify")) is not None:
            told.append(agent)
    found["notify"] = tuple(dict.fromkeys(told))


def _webhook(found: dict[str, Any], node: Node, report: Report, names: Names) -> None:
    found["webhooks"] = ids = report.texts(node, "webhook")
    for id in ids:
        if names.webhooks is not None and id not in names.webhooks:
            report.add(node, f'there is no webhook with the id "{id}"{did_you_mean(id, names.webhooks)}')


_READERS = {
    "queue": _queue,
    "bot": _bot,
    "assign": _assign,
    "priority": _priority,
    "tags": _tags,
    "skills": _skills,
    "sla": _sla,
    "language": _language,
    "reply": _reply,
    "close": _close,
    "open_case": _open_case,
    "notify": _notify,
    "webhook": _webhook,
}
