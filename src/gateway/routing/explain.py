"""A decision's outcomes in words: what came of each rule, and which condition failed on what value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.routing.condition import describe, tests_in
from gateway.routing.facts import Facts
from gateway.routing.fields import Field, queue_of
from gateway.routing.plan import DISABLED, FAULT, FIRST_CONDITION, MATCHED, NOT_REACHED, OTHER_EVENT
from gateway.routing.ruleset import RuleSet
from gateway.routing.summary import facts_summary

Result = Literal["matched", "failed", "not_reached", "disabled", "other_event", "error"]

_RESULTS: dict[int, Result] = {
    NOT_REACHED: "not_reached",
    MATCHED: "matched",
    DISABLED: "disabled",
    OTHER_EVENT: "other_event",
    FAULT: "error",
}


class RuleOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one rule. `condition`: the one that failed (`text contains "refund"`); `found`: what was there."""

    rule: str
    name: str = ""
    result: Result
    condition: str | None = None
    found: str | None = None

    def __str__(self) -> str:
        words = {
            "matched": "matched",
            "not_reached": "not reached: a rule before it decided",
            "disabled": "disabled",
            "other_event": "not for this event",
            "error": "could not be evaluated",
        }.get(self.result, f"failed: {self.condition}, found {self.found}")
        return f"{self.rule}: {words}"


def explain(outcomes: bytes, ruleset: RuleSet, facts: Facts | Mapping[str, Any]) -> list[RuleOutcome]:
    """One entry per rule, in order. `facts`: as decided on, or what `facts_summary` kept of them.

    Raises ValueError if the outcomes are not of this rule set (see Decision.rules_version).
    """
    if len(outcomes) != len(ruleset.rules):
        raise ValueError(f"outcomes of {len(outcomes)} rules, but the rule set has {len(ruleset.rules)}")
    seen = facts_summary(facts) if isinstance(facts, Facts) else facts
    found: list[RuleOutcome] = []
    for position, (rule, code) in enumerate(zip(ruleset.rules, outcomes, strict=True)):
        if code < FIRST_CONDITION:
            found.append(RuleOutcome(rule=rule.id, name=rule.name, result=_RESULTS[code]))
            continue
        text, fields = _described(ruleset, position, code - FIRST_CONDITION)
        found.append(
            RuleOutcome(rule=rule.id, name=rule.name, result="failed", condition=text, found=_found(fields, seen))
        )
    return found


def _described(ruleset: RuleSet, position: int, number: int) -> tuple[str, tuple[Field, ...]]:
    """A condition in words, and its fields; worked out once per rule set."""
    known = ruleset.described.get((position, number))
    if known is None:
        rule = ruleset.rules[position]
        if number >= len(rule.conjuncts):
            raise ValueError(f"rule {rule.id} has no condition {number}: the outcomes are of another rule set")
        condition = rule.conjuncts[number]
        fields = {test.field.name: test.field for test in tests_in(condition)}
        known = ruleset.described[position, number] = describe(condition), tuple(fields.values())
    return known


def _found(fields: tuple[Field, ...], facts: Mapping[str, Any]) -> str:
    """The values of the fields."""
    if len(fields) == 1:
        return _shown(_value(fields[0], facts))
    return ", ".join(f"{field.name}: {_shown(_value(field, facts))}" for field in fields[:8])


def _value(field: Field, facts: Mapping[str, Any]) -> Any:
    queue = queue_of(field)
    if queue is not None:
        load = facts.get(f"queues.{queue}")
        return load.get(field.name.rpartition(".")[2]) if isinstance(load, Mapping) else None
    return facts.get(field.summary_key, field.default)


def _shown(value: Any) -> str:
    if value is None or value in ("", []):
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
