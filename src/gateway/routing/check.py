"""Checks of a whole set: rules that are never reached, queues nobody serves, rules that could go round in circles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gateway.routing.condition import Condition, Test, tests_in
from gateway.routing.fields import Kind, queue_of
from gateway.routing.fold import fold
from gateway.routing.implies import implies_all
from gateway.routing.names import Names, QueueName
from gateway.routing.problem import RuleProblem, Severity, did_you_mean
from gateway.routing.rule import Rule

_MAX_PAIRS = 200_000
"""Pairs of rules compared at most when looking for unreachable ones."""


def check_set(rules: Sequence[Rule], names: Names, default_queue: str | None) -> list[RuleProblem]:
    """Problems that no rule has alone."""
    problems = [*_unreachable(rules), *_names(rules, names), *_loops(rules), *_dead_ends(rules, default_queue)]
    return [*problems, *_unserved(rules, names)]


def _problem(rule: Rule, message: str, severity: Severity, at: Test | None = None) -> RuleProblem:
    return RuleProblem(
        file=rule.file,
        line=at.line if at else rule.line,
        column=at.column if at else rule.column,
        rule=rule.id,
        message=message,
        severity=severity,
    )


def _unreachable(rules: Sequence[Rule]) -> Iterable[RuleProblem]:
    """A rule behind one that decides all it could match."""
    catchers = _Catchers()
    for rule in rules:
        if not rule.enabled:
            continue
        earlier = catchers.catching(rule)
        if earlier is not None:
            what = "takes every message" if not earlier.conjuncts else "matches all that this one could"
            where = "" if earlier.file == rule.file else f" in {earlier.file}"
            yield _problem(rule, f"is never reached: rule {earlier.id} (line {earlier.line}{where}) {what}", "error")
        elif catchers.spent:
            text = "so many rules come before this one that it and later ones were not all checked for being reached"
            yield _problem(rule, text, "warning")
            return
        elif not rule.goes_on:
            catchers.add(rule)


class _Catchers:
    """Rules that end the search, found again by one of their conditions, so that not every pair is compared."""

    def __init__(self) -> None:
        self._always: list[Rule] = []
        self._by_value: dict[tuple[str, str], list[Rule]] = {}
        self._by_field: dict[str, list[Rule]] = {}
        self._fields: dict[str, frozenset[str]] = {}
        self._pairs = 0

    @property
    def spent(self) -> bool:
        """As many pairs were compared as may be."""
        return self._pairs > _MAX_PAIRS

    def add(self, rule: Rule) -> None:
        tests = [test for test in rule.conjuncts if isinstance(test, Test)]
        equal = [test for test in tests if _is_equality(test)]
        self._fields[rule.id] = frozenset(test.field.name for test in tests)
        if not rule.conjuncts:
            self._always.append(rule)
        elif equal:
            anchor = min(equal, key=lambda test: len(test.values))
            for value in set(anchor.folded):
                self._by_value.setdefault((anchor.field.name, value), []).append(rule)
        else:
            self._by_field.setdefault(tests[0].field.name if tests else "", []).append(rule)

    def catching(self, rule: Rule) -> Rule | None:
        """An earlier rule that leaves nothing for this one."""
        fields = frozenset(test.field.name for test in tests_in(rule.condition))
        events = set(rule.on)
        for earlier in self._near(rule):
            if self._fields[earlier.id] <= fields:
                self._pairs += 1
                if self.spent:
                    return None
                if events <= set(earlier.on) and implies_all(rule.conjuncts, earlier.conjuncts):
                    return earlier
        return None

    def _near(self, rule: Rule) -> Iterable[Rule]:
        """Rules that share a field with this one, and a value where that settles it."""
        yield from self._always
        yield from self._by_field.get("", ())
        for part in rule.conjuncts:
            for test in {(test.field.name, test.operator): test for test in tests_in(part)}.values():
                yield from self._by_field.get(test.field.name, ())
                if _is_equality(test):
                    yield from self._by_value.get((test.field.name, test.folded[0]), ())


def _is_equality(test: Test) -> bool:
    """Of fields whose equal values are equal texts: a language also answers to its region's."""
    return test.operator in ("eq", "in") and test.field.kind in (Kind.STRING, Kind.CHOICE)


