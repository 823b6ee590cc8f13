"""Turns conditions into closures: the comparison is chosen once, when the rules are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from gateway.routing.condition import All, Always, Condition, Not, Test, cost
from gateway.routing.facts import Facts
from gateway.routing.fields import Field, Getter, Kind
from gateway.routing.fold import TEXT_LIMIT, fold
from gateway.routing.hours import day_numbers, in_spans, zone_named
from gateway.routing.read_condition import compile_pattern

Check = Callable[[Facts], bool]


def compile_condition(condition: Condition) -> Check:
    """A function from facts to whether the condition holds."""
    if isinstance(condition, Test):
        return _test(condition)
    if isinstance(condition, Always):
        return lambda facts: True
    if isinstance(condition, Not):
        inner = compile_condition(condition.part)
        return lambda facts: not inner(facts)
    checks = tuple(compile_condition(part) for part in sorted(condition.parts, key=cost))
    if isinstance(condition, All):
        return lambda facts: all(check(facts) for check in checks)
    return lambda facts: any(check(facts) for check in checks)


def _test(test: Test) -> Check:
    field, operator = test.field, test.operator
    if operator == "exists":
        return _exists(field.get, test.values[0])
    if field.kind in (Kind.HOURS, Kind.WEEKDAY, Kind.DATE):
        return _time(test)
    if operator in ("ne", "not_in", "has_none"):
        positive = {"ne": "eq", "not_in": "in", "has_none": "has_any"}[operator]
        holds = _test(Test(field, positive, test.values))
        return lambda facts: not holds(facts)
    if operator in ("gt", "gte", "lt", "lte", "between"):
        return _order(field, operator, test.values)
    if field.name == "inbox" and operator in ("eq", "in"):
        return _inbox(frozenset(map(fold, test.values)))
    if operator in ("eq", "in"):
        return _equal(field, test.values)
    if operator in ("has", "has_any", "has_all"):
        return _has(field, test.values, everything=operator == "has_all")
    return _within(field, operator, test.values)


def _exists(get: Getter, wanted: bool) -> Check:
    def check(facts: Facts) -> bool:
        value = get(facts)
        return (value is not None and value not in ("", (), [])) is wanted

    return check


def _inbox(wanted: frozenset[str]) -> Check:
    return lambda facts: fold(facts.inbox_id) in wanted or fold(facts.inbox_name) in wanted


def _equal(field: Field, values: Iterable[Any]) -> Check:
    get = field.get
    if field.kind is Kind.TEXT:
        get = attrgetter(field.name + "_folded")
        texts = frozenset(fold(value).strip() for value in values)
        return lambda facts: get(facts).strip() in texts
    if field.kind is Kind.LANGUAGE:
        wanted = frozenset(map(fold, values))
        return lambda facts: not wanted.isdisjoint(language_keys(get(facts)))
    if field.kind is Kind.STRING:
        words = frozenset(map(fold, values))
        return lambda facts: (value := get(facts)) is not None and fold(value) in words
    if field.kind is Kind.ANY:
        keys = frozenset(map(_any_key, values))
        return lambda facts: (value := get(facts)) is not None and _any_key(value) in keys
    plain = frozenset(values)
    return lambda facts: get(facts) in plain


def language_keys(language: str | None) -> tuple[str, ...]:
    """What a language answers to: `zh-TW` to zh-tw and zh."""
    if not language:
        return ()
    folded = fold(language).replace("_", "-")
    primary = folded.partition("-")[0]
    return (folded,) if primary == folded else (folded, primary)


def _any_key(value: Any) -> Any:
    """Attributes come from apps, which may send 3, 3.0 or "3" for the same thing."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if float(value).is_integer() and abs(value) < 1e6 else str(value)
    return fold(value[:TEXT_LIMIT]) if isinstance(value, str) else str(value)


def _number(value: Any) -> float | int | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) <= 40:
        try:
            return float(value)
        except ValueError:
            return None
    return None


def _order(field: Field, operator: str, values: tuple[Any, ...]) -> Check:
    read: Callable[[Facts], Any] = field.get
    if field.kind is Kind.CHOICE:
        ranks = {choice: rank for rank, choice in enumerate(field.choices)}
        values = tuple(ranks[value] for value in values)
        source = field.get
        read = lambda facts: ranks.get(source(facts))  # noqa: E731
    elif field.kind is Kind.ANY:
        source = field.get
        read = lambda facts: _number(source(facts))  # noqa: E731
    first, last = values[0], values[-1]
    match operator:
        case "gt":
            return lambda facts: (value := read(facts)) is not None and value > first
        case "gte":
            return lambda facts: (value := read(facts)) is not None and value >= first
        case "lt":
            return lambda facts: (value := read(facts)) is not None and value < first
        case "lte":
            return lambda facts: (value := read(facts)) is not None and value <= first
        case _:
            return lambda facts: (value := read(facts)) is not None and first <= value <= last


