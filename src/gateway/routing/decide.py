"""Deciding: what the rules say about a message, and why. Pure, and raises for no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from gateway.routing.actions import Actions
from gateway.routing.facts import Facts
from gateway.routing.outcome import Outcome, RuleReply
from gateway.routing.plan import FAULT, MATCHED
from gateway.routing.rule import Rule
from gateway.routing.ruleset import RuleSet

T = TypeVar("T")

_ROBOTS = frozenset({"bounce", "complaint", "auto_reply", "receipt"})


def decide(ruleset: RuleSet, facts: Facts) -> Outcome:
    """The first rule that matches decides; those that say `continue` add to it and let later ones be tried.

    A rule that fails to evaluate counts as not matched and is named in `Outcome.errors`.
    """
    plan = ruleset.planner.plan(facts)
    outcomes = bytearray(plan.template)
    matched: list[Rule] = []
    errors: list[tuple[str, str]] = []
    for entry in ruleset.planner.entries(plan, facts):
        try:
            for check, code in entry.checks:
                if not check(facts):
                    outcomes[entry.position] = code
                    break
            else:
                outcomes[entry.position] = MATCHED
                matched.append(entry.rule)
                if not entry.rule.goes_on:
                    end = entry.position + 1
                    outcomes[end:] = bytes(len(outcomes) - end)  # not reached
                    break
        except Exception as error:  # data a condition was not made for must not stop the message
            outcomes[entry.position] = FAULT
            errors.append((entry.rule.id, f"{type(error).__name__}: {error}"[:200]))
    return _merge(ruleset, facts, matched, bytes(outcomes), tuple(errors))


def _merge(
    ruleset: RuleSet, facts: Facts, matched: list[Rule], outcomes: bytes, errors: tuple[tuple[str, str], ...]
) -> Outcome:
    if not matched:
        starts = facts.event != "message"
        return Outcome(
            rules_version=ruleset.version,
            outcomes=outcomes,
            queue=ruleset.default_queue if starts else None,
            queue_reason="no rule matched: default queue" if starts else "",
            errors=errors,
        )
    done = [rule.actions for rule in matched]
    add, remove = _tags(done)
    queue, bot, reason = _queue(ruleset, facts, matched)
    return Outcome(
        rules_version=ruleset.version,
        outcomes=outcomes,
        matched=tuple([rule.id for rule in matched]),
        actions=tuple([actions.document for actions in done]),
        queue=queue,
        queue_reason=reason,
        bot=bot,
        assign=_first([actions.assign for actions in done]),
        priority=_first([actions.priority for actions in done]),
        tags_add=add,
        tags_remove=remove,
        skills=_joined([actions.skills for actions in done]),
        sla=_first([actions.sla for actions in done]),
        language=_first([actions.language for actions in done]),
        replies=_replies(matched, facts),
        close=True in [actions.close for actions in done],
        open_case=_first([actions.open_case for actions in done]),
        notify=_joined([actions.notify for actions in done]),
        webhooks=_joined([actions.webhooks for actions in done]),
        errors=errors,
    )


def _queue(ruleset: RuleSet, facts: Facts, matched: Sequence[Rule]) -> tuple[str | None, str | None, str]:
    """(queue, bot, reason)"""
    for rule in matched:
        queue = rule.actions.queue or rule.actions.bot
        if queue is not None:
            return queue, rule.actions.bot, f"rule {rule.id}"
    if facts.event == "message":
        return None, None, ""
    return ruleset.default_queue, None, "the matching rules name no queue: default queue"


def _first(values: Sequence[T | None]) -> T | None:
    """The first that is set: an earlier rule's word counts."""
    for value in values:
        if value is not None:
            return value
    return None


def _tags(done: Sequence[Actions]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a tag that one rule adds and another removes, the first rule's word counts."""
    if len(done) == 1:
        return done[0].tags_add, done[0].tags_remove
    said: dict[str, bool] = {}
    for actions in done:
        for tag in actions.tags_add:
            said.setdefault(tag, True)
        for tag in actions.tags_remove:
            said.setdefault(tag, False)
    return tuple([tag for tag, add in said.items() if add]), tuple([tag for tag, add in said.items() if not add])


def _replies(matched: Sequence[Rule], facts: Facts) -> tuple[RuleReply, ...]:
    if facts.kind in _ROBOTS:
        return ()
    return tuple(
        [
            RuleReply(rule=rule.id, text=rule.actions.reply.fill(facts))
            for rule in matched
            if rule.actions.reply is not None
        ]
    )


def _joined(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """One after the other, without repeats."""
    return parts[0] if len(parts) == 1 else tuple(dict.fromkeys([item for part in parts for item in part]))
