"""Reads a rule's `when` into a condition tree; every mistake is reported, none stops the reading.

    when: {channel: mail, text: {contains: [退款, refund]}}      all of them
    when: {any: [{language: zh}, {not: {tags: {has: spam}}}]}    all · any · not, nested as needed
    when: {always: true}

A field with a plain value means `eq` (a list field: `has`), with a list `in` (a list field: `has_any`).
"""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Any

import re2

from gateway.routing.condition import All, Always, AnyOf, Condition, Not, Test, tests_in
from gateway.routing.fields import Field, Kind, find_field, suggest_field
from gateway.routing.hours import WEEKDAYS, Spans, day_numbers, parse_hours, zone_named
from gateway.routing.operators import OPERATORS, ZONED, Operator, operators_for
from gateway.routing.problem import did_you_mean
from gateway.routing.report import MAX_TEXT, Report
from gateway.routing.source import Node, kind_of

MAX_TESTS = 250
"""Comparisons in one rule; the outcome of each rule is kept in one byte."""
MAX_PATTERN = 1000
_MAX_DEPTH = 12
_GROUPS = ("all", "any", "not", "always")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def read_when(node: Node, report: Report, zone: str) -> Condition | None:
    """The condition of a `when`, or None after a complaint. `zone`: the time zone where a test names none."""
    before = len(report.problems)
    condition = _group(node, report, zone, 0, "when")
    if condition is None or len(report.problems) > before:
        return None
    if sum(1 for _ in tests_in(condition)) > MAX_TESTS:
        report.add(node, f"a rule can have {MAX_TESTS} comparisons at most; split it, or write words as one list")
        return None
    return condition


def _group(node: Node, report: Report, zone: str, depth: int, what: str) -> Condition | None:
    """A mapping or a list, whose parts must all hold."""
    if depth > _MAX_DEPTH:
        report.add(node, "conditions are nested too deeply")
        return None
    if isinstance(node.value, list):
        parts = _parts(node, report, zone, depth, what)
    elif isinstance(node.value, dict):
        parts = _entries(node, report, zone, depth)
    else:
        report.add(node, f"{what} must hold conditions such as channel: mail, not {kind_of(node)}")
        return None
    if not node.value:
        report.add(node, f"{what} is empty; to take every message, write always: true")
        return None
    if any(part is None for part in parts):
        return None
    known = tuple(part for part in parts if part is not None)
    return known[0] if len(known) == 1 else All(known)


def _parts(node: Node, report: Report, zone: str, depth: int, what: str) -> list[Condition | None]:
    return [_group(item, report, zone, depth + 1, f"a condition of {what}") for item in node.value]


def _entries(node: Node, report: Report, zone: str, depth: int) -> list[Condition | None]:
    found: list[Condition | None] = []
    for key, value in node.value.items():
        if key in ("all", "any"):
            found.append(_list(key, value, report, zone, depth))
        elif key == "not":
            part = _group(value, report, zone, depth + 1, "not")
            found.append(None if part is None else Not(part))
        elif key == "always":
            found.append(_always(node, value, report))
        else:
            found.append(_field(node.key(key), key, value, report, zone))
    return found


def _list(key: str, node: Node, report: Report, zone: str, depth: int) -> Condition | None:
    if not isinstance(node.value, list):
        report.add(node, f"{key} must be a list of conditions, not {kind_of(node)}")
        return None
    if not node.value:
        report.add(node, f"{key} is empty")
        return None
    parts = _parts(node, report, zone, depth, key)
    if any(part is None for part in parts):
        return None
    known = tuple(part for part in parts if part is not None)
    return All(known) if key == "all" else AnyOf(known)


def _always(parent: Node, node: Node, report: Report) -> Condition | None:
    if node.value is not True:
        report.add(node, "always can only be true")
    elif len(parent.value) > 1:
        report.add(parent.key("always"), "always stands alone: with other conditions it says nothing")
    else:
        return Always()
    return None


def _field(place: Node, name: str, node: Node, report: Report, zone: str) -> Condition | None:
    field = find_field(name)
    if field is None:
        hint = suggest_field(name) or did_you_mean(name, _GROUPS)
        if not hint and name in OPERATORS:
            hint = f"; {name} is a comparison: write it within a field, as in text: {{{name}: …}}"
        report.add(place, f'there is no field "{name}"{hint}')
        return None
    if node.value is None:
        report.add(
            place, f"{name} is compared with nothing; to ask whether there is a value, write {name}: {{exists: false}}"
        )
        return None
    if not isinstance(node.value, dict):
        return _test(field, _short_form(field, node), node, report, zone=zone, place=place)
    return _operators(field, place, node, report, zone)


def _short_form(field: Field, node: Node) -> Operator:
    many = isinstance(node.value, list)
    if field.kind is Kind.LIST:
        return OPERATORS["has_any" if many else "has"]
    if field.kind is Kind.HOURS:
        return OPERATORS["open"]
    return OPERATORS["in" if many else "eq"]


