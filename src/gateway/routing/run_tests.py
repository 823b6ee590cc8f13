"""Runs the examples that rules carry, by the very code that decides live."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from gateway.routing.decide import decide
from gateway.routing.example import LISTS
from gateway.routing.explain import explain
from gateway.routing.outcome import Outcome
from gateway.routing.problem import RuleProblem
from gateway.routing.rule import Example
from gateway.routing.ruleset import RuleSet


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one example. `message`: what was expected and what came instead; "" if it went well."""

    rule: str | None
    number: int
    """Counts the rule's (or the set's) examples from 1."""
    name: str
    ok: bool
    message: str
    file: str
    line: int
    column: int

    __test__ = False  # not a test case, though it is called one

    def problem(self) -> RuleProblem:
        """The failure as a problem of its file."""
        title = f"test {self.number}" + (f" ({self.name})" if self.name else "")
        return RuleProblem(
            file=self.file, line=self.line, column=self.column, rule=self.rule, message=f"{title}: {self.message}"
        )


def run_tests(ruleset: RuleSet) -> list[TestResult]:
    """Every example of the set, in order; those of disabled rules are left out."""
    counts: Counter[str | None] = Counter()
    results: list[TestResult] = []
    for example in ruleset.examples:
        if example.rule is not None and not ruleset.by_id[example.rule].enabled:
            continue
        counts[example.rule] += 1
        message = _run(ruleset, example)
        results.append(
            TestResult(
                rule=example.rule,
                number=counts[example.rule],
                name=example.name,
                ok=not message,
                message=message,
                file=example.file,
                line=example.line,
                column=example.column,
            )
        )
    return results


def _run(ruleset: RuleSet, example: Example) -> str:
    """What is wrong, or ""."""
    outcome = decide(ruleset, example.facts)
    if example.expect is None:
        if example.rule is None:
            return f"expected no match, but rule {outcome.matched[0]} matched" if outcome.matched else ""
        return "expected no match, but the rule matched" if example.rule in outcome.matched else ""
    wrong = [text for key, value in example.expect.items() if (text := _compare(key, value, outcome))]
    if example.rule is not None and example.rule not in outcome.matched:
        wrong.insert(0, _why_not(ruleset, example, outcome))
    return "; ".join(wrong)


def _why_not(ruleset: RuleSet, example: Example, outcome: Outcome) -> str:
    said = next(one for one in explain(outcome.outcomes, ruleset, example.facts) if one.rule == example.rule)
    if said.result == "not_reached":
        return f"the rule was not reached: rule {outcome.matched[-1]} decided before it"
    if said.result == "failed":
        return f"the rule did not match: {said.condition} failed, found {said.found}"
    if said.result == "other_event":
        return f"the rule is not for the event {example.facts.event}"
    return "the rule could not be evaluated: " + "; ".join(
        text for rule, text in outcome.errors if rule == example.rule
    )


def _compare(key: str, expected: Any, outcome: Outcome) -> str:
    got = _got(key, outcome)
    by = f" ({outcome.queue_reason})" if key in ("queue", "bot") and outcome.queue_reason else ""
    if key in LISTS:
        missing = [item for item in expected if item not in got]
        return f"expected {key} {', '.join(missing)}, got {', '.join(got) or 'none'}" if missing else ""
    if key == "reply":
        if any(expected in reply.text for reply in outcome.replies):
            return ""
        return f'expected a reply with "{expected}", got ' + (
            " / ".join(f'"{reply.text[:80]}"' for reply in outcome.replies) or "none"
        )
    return "" if got == expected else f"expected {key} {_shown(expected)}, got {_shown(got)}{by}"


def _got(key: str, outcome: Outcome) -> Any:
    match key:
        case "rule":
            return outcome.matched[-1] if outcome.matched else None
        case "tags":
            return outcome.tags_add
        case "tags_removed":
            return outcome.tags_remove
        case "webhook":
            return outcome.webhooks
        case _:
            return getattr(outcome, "replies" if key == "reply" else key)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'
