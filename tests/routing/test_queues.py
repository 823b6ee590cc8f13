"""Opening hours, fallbacks, visibility, SLA clocks, and the facts of stored messages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.contact import Contact, Identity
from gateway.model.conversation import ReplyWindow, SlaClock
from gateway.model.inbox import Inbox
from gateway.model.message import Attachment, Author, Message
from gateway.model.team import Hours, Queue, SlaPolicy
from gateway.routing import sla
from gateway.routing.facts import Previous, QueueLoad, facts_of
from gateway.routing.hours import parse_hours
from gateway.routing.queues import is_open, resolve_queue
from gateway.routing.summary import facts_summary
from gateway.routing.visibility import able_agents, may_see, queues_served
from tests.routing.given import NOW, agent, conversation, facts, queue

OFFICE = (Hours(), Hours(days=(5,), open="10:00", close="14:00"))
NEVER = (Hours(days=(6,), open="03:00", close="03:01"),)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-07T09:00:00+08:00", True),
        ("2026-01-07T08:59:59+08:00", False),
        ("2026-01-07T17:59:59+08:00", True),
        ("2026-01-07T18:00:00+08:00", False),
        ("2026-01-10T10:30:00+08:00", True),
        ("2026-01-10T15:00:00+08:00", False),
        ("2026-01-11T10:30:00+08:00", False),
    ],
)
def test_queues_are_open_in_their_own_zone(moment: str, expected: bool) -> None:
    assert is_open(queue(timezone="Asia/Shanghai", hours=OFFICE), datetime.fromisoformat(moment)) is expected


def test_queues_without_hours_are_always_open_and_24_00_is_midnight() -> None:
    assert is_open(queue(), NOW)
    day = queue(hours=(Hours(days=tuple(range(7)), open="00:00", close="24:00"),))
    assert all(is_open(day, NOW + timedelta(minutes=7 * n)) for n in range(1500))


@given(st.integers(0, 6), st.integers(0, 1439), st.integers(1, 1440), st.integers(0, 10_079))
def test_hours_are_what_they_say(day: int, opens: int, length: int, minute: int) -> None:
    closes = (opens + length) % 1440 or 1440
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    text = f"{names[day]} {opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}"
    inside = any(start <= minute < end for start, end in parse_hours(text))
    start = day * 1440 + opens
    assert inside == ((minute - start) % 10_080 < length)


def ladder(*queues: Queue) -> dict[str, Queue]:
    return {one.id: one for one in queues}


def resolved(start: str, queues: dict[str, Queue], default: str | None = None) -> tuple[str, str]:
    found, reason = resolve_queue(queues[start], queues, NOW, queues[default] if default else None)
    return found.id, reason


def test_a_bot_hands_over_at_once_and_says_so() -> None:
    queues = ladder(queue("bot", type="bot", fallback_queue_id="support"), queue("support"))
    assert resolved("support", queues) == ("support", "")
    assert resolved("bot", queues) == ("support", "the bot bot cannot answer yet: goes to support")


def test_a_bot_without_a_fallback_hands_over_to_the_default() -> None:
    queues = ladder(queue("bot", type="bot"), queue("support"))
    assert resolved("bot", queues, "support")[0] == "support"
    assert resolved("bot", queues) == ("bot", "the bot bot cannot answer yet, and it has no fallback queue")
    assert resolved("bot", queues, "bot")[0] == "bot"
    gone = ladder(queue("bot", type="bot", fallback_queue_id="gone"), queue("support"))
    assert resolved("bot", gone, "support")[0] == "support"


def test_closed_queues_pass_on_or_wait() -> None:
    queues = ladder(
        queue("vip", hours=NEVER, fallback_queue_id="day"),
        queue("day", hours=NEVER, fallback_queue_id="night"),
        queue("night"),
        queue("alone", hours=NEVER),
    )
    assert resolved("vip", queues) == (
        "night",
        "queue vip is closed: goes to day; queue day is closed: goes to night",
    )
    assert resolved("alone", queues) == ("alone", "")


def test_fallbacks_in_a_circle_end() -> None:
    bots = ladder(
        queue("a", type="bot", fallback_queue_id="b"), queue("b", type="bot", fallback_queue_id="a"), queue("support")
    )
    assert resolved("a", bots, "support") == (
        "support",
        "the bot a cannot answer yet: goes to b; the bot b cannot answer yet: goes to a; "
        "the fallbacks lead in a circle: support keeps it",
    )
    mixed = ladder(
        queue("a", type="bot", fallback_queue_id="b"), queue("b", hours=NEVER, fallback_queue_id="a"), queue("support")
    )
    assert resolved("a", mixed, "support")[0] == "b"


def test_long_ladders_end() -> None:
    queues = ladder(*(queue(f"q{n}", hours=NEVER, fallback_queue_id=f"q{n + 1}") for n in range(500)), queue("q500"))
    found, reason = resolved("q0", queues)
    assert found in queues
    assert reason.count(";") < 30


@pytest.mark.parametrize(
    ("role", "queue_id", "assignee_id", "expected"),
    [
        ("agent", "mine", None, True),
        ("agent", "mine", "other", True),
        ("agent", "theirs", None, False),
        ("agent", "theirs", "other", False),
        ("agent", "theirs", "me", True),
        ("agent", None, None, False),
        ("agent", None, "me", True),
        ("supervisor", "theirs", "other", True),
        ("supervisor", None, None, True),
        ("admin", "theirs", None, True),
    ],
)
def test_who_sees_what(role: Any, queue_id: str | None, assignee_id: str | None, expected: bool) -> None:
    assert may_see(role, frozenset({"mine"}), "me", queue_id=queue_id, assignee_id=assignee_id) is expected


def test_a_token_without_an_agent_owns_nothing() -> None:
    assert not may_see("agent", frozenset(), None, queue_id=None, assignee_id=None)


def test_queues_served() -> None:
    queues = [queue("all"), queue("a", agent_ids=("me", "x")), queue("b", agent_ids=("x",))]
    assert queues_served("me", queues) == {"all", "a"}
    people = [agent("me", skills=("s",)), agent("x"), agent("y", enabled=False, skills=("s",))]
    assert [one.id for one in able_agents(queue(skills=("s",)), people)] == ["me"]


POLICY = SlaPolicy(id="gold", name="Gold", first_response_seconds=60, next_response_seconds=120, resolution_seconds=600)


def after(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_conversations_targets() -> None:
    talk = conversation(waiting_since=NOW)
    clock = sla.start(POLICY, talk, NOW)
    assert (clock.first_response_due, clock.next_response_due, clock.resolution_due) == (after(60), None, after(600))
    assert sla.next_due(clock, NOW) == after(60)
    clock = sla.on_message(POLICY, clock, talk, "in", after(30))
    assert clock.first_response_due == after(60)
    clock = sla.on_message(POLICY, clock, talk, "out", after(50))
    assert (clock.first_response_due, clock.breached) == (None, ())
    answered = conversation(first_response_at=after(50))
    clock = sla.on_message(POLICY, clock, answered, "in", after(100))
    assert clock.next_response_due == after(220)
    clock = sla.on_message(POLICY, clock, answered, "in", after(150))
    assert clock.next_response_due == after(220)  # the wait began with the first of them
    clock = sla.on_message(POLICY, clock, answered, "out", after(221))
    assert (clock.next_response_due, clock.breached) == (None, ("next_response",))
    clock = sla.on_resolved(clock, after(500))
    assert (sla.next_due(clock, after(500)), clock.breached) == (None, ("next_response",))
    clock = sla.on_reopened(POLICY, clock, answered, after(1000))
    assert (clock.next_response_due, clock.resolution_due) == (after(1120), after(1600))


def test_misses_are_recorded_once() -> None:
    clock = sla.start(POLICY, conversation(), NOW)
    assert sla.overdue(clock, after(59)) == ()
    assert sla.overdue(clock, after(60)) == ("first_response",)
    late = sla.mark_breached(clock, after(700))
    assert late.breached == ("first_response", "resolution")
    assert sla.mark_breached(late, after(800)) is late


def test_policies_without_targets_ask_nothing() -> None:
    policy = SlaPolicy(id="p", name="p")
    clock = sla.start(policy, conversation(), NOW)
    clock = sla.on_message(policy, clock, conversation(first_response_at=NOW), "in", NOW)
    assert sla.next_due(clock, NOW) is None
    assert clock == SlaClock(policy_id="p")


def test_another_policy_begins_where_the_conversation_stands() -> None:
    waiting = conversation(
        first_response_at=after(10), waiting_since=after(100), sla=SlaClock(policy_id="old", resolution_due=after(5))
    )
    clock = sla.start(POLICY, waiting, after(150))
    assert (clock.first_response_due, clock.next_response_due) == (None, after(220))
    assert clock.breached == ("resolution",)
    resolved = sla.start(POLICY, conversation(status="resolved"), NOW)
    assert sla.next_due(resolved, NOW) is None


def test_the_facts_of_a_stored_message() -> None:
    inbox = Inbox(id="i", kind="mail", name="Support mail", created_at=NOW)
    contact = Contact(
        id="k", name="A", email="a@example.org", attributes={"tier": "vip"}, created_at=NOW, updated_at=NOW
    )
    identity = Identity(
        id="d", contact_id="k", namespace="email", address="a@example.org", verification="asserted", created_at=NOW
    )
    message = Message(
        id="m",
        inbox_id="i",
        conversation_id="c",
        direction="in",
        author=Author(kind="contact"),
        text="new\n> old",
        visible_text="new",
        subject="S",
        attachments=(Attachment(id="f", name="a.png", type="image/png", size=7, sha256=""),),
        created_at=NOW,
    )
    talk = conversation(
        language="zh", tags=("t",), window=ReplyWindow(closes_at=after(60), sends_left=3), message_count=4
    )
    previous = Previous(queue="risk", resolved_at=after(-7200))
    found = facts_of(
        now=NOW,
        event="reopened",
        inbox=inbox,
        message=message,
        contact=contact,
        identity=identity,
        conversation=talk,
        queue_name="support",
        previous=previous,
        queues={"risk": QueueLoad(waiting=2)},
    )
    assert facts_summary(found) == {
        "at": "2026-01-07T12:00:00+00:00",
        "event": "reopened",
        "channel": "mail",
        "inbox": "Support mail",
        "text": "new",
        "subject": "S",
        "language": "zh",
        "sender.address": "a@example.org",
        "contact.name": "A",
        "contact.email": "a@example.org",
        "queue": "support",
        "contact.verified": "asserted",
        "message_count": 4,
        "tags": ["t"],
        "contact.attributes.tier": "vip",
        "attachments.types": ["image/png"],
        "attachments.names": ["a.png"],
        "attachments.bytes": 7,
        "previous.queue": "risk",
        "previous.resolved_hours_ago": 2.0,
        "queues.risk": {"waiting": 2, "online": 0, "open": True},
        "window.closes_at": "2026-01-07T12:01:00+00:00",
        "window.sends_left": 3,
    }
    alone = facts_of(now=NOW, event="new", inbox=inbox, message=message, contact=contact, identity=identity)
    assert (alone.message_count, alone.status, alone.subject) == (1, "open", "S")


def test_the_summary_is_small() -> None:
    big = facts(
        text="x" * 10_000,
        tags=tuple(f"t{n}" for n in range(500)),
        contact_attributes={f"k{n}": ["y" * 1000] * 100 for n in range(500)} | {"deep": {"a": {"b": "z" * 9999}}},
        waiting_since=NOW - timedelta(minutes=3),
        bot_confidence=0.25,
        kind="bounce",
        priority="high",
        status="pending",
    )
    summary = facts_summary(big)
    assert len(summary["text"]) == 200
    assert summary["text"].endswith("…")
    assert len(summary["tags"]) == 30
    assert sum(key.startswith("contact.attributes.") for key in summary) == 30
    assert len(str(summary)) < 20_000
    assert (summary["waiting_minutes"], summary["bot.confidence"], summary["kind"]) == (3.0, 0.25, "bounce")
