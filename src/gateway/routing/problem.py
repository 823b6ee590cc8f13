"""What is wrong with a rule file, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal

import msgspec

Severity = Literal["error", "warning"]


class RuleProblem(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Lines and columns count from 1. An error keeps the set from being published, a warning does not."""

    file: str
    line: int
    column: int
    rule: str | None
    """The rule's id; None: the file as a whole, or the rule has none."""
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        rule = f" rule {self.rule}:" if self.rule else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity}:{rule} {self.message}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for the known word most like it, else ""."""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
