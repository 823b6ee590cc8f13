"""Deciding: what the rules say about a message, and why. Pure, and raises for no data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.routing.facts import Facts
from gateway.routing.outcome import Outcome, RuleReply
from gateway.routing.plan import FAULT, MATCHED
from gateway.routing.rule import Rule
from gateway.routing.ruleset import RuleSet

_ROBOTS = frozenset({"bounce", "complaint", "auto_reply", "receipt"})


def decide(ruleset: RuleSet, facts: Facts) -> Outcome:
    """The first rule that matches decides; those that say `continue` add to it and let later ones be tried.

    A rule that fails to evaluate counts as not matched and is named in `Outcome.errors`.
    """
    plan = ruleset.planner.plan(facts)
    outcomes = bytearray(plan.template)
    matched: list[Rule] = []
    errors: list[tuple[str, str]] = []
    for entry in plan.entries:
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
    single: dict[str, Any] = {}
    for rule in matched:
        actions = rule.actions
        for name in ("priority", "assign", "sla", "language", "open_case"):
            if name not in single and (value := getattr(actions, name)) is not None:
                single[name] = value
        if "queue" not in single and (queue := actions.queue or actions.bot) is not None:
            single["queue"], single["bot"], single["queue_reason"] = queue, actions.bot, f"rule {rule.id}"
    if "queue" not in single and facts.event != "message":
        why = "the matching rules name no queue" if matched else "no rule matched"
        single["queue"], single["queue_reason"] = ruleset.default_queue, f"{why}: default queue"
    add, remove = _tags(matched)
    everything = [rule.actions for rule in matched]
    return Outcome(
        rules_version=ruleset.version,
        outcomes=outcomes,
        matched=tuple([rule.id for rule in matched]),
        actions=tuple([actions.document for actions in everything]),
        tags_add=add,
        tags_remove=remove,
        skills=_joined(actions.skills for actions in everything),
        replies=_replies(matched, facts),
        close=any(actions.close for actions in everything),
        notify=_joined(actions.notify for actions in everything),
        webhooks=_joined(actions.webhooks for actions in everything),
        errors=errors,
        **single,
    )


def _tags(matched: Iterable[Rule]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a tag that one rule adds and another removes, the first rule's word counts."""
    said: dict[str, bool] = {}
    for rule in matched:
        for tag in rule.actions.tags_add:
            said.setdefault(tag, True)
        for tag in rule.actions.tags_remove:
            said.setdefault(tag, False)
    return tuple([tag for tag, add in said.items() if add]), tuple([tag for tag, add in said.items() if not add])


def _replies(matched: Iterable[Rule], facts: Facts) -> tuple[RuleReply, ...]:
    if facts.kind in _ROBOTS:
        return ()
    return tuple(
        [
            RuleReply(rule=rule.id, text=rule.actions.reply.fill(facts))
            for rule in matched
            if rule.actions.reply is not None
        ]
    )


def _joined(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([item for part in parts for item in part]))
