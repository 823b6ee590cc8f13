"""Rule files to a rule set, or to every problem in them at once."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import msgspec

from gateway.routing.actions import read_actions, read_queue
from gateway.routing.check import check_set
from gateway.routing.example import read_examples
from gateway.routing.facts import RuleEvent
from gateway.routing.names import Names
from gateway.routing.problem import RuleProblem
from gateway.routing.read_condition import read_when, read_zone
from gateway.routing.report import Report
from gateway.routing.rule import Example, Rule, ordered_conjuncts
from gateway.routing.ruleset import RuleSet, hash_of
from gateway.routing.run_tests import run_tests
from gateway.routing.source import Node, kind_of, node_from, parse

FILE_KEYS: dict[str, str] = {
    "owner": "the team that keeps the file; the rules' owner where they name none",
    "description": "what the file is for",
    "zone": "the time zone of hours, weekdays and dates where a condition names none (UTC)",
    "default_queue": "the queue for conversations no rule gives one; in one file only",
    "rules": "the rules, in order",
    "tests": "examples for the whole set",
}
RULE_KEYS: dict[str, str] = {
    "id": "names the rule in explanations; unique over all files",
    "name": "a title",
    "owner": "who answers for it",
    "description": "why it is there",
    "on": "new, reopened, message; without it: new and reopened",
    "when": "the conditions",
    "then": "the actions",
    "continue": "true: later rules are tried too",
    "enabled": "false: it is passed over",
    "tests": "examples of its own",
}
EVENTS: tuple[RuleEvent, ...] = get_args(RuleEvent)
MAX_RULES = 20_000
MAX_TESTS = 20_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", re.ASCII)


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """`ruleset` is None if there is an error among the problems; warnings alone leave it usable."""

    ruleset: RuleSet | None
    problems: tuple[RuleProblem, ...] = ()

    @property
    def ok(self) -> bool:
        return self.ruleset is not None


def load(files: Sequence[tuple[str, str]], names: Names | None = None, *, version: int = 0) -> Loaded:
    """Reads (file name, YAML text) pairs in file-name order. Reports every problem with file, line and column.

    Takes about a millisecond a rule: call it in a thread. `names`: what there is to refer to; None: not checked.
    """
    loading = _Loading(names or Names())
    for name, text in sorted(files):
        loading.read_file(name, text)
    return _finish(loading, version, hash_of(sorted(files)))


def load_values(values: Mapping[str, Any], names: Names | None = None, *, version: int = 0) -> Loaded:
    """As `load`, of files that are values already (a program made them): file name → what its YAML would say.

    Problems then have no lines. Takes a tenth of the time, since most of it goes into reading YAML."""
    loading = _Loading(names or Names())
    for name, value in sorted(values.items()):
        report = Report(name)
        loading.read_tree(node_from(value), report)
        loading.keep(report)
    return _finish(loading, version, hash_of([(name, repr(value)) for name, value in sorted(values.items())]))


def _finish(loading: _Loading, version: int, hash: str) -> Loaded:
    names, problems = loading.names, loading.problems
    if not loading.failed:
        problems = [*problems, *check_set(loading.rules, names, loading.default_queue)]
    problems = sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column))
    if any(problem.severity == "error" for problem in problems):
        return Loaded(ruleset=None, problems=tuple(problems))
    ruleset = RuleSet(
        loading.rules,
        examples=loading.examples,
        default_queue=loading.default_queue,
        version=version,
        hash=hash,
    )
    return Loaded(ruleset=ruleset, problems=tuple(problems))


def load_and_test(files: Sequence[tuple[str, str]], names: Names | None = None, *, version: int = 0) -> Loaded:
    """`load`, then the rules' own tests: each that fails is an error like any other. What publishing asks for."""
    loaded = load(files, names, version=version)
    if loaded.ruleset is None:
        return loaded
    failed = [result.problem() for result in run_tests(loaded.ruleset) if not result.ok]
    return Loaded(ruleset=None if failed else loaded.ruleset, problems=(*loaded.problems, *failed))


EMPTY = RuleSet((), version=0, hash=hash_of(()))
"""No rules at all: everything goes to the default queue."""


