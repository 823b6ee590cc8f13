"""YAML 1.2 with the place of every value, so that each complaint can name line and column.

Scalars follow the YAML 1.2 core schema: `no`, `on` and `12:30` are text. Duplicate keys, directives, tags of one's own
and merge keys are refused: each of them makes a file mean something else than it seems to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from gateway.routing.problem import RuleProblem

MAX_FILE_CHARACTERS = 8_000_000
_MAX_DEPTH = 40
_MAX_REPEATS = 20
"""Values for each character of the text; more come only from aliases of aliases, which can stand for billions."""
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands (line and column from 1). `value`: text, number, bool, None, list[Node] or
    dict[str, Node]; `keys`: where each key of a mapping stands."""

    value: Any
    line: int = 1
    column: int = 1
    keys: dict[str, tuple[int, int]] | None = None

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def key(self, name: str) -> Node:
        """The place of a key, as a node."""
        line, column = (self.keys or {}).get(name, (self.line, self.column))
        return Node(name, line, column)


def kind_of(node: Node) -> str:
    """What a value is, in the words of a message."""
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the text "{value[:60]}"'
    return "a list" if isinstance(value, list) else "a mapping"


class _Refusal(Exception):
    def __init__(self, node: Any, message: str) -> None:
        super().__init__(message)
        self.line, self.column = node.start_mark.line + 1, node.start_mark.column + 1


def parse(file: str, text: str) -> tuple[Node | None, list[RuleProblem]]:
    """The file's value, or None and what keeps it from being read. An empty file is None without a problem."""

    def refuse(line: int, column: int, message: str) -> tuple[None, list[RuleProblem]]:
        return None, [RuleProblem(file=file, line=line, column=column, rule=None, message=message)]

    if len(text) > MAX_FILE_CHARACTERS:
        return refuse(1, 1, f"the file is longer than {MAX_FILE_CHARACTERS} characters; split it")
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("%"):
            return refuse(number, 1, "directives are not taken: the file is read as YAML 1.2")
        if line.strip() and not line.startswith(("#", "---")):
            break
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        return (None, []) if root is None else (_Reader(len(text)).read(root, 0), [])
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        return refuse(mark.line + 1 if mark else 1, mark.column + 1 if mark else 1, f"not valid YAML: {what}")
    except _Refusal as refusal:
        return refuse(refusal.line, refusal.column, str(refusal))
    except RecursionError:
        return refuse(1, 1, "nested too deeply")
    except YAMLError as error:
        position = getattr(error, "position", None)
        before = text[:position] if isinstance(position, int) else ""
        what = str(getattr(error, "reason", "")) or "it cannot be read"
        return refuse(before.count("\n") + 1, len(before) - before.rfind("\n"), f"not valid YAML: {what}")


class _Reader:
    """Turns ruamel's composed nodes into ours."""

    def __init__(self, length: int) -> None:
        self._left = length * _MAX_REPEATS

    def read(self, node: Any, depth: int) -> Node:
        self._left -= 1
        if self._left < 0:
            raise _Refusal(node, "too many values")
        if depth > _MAX_DEPTH:  # also ends an alias within the value it stands for
            raise _Refusal(node, "nested too deeply")
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        if isinstance(node, MappingNode):
            values: dict[str, Node] = {}
            keys: dict[str, tuple[int, int]] = {}
            for key_node, value_node in node.value:
                key = self._key(key_node)
                if key in values:
                    raise _Refusal(key_node, f'the key "{key}" stands here twice (first in line {keys[key][0]})')
                place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
                value = self.read(value_node, depth + 1)
                # a value that is missing stands nowhere: its key is where to look
                values[key] = Node(None, *place) if value.value is None else value
                keys[key] = place
            return Node(values, line, column, keys)
        if isinstance(node, SequenceNode):
            return Node([self.read(item, depth + 1) for item in node.value], line, column)
        return Node(_scalar(node), line, column)

    def _key(self, node: Any) -> str:
        if not isinstance(node, ScalarNode):
            raise _Refusal(node, "a key must be a word")
        if node.tag == _TAG + "merge":
            raise _Refusal(node, "merge keys (<<) are not taken: write the values out")
        return str(node.value)


def _scalar(node: Any) -> Any:
    text, tag = node.value, node.tag.removeprefix(_TAG)
    if tag in ("str", "timestamp", "value"):
        return text
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    try:
        if tag == "int":
            return _integer(text)
        if tag == "float":
            return _float(text)
    except ValueError:
        raise _Refusal(node, f'"{text}" is not a number; quote it if it is meant as text') from None
    raise _Refusal(node, f"the tag {node.tag[:60]} is not taken")


def _integer(text: str) -> int:
    if len(text) > 30:
        raise ValueError(text)
    digits = text.lower().lstrip("+-")
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0o") else 2 if digits.startswith("0b") else 10
    return int(text.replace("_", ""), base)


def _float(text: str) -> float:
    lower = text.lower().replace("_", "")
    if lower.lstrip("+-") == ".inf":
        return -math.inf if lower.startswith("-") else math.inf
    return math.nan if lower == ".nan" else float(lower)


def node_from(value: Any) -> Node:
    """A node tree made of plain Python values, without places: for rules that were never text."""
    if isinstance(value, dict):
        return Node({str(key): node_from(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Node([node_from(item) for item in value])
    return Node(value)
