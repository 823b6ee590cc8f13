"""Deciding: the order of rules, what adds up, what is explained, and the same answer however rules are picked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routing.compare import compile_condition
from gateway.routing.decide import decide
from gateway.routing.explain import explain
from gateway.routing.facts import Facts
from gateway.routing.load import EMPTY, load_values
from gateway.routing.ruleset import RuleSet
from gateway.routing.summary import facts_summary
from tests.routing.given import NOW, facts, rules


def said(ruleset: RuleSet, one: Facts) -> list[str]:
    outcome = decide(ruleset, one)
    return [str(line) for line in explain(outcome.outcomes, ruleset, facts_summary(one))]


def test_the_first_matching_rule_wins() -> None:
    ruleset = rules({"when": {"channel": "api"}}, {"when": {"channel": "mail"}}, {"when": {"text": {"contains": "x"}}})
    outcome = decide(ruleset, facts(channel="mail", text="x"))
    assert (outcome.queue, outcome.matched, outcome.queue_reason) == ("q1", ("r1",), "rule r1")
    assert outcome.actions == ({"rule": "r1", "queue": "q1"},)


def test_continue_lets_later_rules_add() -> None:
    ruleset = rules(
        {"when": {"always": True}, "then": {"priority": "high", "tags": ["a"], "skills": ["s"]}, "continue": True},
        {"when": {"always": True}, "then": {"priority": "low", "tags": ["a", "b"], "skills": ["t"], "queue": "q"}},
        {"when": {"always": True}, "enabled": False},
    )
    outcome = decide(ruleset, facts())
    assert outcome.matched == ("r0", "r1")
    assert (outcome.priority, outcome.queue) == ("high", "q")
    assert (outcome.tags_add, outcome.skills) == (("a", "b"), ("s", "t"))


def test_an_earlier_rules_word_on_a_tag_counts() -> None:
    ruleset = rules(
        {"when": {"always": True}, "then": {"tags": {"add": "a", "remove": "b"}}, "continue": True},
        {"when": {"always": True}, "then": {"tags": {"add": "b", "remove": ["a", "c"]}, "queue": "q"}},
    )
    outcome = decide(ruleset, facts())
    assert (outcome.tags_add, outcome.tags_remove) == (("a",), ("b", "c"))


def test_every_action_arrives() -> None:
    ruleset = rules(
        {
            "when": {"always": True},
            "then": {
                "queue": "q",
                "assign": "a@example.org",
                "priority": "urgent",
                "sla": "gold",
                "language": "zh",
                "open_case": True,
                "notify": ["supervisors", "b@example.org"],
                "webhook": "h",
                "reply": "Hello",
            },
            "continue": True,
        },
        {"when": {"always": True}, "then": {"close": True}},
    )
    outcome = decide(ruleset, facts())
    assert (outcome.assign, outcome.sla, outcome.language, outcome.open_case) == (
        "a@example.org",
        "gold",
        "zh",
        "complaint",
    )
    assert (outcome.notify, outcome.webhooks, outcome.close) == (("supervisors", "b@example.org"), ("h",), True)
    assert [(reply.rule, reply.text) for reply in outcome.replies] == [("r0", "Hello")]


def test_a_bot_is_a_queue_too() -> None:
    outcome = decide(rules({"when": {"always": True}, "then": {"bot": "helper"}}), facts())
    assert (outcome.queue, outcome.bot, outcome.queue_reason) == ("helper", "helper", "rule r0")


@pytest.mark.parametrize(("event", "queue"), [("new", "fallback"), ("reopened", "fallback"), ("message", None)])
def test_where_no_rule_matches(event: Any, queue: str | None) -> None:
    ruleset = rules({"when": {"channel": "fax"}}, default_queue="fallback")
    outcome = decide(ruleset, facts(event=event))
    assert (outcome.queue, outcome.matched) == (queue, ())
    assert outcome.queue_reason == ("no rule matched: default queue" if queue else "")


def test_rules_without_a_queue_lead_to_the_default() -> None:
    ruleset = rules({"when": {"always": True}, "then": {"tags": "x"}}, default_queue="fallback")
    outcome = decide(ruleset, facts())
    assert (outcome.queue, outcome.queue_reason) == ("fallback", "the matching rules name no queue: default queue")


def test_no_rules_at_all() -> None:
    outcome = decide(EMPTY, facts())
    assert (outcome.queue, outcome.outcomes, outcome.queue_reason) == (None, b"", "no rule matched: default queue")


def test_rules_are_for_their_events() -> None:
    ruleset = rules({"when": {"always": True}, "on": ["message"]}, {"when": {"always": True}})
    assert decide(ruleset, facts(event="message")).matched == ("r0",)
    assert decide(ruleset, facts(event="reopened")).matched == ("r1",)


def test_the_explanation_names_the_condition_that_failed_and_what_was_found() -> None:
    ruleset = rules(
        {"when": {"text": {"contains": ["refund", "退款"]}}, "name": "Refunds"},
        {"when": {"channel": "api", "text": {"contains": "x"}}},
        {"when": {"any": [{"tags": "vip"}, {"priority": {"gte": "high"}}]}},
        {"when": {"not": {"channel": "mail"}}},
        {"when": {"always": True}, "enabled": False},
        {"when": {"always": True}, "on": ["message"]},
        {"when": {"queues.risk.waiting": {"gt": 5}}},
        {"when": {"contact.email": {"exists": False}}},
        {"when": {"always": True}},
    )
    one = facts(channel="mail", text="hello", contact_email=None)
    assert said(ruleset, one) == [
        'r0: failed: text contains "refund" or "退款", found "hello"',
        'r1: failed: channel is "api", found "mail"',
        'r2: failed: (tags has "vip" or priority is at least "high"), found tags: nothing, priority: "normal"',
        'r3: failed: not (channel is "mail"), found "mail"',
        "r4: disabled",
        "r5: not for this event",
        "r6: failed: queues.risk.waiting is more than 5, found nothing",
        "r7: matched",
        "r8: not reached: a rule before it decided",
    ]


def test_what_was_found_is_shown_as_it_was() -> None:
    ruleset = rules(
        {"when": {"message_count": {"gt": 5}}},
        {"when": {"window.open": False}},
        {"when": {"hours": {"open": "sat 09:00-10:00", "zone": "Asia/Shanghai"}}},
        {"when": {"tags": {"has_all": ["a", "z"]}}},
        {"when": {"waiting_minutes": {"lt": 5}}},
        {"when": {"contact.attributes.level": {"between": [5, 9]}}},
    )
    one = facts(
        message_count=2,
        tags=("a", "b"),
        waiting_since=NOW - timedelta(minutes=7.5),
        contact_attributes={"level": 3},
    )
    assert said(ruleset, one) == [
        "r0: failed: message_count is more than 5, found 2",
        "r1: failed: window.open is false, found nothing",
        'r2: failed: hours within "sat 09:00-10:00" (Asia/Shanghai), found "2026-01-07T12:00:00+00:00"',
        'r3: failed: tags has all of "a" and "z", found a, b',
        "r4: failed: waiting_minutes is less than 5, found 7.5",
        "r5: failed: contact.attributes.level is between 5 and 9, found 3",
    ]


def test_an_explanation_needs_its_own_rule_set() -> None:
    one, other = rules({"when": {"channel": "mail"}}), rules({"when": {"tags": "y"}}, {"when": {"tags": "x"}})
    with pytest.raises(ValueError, match="outcomes of 1 rules, but the rule set has 2"):
        explain(decide(one, facts()).outcomes, other, facts())
    with pytest.raises(ValueError, match="another rule set"):
        explain(bytes([200]), one, facts())


class Unreadable(dict[str, Any]):
    """Attributes that cannot be read: what a fault in a condition looks like."""

    def __contains__(self, key: object) -> bool:
        raise RuntimeError("broken")


def test_a_rule_that_cannot_be_evaluated_is_passed_over_and_reported() -> None:
    ruleset = rules({"when": {"contact.attributes.tier": "vip"}}, {"when": {"channel": "mail"}})
    one = facts(channel="mail", contact_attributes=Unreadable())
    outcome = decide(ruleset, one)
    assert outcome.matched == ("r1",)
    assert outcome.errors == (("r0", "RuntimeError: broken"),)
    assert [line.result for line in explain(outcome.outcomes, ruleset, {})] == ["error", "matched"]


@pytest.mark.parametrize("kind", ["bounce", "complaint", "auto_reply", "receipt"])
def test_robots_are_never_answered(kind: Any) -> None:
    ruleset = rules({"when": {"always": True}, "then": {"queue": "q", "reply": "Hello"}})
    assert decide(ruleset, facts(kind=kind)).replies == ()
    assert len(decide(ruleset, facts()).replies) == 1


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("Hello {{contact.name}}", {"contact_name": "A"}, "Hello A"),
        ("Hello {{ contact.name | there }}", {}, "Hello there"),
        ("{{contact.name}}", {"contact_name": "{{subject}}", "subject": "S"}, "{{subject}}"),
        ("{{contact.name}}", {"contact_name": "A\r\nBcc: b@example.org"}, "A Bcc: b@example.org"),
        ("{{contact.name}}", {"contact_name": "x" * 1000}, "x" * 200),
        ("{{date}} {{inbox}}", {"inbox_name": "App"}, "2026-01-07 App"),
    ],
)
def test_placeholders(text: str, values: dict[str, Any], expected: str) -> None:
    ruleset = rules({"when": {"always": True}, "then": {"queue": "q", "reply": text}})
    assert decide(ruleset, facts(**values)).replies[0].text == expected


@pytest.mark.parametrize(
    ("language", "expected"), [("zh", "你好"), ("zh-TW", "您好"), ("ZH-hk", "你好"), ("fr", "Hi"), (None, "Hi")]
)
def test_answers_come_in_the_customers_language(language: str | None, expected: str) -> None:
    texts = {"default": "Hi", "zh": "你好", "zh-TW": "您好"}
    ruleset = rules({"when": {"always": True}, "then": {"queue": "q", "reply": texts}})
    assert decide(ruleset, facts(language=language)).replies[0].text == expected


# However rules are picked out beforehand, the answer is the one that trying all of them in order gives.

WORDS = ("refund", "fund", "re", "退款", "款", "card", "car", "ard", "x")
conditions = st.recursive(
    st.one_of(
        st.builds(lambda v: {"channel": v}, st.sampled_from(["mail", "api", ["mail", "api"], ["webchat"]])),
        st.builds(lambda v: {"channel": {"ne": v}}, st.sampled_from(["mail", "api"])),
        st.builds(lambda v: {"inbox": v}, st.sampled_from(["one", "id-1", "two", ["id-2", "one"]])),
        st.builds(lambda v: {"language": v}, st.sampled_from(["zh", "zh-TW", "en", ["en", "zh-tw"]])),
        st.builds(lambda v: {"queue": v}, st.sampled_from(["a", "b", ["a", "b"]])),
        st.builds(
            lambda v: {"text": {"contains": v}}, st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True)
        ),
        st.builds(lambda v: {"text": {"matches": v}}, st.sampled_from(["fun", "^re", "款$"])),
        st.builds(lambda v: {"priority": {"gte": v}}, st.sampled_from(["low", "high"])),
        st.just({"tags": "vip"}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda v: {"all": v}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"any": v}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda v: {"not": v}, inner),
    ),
    max_leaves=5,
)
rule_values = st.fixed_dictionaries(
    {
        "when": st.one_of(conditions, st.just({"always": True})),
        "continue": st.booleans(),
        "enabled": st.sampled_from([True, True, True, False]),
        "on": st.lists(st.sampled_from(["new", "reopened", "message"]), min_size=1, unique=True),
    }
)
worded_values = st.fixed_dictionaries(
    {"continue": st.booleans()},
).flatmap(
    lambda rule: st.builds(
        lambda words, rest: {**rule, "when": {"text": {"contains": words}, **rest}},
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True),
        st.sampled_from([{}, {"channel": "mail"}, {"tags": "vip"}, {"language": "zh", "priority": "low"}]),
    )
)
rule_lists = st.one_of(
    st.lists(rule_values, min_size=1, max_size=40),
    st.lists(st.one_of(worded_values, worded_values, worded_values, rule_values), min_size=24, max_size=40),
)
fact_values = st.fixed_dictionaries(
    {
        "event": st.sampled_from(["new", "reopened", "message"]),
        "channel": st.sampled_from(["mail", "api", "MAIL", "fax"]),
        "inbox_id": st.sampled_from(["id-1", "id-2", "id-3"]),
        "inbox_name": st.sampled_from(["one", "two", "three"]),
        "language": st.sampled_from(["zh", "zh-TW", "en", "fr", None]),
        "queue": st.sampled_from(["a", "b", "c", None]),
        "text": st.lists(st.sampled_from([*WORDS, " ", "refundx", "Ｒefund"]), max_size=4).map("".join),
        "priority": st.sampled_from(["low", "normal", "urgent"]),
        "tags": st.sampled_from([(), ("vip",)]),
    }
)


@settings(max_examples=80, deadline=None)
@given(rule_lists, st.lists(fact_values, min_size=1, max_size=5))
def test_picking_rules_out_changes_no_answer(rule_list: list[dict[str, Any]], messages: list[dict[str, Any]]) -> None:
    complete = [{"id": f"r{n}", "then": {"queue": f"q{n}"}, **rule} for n, rule in enumerate(rule_list)]
    loaded = load_values({"test": {"rules": complete}})
    if loaded.ruleset is None:  # only an unreachable rule can be wrong with these; then look at all but those
        unreachable = {problem.rule for problem in loaded.problems if problem.severity == "error"}
        assert all("is never reached" in p.message for p in loaded.problems if p.severity == "error")
        complete = [rule for rule in complete if rule["id"] not in unreachable]
        loaded = load_values({"test": {"rules": complete}})
    ruleset = loaded.ruleset
    assert ruleset is not None
    for values in messages:
        one = facts(**values)
        expected: list[str] = []
        for rule in ruleset.rules:
            if rule.enabled and one.event in rule.on and compile_condition(rule.condition)(one):
                expected.append(rule.id)
                if not rule.goes_on:
                    break
        outcome = decide(ruleset, one)
        assert list(outcome.matched) == expected
        for line, rule in zip(explain(outcome.outcomes, ruleset, one), ruleset.rules, strict=True):
            assert (line.result == "matched") == (rule.id in expected)
            assert (line.result == "disabled") == (
                not rule.enabled and not _after(ruleset, expected, rule.id)
            ) or line.result == "not_reached"
            if line.result == "failed":
                code = outcome.outcomes[ruleset.rules.index(rule)] - 5
                assert not compile_condition(rule.conjuncts[code])(one)


def _after(ruleset: RuleSet, matched: list[str], id: str) -> bool:
    """Whether the rule stands after the one that ended the search."""
    if not matched or ruleset.by_id[matched[-1]].goes_on:
        return False
    order = [rule.id for rule in ruleset.rules]
    return order.index(id) > order.index(matched[-1])
