"""Whether one condition holding means that another holds too: simple cases only, never wrongly yes."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.routing.compare import language_keys
from gateway.routing.condition import All, Always, AnyOf, Condition, Not, Test
from gateway.routing.fields import Kind


def implies_all(narrow: Iterable[Condition], wide: Iterable[Condition]) -> bool:
    """Whether the conjuncts `narrow` together mean each of the conjuncts `wide`."""
    known = tuple(narrow)
    return all(any(implies(one, other) for one in known) for other in wide)


def implies(narrow: Condition, wide: Condition) -> bool:
    """Whether every message that fulfils `narrow` fulfils `wide`."""
    if isinstance(narrow, Test) and isinstance(wide, Test):  # by far the commonest pair
        return narrow.field.name == wide.field.name and _test_implies(narrow, wide)
    if isinstance(wide, Always):
        return True
    if isinstance(narrow, AnyOf):
        return all(implies(part, wide) for part in narrow.parts)
    if isinstance(wide, All):
        return all(implies(narrow, part) for part in wide.parts)
    if isinstance(narrow, All) and any(implies(part, wide) for part in narrow.parts):
        return True
    if isinstance(wide, AnyOf):
        return any(implies(narrow, part) for part in wide.parts)
    return isinstance(narrow, Not) and isinstance(wide, Not) and implies(wide.part, narrow.part)


def _test_implies(narrow: Test, wide: Test) -> bool:
    """For two comparisons of one field."""
    if narrow.operator == wide.operator and narrow.zone == wide.zone and narrow.values == wide.values:
        return True
    if narrow.field.kind in (Kind.HOURS, Kind.ANY):
        return False
    one, other = narrow.operator, wide.operator
    if narrow.field.kind is Kind.NUMBER or one in _RANGES or other in _RANGES:
        return _range_implies(narrow, wide)
    if narrow.field.kind in (Kind.WEEKDAY, Kind.DATE):
        return one in _EQUAL and other in _EQUAL and narrow.zone == wide.zone and _within(narrow, wide)
    if one in _EQUAL and other in _EQUAL:
        return _within(narrow, wide)
    if other == "exists" and wide.values[0] is True:
        return one in (*_EQUAL, "contains", "contains_all", "starts_with", "ends_with", "has", "has_any", "has_all")
    if narrow.field.kind in (Kind.TEXT, Kind.STRING):
        return _text_implies(narrow, wide)
    if narrow.field.kind is Kind.LIST and one in ("has", "has_any", "has_all") and other in ("has", "has_any"):
        ours, theirs = set(narrow.folded), set(wide.folded)
        return bool(ours & theirs) if one == "has_all" else ours <= theirs
    return False


_EQUAL = ("eq", "in")
_RANGES = ("gt", "gte", "lt", "lte", "between")


def _within(narrow: Test, wide: Test) -> bool:
    if narrow.field.kind is Kind.LANGUAGE:
        wanted = set(wide.folded)
        return all(wanted & set(language_keys(value)) for value in narrow.values)
    return set(narrow.folded) <= set(wide.folded)


def _text_implies(narrow: Test, wide: Test) -> bool:
    """A text that contains "refund please" contains "refund"; one that is "refund" does too."""
    ours, theirs = narrow.folded, wide.folded
    one, other = narrow.operator, wide.operator
    if other == "contains" and one in (*_EQUAL, "contains", "starts_with", "ends_with"):
        return all(any(word in mine for word in theirs) for mine in ours)
    if other == "contains" and one == "contains_all":
        return any(word in mine for mine in ours for word in theirs)
    if other == one == "starts_with":
        return all(any(mine.startswith(word) for word in theirs) for mine in ours)
    if other == one == "ends_with":
        return all(any(mine.endswith(word) for word in theirs) for mine in ours)
    if other == one == "contains_all":
        return all(any(word in mine for mine in ours) for word in theirs)
    return False


def _range_implies(narrow: Test, wide: Test) -> bool:
    inner, outer = _interval(narrow), _interval(wide)
    if inner is None or outer is None:
        return False
    low, low_open, high, high_open = inner
    from_, from_open, to, to_open = outer
    above = low > from_ or (low == from_ and (low_open or not from_open))
    below = high < to or (high == to and (high_open or not to_open))
    return above and below


def _interval(test: Test) -> tuple[float, bool, float, bool] | None:
    """(low, open, high, open) of a comparison of numbers or ranks."""
    if test.field.kind is Kind.NUMBER:
        numbers = [float(value) for value in test.values if isinstance(value, int | float)]
    elif test.field.kind is Kind.CHOICE and test.field.ordered:
        numbers = [float(test.field.choices.index(value)) for value in test.values if value in test.field.choices]
    else:
        return None
    if not numbers:
        return None
    infinite = float("inf")
    match test.operator:
        case "gt":
            return numbers[0], True, infinite, True
        case "gte":
            return numbers[0], False, infinite, True
        case "lt":
            return -infinite, True, numbers[0], True
        case "lte":
            return -infinite, True, numbers[0], False
        case "between":
            return min(numbers), False, max(numbers), False
        case "eq":
            return numbers[0], False, numbers[0], False
        case _:
            return None