def _operators(field: Field, place: Node, node: Node, report: Report, zone: str) -> Condition | None:
    """`{gt: 3, lt: 5}`: all must hold. Times take `zone:` beside them."""
    entries: dict[str, Node] = dict(node.value)
    if field.kind in ZONED and "zone" in entries:
        zone = read_zone(entries.pop("zone"), report) or zone
    allowed = {operator.name: operator for operator in operators_for(field)}
    tests: list[Condition | None] = []
    for name, value in entries.items():
        operator = allowed.get(name)
        if operator is None:
            if name in OPERATORS:
                why = f"{field.name} is {field.kind.value}: {name} does not go with it; use {', '.join(allowed)}"
            else:
                why = f'there is no comparison "{name}"' + (
                    did_you_mean(name, allowed) or f"; for {field.name} there are {', '.join(allowed)}"
                )
            report.add(node.key(name), why)
            tests.append(None)
        else:
            tests.append(_test(field, operator, value, report, zone=zone, place=node.key(name)))
    if not entries:
        report.add(place, f"{field.name} has no comparison")
        return None
    if any(test is None for test in tests):
        return None
    known = tuple(test for test in tests if test is not None)
    return known[0] if len(known) == 1 else All(known)


def read_zone(node: Node, report: Report) -> str | None:
    name = report.text(node, "zone")
    if name is None:
        return None
    try:
        zone_named(name)
    except ValueError as error:
        report.add(node, str(error))
        return None
    return name


def _test(field: Field, operator: Operator, node: Node, report: Report, *, zone: str, place: Node) -> Test | None:
    before = len(report.problems)
    if operator not in operators_for(field):  # the short form of a field that has no eq or in
        allowed = ", ".join(one.name for one in operators_for(field))
        report.add(node, f"{field.name} is {field.kind.value}: write a comparison; there are {allowed}")
        return None
    what = f"{field.name} {operator.name}"
    values: tuple[Any, ...] = ()
    spans: Spans = ()
    match operator.takes:
        case "one":
            if isinstance(node.value, list):
                other = {"eq": "in", "ne": "not_in", "has": "has_any"}.get(operator.name, "any")
                report.add(node, f"{what} takes one value; for several use {other}")
                return None
            values = (_value(field, node, report, what),)
        case "many":
            values = tuple(_value(field, item, report, what) for item in report.items(node, what))
        case "patterns":
            values = tuple(_pattern(item, report, what) for item in report.items(node, what))
        case "range":
            values = _range(field, node, report, what)
        case "flag":
            values = (report.flag(node, what),)
        case "hours":
            found = [_hours(item, report, what) for item in report.items(node, what)]
            values = tuple(text for text, _ in found)
            spans = tuple(sorted(span for _, part in found for span in part))
    if len(report.problems) > before:
        return None
    return Test(field, operator.name, values, zone if field.kind in ZONED else "", spans, place.line, place.column)


def _value(field: Field, node: Node, report: Report, what: str) -> Any:
    match field.kind:
        case Kind.TEXT | Kind.STRING | Kind.LANGUAGE | Kind.LIST:
            return report.text(node, what, limit=MAX_TEXT)
        case Kind.CHOICE:
            return report.word(node, what, field.choices)
        case Kind.NUMBER:
            return _number(node, report, what)
        case Kind.FLAG:
            return report.flag(node, what)
        case Kind.WEEKDAY:
            return _weekday(node, report, what)
        case Kind.DATE:
            return _date(node, report, what)
        case _:
            if isinstance(node.value, bool | int | float):
                return node.value if isinstance(node.value, bool) else _number(node, report, what)
            return report.text(node, what, limit=MAX_TEXT)


def _number(node: Node, report: Report, what: str) -> int | float | None:
    if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not math.isfinite(node.value):
        report.add(node, f"{what} must be a number, not {kind_of(node)}")
        return None
    return node.value


def _weekday(node: Node, report: Report, what: str) -> str | None:
    text = report.text(node, what)
    try:
        if text is not None:
            return ",".join(WEEKDAYS[day] for day in day_numbers(text))
    except ValueError as error:
        report.add(node, str(error))
    return None


def _date(node: Node, report: Report, what: str) -> str | None:
    text = report.text(node, what)
    if text is not None:
        try:
            if _DATE.fullmatch(text):
                return date.fromisoformat(text).isoformat()
        except ValueError:
            pass
        report.add(node, f'{what}: "{text}" is not a day; write it like 2026-10-01')
    return None


def _range(field: Field, node: Node, report: Report, what: str) -> tuple[Any, ...]:
    if not isinstance(node.value, list) or len(node.value) != 2:
        report.add(node, f"{what} takes a list of two: [from, to]")
        return ()
    if field.kind is Kind.ANY:
        low, high = (_number(item, report, what) for item in node.value)
    else:
        low, high = (_value(field, item, report, what) for item in node.value)
    if low is not None and high is not None and low > high:
        report.add(node, f"{what}: {low} is after {high}, so nothing lies between them")
    return low, high


def _hours(node: Node, report: Report, what: str) -> tuple[str, Spans]:
    text = report.text(node, what)
    if text is None:
        return "", ()
    try:
        return text, parse_hours(text)
    except ValueError as error:
        report.add(node, str(error))
        return "", ()


def _pattern(node: Node, report: Report, what: str) -> str | None:
    text = report.text(node, what, limit=MAX_PATTERN)
    if text is None:
        return None
    try:
        compile_pattern(text)
    except ValueError as error:
        report.add(node, f"{what}: {error}")
        return None
    return text


def compile_pattern(pattern: str) -> Any:
    """The RE2 expression, for UTF-8 bytes. Raises ValueError in words: RE2 takes linear time, and so has neither
    look-around nor back-references."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 4 << 20
    try:
        return re2.compile(pattern.encode("utf-8", "replace"), options)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        if isinstance(detail, bytes):
            detail = detail.decode("utf-8", "replace")
        raise ValueError(f"not a regular expression that runs in linear time (RE2): {detail}") from None