class _Loading:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.rules: list[Rule] = []
        self.examples: list[Example] = []
        self.default_queue: str | None = None
        self.problems: list[RuleProblem] = []
        self.failed = False
        self._files: set[str] = set()
        self._ids: dict[str, tuple[str, int]] = {}
        self._default_in = ""

    def read_file(self, name: str, text: str) -> None:
        node, problems = parse(name, text)
        report = Report(name)
        report.problems.extend(problems)
        if name in self._files:
            report.add(Node(None), "two files have this name")
        self._files.add(name)
        if node is None and not problems:
            report.add(Node(None), "the file has no rules", "warning")
        elif node is not None:
            self.read_tree(node, report)
        self.keep(report)

    def keep(self, report: Report) -> None:
        self.problems.extend(report.problems)
        self.failed = self.failed or any(problem.severity == "error" for problem in report.problems)

    def read_tree(self, node: Node, report: Report) -> None:
        if isinstance(node.value, list):
            report.add(node, "write the rules under a key: rules:")
            return
        entries = report.mapping(node, "a rule file", FILE_KEYS)
        owner = report.text(entries["owner"], "owner") if "owner" in entries else ""
        zone = read_zone(entries["zone"], report) if "zone" in entries else "UTC"
        if "description" in entries:
            report.text(entries["description"], "description", limit=2000)
        if "default_queue" in entries:
            self._default(entries["default_queue"], report)
        rules = entries.get("rules")
        if rules is None:
            if entries and "rules" not in node.value and "tests" not in entries and "default_queue" not in entries:
                report.add(node, "the file has no rules", "warning")
        elif not isinstance(rules.value, list):
            report.add(rules, f"rules must be a list, not {kind_of(rules)}")
        else:
            for item in rules.value:
                self._rule(item, report, owner or "", zone or "UTC")
        report.rule = None
        if "tests" in entries:
            self._keep(read_examples(entries["tests"], report, self.names), entries["tests"], report)

    def _default(self, node: Node, report: Report) -> None:
        name = read_queue(node, report, self.names, "default_queue")
        if self._default_in:
            report.add(node, f"default_queue is set in {self._default_in} already")
        self.default_queue, self._default_in = name, report.file

    def _keep(self, examples: list[Example], node: Node, report: Report) -> None:
        if len(self.examples) + len(examples) > MAX_TESTS:
            report.add(node, f"more than {MAX_TESTS} tests")
            return
        self.examples.extend(examples)

    def _rule(self, node: Node, report: Report, owner: str, zone: str) -> None:
        report.rule = None
        if not isinstance(node.value, dict):
            report.add(node, f"a rule must be a mapping with id, when and then, not {kind_of(node)}")
            return
        id = self._id(node, report)
        report.rule = id
        before = len(report.problems)
        entries = report.mapping(node, "a rule", RULE_KEYS)
        for key in ("when", "then"):
            if key not in entries:
                report.add(node, f"a rule needs {key}")
        condition = read_when(entries["when"], report, zone) if "when" in entries else None
        actions = read_actions(entries["then"], report, self.names) if "then" in entries else None
        texts = {
            key: report.text(entries[key], key, limit=2000) or ""
            for key in ("name", "owner", "description")
            if key in entries
        }
        goes_on = report.flag(entries["continue"], "continue") if "continue" in entries else False
        enabled = report.flag(entries["enabled"], "enabled") if "enabled" in entries else True
        on = self._on(entries["on"], report) if "on" in entries else ("new", "reopened")
        if "tests" in entries:
            self._keep(read_examples(entries["tests"], report, self.names), entries["tests"], report)
        if any(problem.severity == "error" for problem in report.problems[before:]):
            return
        if id is None or condition is None or actions is None:
            return
        if len(self.rules) >= MAX_RULES:
            report.add(node, f"more than {MAX_RULES} rules")
            return
        self.rules.append(
            Rule(
                id=id,
                name=texts.get("name", ""),
                owner=texts.get("owner", owner),
                on=on,
                condition=condition,
                conjuncts=ordered_conjuncts(condition),
                actions=actions,
                goes_on=bool(goes_on),
                enabled=bool(enabled),
                file=report.file,
                line=node.line,
                column=node.column,
                source=node.plain(),
            )
        )

    def _id(self, node: Node, report: Report) -> str | None:
        if "id" not in node.value:
            report.add(node, "a rule needs an id")
            return None
        place: Node = node.value["id"]
        id = report.text(place, "id", limit=80)
        if id is None:
            return None
        if not _ID.fullmatch(id):
            report.add(place, f'"{id}" is no id: letters, digits, dots, dashes and underscores, at most 80')
            return None
        if id in self._ids:
            file, line = self._ids[id]
            report.add(place, f'the id "{id}" is taken by the rule in {file}, line {line}')
        else:
            self._ids[id] = (report.file, place.line)
        return id

    def _on(self, node: Node, report: Report) -> tuple[RuleEvent, ...]:
        found = [report.word(item, "on", EVENTS) for item in report.items(node, "on")]
        return tuple(event for event in EVENTS if event in found)
