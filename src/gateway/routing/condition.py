"""The tree a rule's `when` is read into, and how it is put in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from gateway.routing.fields import Field, Kind
from gateway.routing.fold import fold
from gateway.routing.hours import Spans
from gateway.routing.operators import OPERATORS


@dataclass(frozen=True, slots=True)
class Test:
    """A field compared with values. `values`: as written (one value: a tuple of one; a range: two). `zone`: for times.
    `spans`: opening hours, read."""

    field: Field
    operator: str
    values: tuple[Any, ...]
    zone: str = ""
    spans: Spans = ()
    line: int = 0
    column: int = 0
    folded: tuple[Any, ...] = dataclass_field(init=False, compare=False)
    """The values as they are compared: texts folded."""

    def __post_init__(self) -> None:
        folded = tuple([fold(value) if isinstance(value, str) else value for value in self.values])
        object.__setattr__(self, "folded", folded)  # frozen: set once, here

    __test__ = False  # not a test case, though it is called one


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


@dataclass(frozen=True, slots=True)
class Always:
    """`always: true`"""


Condition = Test | All | AnyOf | Not | Always


def conjuncts(condition: Condition) -> tuple[Condition, ...]:
    """What must all hold, flattened; nothing for `always`."""
    if isinstance(condition, All):
        return tuple(part for whole in condition.parts for part in conjuncts(whole))
    return () if isinstance(condition, Always) else (condition,)


def tests_in(condition: Condition) -> Iterator[Test]:
    """Every comparison in the tree."""
    if isinstance(condition, Test):
        yield condition
    elif isinstance(condition, Not):
        yield from tests_in(condition.part)
    elif isinstance(condition, All | AnyOf):
        for part in condition.parts:
            yield from tests_in(part)


def cost(condition: Condition) -> int:
    """How dear it is to evaluate, roughly."""
    if isinstance(condition, Test):
        price = OPERATORS[condition.operator].cost
        return price * 4 if condition.field.kind is Kind.TEXT else price
    return 1 + sum(cost(part) for part in _parts(condition))


def _parts(condition: Condition) -> tuple[Condition, ...]:
    if isinstance(condition, Not):
        return (condition.part,)
    return condition.parts if isinstance(condition, All | AnyOf) else ()


def describe(condition: Condition) -> str:
    """In words: `text contains "refund" or "退款"`."""
    if isinstance(condition, Test):
        return _describe_test(condition)
    if isinstance(condition, Always):
        return "always"
    if isinstance(condition, Not):
        return f"not ({describe(condition.part)})"
    joint = " and " if isinstance(condition, All) else " or "
    return "(" + joint.join(describe(part) for part in condition.parts) + ")"


def _describe_test(test: Test) -> str:
    words = OPERATORS[test.operator].words
    if test.operator == "exists":
        return f"{test.field.name} {'exists' if test.values[0] else 'is missing'}"
    shown = [_show(value) for value in test.values[:8]]
    if len(test.values) > 8:
        shown.append(f"{len(test.values) - 8} more")
    listed = " and ".join(shown) if test.operator in ("between", "contains_all", "has_all") else " or ".join(shown)
    zone = f" ({test.zone})" if test.zone else ""
    return f"{test.field.name} {words} {listed}{zone}"


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