def _names(rules: Sequence[Rule], names: Names) -> Iterable[RuleProblem]:
    """Names within conditions that are not there: such a condition can never hold."""
    for rule in rules:
        for test in tests_in(rule.condition):
            queue = queue_of(test.field)
            if queue is not None and names.queues is not None and queue not in names.queues:
                yield _problem(rule, f'there is no queue "{queue}"{did_you_mean(queue, names.queues)}', "error", test)
            known = {
                "queue": names.queues,
                "previous.queue": names.queues,
                "inbox": names.inboxes,
                "channel": names.channels,
                "assignee": names.agents,
                "previous.assignee": names.agents,
            }.get(test.field.name)
            if known is None or test.operator not in ("eq", "in", "ne", "not_in"):
                continue
            folded = {fold(name) for name in known}
            for value in test.values:
                if fold(value) not in folded:
                    what = test.field.name.rpartition(".")[2]
                    yield _problem(rule, f'there is no {what} "{value}"{did_you_mean(value, known)}', "warning", test)


def _loops(rules: Sequence[Rule]) -> Iterable[RuleProblem]:
    """Answers that could be answered by a machine, again and again."""
    for rule in rules:
        if not rule.enabled or rule.actions.reply is None:
            continue
        kinds = {value for test in _top(rule, "kind") for value in test.values}
        if kinds and "message" not in kinds:
            yield _problem(
                rule, f"would answer automatic mail ({', '.join(sorted(kinds))}): it is never answered", "error"
            )
        if "message" in rule.on and not _bounded(rule.conjuncts):
            yield _problem(
                rule,
                "answers every further message that matches, which two machines can keep up for ever: "
                "add a condition such as message_count: {lte: 3}, or leave message out of on",
                "warning",
            )
        if rule.actions.close and "reopened" in rule.on:
            yield _problem(
                rule,
                "answers and closes reopened conversations too, so an automatic answer to it reopens it in a circle: "
                "write on: [new]",
                "warning",
            )


def _top(rule: Rule, field: str) -> list[Test]:
    return [
        part
        for part in rule.conjuncts
        if isinstance(part, Test) and part.field.name == field and part.operator in ("eq", "in")
    ]


def _bounded(parts: Iterable[Condition]) -> bool:
    """Whether the message count bounds how often the rule can match in one conversation."""
    return any(
        isinstance(part, Test)
        and part.field.name == "message_count"
        and part.operator in ("eq", "in", "lt", "lte", "between")
        for part in parts
    )


def _dead_ends(rules: Sequence[Rule], default_queue: str | None) -> Iterable[RuleProblem]:
    """Rules that end the search without saying where the conversation goes."""
    target = f"the default queue {default_queue}" if default_queue else "the default queue"
    for rule in rules:
        actions = rule.actions
        places = actions.queue or actions.bot or actions.close
        if rule.enabled and not rule.goes_on and not places and set(rule.on) != {"message"}:
            yield _problem(
                rule,
                f"ends the search without a queue, so the conversation goes to {target}; "
                "name a queue, or write continue: true",
                "warning",
            )


def _unserved(rules: Sequence[Rule], names: Names) -> Iterable[RuleProblem]:
    if names.queues is None:
        return
    told: set[str] = set()
    for rule in rules:
        name = rule.actions.queue or rule.actions.bot
        if not rule.enabled or name is None or name in told or name not in names.queues:
            continue
        told.add(name)
        end, circle = _end(name, names.queues)
        if circle:
            yield _problem(rule, f"the fallback queues of {name} lead in a circle", "error")
        elif not names.queues[end].served or names.queues[end].type == "bot":
            via = f" (by way of {name})" if end != name else ""
            if names.queues[end].type == "bot":
                message = f"the bot queue {end} has no fallback queue of people to hand over to"
            else:
                message = f"nobody serves the queue {end}{via}: no enabled agent is in it with its skills"
            yield _problem(rule, message, "warning")


def _end(name: str, queues: Mapping[str, QueueName]) -> tuple[str, bool]:
    """Where bots hand over to in the end, and whether they go round in a circle."""
    seen = [name]
    while queues[seen[-1]].type == "bot":
        fallback = queues[seen[-1]].fallback
        if fallback is None or fallback not in queues:
            break
        if fallback in seen:
            return fallback, True
        seen.append(fallback)
    return seen[-1], False
