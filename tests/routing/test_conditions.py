"""What each comparison means, on every type of field."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.routing.decide import decide
from gateway.routing.facts import Facts, Previous, QueueLoad
from gateway.routing.fields import FIELDS, find_field
from gateway.routing.operators import OPERATORS, operators_for
from tests.routing.given import NOW, facts, rules


def matches(when: Any, **values: Any) -> bool:
    outcome = decide(rules({"when": when}), facts(**values))
    assert outcome.errors == ()
    return bool(outcome.matched)


HOLDS: list[tuple[Any, dict[str, Any]]] = [
    ({"always": True}, {}),
    ({"channel": "mail"}, {"channel": "mail"}),
    ({"channel": "MAIL"}, {"channel": "mail"}),
    ({"channel": ["api", "mail"]}, {"channel": "mail"}),
    ({"channel": {"ne": "api"}}, {"channel": "mail"}),
    ({"channel": {"not_in": ["api", "webchat"]}}, {"channel": "mail"}),
    ({"inbox": "Website"}, {"inbox_name": "website", "inbox_id": "0190"}),
    ({"inbox": "0190"}, {"inbox_name": "website", "inbox_id": "0190"}),
    ({"not": {"inbox": "app"}}, {"inbox_name": "website", "inbox_id": "0190"}),
    ({"kind": ["bounce", "complaint"]}, {"kind": "bounce"}),
    ({"event": "new"}, {}),
    ({"text": {"contains": "refund"}}, {"text": "My REFUND, please"}),
    ({"text": {"contains": "refund"}}, {"text": "Ｒｅｆｕｎｄ"}),
    ({"text": {"contains": ["退款", "refund"]}}, {"text": "请问怎么申请退款？"}),
    ({"text": {"contains": "ＡＢＣ"}}, {"text": "order abc"}),
    ({"text": {"contains": "straße"}}, {"text": "STRASSE 5"}),
    ({"text": {"contains": "é"}}, {"text": "cafe\u0301"}),
    ({"text": {"contains_all": ["card", "lost"]}}, {"text": "I lost my card"}),
    ({"text": {"starts_with": ["hello", "hi"]}}, {"text": "  Hello there"}),
    ({"text": {"ends_with": "thanks"}}, {"text": "please help, Thanks \n"}),
    ({"text": {"matches": r"(?i)order \d+"}}, {"text": "my ORDER 12 is late"}),
    ({"text": {"matches": "退款.*订单"}}, {"text": "我要退款，订单号在此"}),
    ({"text": {"matches": [r"^x$", r"^\w+$"]}}, {"text": "word"}),
    ({"text": "stop"}, {"text": " STOP "}),
    ({"text": {"exists": True}}, {"text": "x"}),
    ({"text": {"exists": False}}, {"text": ""}),
    ({"text.length": {"gt": 2, "lt": 4}}, {"text": "abc"}),
    ({"subject": {"matches": r"\b\d{6}\b"}}, {"subject": "payment 123456"}),
    ({"subject": {"contains": "invoice"}}, {"subject": "INVOICE"}),
    ({"language": "zh"}, {"language": "zh"}),
    ({"language": "zh"}, {"language": "zh-TW"}),
    ({"language": "zh-TW"}, {"language": "zh_tw"}),
    ({"language": {"in": ["en", "zh"]}}, {"language": "en-GB"}),
    ({"language": {"exists": False}}, {}),
    ({"sender.address": {"ends_with": "@example.org"}}, {"sender_address": "a@example.org"}),
    ({"sender.domain": "example.org"}, {"sender_address": "a@Example.org"}),
    ({"contact.name": {"contains": "customer"}}, {"contact_name": "A Customer"}),
    ({"contact.email": {"exists": False}}, {}),
    ({"contact.phone": {"starts_with": "+86"}}, {"contact_phone": "+8613800000000"}),
    ({"contact.language": "zh"}, {"contact_language": "zh-CN"}),
    ({"contact.tags": "vip"}, {"contact_tags": ("VIP",)}),
    ({"contact.verified": "verified"}, {"verified": "verified"}),
    ({"contact.verified": {"gte": "asserted"}}, {"verified": "verified"}),
    ({"contact.age_days": {"lt": 7}}, {"contact_created_at": NOW - timedelta(days=3)}),
    ({"contact.attributes.tier": "vip"}, {"contact_attributes": {"tier": "VIP"}}),
    ({"contact.attributes.tier": ["gold", "vip"]}, {"contact_attributes": {"tier": "vip"}}),
    ({"contact.attributes.level": {"gte": 3}}, {"contact_attributes": {"level": "3.5"}}),
    ({"contact.attributes.level": 3}, {"contact_attributes": {"level": 3.0}}),
    ({"contact.attributes.beta": True}, {"contact_attributes": {"beta": True}}),
    ({"contact.attributes.address.city": "Shanghai"}, {"contact_attributes": {"address": {"city": "shanghai"}}}),
    ({"contact.attributes.a.b": "x"}, {"contact_attributes": {"a.b": "x"}}),
    ({"contact.attributes.products": {"has": "loan"}}, {"contact_attributes": {"products": ["card", "Loan"]}}),
    ({"contact.attributes.x": {"exists": False}}, {}),
    ({"tags": "spam"}, {"tags": ("Spam",)}),
    ({"tags": ["a", "b"]}, {"tags": ("b",)}),
    ({"tags": {"has_any": ["a", "b"]}}, {"tags": ("b",)}),
    ({"tags": {"has_all": ["a", "b"]}}, {"tags": ("b", "a", "c")}),
    ({"tags": {"has_none": ["a", "b"]}}, {"tags": ("c",)}),
    ({"tags": {"contains": "am"}}, {"tags": ("spam",)}),
    ({"tags": {"exists": False}}, {}),
    ({"priority": {"gte": "high"}}, {"priority": "urgent"}),
    ({"priority": {"lt": "normal"}}, {"priority": "low"}),
    ({"status": "snoozed"}, {"status": "snoozed"}),
    ({"queue": "Support"}, {"queue": "support"}),
    ({"queue": {"exists": False}}, {}),
    ({"assignee": "a@example.org"}, {"assignee": "a@example.org"}),
    ({"message_count": {"between": [2, 4]}}, {"message_count": 4}),
    ({"waiting_minutes": {"gte": 30}}, {"waiting_since": NOW - timedelta(minutes=30)}),
    ({"attachments.count": 2}, {"attachment_types": ("image/png", "text/plain")}),
    ({"attachments.types": {"has": "image/*"}}, {"attachment_types": ("image/png",)}),
    ({"attachments.types": {"has_all": ["image/*", "text/plain"]}}, {"attachment_types": ("image/png", "text/plain")}),
    ({"attachments.names": {"ends_with": [".pdf", ".doc"]}}, {"attachment_names": ("Bill.PDF",)}),
    ({"attachments.names": {"matches": r"^scan\d+"}}, {"attachment_names": ("x", "scan12.png")}),
    ({"attachments.bytes": {"gt": 1000}}, {"attachment_bytes": 1001}),
    ({"previous.queue": "risk"}, {"previous": Previous(queue="risk")}),
    ({"previous.assignee": {"exists": False}}, {"previous": Previous(queue="risk")}),
    ({"previous.priority": {"gte": "high"}}, {"previous": Previous(priority="high")}),
    ({"previous.tags": "fraud"}, {"previous": Previous(tags=("fraud",))}),
    ({"previous.resolved_hours_ago": {"lt": 2}}, {"previous": Previous(resolved_at=NOW - timedelta(hours=1))}),
    ({"queues.risk team.waiting": {"gt": 9}}, {"queues": {"risk team": QueueLoad(waiting=10)}}),
    ({"queues.risk.online": 0}, {"queues": {"risk": QueueLoad()}}),
    ({"queues.risk.open": False}, {"queues": {"risk": QueueLoad(open=False)}}),
    ({"window.open": True}, {}),
    ({"window.open": False}, {"window_closes_at": NOW}),
    ({"window.open": False}, {"window_sends_left": 0}),
    ({"window.closes_in_minutes": {"lt": 30}}, {"window_closes_at": NOW + timedelta(minutes=29)}),
    ({"window.sends_left": {"lte": 1}}, {"window_sends_left": 1}),
    ({"bot.reason": "asked for a person"}, {"bot_reason": "asked for a person"}),
    ({"bot.confidence": {"lt": 0.5}}, {"bot_confidence": 0.4}),
    ({"weekday": "wed"}, {}),
    ({"weekday": "mon-fri"}, {}),
    ({"weekday": {"in": ["sat", "wednesday"]}}, {}),
    ({"weekday": {"eq": "thu", "zone": "Pacific/Kiritimati"}}, {}),
    ({"date": "2026-01-07"}, {}),
    ({"date": {"between": ["2026-01-07", "2026-02-17"]}}, {}),
    ({"date": {"eq": "2026-01-08", "zone": "Pacific/Kiritimati"}}, {}),
    ({"hours": "mon-fri 09:00-18:00"}, {}),
    ({"hours": {"open": "mon-fri 19:00-21:00", "zone": "Asia/Shanghai"}}, {}),
    ({"hours": {"closed": ["mon-fri 09:00-12:00", "sat 10:00-14:00"]}}, {}),
    ({"all": [{"channel": "mail"}, {"text": {"contains": "x"}}]}, {"channel": "mail", "text": "x"}),
    ({"any": [{"channel": "api"}, {"text": {"contains": "x"}}]}, {"channel": "mail", "text": "x"}),
    ({"not": {"any": [{"channel": "api"}, {"text": {"contains": "y"}}]}}, {"channel": "mail", "text": "x"}),
    ({"channel": "mail", "text": {"contains": "x"}}, {"channel": "mail", "text": "x"}),
    ([{"channel": "mail"}, {"text": {"contains": "x"}}], {"channel": "mail", "text": "x"}),
]

FAILS: list[tuple[Any, dict[str, Any]]] = [
    ({"channel": "mail"}, {"channel": "api"}),
    ({"channel": {"ne": "mail"}}, {"channel": "mail"}),
    ({"inbox": {"ne": "0190"}}, {"inbox_name": "website", "inbox_id": "0190"}),
    ({"event": "message"}, {}),
    ({"text": {"contains": "refund"}}, {"text": "refun d"}),
    ({"text": {"contains_all": ["card", "lost"]}}, {"text": "card"}),
    ({"text": {"starts_with": "hello"}}, {"text": "oh hello"}),
    ({"text": {"matches": "order"}}, {"text": "ORDER"}),
    ({"text": "stop"}, {"text": "stop it"}),
    ({"text": {"exists": True}}, {}),
    ({"text.length": {"gt": 2, "lt": 4}}, {"text": "abcd"}),
    ({"language": "zh"}, {"language": "zhx"}),
    ({"language": "zh"}, {}),
    ({"language": "zh-TW"}, {"language": "zh"}),
    ({"sender.domain": "example.org"}, {"sender_address": "+8613800000000"}),
    ({"contact.email": {"contains": "@"}}, {}),
    ({"contact.age_days": {"lt": 7}}, {}),
    ({"contact.attributes.tier": "vip"}, {"contact_attributes": {"tier": None}}),
    ({"contact.attributes.level": {"gte": 3}}, {"contact_attributes": {"level": "many"}}),
    ({"contact.attributes.level": {"gte": 3}}, {"contact_attributes": {"level": True}}),
    ({"contact.attributes.a.b": "x"}, {"contact_attributes": {"a": "x"}}),
    ({"tags": "spam"}, {"tags": ("spammer",)}),
    ({"tags": {"has_all": ["a", "b"]}}, {"tags": ("a",)}),
    ({"tags": {"has_none": ["a", "b"]}}, {"tags": ("b",)}),
    ({"priority": {"gt": "high"}}, {"priority": "high"}),
    ({"message_count": {"between": [2, 4]}}, {"message_count": 5}),
    ({"waiting_minutes": {"gte": 0}}, {}),
    ({"attachments.types": {"has": "image/*"}}, {"attachment_types": ("imagery/x",)}),
    ({"attachments.types": {"has_all": ["image/*", "text/plain"]}}, {"attachment_types": ("image/png",)}),
    ({"previous.queue": "risk"}, {}),
    ({"previous.resolved_hours_ago": {"lt": 2}}, {"previous": Previous()}),
    ({"queues.risk.waiting": {"gte": 0}}, {}),
    ({"window.closes_in_minutes": {"gte": 0}}, {}),
    ({"bot.confidence": {"lt": 0.5}}, {}),
    ({"weekday": "sat,sun"}, {}),
    ({"date": {"between": ["2026-01-08", "2026-02-17"]}}, {}),
    ({"hours": {"closed": "daily 00:00-24:00"}}, {}),
    ({"hours": "wed 09:00-12:00"}, {}),
    ({"all": [{"channel": "mail"}, {"text": {"contains": "y"}}]}, {"channel": "mail", "text": "x"}),
    ({"any": [{"channel": "api"}, {"text": {"contains": "y"}}]}, {"channel": "mail", "text": "x"}),
    ({"not": {"channel": "mail"}}, {"channel": "mail"}),
    ({"not": [{"channel": "mail"}, {"text": "x"}]}, {"channel": "mail", "text": "x"}),
]


@pytest.mark.parametrize(("when", "values"), HOLDS, ids=lambda value: str(value)[:60])
def test_holds(when: Any, values: dict[str, Any]) -> None:
    assert matches(when, **values)


@pytest.mark.parametrize(("when", "values"), FAILS, ids=lambda value: str(value)[:60])
def test_fails(when: Any, values: dict[str, Any]) -> None:
    assert not matches(when, **values)


def test_every_field_and_operator_is_tried_above() -> None:
    """A field or comparison that is added needs its line."""
    tried = str(HOLDS) + str(FAILS)
    assert [name for name in FIELDS if f"'{name}'" not in tried] == []
    assert [name for name in OPERATORS if f"'{name}'" not in tried and name not in ("eq", "in", "open")] == []


def test_nothing_known_makes_no_condition_raise() -> None:
    """Facts that say nothing are as good as any: every field with every comparison answers."""
    values = {"range": [1, 2], "flag": True, "hours": "daily 09:00-17:00", "patterns": "x"}
    by_kind = {"NUMBER": 1, "FLAG": True, "WEEKDAY": "mon", "DATE": "2026-01-01"}
    for name in (*FIELDS, "contact.attributes.x", "queues.x.waiting", "queues.x.open"):
        field = find_field(name)
        assert field is not None
        for operator in operators_for(field):
            value: Any = values.get(operator.takes) or by_kind.get(field.kind.name) or (field.choices or ("x",))[0]
            if operator.takes == "range" and field.kind.name == "DATE":
                value = ["2026-01-01", "2026-01-02"]
            matches({name: {operator.name: value}})


def test_only_the_first_part_of_a_huge_text_is_searched() -> None:
    assert matches({"text": {"contains": "end"}}, text="x" * 65_000 + "end")
    assert not matches({"text": {"contains": "end"}}, text="x" * 70_000 + "end")
    assert not matches({"text": {"matches": "end"}}, text="x" * 70_000 + "end")


def test_a_lone_surrogate_is_no_trouble() -> None:
    broken = "refund \ud800 now"
    assert matches({"text": {"matches": "refund"}}, text=broken)
    assert matches({"text": {"contains": "refund"}}, text=broken)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-01-06T22:00:00+08:00", True),
        ("2026-01-07T05:59:00+08:00", True),
        ("2026-01-07T06:00:00+08:00", False),
        ("2026-01-06T21:59:00+08:00", False),
        ("2026-01-12T03:00:00+08:00", True),  # Sunday's night reaches into Monday
    ],
)
def test_hours_run_over_midnight(moment: str, is_open: bool) -> None:
    when = {"hours": {"open": "daily 22:00-06:00", "zone": "Asia/Shanghai"}}
    assert matches(when, now=datetime.fromisoformat(moment)) is is_open


def test_hours_follow_summer_time() -> None:
    when = {"hours": {"open": "daily 09:00-10:00", "zone": "Europe/Berlin"}}
    assert matches(when, now=datetime.fromisoformat("2026-01-07T08:30:00+00:00"))
    assert matches(when, now=datetime.fromisoformat("2026-07-07T07:30:00+00:00"))


def test_facts_fold_once() -> None:
    one = Facts(now=NOW, text="ＡＢＣ")
    assert one.text_folded is one.text_folded
