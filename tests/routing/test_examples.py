"""Rules' own tests, the samples, the schema, and differences between sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from gateway.routing.difference import diff_decisions, diff_rules
from gateway.routing.load import load, load_and_test
from gateway.routing.names import Names, QueueName
from gateway.routing.reference import reference
from gateway.routing.run_tests import run_tests
from gateway.routing.schema import json_schema
from gateway.routing.source import parse
from tests.routing.given import facts, problems, rules

SAMPLES = Path(__file__).parents[2] / "routing_rules"
FIRST_START = Names(
    queues={
        "support": QueueName(),
        "bot": QueueName(type="bot", fallback="support"),
        "payments": QueueName(),
        "risk": QueueName(),
        "complaints": QueueName(),
    },
    agents=frozenset(),
    sla_policies=frozenset(),
    inboxes=frozenset({"website", "app"}),
    channels=frozenset({"mail", "api"}),
    webhooks=frozenset(),
)
"""What a first start has made when it publishes the samples."""


def results(rule: dict[str, Any], *others: dict[str, Any], **top: Any) -> list[str]:
    return [result.message for result in run_tests(rules(rule, *others, **top))]


REFUND = {"when": {"text": {"contains": "refund"}}, "then": {"queue": "pay", "priority": "high", "tags": ["a", "b"]}}


@pytest.mark.parametrize(
    ("given", "expect", "message"),
    [
        ({"text": "a refund"}, {"queue": "pay", "priority": "high", "tags": ["b"]}, ""),
        ({"text": "hello"}, "no match", ""),
        ({"text": "hello"}, {"queue": "pay"}, 'the rule did not match: text contains "refund" failed, found "hello"'),
        ({"text": "refund"}, "no match", "expected no match, but the rule matched"),
        ({"text": "refund"}, {"queue": "support"}, 'expected queue "support", got "pay" (rule r0)'),
        ({"text": "refund"}, {"queue": None}, 'expected queue none, got "pay" (rule r0)'),
        ({"text": "refund"}, {"priority": "low", "tags": ["c"]}, 'expected priority "low", got "high"'),
        ({"text": "refund"}, {"tags": ["a", "c"]}, "expected tags c, got a, b"),
        ({"text": "refund"}, {"close": True}, "expected close true, got false"),
        ({"text": "refund"}, {"reply": "Hello"}, 'expected a reply with "Hello", got none'),
        ({"text": "refund"}, {"assign": "a@example.org"}, 'expected assign "a@example.org", got none'),
        ({"event": "message", "text": "refund"}, {"queue": "pay"}, "the rule is not for the event message"),
        ({"text": "refund"}, {"rule": "other"}, 'expected rule "other", got "r0"'),
    ],
)
def test_results(given: dict[str, Any], expect: Any, message: str) -> None:
    found = results({**REFUND, "tests": [{"given": given, "expect": expect}]})
    assert len(found) == 1
    assert found[0] == message or (message and found[0].startswith(message)), found


def test_a_rule_taken_by_an_earlier_one_says_which() -> None:
    rule = {**REFUND, "tests": [{"given": {"text": "card refund"}, "expect": {"queue": "pay"}}]}
    found = results({"id": "first", "when": {"text": {"contains": "card"}}}, {"id": "second", **rule})
    assert found == [
        'the rule was not reached: rule first decided before it; expected queue "pay", got "q0" (rule first)'
    ]


def test_tests_of_the_whole_set() -> None:
    tests = [
        {"given": {"text": "hello"}, "expect": "no match"},
        {"given": {"text": "refund"}, "expect": "no match"},
        {"given": {"text": "hello"}, "expect": {"queue": "front"}},
    ]
    assert results(REFUND, tests=tests, default_queue="front") == [
        "",
        "expected no match, but rule r0 matched",
        "",
    ]


def test_disabled_rules_are_not_tested() -> None:
    rule = {**REFUND, "enabled": False, "tests": [{"given": {"text": "refund"}, "expect": {"queue": "pay"}}]}
    assert results(rule) == []


def test_given_sets_every_field() -> None:
    given = {
        "at": "2026-01-10T23:00:00+08:00",
        "event": "reopened",
        "channel": "mail",
        "inbox": "website",
        "kind": "message",
        "text": "hello",
        "subject": "s",
        "language": "zh",
        "sender.address": "a@example.org",
        "contact.name": "n",
        "contact.email": "a@example.org",
        "contact.phone": "+86",
        "contact.language": "en",
        "contact.tags": ["t"],
        "contact.verified": "asserted",
        "contact.age_days": 3,
        "contact.attributes.tier": "vip",
        "tags": "x",
        "priority": "high",
        "status": "pending",
        "queue": "q",
        "assignee": "b@example.org",
        "message_count": 4,
        "waiting_minutes": 5,
        "attachments.types": ["image/png"],
        "attachments.names": ["a.png", "b.bin"],
        "attachments.bytes": 10,
        "previous.queue": "p",
        "previous.assignee": "c@example.org",
        "previous.priority": "low",
        "previous.tags": ["y"],
        "previous.resolved_hours_ago": 2,
        "queues.q.waiting": 3,
        "queues.q.online": 1,
        "queues.q.open": False,
        "window.closes_in_minutes": 20,
        "window.sends_left": 2,
        "bot.reason": "r",
        "bot.confidence": 0.5,
    }
    when = {key: value for key, value in given.items() if key not in ("at", "event")}
    when |= {"weekday": "sat", "attachments.count": 2, "sender.domain": "example.org", "window.open": True}
    when |= {name: given[name] for name in ("contact.age_days", "waiting_minutes", "previous.resolved_hours_ago")}
    rule = {"when": when, "then": {"queue": "z"}, "tests": [{"given": given, "expect": {"queue": "z"}}]}
    assert results(rule) == [""]


def test_a_failing_test_keeps_a_set_from_being_published() -> None:
    text = """
