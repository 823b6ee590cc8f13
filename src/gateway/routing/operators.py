"""The one table of comparisons: what each means, what it takes, and for which types of fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gateway.routing.fields import Field, Kind

Takes = Literal["one", "many", "patterns", "range", "flag", "hours"]
"""one value · one or a list of values · one or a list of regular expressions · [from, to] · true or false · hours"""

_TEXTS = frozenset({Kind.TEXT, Kind.STRING})
_WORDS = _TEXTS | {Kind.LANGUAGE, Kind.CHOICE}
_SINGLE = _WORDS | {Kind.NUMBER, Kind.FLAG, Kind.ANY}


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    words: str
    """How an explanation says it: `text contains "refund"`."""
    takes: Takes
    kinds: frozenset[Kind]
    description: str
    cost: int = 1
    """Within a rule the cheap are tried first."""


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("eq", "is", "one", _SINGLE | {Kind.WEEKDAY, Kind.DATE}, "is this (case and width do not matter)"),
        Operator("ne", "is not", "one", _SINGLE, "is anything but this, or nothing"),
        Operator(
            "in",
            "is one of",
            "many",
            _WORDS | {Kind.NUMBER, Kind.ANY, Kind.WEEKDAY, Kind.DATE},
            "is one of these",
        ),
        Operator("not_in", "is none of", "many", _WORDS | {Kind.NUMBER, Kind.ANY}, "is none of these, or nothing"),
        Operator(
            "contains",
            "contains",
            "many",
            _TEXTS | {Kind.LIST, Kind.ANY},
            "has one of these within it (case and width do not matter); of a list: one of its items has",
            4,
        ),
        Operator("contains_all", "contains all of", "many", _TEXTS | {Kind.ANY}, "has all of these within it", 4),
        Operator("starts_with", "starts with", "many", _TEXTS | {Kind.LIST, Kind.ANY}, "begins with one of these", 2),
        Operator("ends_with", "ends with", "many", _TEXTS | {Kind.LIST, Kind.ANY}, "ends with one of these", 2),
        Operator(
            "matches",
            "matches",
            "patterns",
            _TEXTS | {Kind.LIST, Kind.ANY},
            "a regular expression (RE2) is found in it; (?i) at its start ignores case",
            50,
        ),
        Operator("gt", "is more than", "one", frozenset({Kind.NUMBER, Kind.ANY, Kind.CHOICE}), "is more than"),
        Operator("gte", "is at least", "one", frozenset({Kind.NUMBER, Kind.ANY, Kind.CHOICE}), "is at least"),
        Operator("lt", "is less than", "one", frozenset({Kind.NUMBER, Kind.ANY, Kind.CHOICE}), "is less than"),
        Operator("lte", "is at most", "one", frozenset({Kind.NUMBER, Kind.ANY, Kind.CHOICE}), "is at most"),
        Operator(
            "between",
            "is between",
            "range",
            frozenset({Kind.NUMBER, Kind.ANY, Kind.DATE}),
            "[from, to], both included",
        ),
        Operator("has", "has", "one", frozenset({Kind.LIST, Kind.ANY}), "the list has this item", 2),
        Operator("has_any", "has any of", "many", frozenset({Kind.LIST, Kind.ANY}), "the list has one of these", 2),
        Operator("has_all", "has all of", "many", frozenset({Kind.LIST, Kind.ANY}), "the list has all of these", 2),
        Operator("has_none", "has none of", "many", frozenset({Kind.LIST, Kind.ANY}), "the list has none of these", 2),
        Operator(
            "exists",
            "exists",
            "flag",
            frozenset(Kind) - {Kind.HOURS, Kind.WEEKDAY, Kind.DATE},
            "true: there is a value; false: there is none, or it is empty",
        ),
        Operator("open", "within", "hours", frozenset({Kind.HOURS}), 'the time is within "mon-fri 09:00-18:00"', 3),
        Operator("closed", "outside", "hours", frozenset({Kind.HOURS}), "the time is outside these hours", 3),
    )
}

ZONED = frozenset({Kind.HOURS, Kind.WEEKDAY, Kind.DATE})
"""Fields of these types take `zone:` beside the operator."""

_ORDER = frozenset({"gt", "gte", "lt", "lte"})


def operators_for(field: Field) -> list[Operator]:
    """The comparisons that make sense for the field."""
    return [
        operator
        for operator in OPERATORS.values()
        if field.kind in operator.kinds
        and not (operator.name in _ORDER and field.kind is Kind.CHOICE and not field.ordered)
    ]
