"""A loaded rule set: immutable, ready to decide."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from gateway.routing.condition import tests_in
from gateway.routing.fields import Field
from gateway.routing.plan import Planner
from gateway.routing.rule import Example, Rule


class RuleSet:
    """Rules in order, with what deciding needs. `version`: the published number (0: not published). `hash`: SHA-256
    over the files, so that equal texts have equal hashes. `default_queue`: the set's own, where no rule names one."""

    __slots__ = ("by_id", "default_queue", "described", "examples", "hash", "planner", "reads", "rules", "version")

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        examples: Sequence[Example] = (),
        default_queue: str | None = None,
        version: int = 0,
        hash: str = "",
    ) -> None:
        self.rules = tuple(rules)
        self.examples = tuple(examples)
        self.default_queue = default_queue
        self.version = version
        self.hash = hash
        self.by_id = {rule.id: rule for rule in self.rules}
        self.reads = frozenset(test.field.name for rule in self.rules for test in tests_in(rule.condition))
        """Names of the fields its conditions look at."""
        self.planner = Planner(self.rules)
        self.described: dict[tuple[int, int], tuple[str, tuple[Field, ...]]] = {}
        """(rule's position, number of its condition) → the condition in words and its fields; see explain."""

    @property
    def reads_queues(self) -> bool:
        """Whether any condition asks how queues stand: if not, Facts.queues can stay empty."""
        return any(name.startswith("queues.") for name in self.reads)


def hash_of(files: Sequence[tuple[str, str]]) -> str:
    """SHA-256 (hex) over names and texts."""
    digest = hashlib.sha256()
    for name, text in files:
        for part in (name, text):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
