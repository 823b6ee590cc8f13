"""Picks, for a message's event, channel, inbox, language and queue, the rules that can match at all.

For each combination of these five a plan is made once: the rules left to evaluate, each with the checks left to make,
and a template of outcomes in which every other rule has its code already. A decision copies the template and fills in
the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from gateway.routing.compare import Check, compile_condition, language_keys
from gateway.routing.condition import Test
from gateway.routing.facts import Facts, RuleEvent
from gateway.routing.fields import INDEXED
from gateway.routing.fold import fold
from gateway.routing.rule import Rule, indexed_field
from gateway.routing.words import FEWEST, Words

NOT_REACHED, MATCHED, DISABLED, OTHER_EVENT, FAULT = range(5)
FIRST_CONDITION = 5
"""Outcome codes: the five above, else 5 + the place of the failed condition in `Rule.conjuncts`."""

_MAX_BYTES = 32_000_000
"""What plans may take together; past it they are dropped and made again as needed."""
_MAX_KEYS = 10_000


Checks = tuple[tuple[Check, int], ...]
"""(check, outcome code if it fails)"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule ready to run. `checks`: without those the index settles."""

    position: int
    checks: Checks
    rule: Rule


@dataclass(frozen=True, slots=True)
class Plan:
    """`entries`: rules to evaluate whatever the text is. `awaiting`: 1 for each rule to evaluate only if one of its
    words is in the text, b"" for none; the template has the code of that condition for it."""

    template: bytes
    entries: tuple[Entry, ...]
    awaiting: bytes


def _by_position(entry: Entry) -> int:
    return entry.position


class Planner:
    """The index over a set of rules."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._refused: dict[str, bytearray] = {name: bytearray(len(rules)) for name in INDEXED}
        self._accepting: dict[str, dict[str, list[int]]] = {name: {} for name in INDEXED}
        self._events = {event: bytearray(len(rules)) for event in get_args(RuleEvent)}
        self._words = Words()
        self._worded: dict[int, Entry] = {}
        """Rules with words, by position, to run when one of their words is in the text."""
        self._word_codes = bytearray(len(rules))
        use_words = sum(_word_condition(rule) is not None for rule in rules) >= FEWEST
        self._entries = [self._add(position, rule, use_words) for position, rule in enumerate(rules)]
        self._words.build()
        self._plans: dict[tuple[str, tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]], Plan] = {}
        self._by_facts: dict[tuple[str, str, str, str, str | None, str | None], Plan] = {}
        self._bytes = 0

    def _add(self, position: int, rule: Rule, use_words: bool) -> Entry:
        for event, codes in self._events.items():
            if not rule.enabled:
                codes[position] = DISABLED
            elif event not in rule.on:
                codes[position] = OTHER_EVENT
        checks: dict[int, tuple[Check, int]] = {}
        settled: set[str] = set()
        for number, condition in enumerate(rule.conjuncts):
            field = indexed_field(condition)
            if field is None or field in settled or not isinstance(condition, Test):
                checks[number] = (compile_condition(condition), FIRST_CONDITION + number)
                continue
            settled.add(field)
            self._refused[field][position] = FIRST_CONDITION + number
            for value in set(condition.folded):
                key = language_keys(value)[0] if field == "language" else value
                self._accepting[field].setdefault(key, []).append(position)
        worded = _word_condition(rule) if use_words else None
        if worded is not None:
            number, test = worded
            self._words.add(test.folded, position)
            self._word_codes[position] = FIRST_CONDITION + number
            others = tuple(check for other, check in checks.items() if other != number)
            self._worded[position] = Entry(position, others, rule)
        return Entry(position, tuple(checks.values()), rule)

    def entries(self, plan: Plan, facts: Facts) -> Sequence[Entry]:
        """The rules to evaluate for these facts, in order."""
        if not plan.awaiting:
            return plan.entries
        positions = self._words.find(facts)
        if positions is None:
            found = [self._entries[position] for position, waits in enumerate(plan.awaiting) if waits]
        else:
            found = [self._worded[position] for position in positions if plan.awaiting[position]]
        return sorted((*plan.entries, *found), key=_by_position) if found else plan.entries

    def plan(self, facts: Facts) -> Plan:
        """The plan for these facts."""
        key = (facts.event, facts.channel, facts.inbox_id, facts.inbox_name, facts.language, facts.queue)
        plan = self._by_facts.get(key)
        if plan is None:
            if len(self._by_facts) >= _MAX_KEYS:
                self._by_facts.clear()
            plan = self._by_facts[key] = self._canonical(facts)
        return plan

    def _canonical(self, facts: Facts) -> Plan:
        """Values no rule asks for are all alike, so that unknown ones make no plans of their own."""
        values = (
            self._known("channel", (fold(facts.channel),)),
            self._known("inbox", (fold(facts.inbox_id), fold(facts.inbox_name))),
            self._known("language", language_keys(facts.language)),
            self._known("queue", (fold(facts.queue),) if facts.queue is not None else ()),
        )
        key = (facts.event, *values)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make(facts.event, values)
            self._bytes += 2 * len(plan.template) + 8 * len(plan.entries) + 500
            if self._bytes > _MAX_BYTES:
                self._plans.clear()
                self._by_facts.clear()
                self._bytes = 0
            self._plans[key] = plan
        return plan

    def _known(self, field: str, values: tuple[str, ...]) -> tuple[str, ...]:
        accepting = self._accepting[field]
        return tuple([value for value in values if value in accepting])

    def _make(self, event: str, values: tuple[tuple[str, ...], ...]) -> Plan:
        columns = [self._events[event]]
        for field, present in zip(INDEXED, values, strict=True):
            column = bytearray(self._refused[field])
            for value in present:
                for position in self._accepting[field][value]:
                    column[position] = 0
            columns.append(column)
        template = bytearray([a or b or c or d or e for a, b, c, d, e in zip(*columns, strict=True)])
        entries: list[Entry] = []
        awaiting = bytearray(len(template))
        for position, entry in enumerate(self._entries):
            if template[position]:
                continue
            if position in self._worded:
                awaiting[position] = 1
                template[position] = self._word_codes[position]
                continue
            entries.append(entry)
            if not entry.checks and not entry.rule.goes_on:
                break  # it always matches: nothing after it is reached
        return Plan(bytes(template), tuple(entries), bytes(awaiting) if any(awaiting) else b"")


def _word_condition(rule: Rule) -> tuple[int, Test] | None:
    """The condition that asks for words in the text, and its number."""
    for number, condition in enumerate(rule.conjuncts):
        if isinstance(condition, Test) and condition.field.name == "text" and condition.operator == "contains":
            return number, condition
    return None
