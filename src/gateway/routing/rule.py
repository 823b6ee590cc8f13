"""A rule as a value: what it asks, what it does, and its own examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.routing.actions import Actions
from gateway.routing.condition import Condition, Test, conjuncts, cost
from gateway.routing.facts import Facts, RuleEvent
from gateway.routing.fields import INDEXED


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A test: given these facts, the rules must say this. `rule`: whose it is; None: the whole set's.

    `expect` None: no match (of that rule; of any, for the set's).
    """

    rule: str | None
    name: str
    facts: Facts
    expect: Mapping[str, Any] | None
    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    id: str
    name: str
    owner: str
    on: tuple[RuleEvent, ...]
    condition: Condition
    conjuncts: tuple[Condition, ...]
    """What must all hold, in the order it is tried; outcome codes count these."""
    actions: Actions
    goes_on: bool
    """`continue: true`: later rules are tried too."""
    enabled: bool
    file: str
    line: int
    column: int
    source: Mapping[str, Any]
    """As written, for comparing versions."""


def ordered_conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """The conjuncts as they are tried: indexed ones first, then the cheap, regular expressions last."""

    def key(part: Condition) -> tuple[int, int]:
        index = indexed_field(part)
        return (INDEXED.index(index), 0) if index else (len(INDEXED), cost(part))

    return tuple(sorted(conjuncts(condition), key=key))


def indexed_field(condition: Condition) -> str | None:
    """The name of the indexed field the condition settles by equality, if it does."""
    if isinstance(condition, Test) and condition.field.name in INDEXED and condition.operator in ("eq", "in"):
        return condition.field.name
    return None
