"""Who gets a conversation, who does not and why; loads; the order of those who wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.conversation import PRIORITY_RANK
from gateway.model.team import AgentState
from gateway.routing.assign import MAX_CANDIDATES, Need, choose, need_of
from gateway.routing.capacity import give_back, has_room, holds, points_for, take, used
from gateway.routing.waiting import aged_priority, order_waiting
from tests.routing.given import NOW, agent, conversation, online, queue


def reasons(choice: Any) -> dict[str, str]:
    return {candidate.agent_id: candidate.reason for candidate in choice.candidates}


def test_each_agent_has_a_reason() -> None:
    agents = [
        (agent("idle"), online("idle", minutes=30)),
        (agent("busy"), online("busy", "x", minutes=5)),
        (agent("full", capacity=2), online("full", "a", "b")),
        (agent("away"), online("away", presence="away")),
        (agent("off"), AgentState(id="off")),
        (agent("gone", enabled=False), online("gone")),
        (agent("new", skills=()), online("new")),
        (agent("other", skills=("tax",)), online("other")),
    ]
    skilled = [
        (who.__class__(**{**_fields(who), "skills": who.skills or ("tax",)}), state) for who, state in agents[:6]
    ]
    choice = choose(
        queue(skills=("tax",), agent_ids=("idle", "busy", "full", "away", "off", "gone", "new")),
        Need(channel="mail"),
        [*skilled, *agents[6:]],
        NOW,
    )
    assert choice.agent_id == "idle"
    assert choice.points == 1
    assert choice.candidates[0].chosen
    assert sum(candidate.chosen for candidate in choice.candidates) == 1
    assert reasons(choice) == {
        "idle": "chosen: longest idle, 30 min",
        "busy": "could take it 1/5",
        "full": "full 2/2",
        "away": "away",
        "off": "offline",
        "gone": "disabled",
        "new": "lacks skill tax",
    }


def _fields(who: Any) -> dict[str, Any]:
    return {name: getattr(who, name) for name in who.__struct_fields__}


def test_nobody_can() -> None:
    choice = choose(queue(), Need(channel="mail"), [(agent("a"), AgentState(id="a"))], NOW)
    assert (choice.agent_id, choice.points, reasons(choice)) == (None, 0, {"a": "offline"})
    assert choose(queue(), Need(channel="mail"), [], NOW).candidates == ()


@pytest.mark.parametrize(
    ("strategy", "expected", "reason"),
    [
        ("longest_idle", "b", "chosen: longest idle, 50 min"),
        ("least_busy", "c", "chosen: least busy"),
        ("round_robin", "a", "chosen: next in turn"),
    ],
)
def test_strategies(strategy: Any, expected: str, reason: str) -> None:
    agents = [
        # a was given one longest ago, but came online just now; b has idled longest; c carries least for their size
        (agent("a", capacity=3), online("a", "x", minutes=90, presence_at=NOW - timedelta(minutes=1))),
        (agent("b", capacity=3), online("b", "x", minutes=50, presence_at=NOW - timedelta(minutes=80))),
        (agent("c", capacity=9), online("c", "x", "y", minutes=10)),
    ]
    for order in (agents, agents[::-1]):
        choice = choose(queue(strategy=strategy), Need(channel="mail"), order, NOW)
        assert (choice.agent_id, choice.candidates[0].reason) == (expected, reason)


def test_round_robin_goes_round() -> None:
    states = {id: online(id) for id in "abc"}
    turns = []
    for step in range(7):
        choice = choose(
            queue(strategy="round_robin"),
            Need(channel="mail"),
            [(agent(id), states[id]) for id in states],
            NOW,
        )
        assert choice.agent_id is not None
        turns.append(choice.agent_id)
        states[choice.agent_id] = take(states[choice.agent_id], f"c{step}", 1, NOW + timedelta(seconds=step))
    assert "".join(turns) == "abcabca"


def test_within_one_moment_the_load_is_still_shared() -> None:
    """Intake gives out a whole batch at one time."""
    states = {id: online(id) for id in "abc"}
    for step in range(9):
        choice = choose(queue(), Need(channel="mail"), [(agent(id), states[id]) for id in states], NOW)
        assert choice.agent_id is not None
        states[choice.agent_id] = take(states[choice.agent_id], f"c{step}", 1, NOW)
    assert [used(state) for state in states.values()] == [3, 3, 3]


def test_the_preferred_agent_comes_first_when_able() -> None:
    agents = [(agent("a"), online("a", minutes=60)), (agent("b"), online("b", minutes=1))]
    assert choose(queue(), Need(channel="mail", preferred_agent_id="b"), agents, NOW).agent_id == "b"
    busy = [agents[0], (agent("b", capacity=0), online("b"))]
    choice = choose(queue(), Need(channel="mail", preferred_agent_id="b"), busy, NOW)
    assert (choice.agent_id, reasons(choice)["b"]) == ("a", "full 0/0")
    elsewhere = choose(queue(agent_ids=("a",)), Need(channel="mail", preferred_agent_id="b"), agents, NOW)
    assert elsewhere.agent_id == "a"
    assert "b" not in reasons(elsewhere)


def test_who_let_it_go_is_not_asked_again() -> None:
    agents = [(agent("a"), online("a", minutes=60)), (agent("b"), online("b", minutes=1))]
    choice = choose(queue(), Need(channel="mail", exclude=("a",)), agents, NOW)
    assert (choice.agent_id, reasons(choice)["a"]) == ("b", "let it go just now")


def test_skills_of_queue_and_conversation_are_needed() -> None:
    agents = [(agent("a", skills=("tax", "vip")), online("a")), (agent("b", skills=("tax",)), online("b"))]
    choice = choose(queue(skills=("tax",)), Need(channel="mail", skills=("vip",)), agents, NOW)
    assert (choice.agent_id, reasons(choice)["b"]) == ("a", "lacks skill vip")


def test_languages() -> None:
    zh, en, any_ = agent("zh", languages=("zh-CN",)), agent("en", languages=("en",)), agent("any")
    states = [(zh, online("zh", minutes=1)), (en, online("en", minutes=90)), (any_, online("any", minutes=60))]
    choice = choose(queue(), Need(channel="mail", language="zh-TW"), states, NOW)
    assert (choice.agent_id, reasons(choice)["en"]) == ("any", "does not speak zh")
    offline = [(zh, AgentState(id="zh")), states[1]]
    waits = choose(queue(), Need(channel="mail", language="zh"), offline, NOW)
    assert waits.agent_id is None  # someone here speaks it: worth waiting for
    assert choose(queue(), Need(channel="mail", language="fr"), states, NOW).agent_id == "en"  # nobody does: no hurdle


def test_weights() -> None:
    who = agent("a", capacity=5, weights={"chat": 3, "sms": 0, "odd": -4})
    assert [points_for(who, channel) for channel in ("mail", "chat", "sms", "odd")] == [1, 3, 0, 0]
    state = online("a", "x", points=3)
    assert has_room(who, state, "mail")
    assert not has_room(who, state, "chat")
    choice = choose(queue(), Need(channel="chat"), [(who, state)], NOW)
    assert reasons(choice) == {"a": "full 3/5, this takes 3"}
    free = choose(queue(), Need(channel="chat"), [(who, online("a"))], NOW)
    assert (free.agent_id, free.points) == ("a", 3)


def test_candidates_are_bounded_and_the_rest_counted() -> None:
    agents = [(agent(f"{n:03}"), AgentState(id=f"{n:03}", presence="away" if n % 2 else "offline")) for n in range(99)]
    agents.append((agent("on"), online("on")))
    choice = choose(queue(), Need(channel="mail"), agents, NOW)
    assert len(choice.candidates) == MAX_CANDIDATES
    assert choice.candidates[0].agent_id == "on"
    assert choice.candidates[-1].agent_id == ""
    assert choice.candidates[-1].reason == "and 51 more: 26 offline, 25 away"


def test_need_of_a_conversation() -> None:
    talk = conversation(channel="chat", skills=("s",), language="zh", preferred_agent_id="a")
    assert need_of(talk, exclude=("b",)) == Need(
        channel="chat", skills=("s",), language="zh", preferred_agent_id="a", exclude=("b",)
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["online", "away", "offline"]),
            st.integers(0, 4),
            st.integers(0, 4),
            st.booleans(),
            st.sampled_from([(), ("s",), ("s", "t")]),
            st.one_of(st.none(), st.integers(0, 99)),
        ),
        max_size=8,
    ),
    st.sampled_from(["longest_idle", "least_busy", "round_robin"]),
    st.sampled_from([(), ("s",), ("t",)]),
    st.sampled_from(["mail", "chat"]),
)
def test_only_the_able_are_chosen_and_one_is_if_there_is_one(
    people: list[Any], strategy: Any, skills: tuple[str, ...], channel: str
) -> None:
    agents = []
    for number, (presence, capacity, held, enabled, known, minutes) in enumerate(people):
        id = f"a{number}"
        who = agent(id, capacity=capacity, enabled=enabled, skills=known, weights={"chat": 2})
        agents.append((who, online(id, *[f"h{n}" for n in range(held)], presence=presence, minutes=minutes)))
    able = {
        who.id
        for who, state in agents
        if who.enabled
        and state.presence == "online"
        and set(skills) <= set(who.skills)
        and len(state.held) + (2 if channel == "chat" else 1) <= who.capacity
    }
    choice = choose(queue(strategy=strategy), Need(channel=channel, skills=skills), agents, NOW)
    assert (choice.agent_id in able) if able else choice.agent_id is None
    assert len(choice.candidates) == len(agents)
    assert choose(queue(strategy=strategy), Need(channel=channel, skills=skills), agents[::-1], NOW).agent_id == (
        choice.agent_id
    )


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcde"), st.integers(0, 3)), max_size=30))
def test_taking_and_giving_back_keep_count(steps: list[tuple[bool, str, int]]) -> None:
    state = AgentState(id="a")
    expected: dict[str, int] = {}
    for takes, id, points in steps:
        if takes:
            state = take(state, id, points, NOW)
            expected.setdefault(id, points)
        else:
            state = give_back(state, id)
            expected.pop(id, None)
        assert used(state) == sum(expected.values())
        assert {hold.conversation_id for hold in state.held} == set(expected)
    assert all(holds(state, id) for id in expected)


def test_a_repeat_changes_nothing() -> None:
    once = take(AgentState(id="a"), "c", 2, NOW)
    assert take(once, "c", 2, NOW + timedelta(hours=1)) is once
    assert (once.last_assigned_at, once.assigned_count) == (NOW, 1)
    assert give_back(once, "other") is once


def test_waiting_goes_by_queue_then_priority_then_time() -> None:
    def waits(id: str, minutes: float, priority: str = "normal", queue_id: str = "q") -> Any:
        queued = NOW - timedelta(minutes=minutes)
        return conversation(id, priority=priority, queue_id=queue_id, queued_at=queued)

    queues = {"q": queue("q", ageing_seconds=0), "vip": queue("vip", priority=5, ageing_seconds=0)}
    line = [
        waits("later", 1),
        waits("first", 2),
        waits("urgent", 0.1, "urgent"),
        waits("low", 99, "low"),
        waits("vip", 0, "low", "vip"),
    ]
    assert [one.id for one in order_waiting(line, queues, NOW)] == ["vip", "urgent", "first", "later", "low"]
    assert [one.id for one in order_waiting(line[::-1], queues, NOW)] == ["vip", "urgent", "first", "later", "low"]


def test_waiting_raises_priority() -> None:
    line = queue("q", ageing_seconds=600)
    for minutes, expected in ((9, 0), (10, 1), (29, 2), (30, 3), (60, 6)):
        old = conversation(priority="low", queued_at=NOW - timedelta(minutes=minutes))
        assert aged_priority(old, line, NOW) == PRIORITY_RANK["low"] + expected
    old = conversation("old", priority="low", queued_at=NOW - timedelta(minutes=41))
    new = conversation("new", priority="urgent", queued_at=NOW)
    assert [one.id for one in order_waiting([new, old], {"q": line}, NOW)] == ["old", "new"]


def test_waiting_in_a_queue_that_is_gone() -> None:
    assert [one.id for one in order_waiting([conversation("a")], {}, NOW)] == ["a"]
