"""Texts of automatic answers, with placeholders such as `{{contact.name}}` or `{{contact.name|there}}`.

A placeholder stands for one of a fixed list; what it is replaced with is never read for placeholders again, and is put
on one line and cut, since customers choose their own names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.routing.facts import Facts
from gateway.routing.problem import did_you_mean

PLACEHOLDERS: dict[str, tuple[str, Callable[[Facts], str | None]]] = {
    "contact.name": ("the contact's name", lambda facts: facts.contact_name),
    "subject": ("the subject of the message", lambda facts: facts.subject),
    "inbox": ("the inbox's name", lambda facts: facts.inbox_name),
    "language": ("the message's language", lambda facts: facts.language),
    "date": ("the day (UTC)", lambda facts: facts.now.date().isoformat()),
}
"""Placeholder → (meaning, value)."""

MAX_REPLY = 10_000
_VALUE_LENGTH = 200
_MARK = re.compile(r"\{\{([^{}]{0,200})\}\}")


def problem_in(text: str) -> str | None:
    """What is wrong with a text's placeholders."""
    for mark in _MARK.findall(text):
        name = mark.partition("|")[0].strip()
        if name not in PLACEHOLDERS:
            hint = did_you_mean(name, PLACEHOLDERS) or f"; there are {', '.join(PLACEHOLDERS)}"
            return f'there is no placeholder "{name}"{hint}'
    rest = _MARK.sub("", text)
    if "{{" in rest or "}}" in rest:
        return "a placeholder is not closed; write it like {{contact.name}}"
    return None


@dataclass(frozen=True, slots=True)
class ReplyText:
    """One text for all (`default`), and others by language."""

    default: str
    by_language: Mapping[str, str]

    def fill(self, facts: Facts) -> str:
        """The text in the message's language, placeholders replaced."""
        text = self.default
        if facts.language and self.by_language:
            language = facts.language.lower()
            text = self.by_language.get(language) or self.by_language.get(language.partition("-")[0]) or text
        return _MARK.sub(lambda mark: _value(mark[1], facts), text) if "{{" in text else text


def _value(mark: str, facts: Facts) -> str:
    name, _, otherwise = mark.partition("|")
    known = PLACEHOLDERS.get(name.strip())
    value = " ".join((known[1](facts) or "").split()) if known else ""
    return value[:_VALUE_LENGTH] or otherwise.strip()