def _time(test: Test) -> Check:
    zone = zone_named(test.zone or "UTC")
    if test.field.kind is Kind.HOURS:
        spans, wanted = test.spans, test.operator == "open"
        return lambda facts: in_spans(spans, facts.local(zone)) is wanted
    if test.field.kind is Kind.WEEKDAY:
        days = frozenset(day for value in test.values for day in day_numbers(value))
        return lambda facts: facts.local(zone).weekday() in days
    if test.operator == "between":
        first, last = test.values
        return lambda facts: first <= facts.local(zone).date().isoformat() <= last
    dates = frozenset(test.values)
    return lambda facts: facts.local(zone).date().isoformat() in dates


def _items(field: Field) -> Callable[[Facts], Iterable[str]]:
    """The folded texts of a list field, or of whatever an attribute holds."""
    get = field.get

    def read(facts: Facts) -> list[str]:
        value = get(facts)
        if value is None:
            return []
        if isinstance(value, list | tuple | set | frozenset):
            return [fold(item) if isinstance(item, str) else str(_any_key(item)) for item in value]
        return [fold(value) if isinstance(value, str) else str(_any_key(value))]

    return read


def _has(field: Field, values: tuple[Any, ...], *, everything: bool) -> Check:
    read = _items(field)
    wanted = [str(_any_key(value)) for value in values]
    families = [value[:-1] for value in wanted if field.name == "attachments.types" and value.endswith("/*")]
    exact = frozenset(value for value in wanted if value[:-1] not in families)
    if everything:
        return lambda facts: (
            exact.issubset(items := read(facts))
            and all(any(item.startswith(family) for item in items) for family in families)
        )
    if field.name == "tags":
        return lambda facts: not exact.isdisjoint(facts.tags_folded)
    if families:
        starts = tuple(families)
        return lambda facts: any(item in exact or item.startswith(starts) for item in read(facts))
    return lambda facts: not exact.isdisjoint(read(facts))


def _within(field: Field, operator: str, values: tuple[Any, ...]) -> Check:
    """contains, contains_all, starts_with, ends_with, matches."""
    if operator == "matches":
        return _matches(field, values)
    words = tuple(fold(value) if isinstance(value, str) else str(_any_key(value)) for value in values)
    if field.kind is Kind.TEXT:
        text: Callable[[Facts], str] = attrgetter(field.name + "_folded")
        return _text_within(text, operator, words)
    one = _text_check(operator, words)
    if field.kind in (Kind.LIST, Kind.ANY):
        read = _items(field)
        return lambda facts: any(one(item) for item in read(facts))
    get = field.get
    return lambda facts: (value := get(facts)) is not None and one(fold(value))


def _text_within(text: Callable[[Facts], str], operator: str, words: tuple[str, ...]) -> Check:
    """The commonest conditions of all, without a call more than needed."""
    if operator == "contains" and len(words) == 1:
        word = words[0]
        return lambda facts: word in text(facts)
    if operator == "contains":

        def check(facts: Facts) -> bool:
            found = text(facts)
            for word in words:  # noqa: SIM110 - half the time of any()
                if word in found:
                    return True
            return False

        return check
    one = _text_check(operator, words)
    return lambda facts: one(text(facts))


def _text_check(operator: str, words: tuple[str, ...]) -> Callable[[str], bool]:
    match operator:
        case "contains":
            return lambda text: any(word in text for word in words)
        case "contains_all":
            return lambda text: all(word in text for word in words)
        case "starts_with":
            return lambda text: text.lstrip().startswith(words)
        case _:
            return lambda text: text.rstrip().endswith(words)


def _matches(field: Field, patterns: tuple[str, ...]) -> Check:
    searches = tuple(compile_pattern(pattern).search for pattern in patterns)
    if field.kind is Kind.TEXT:
        source: Callable[[Facts], bytes] = attrgetter(field.name + "_bytes")
        if len(searches) == 1:
            search = searches[0]
            return lambda facts: search(source(facts)) is not None
        return lambda facts: any(search(source(facts)) is not None for search in searches)
    get = field.get

    def check(facts: Facts) -> bool:
        value = get(facts)
        if value is None:
            return False
        items = value if isinstance(value, list | tuple) else (value,)
        encoded = [str(item)[:TEXT_LIMIT].encode("utf-8", "replace") for item in items]
        return any(search(item) is not None for item in encoded for search in searches)

    return check
