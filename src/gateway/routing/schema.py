"""JSON Schema of the rule files, for editors; made from the tables the loader itself goes by."""

from __future__ import annotations

import re
from typing import Any

from gateway.model.conversation import PRIORITY_RANK
from gateway.routing.actions import ACTIONS
from gateway.routing.example import EXPECTATIONS, LISTS
from gateway.routing.fields import FIELDS, Field, Kind, find_field
from gateway.routing.load import EVENTS, FILE_KEYS, RULE_KEYS
from gateway.routing.operators import ZONED, Operator, operators_for
from gateway.routing.read_condition import MAX_PATTERN
from gateway.routing.reply_text import MAX_REPLY

_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_TEXTS: dict[str, Any] = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of one rule file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Omnigate routing rules",
        **_object(
            FILE_KEYS,
            {
                "owner": _TEXT,
                "description": _TEXT,
                "zone": _TEXT,
                "default_queue": _TEXT,
                "rules": {"type": "array", "items": {"$ref": "#/$defs/rule"}},
                "tests": {"type": "array", "items": {"$ref": "#/$defs/test"}},
            },
        ),
        "$defs": {
            "rule": _object(
                RULE_KEYS,
                {
                    "id": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"},
                    "name": _TEXT,
                    "owner": _TEXT,
                    "description": _TEXT,
                    "on": _some({"enum": list(EVENTS)}),
                    "when": {"$ref": "#/$defs/condition"},
                    "then": {"$ref": "#/$defs/actions"},
                    "continue": {"type": "boolean"},
                    "enabled": {"type": "boolean"},
                    "tests": {"type": "array", "items": {"$ref": "#/$defs/test"}},
                },
                ("id", "when", "then"),
            ),
            "condition": _condition(),
            **_types(),
            "actions": {**_object(ACTIONS, _actions()), "minProperties": 1},
            "test": _object(
                {
                    "name": "a title",
                    "given": "the facts",
                    "expect": 'what must come of them, or "no match"',
                },
                {
                    "name": _TEXT,
                    "given": {"type": "object", "minProperties": 1},
                    "expect": {
                        "anyOf": [{"const": "no match"}, {**_object(EXPECTATIONS, _expectations()), "minProperties": 1}]
                    },
                },
                ("given", "expect"),
            ),
        },
    }


def _object(keys: dict[str, str], types: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"description": description, **types[name]} for name, description in keys.items()},
    }
    if required:
        found["required"] = list(required)
    return found


def _some(one: dict[str, Any]) -> dict[str, Any]:
    """One, or a list of them."""
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


def _condition() -> dict[str, Any]:
    parts = {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1}
    properties: dict[str, Any] = {
        "all": {"description": "all of these hold", **parts},
        "any": {"description": "at least one of these holds", **parts},
        "not": {"description": "this does not hold", "$ref": "#/$defs/condition"},
        "always": {"description": "every message", "const": True},
    }
    properties |= {name: _named(field) for name, field in FIELDS.items()}
    patterns = {
        "^" + re.escape(example).replace(r"\.x", r"\..+") + "$": _named(field)
        for example in _MADE_UP
        if (field := find_field(example)) is not None
    }
    mapping = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": properties,
        "patternProperties": patterns,
    }
    return {"anyOf": [mapping, parts]}


_MADE_UP = ("contact.attributes.x", "queues.x.waiting", "queues.x.online", "queues.x.open")
"""Fields whose names hold a name."""


def _named(field: Field) -> dict[str, Any]:
    return {"description": field.description, "$ref": f"#/$defs/{_type(field)}"}


def _type(field: Field) -> str:
    """Fields that are compared alike share a definition."""
    return "-".join((field.kind.name.lower(), *field.choices))


def _types() -> dict[str, Any]:
    fields = [field for name in (*FIELDS, *_MADE_UP) if (field := find_field(name)) is not None]
    return {_type(field): _comparisons(field) for field in fields}


def _comparisons(field: Field) -> dict[str, Any]:
    value = _value(field)
    operators = operators_for(field)
    properties = {operator.name: _operator(operator, value) for operator in operators}
    if field.kind in ZONED:
        properties["zone"] = {"description": "the time zone, such as Asia/Shanghai", **_TEXT}
    mapping = {"type": "object", "additionalProperties": False, "minProperties": 1, "properties": properties}
    many = any(operator.name in ("in", "has_any", "open") for operator in operators)
    return {"anyOf": [_some(value) if many else value, mapping]}


def _value(field: Field) -> dict[str, Any]:
    match field.kind:
        case Kind.CHOICE:
            return {"enum": list(field.choices)}
        case Kind.NUMBER:
            return {"type": "number"}
        case Kind.FLAG:
            return {"type": "boolean"}
        case Kind.ANY:
            return {"type": ["string", "number", "boolean"]}
        case Kind.DATE:
            return {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
        case _:
            return _TEXT


def _operator(operator: Operator, value: dict[str, Any]) -> dict[str, Any]:
    match operator.takes:
        case "one":
            schema = value
        case "many" | "hours":
            schema = _some(value)
        case "patterns":
            schema = _some({"type": "string", "minLength": 1, "maxLength": MAX_PATTERN})
        case "range":
            schema = {"type": "array", "items": value, "minItems": 2, "maxItems": 2}
        case _:
            schema = {"type": "boolean"}
    return {"description": operator.description, **schema}


def _actions() -> dict[str, Any]:
    reply = {"type": "string", "minLength": 1, "maxLength": MAX_REPLY}
    texts = ("queue", "bot", "assign", "sla", "language")
    return {
        **dict.fromkeys(texts, _TEXT),
        **dict.fromkeys(("skills", "notify", "webhook"), _TEXTS),
        "priority": {"enum": list(PRIORITY_RANK)},
        "tags": {
            "anyOf": [
                *_TEXTS["anyOf"],
                {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "properties": {"add": _TEXTS, "remove": _TEXTS},
                },
            ]
        },
        "reply": {
            "anyOf": [reply, {"type": "object", "additionalProperties": reply, "required": ["default"]}],
        },
        "close": {"const": True},
        "open_case": {"anyOf": [{"const": True}, _TEXT]},
    }


def _expectations() -> dict[str, Any]:
    return {
        **dict.fromkeys(EXPECTATIONS, _TEXT),
        **dict.fromkeys(LISTS, _TEXTS),
        "queue": {"type": ["string", "null"]},
        "priority": {"enum": list(PRIORITY_RANK)},
        "close": {"type": "boolean"},
    }
