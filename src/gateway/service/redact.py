"""Stars in place of secrets: in channel logs, log lines, health reports and check results of connectors."""

from __future__ import annotations

import base64
import json
import re
import sys
import traceback
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, cast
from urllib.parse import quote, quote_plus

import structlog

STARS = "****"
SHORTEST = 4
"""Secrets shorter than this are not sought: they would be found everywhere, and protect nothing."""

_NAMES = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "password",
    "passwd",
    "secret",
    "client_secret",
    "api_key",
    "apikey",
    "x-api-key",
    "access_token",
    "refresh_token",
    "id_token",
    "token",
)


class Redactor:
    """`values`: secrets in the clear; `names`: names of settings that are secret, beside those that always are."""

    def __init__(self, values: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        # The longest first, so that a secret which holds another one is not left in half.
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        self._values = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        known = "|".join(re.escape(name) for name in sorted({*_NAMES, *names}, key=lambda name: (-len(name), name)))
        self._headers = re.compile(r"(?im)^((?:proxy-)?authorization|(?:set-)?cookie)(\s*:\s*)[^\r\n]+")
        self._named = re.compile(
            rf"""(?i)(?<![\w-])((?:{known})"?\s*[:=]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&"'}}]+)"""
        )

    def text(self, text: str) -> str:
        """The text without secrets."""
        if self._values is not None:
            text = self._values.sub(STARS, text)
        text = self._headers.sub(rf"\1\2{STARS}", text)
        return self._named.sub(_starred, text)

    def value(self, value: Any) -> Any:
        """A JSON-like value without secrets, also inside."""
        match value:
            case str():
                return self.text(value)
            case bytes():
                return self.text(value.decode("utf-8", "replace"))
            case Mapping():
                return {str(name): self.value(inner) for name, inner in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.value(inner) for inner in value]
            case None | bool() | int() | float():
                return value
            case _:
                return self.text(str(value))

    def logger(self, inner: Any) -> structlog.stdlib.BoundLogger:
        """A logger that writes to `inner` what this one lets through, tracebacks too."""

        def clean(_: Any, __: str, event: MutableMapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            error = event.pop("exc_info", None)
            fields = {name: self.value(value) for name, value in event.items() if name != "event"}
            if error:
                fields["exception"] = self.text(_formatted(error))
            return (self.value(event.get("event", "")),), fields

        wrapped = structlog.wrap_logger(
            inner, processors=[clean], wrapper_class=structlog.make_filtering_bound_logger(0), context_class=dict
        )
        return cast(structlog.stdlib.BoundLogger, wrapped)


def _starred(found: re.Match[str]) -> str:
    quoted = found[2][:1] if found[2][:1] in "\"'" else ""
    return f"{found[1]}{quoted}{STARS}{quoted}"


def _forms(value: str) -> set[str]:
    """The secret as it may be written: plain, in a URL, in JSON, in Base64."""
    encoded = base64.b64encode(value.encode()).decode().rstrip("=")
    return {
        value,
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        encoded,
        encoded.replace("+", "-").replace("/", "_"),
    }


def _formatted(error: Any) -> str:
    if isinstance(error, BaseException):
        return "".join(traceback.format_exception(error))
    if isinstance(error, tuple):
        return "".join(traceback.format_exception(*error))
    current = sys.exc_info()[1]
    return "".join(traceback.format_exception(current)) if current is not None else ""
