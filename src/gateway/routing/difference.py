"""What a changed rule set would change: for messages (dry run, replay), and in the rules themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from gateway.routing.decide import decide
from gateway.routing.facts import Facts
from gateway.routing.outcome import Outcome
from gateway.routing.ruleset import RuleSet

_COMPARED = (
    "queue",
    "bot",
    "assign",
    "priority",
    "tags_add",
    "tags_remove",
    "skills",
    "sla",
    "language",
    "replies",
    "close",
    "open_case",
    "notify",
    "webhooks",
)


class DecisionDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A message that would fare otherwise. `position` counts the messages given, from 0."""

    position: int
    facts: Facts
    old: Outcome
    new: Outcome
    changed: dict[str, tuple[Any, Any]]
    """What differs: name → (old, new). Replies by text."""

    @property
    def elsewhere(self) -> bool:
        """Whether it would go to another queue."""
        return "queue" in self.changed


def diff_decisions(old: RuleSet, new: RuleSet, facts: Iterable[Facts]) -> Iterator[DecisionDifference]:
    """Those of the messages on which the two sets disagree, in order. Lazy: read as many as you need."""
    for position, one in enumerate(facts):
        before, after = decide(old, one), decide(new, one)
        changed = _changed(before, after)
        if changed:
            yield DecisionDifference(position=position, facts=one, old=before, new=after, changed=changed)


def _changed(before: Outcome, after: Outcome) -> dict[str, tuple[Any, Any]]:
    changed: dict[str, tuple[Any, Any]] = {}
    for name in _COMPARED:
        one, other = getattr(before, name), getattr(after, name)
        if name == "replies":
            one, other = tuple([reply.text for reply in one]), tuple([reply.text for reply in other])
        if one != other:
            changed[name] = (one, other)
    return changed


class RuleDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One rule that differs between two sets. `keys`: which of its keys changed."""

    rule: str
    change: Literal["added", "removed", "changed", "moved"]
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        sign = {"added": "+", "removed": "-", "changed": "~", "moved": "^"}[self.change]
        return f"{sign} {self.rule}" + (f" ({', '.join(self.keys)})" if self.keys else f" ({self.change})")


def diff_rules(old: RuleSet, new: RuleSet) -> list[RuleDifference]:
    """Rules added, changed or moved in the new set's order, then those removed. Comments and layout do not count."""
    found: list[RuleDifference] = []
    kept_old = [rule.id for rule in old.rules if rule.id in new.by_id]
    kept_new = [rule.id for rule in new.rules if rule.id in old.by_id]
    moved = _moved(kept_old, kept_new)
    for rule in new.rules:
        before = old.by_id.get(rule.id)
        if before is None:
            found.append(RuleDifference(rule=rule.id, change="added"))
            continue
        one, other = before.source, rule.source
        keys = [key for key in dict.fromkeys((*one, *other)) if one.get(key) != other.get(key)]
        if keys:
            found.append(RuleDifference(rule=rule.id, change="changed", keys=tuple(keys)))
        if rule.id in moved:
            found.append(RuleDifference(rule=rule.id, change="moved"))
    found += [RuleDifference(rule=rule.id, change="removed") for rule in old.rules if rule.id not in new.by_id]
    return found


def _moved(old: list[str], new: list[str]) -> set[str]:
    """Those not on a longest run that kept its order (longest increasing subsequence)."""
    place = {id: position for position, id in enumerate(old)}
    tails: list[int] = []
    heads: list[str] = []
    before: dict[str, str | None] = {}
    for id in new:
        low, high = 0, len(tails)
        while low < high:
            middle = (low + high) // 2
            if tails[middle] < place[id]:
                low = middle + 1
            else:
                high = middle
        tails[low:] = [place[id], *tails[low + 1 :]]
        heads[low:] = [id, *heads[low + 1 :]]
        before[id] = heads[low - 1] if low else None
    kept: set[str] = set()
    current = heads[-1] if heads else None
    while current is not None:
        kept.add(current)
        current = before[current]
    return set(new) - kept
