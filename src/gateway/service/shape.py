"""What is wrong with data that should have a Struct's shape: all problems, field by field.

msgspec stops at the first error, which makes a form with five mistakes five rounds of work.
"""

from __future__ import annotations

import re
from typing import Any, get_type_hints

import msgspec

from gateway.errors import Problem

MAX_PROBLEMS = 20

_AT = re.compile(r"^(?P<message>.*) - at `\$?(?P<path>.*)`$", re.DOTALL)
_MISSING = re.compile(r"^Object missing required field `(?P<name>.*)`$", re.DOTALL)
_EXTRA = re.compile(r"^Object contains unknown field `(?P<name>.*)`$", re.DOTALL)


def problems_in(data: Any, kind: Any, path: str = "", *, strict: bool = True) -> list[Problem]:
    """Each field's problem, nested Structs included, up to MAX_PROBLEMS; none for what is not a JSON object."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(data, dict)):
        return []
    problems: list[Problem] = []
    fields = {info.encode_name: info for info in msgspec.structs.fields(kind)}
    types = get_type_hints(kind, include_extras=True)
    if kind.__struct_config__.forbid_unknown_fields:
        problems += [Problem(joined(path, str(key)), "is not a known field") for key in data if key not in fields]
    for key, info in fields.items():
        if key not in data:
            if info.required:
                problems.append(Problem(joined(path, key), "is missing"))
            continue
        try:
            msgspec.convert(data[key], types[info.name], strict=strict)
        except msgspec.ValidationError as error:
            inner = problems_in(data[key], types[info.name], joined(path, key), strict=strict)
            problems += inner or [as_problem(error, joined(path, key))]
    return problems[:MAX_PROBLEMS]


def joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def as_problem(error: msgspec.ValidationError, prefix: str = "") -> Problem:
    """msgspec's message as a problem, its path set behind the prefix."""
    text, path = str(error), prefix
    found = _AT.match(text)
    if found:
        text = found["message"]
        path = prefix + found["path"] if prefix else found["path"].removeprefix(".")
    for pattern, message in ((_MISSING, "is missing"), (_EXTRA, "is not a known field")):
        named = pattern.match(text)
        if named:
            return Problem(joined(path, named["name"]), message)
    return Problem(path, text.replace("`", "").replace("Expected", "expected", 1))
