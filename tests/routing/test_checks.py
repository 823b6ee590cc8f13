"""Checks of a set: rules never reached, names that are not there, answers that go round, queues nobody serves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.compare import compile_condition
from gateway.routing.condition import conjuncts
from gateway.routing.facts import QueueLoad
from gateway.routing.implies import implies, implies_all
from gateway.routing.load import load_values
from gateway.routing.names import Names, QueueName, names_of
from gateway.routing.read_condition import read_when
from gateway.routing.report import Report
from gateway.routing.source import node_from
from tests.routing.given import NOW, agent, facts, queue
from tests.routing.test_decide import conditions, fact_values


def told(*rules: dict[str, Any], names: Names | None = None, **top: Any) -> list[str]:
    """`severity rule: message` of each problem."""
    complete = [{"id": f"r{number}", "then": {"queue": "q"}, **rule} for number, rule in enumerate(rules)]
    loaded = load_values({"test": {"rules": complete, **top}}, names)
    return [f"{problem.severity} {problem.rule}: {problem.message}" for problem in loaded.problems]


UNREACHABLE: list[tuple[Any, Any]] = [
    ({"always": True}, {"channel": "mail"}),
    ({"always": True}, {"always": True}),
    ({"channel": "mail"}, {"channel": "MAIL"}),
    ({"channel": ["mail", "api"]}, {"channel": "api", "text": {"contains": "x"}}),
    ({"channel": ["mail", "api", "fax"]}, {"channel": ["api", "mail"]}),
    ({"language": "zh"}, {"language": ["zh-TW", "zh"]}),
    ({"text": {"contains": ["refund", "退款"]}}, {"text": {"contains": ["refunds", "我要退款"]}}),
    ({"text": {"contains": "a"}}, {"text": {"contains_all": ["xay", "b"]}}),
    ({"text": {"contains_all": ["a", "b"]}}, {"text": {"contains_all": ["cab", "a"]}}),
    ({"text": {"contains": "hell"}}, {"text": {"starts_with": "hello"}}),
    ({"text": {"starts_with": "he"}}, {"text": {"starts_with": ["hello", "hey"]}}),
    ({"subject": {"ends_with": "?"}}, {"subject": {"ends_with": "??"}}),
    ({"text": {"matches": "a+"}}, {"text": {"matches": "a+"}, "channel": "mail"}),
    ({"message_count": {"gte": 2}}, {"message_count": {"gt": 2}}),
    ({"message_count": {"gte": 2}}, {"message_count": {"between": [2, 5]}}),
    ({"message_count": {"lt": 5}}, {"message_count": 4}),
    ({"priority": {"gte": "high"}}, {"priority": "urgent"}),
    ({"tags": ["a", "b"]}, {"tags": "b"}),
    ({"tags": ["a", "b"]}, {"tags": {"has_all": ["a", "c"]}}),
    ({"text": {"exists": True}}, {"text": {"contains": "x"}}),
    ({"any": [{"channel": "mail"}, {"tags": "x"}]}, {"tags": "x"}),
    ({"any": [{"channel": "mail"}, {"tags": "x"}]}, {"any": [{"tags": "x"}, {"channel": "mail", "language": "zh"}]}),
    ({"not": {"channel": "mail", "tags": "x"}}, {"not": {"channel": "mail"}}),
    ({"hours": "mon 09:00-10:00"}, {"hours": "mon 09:00-10:00", "channel": "mail"}),
]

REACHABLE: list[tuple[Any, Any]] = [
    ({"channel": "mail"}, {"channel": ["mail", "api"]}),
    ({"channel": "mail", "tags": "x"}, {"channel": "mail"}),
    ({"language": "zh-TW"}, {"language": "zh"}),
    ({"text": {"contains": "refunds"}}, {"text": {"contains": "refund"}}),
    ({"text": {"contains": "a"}}, {"text": {"contains": ["a", "b"]}}),
    ({"text": {"contains": "a"}}, {"subject": {"contains": "a"}}),
    ({"text": {"matches": "a"}}, {"text": {"matches": "aa"}}),
    ({"message_count": {"gt": 2}}, {"message_count": {"gte": 2}}),
    ({"tags": {"has_all": ["a", "b"]}}, {"tags": {"has_all": ["a"]}}),
    ({"any": [{"channel": "mail"}, {"tags": "x"}]}, {"any": [{"tags": "x"}, {"channel": "api"}]}),
    ({"not": {"channel": "mail"}}, {"not": {"channel": "mail", "tags": "x"}}),
    (
        {"hours": {"open": "mon 09:00-10:00", "zone": "UTC"}},
        {"hours": {"open": "mon 09:00-10:00", "zone": "Asia/Tokyo"}},
    ),
]


@pytest.mark.parametrize(("earlier", "later"), UNREACHABLE, ids=lambda value: str(value)[:50])
def test_never_reached(earlier: Any, later: Any) -> None:
    found = told({"when": earlier}, {"when": later})
    assert len(found) == 1, found
    assert found[0].startswith("error r1: is never reached: rule r0 (line 1) ")


@pytest.mark.parametrize(("earlier", "later"), REACHABLE, ids=lambda value: str(value)[:50])
def test_reached(earlier: Any, later: Any) -> None:
    assert told({"when": earlier}, {"when": later}) == []


@pytest.mark.parametrize(
    "first",
    [{"continue": True}, {"enabled": False}, {"on": ["new"]}],
    ids=str,
)
def test_what_does_not_end_the_search_hides_nothing(first: dict[str, Any]) -> None:
    assert told({"when": {"channel": "mail"}, **first}, {"when": {"channel": "mail"}}) == []


def test_rules_of_other_events_hide_nothing() -> None:
    assert told({"when": {"always": True}, "on": ["new"]}, {"when": {"always": True}, "on": ["reopened"]}) == []


def test_it_says_where_the_earlier_rule_stands() -> None:
    def file(id: str) -> dict[str, Any]:
        return {"rules": [{"id": id, "when": {"always": True}, "then": {"queue": "q"}}]}

    loaded = load_values({"10-a.yaml": file("a"), "20-b.yaml": file("b")})
    assert [problem.message for problem in loaded.problems] == [
        "is never reached: rule a (line 1 in 10-a.yaml) takes every message"
    ]


def test_unreachable_rules_are_found_among_thousands() -> None:
    many = [{"when": {"inbox": f"i{n % 50}", "text": {"contains": f"<{n}>"}}} for n in range(2000)]
    assert told(*many, {"when": {"inbox": "i7", "text": {"contains": "a <7> b"}}}) == [
        "error r2000: is never reached: rule r7 (line 1) matches all that this one could"
    ]


def test_comparing_rules_is_bounded_and_says_so() -> None:
    many = [{"when": {"text": {"contains": f"<{n}>"}}} for n in range(1000)]
    found = told(*many)
    assert len(found) == 1
    assert "were not all checked for being reached" in found[0]
    assert found[0].startswith("warning")


@settings(max_examples=150, deadline=None)
@given(st.lists(conditions, min_size=2, max_size=8), st.lists(fact_values, min_size=8, max_size=8))
def test_what_is_said_to_follow_does(values: list[Any], messages: list[dict[str, Any]]) -> None:
    report = Report("test")
    read = [read_when(node_from(value), report, "UTC") for value in values]
    known = [condition for condition in read if condition is not None]
    assert len(known) == len(values)
    checks = [compile_condition(condition) for condition in known]
    holds = [[check(facts(**message)) for message in messages] for check in checks]
    for narrow, first in zip(known, holds, strict=True):
        for wide, second in zip(known, holds, strict=True):
            if implies(narrow, wide) or implies_all(conjuncts(narrow), conjuncts(wide)):
                assert all(other for one, other in zip(first, second, strict=True) if one), (narrow, wide)


NAMES = Names(
    queues={
        "support": QueueName(),
        "empty": QueueName(served=False),
        "bot": QueueName(type="bot", fallback="support"),
        "lone": QueueName(type="bot"),
        "tired": QueueName(type="bot", fallback="empty"),
        "ring": QueueName(type="bot", fallback="ring2"),
        "ring2": QueueName(type="bot", fallback="ring"),
    },
    agents=frozenset({"a@example.org"}),
    inboxes=frozenset({"website"}),
    channels=frozenset({"mail"}),
)


@pytest.mark.parametrize(
    ("queue", "expected"),
    [
        ("support", []),
        ("bot", []),
        ("empty", ["warning r0: nobody serves the queue empty: no enabled agent is in it with its skills"]),
        (
            "tired",
            ["warning r0: nobody serves the queue empty (by way of tired): no enabled agent is in it with its skills"],
        ),
        ("lone", ["warning r0: the bot queue lone has no fallback queue of people to hand over to"]),
        ("ring", ["error r0: the fallback queues of ring lead in a circle"]),
    ],
)
def test_queues_nobody_serves(queue: str, expected: list[str]) -> None:
    assert told({"when": {"always": True}, "then": {"queue": queue}}, names=NAMES) == expected


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"queue": "suport"}, 'warning r0: there is no queue "suport"; did you mean "support"?'),
        ({"previous.queue": "abroad"}, 'warning r0: there is no queue "abroad"'),
        ({"inbox": "web site"}, 'warning r0: there is no inbox "web site"; did you mean "website"?'),
        ({"channel": "fax"}, 'warning r0: there is no channel "fax"'),
        (
            {"assignee": "b@example.org"},
            'warning r0: there is no assignee "b@example.org"; did you mean "a@example.org"?',
        ),
        ({"queues.suport.waiting": {"gt": 3}}, 'error r0: there is no queue "suport"; did you mean "support"?'),
    ],
)
def test_names_within_conditions(when: Any, expected: str) -> None:
    assert told({"when": when, "then": {"queue": "support"}}, names=NAMES) == [expected]


def test_answers_that_could_go_round() -> None:
    reply = {"queue": "q", "reply": "Hello"}
    every = told({"when": {"channel": "mail"}, "on": ["new", "message"], "then": reply})
    assert len(every) == 1
    assert every[0].startswith("warning r0: answers every further message that matches")
    bounded = {"channel": "mail", "message_count": {"lte": 3}}
    assert told({"when": bounded, "on": ["new", "message"], "then": reply}) == []
    assert told({"when": {"kind": ["bounce", "auto_reply"]}, "then": reply}) == [
        "error r0: would answer automatic mail (auto_reply, bounce): it is never answered"
    ]
    closing = told({"when": {"tags": "x"}, "then": {"close": True, "reply": "Bye"}})
    assert len(closing) == 1
    assert "reopens it in a circle: write on: [new]" in closing[0]
    assert told({"when": {"tags": "x"}, "on": ["new"], "then": {"close": True, "reply": "Bye"}}) == []


def test_rules_that_end_without_a_queue() -> None:
    assert told({"when": {"tags": "x"}, "then": {"priority": "low"}}, default_queue="q") == [
        "warning r0: ends the search without a queue, so the conversation goes to the default queue q; "
        "name a queue, or write continue: true"
    ]
    assert told({"when": {"tags": "x"}, "then": {"priority": "low"}, "continue": True}) == []
    assert told({"when": {"tags": "x"}, "then": {"priority": "low"}, "on": ["message"]}) == []


def test_warnings_alone_leave_the_set_usable() -> None:
    loaded = load_values({"f": {"rules": [{"id": "a", "when": {"channel": "fax"}, "then": {"queue": "empty"}}]}}, NAMES)
    assert loaded.ok
    assert {problem.severity for problem in loaded.problems} == {"warning"}


def test_names_of_a_configuration() -> None:
    names = names_of(
        queues=[
            queue("1", name="tax", skills=("tax",), agent_ids=("a", "b")),
            queue("2", name="all", fallback_queue_id="1"),
            queue("3", name="vip", agent_ids=("b",)),
        ],
        agents=[agent("a", email="A@Example.org"), agent("b", skills=("tax",), enabled=False)],
    )
    assert names.queues == {
        "tax": QueueName(served=False),
        "all": QueueName(fallback="tax"),
        "vip": QueueName(served=False),
    }
    assert names.agents == frozenset({"a@example.org", "b@example.org", "a", "b"})


def test_facts_without_a_queue_load_fail_quietly() -> None:
    report = Report("test")
    condition = read_when(node_from({"queues.a.waiting": {"lt": 5}}), report, "UTC")
    assert condition is not None
    check = compile_condition(condition)
    assert not check(facts())
    assert check(facts(now=NOW, queues={"a": QueueLoad(waiting=4)}))