rules:
  - id: refund
    when: {text: {contains: refund}}
    then: {queue: pay}
    tests:
      - given: {text: refund}
        expect: {queue: pay}
      - name: typing error
        given: {text: refnd}
        expect: {queue: pay}
"""
    assert load([("a.yaml", text)]).ok
    loaded = load_and_test([("a.yaml", text)])
    assert loaded.ruleset is None
    assert [str(problem) for problem in loaded.problems] == [
        'a.yaml:9:9: error: rule refund: test 2 (typing error): the rule did not match: text contains "refund" failed, '
        'found "refnd"; expected queue "pay", got none (no rule matched: default queue)'
    ]


def sample_files() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sorted(SAMPLES.glob("*.yaml"))]


def test_the_samples_hold_on_a_fresh_store() -> None:
    loaded = load_and_test(sample_files(), FIRST_START)
    assert loaded.problems == ()
    assert loaded.ruleset is not None
    assert all(rule.owner for rule in loaded.ruleset.rules)
    tested = {example.rule for example in loaded.ruleset.examples}
    assert {rule.id for rule in loaded.ruleset.rules} <= tested


def test_order_of_files_given_does_not_matter() -> None:
    files = sample_files()
    one, other = load(files).ruleset, load(files[::-1]).ruleset
    assert one is not None
    assert other is not None
    assert one.hash == other.hash
    assert [rule.id for rule in one.rules] == [rule.id for rule in other.rules]
    changed = load([*files[:-1], (files[-1][0], files[-1][1] + "\n")]).ruleset
    assert changed is not None
    assert changed.hash != one.hash


SCHEMA = jsonschema_rs.validator_for(json_schema())


def plain(text: str) -> Any:
    node, _ = parse("f.yaml", text)
    return None if node is None else node.plain()


def test_what_is_written_beside_the_samples_is_true() -> None:
    """After a change of the language, write both anew: `python -m gateway.routing.reference routing_rules`."""
    assert (SAMPLES / "README.md").read_text("utf-8") == reference()
    assert json.loads((SAMPLES / "rules.schema.json").read_text("utf-8")) == json_schema()


def test_the_schema_takes_the_samples() -> None:
    for _, text in sample_files():
        errors = [f"{error.instance_path}: {error.message}" for error in SCHEMA.iter_errors(plain(text))]
        assert errors == []


@pytest.mark.parametrize(
    "rule",
    [
        "{id: a, when: {chanel: mail}, then: {queue: q}}",
        "{id: a, when: {}, then: {queue: q}}",
        "{id: a, when: {all: []}, then: {queue: q}}",
        "{id: a, when: {text: {contians: x}}, then: {queue: q}}",
        "{id: a, when: {priority: hgh}, then: {queue: q}}",
        "{id: a, when: {message_count: {between: [1]}}, then: {queue: q}}",
        "{id: a, when: {contact.attributes.x: {foo: 1}}, then: {queue: q}}",
        "{id: a, when: {always: false}, then: {queue: q}}",
        "{id: a, when: {channel: mail}, then: {}}",
        "{id: a, when: {channel: mail}, then: {queue: q, priority: hgh}}",
        "{id: a, when: {channel: mail}}",
        "{id: a b, when: {channel: mail}, then: {queue: q}}",
        "{id: a, when: {channel: mail}, then: {reply: {zh: x}}}",
        "{id: a, when: {channel: mail}, then: {queue: q}, tests: [{given: {text: x}}]}",
    ],
)
def test_the_schema_and_the_loader_refuse_alike(rule: str) -> None:
    text = f"rules: [{rule}]"
    assert not SCHEMA.is_valid(plain(text))
    assert any(problem.severity == "error" for problem in problems(text))


def test_who_would_fare_otherwise() -> None:
    old = rules(REFUND, default_queue="front")
    new = rules(
        {**REFUND, "then": {"queue": "money", "priority": "high", "tags": ["a", "b"]}},
        {"when": {"channel": "mail"}, "then": {"tags": "mail"}},
        default_queue="front",
    )
    messages = [facts(text="refund"), facts(text="hello"), facts(text="hello", channel="mail")]
    found = list(diff_decisions(old, new, messages))
    assert [(one.position, one.changed, one.elsewhere) for one in found] == [
        (0, {"queue": ("pay", "money")}, True),
        (2, {"tags_add": ((), ("mail",))}, False),
    ]
    assert list(diff_decisions(old, old, messages)) == []


def test_differences_are_made_as_they_are_read() -> None:
    def endless() -> Any:
        while True:
            yield facts(text="refund")

    new = rules({**REFUND, "then": {"queue": "money"}})
    assert next(diff_decisions(rules(REFUND), new, endless())).position == 0


def test_which_rules_differ() -> None:
    def set_of(*ids: str, **changed: Any) -> Any:
        return rules(*({"id": id, "when": {"inbox": changed.get(id, id)}, "then": {"queue": "q"}} for id in ids))

    found = [str(one) for one in diff_rules(set_of("a", "b", "c", "d"), set_of("d", "a", "e", "c", c="x"))]
    assert found == ["^ d (moved)", "+ e (added)", "~ c (when)", "- b (removed)"]
    assert diff_rules(set_of("a", "b"), set_of("a", "b")) == []
