"""Collects a file's problems while it is read, and reads what many places have in common."""

from __future__ import annotations

from collections.abc import Collection

from gateway.routing.problem import RuleProblem, Severity, did_you_mean
from gateway.routing.source import Node, kind_of

MAX_PROBLEMS = 500
MAX_ITEMS = 1000
MAX_TEXT = 10_000


class Report:
    """The problems of one file. `rule` is the id of the rule being read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.rule: str | None = None
        self.problems: list[RuleProblem] = []

    def add(self, node: Node, message: str, severity: Severity = "error") -> None:
        """Something is wrong at the node. What goes beyond 500 problems a file is dropped: nobody reads on there."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(
                RuleProblem(
                    file=self.file,
                    line=node.line,
                    column=node.column,
                    rule=self.rule,
                    message=message,
                    severity=severity,
                )
            )

    def mapping(self, node: Node, what: str, keys: Collection[str]) -> dict[str, Node]:
        """The entries of a mapping that may have these keys; {} after a complaint."""
        if not isinstance(node.value, dict):
            self.add(node, f"{what} must be a mapping, not {kind_of(node)}")
            return {}
        for key in node.value:
            if key not in keys:
                hint = did_you_mean(key, keys) or f"; known are {', '.join(keys)}"
                self.add(node.key(key), f'{what} has no key "{key}"{hint}')
        return {key: value for key, value in node.value.items() if key in keys}

    def text(self, node: Node, what: str, *, limit: int = 200, empty: bool = False) -> str | None:
        """A text, or None after a complaint."""
        value = node.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.add(node, f'{what} must be a text; put it in quotes: "{value}"')
        elif not isinstance(value, str):
            self.add(node, f"{what} must be a text, not {kind_of(node)}")
        elif not value.strip() and not empty:
            self.add(node, f"{what} is empty")
        elif len(value) > limit:
            self.add(node, f"{what} is longer than {limit} characters")
        else:
            return value
        return None

    def flag(self, node: Node, what: str) -> bool | None:
        if isinstance(node.value, bool):
            return node.value
        hint = "" if not isinstance(node.value, str) else "; write true or false"
        self.add(node, f"{what} must be true or false, not {kind_of(node)}{hint}")
        return None

    def word(self, node: Node, what: str, words: Collection[str]) -> str | None:
        """One of the words."""
        value = node.value
        if isinstance(value, str) and value in words:
            return value
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        self.add(node, f"{what} must be one of {', '.join(words)}, not {kind_of(node)}{hint}")
        return None

    def items(self, node: Node, what: str) -> list[Node]:
        """The items of a list that is not empty; a single value counts as a list of one."""
        if not isinstance(node.value, list):
            return [node]
        if not node.value:
            self.add(node, f"{what} is an empty list")
        if len(node.value) > MAX_ITEMS:
            self.add(node, f"{what} has more than {MAX_ITEMS} items")
            return []
        return node.value

    def texts(self, node: Node, what: str, *, limit: int = 200) -> tuple[str, ...]:
        """A text or a list of texts."""
        found = [self.text(item, what, limit=limit) for item in self.items(node, what)]
        return tuple(dict.fromkeys(text for text in found if text is not None))
