"""Invariant 5: no agent over capacity, no conversation with two owners, whatever several nodes do at once.

Nodes read at different times, decide with the pure functions on what they saw, and write later; the store takes a batch
only if nothing in it changed since. Any interleaving of reads, decisions and writes must keep the invariant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from gateway.model.conversation import Conversation
from gateway.model.team import Agent, AgentState
from gateway.routing.assign import choose, need_of
from gateway.routing.capacity import give_back, has_room, points_for, take, used
from gateway.routing.waiting import order_waiting
from tests.routing.given import NOW, agent, conversation, queue

AGENTS: dict[str, Agent] = {
    "a": agent("a", capacity=2),
    "b": agent("b", capacity=3, weights={"chat": 2}),
    "c": agent("c", capacity=4, weights={"chat": 3, "mail": 2}),
}
QUEUE = queue()
CONVERSATIONS = ("c0", "c1", "c2", "c3", "c4", "c5")
NODES = 3


class Write(NamedTuple):
    kind: str
    id: str
    value: Any
    """Its `version` is that of the document it was decided on."""


@dataclass
class Node:
    """What a node saw last, and the batch it is about to write."""

    seen: dict[tuple[str, str], Any] = field(default_factory=dict)
    batch: list[Write] = field(default_factory=list)


nodes = st.integers(0, NODES - 1)
talks = st.sampled_from(CONVERSATIONS)
agents = st.sampled_from(sorted(AGENTS))


class ManyNodes(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.now = NOW
        self.store: dict[tuple[str, str], Any] = {}
        for number, id in enumerate(CONVERSATIONS):
            self.store["talk", id] = conversation(
                id, channel="chat" if number % 2 else "mail", queued_at=NOW, version=1
            )
        for id in AGENTS:
            self.store["state", id] = AgentState(id=id, presence="online", version=1)
        self.nodes = [Node(dict(self.store)) for _ in range(NODES)]

    # reading

    @rule(node=nodes, talk=talks)
    def read_a_conversation(self, node: int, talk: str) -> None:
        self.nodes[node].seen["talk", talk] = self.store["talk", talk]

    @rule(node=nodes, who=agents)
    def read_an_agent(self, node: int, who: str) -> None:
        self.nodes[node].seen["state", who] = self.store["state", who]

    @rule(node=nodes)
    def read_everything(self, node: int) -> None:
        self.nodes[node].seen = dict(self.store)

    # deciding, on what was seen

    def _talk(self, node: int, id: str) -> Conversation:
        return self.nodes[node].seen["talk", id]  # type: ignore[no-any-return]

    def _state(self, node: int, id: str) -> AgentState:
        return self.nodes[node].seen["state", id]  # type: ignore[no-any-return]

    def _decide(self, node: int, talk: Conversation, *states: AgentState) -> None:
        self.now += timedelta(seconds=1)
        self.nodes[node].batch = [
            Write("talk", talk.id, talk),
            *(Write("state", state.id, state) for state in states),
        ]

    @rule(node=nodes)
    def assign_who_waits(self, node: int) -> None:
        seen = [self._talk(node, id) for id in CONVERSATIONS]
        line = [talk for talk in seen if talk.assignee_id is None and talk.status == "open"]
        for talk in order_waiting(line, {"q": QUEUE}, self.now)[:1]:
            able = [(who, self._state(node, who.id)) for who in AGENTS.values()]
            choice = choose(QUEUE, need_of(talk), able, self.now)
            if choice.agent_id is not None:
                taken = take(self._state(node, choice.agent_id), talk.id, choice.points, self.now)
                self._decide(node, replace(talk, assignee_id=choice.agent_id, queued_at=None), taken)

    @rule(node=nodes, talk=talks, who=agents)
    def claim_or_transfer(self, node: int, talk: str, who: str) -> None:
        before = self._talk(node, talk)
        if before.assignee_id == who or before.status == "resolved":
            return
        if not has_room(AGENTS[who], self._state(node, who), before.channel):
            return
        states = [take(self._state(node, who), talk, points_for(AGENTS[who], before.channel), self.now)]
        if before.assignee_id is not None:
            states.append(give_back(self._state(node, before.assignee_id), talk))
        self._decide(node, replace(before, assignee_id=who, queued_at=None), *states)

    @rule(node=nodes, talk=talks, resolve=st.booleans())
    def resolve_or_release(self, node: int, talk: str, resolve: bool) -> None:
        before = self._talk(node, talk)
        after = replace(
            before,
            status="resolved" if resolve else before.status,
            assignee_id=None,
            preferred_agent_id=before.assignee_id,
            queued_at=None if resolve else self.now,
        )
        states = [] if before.assignee_id is None else [give_back(self._state(node, before.assignee_id), talk)]
        self._decide(node, after, *states)

    @rule(node=nodes, talk=talks)
    def a_message_reopens(self, node: int, talk: str) -> None:
        """It passes the same gate as a new one: the agent who had it gets it only if able."""
        before = self._talk(node, talk)
        if before.status != "resolved":
            return
        after = replace(before, status="open", queued_at=self.now)
        able = [(who, self._state(node, who.id)) for who in AGENTS.values()]
        choice = choose(QUEUE, need_of(after), able, self.now)
        if choice.agent_id is None:
            self._decide(node, after)
        else:
            taken = take(self._state(node, choice.agent_id), talk, choice.points, self.now)
            self._decide(node, replace(after, assignee_id=choice.agent_id, queued_at=None), taken)

    @rule(node=nodes, who=agents, presence=st.sampled_from(["online", "away", "offline"]))
    def come_and_go(self, node: int, who: str, presence: Any) -> None:
        state = replace(self._state(node, who), presence=presence, presence_at=self.now)
        self.nodes[node].batch = [Write("state", who, state)]

    # writing

    @precondition(lambda self: any(node.batch for node in self.nodes))
    @rule(node=nodes)
    def commit(self, node: int) -> None:
        batch, self.nodes[node].batch = self.nodes[node].batch, []
        if any(self.store[write.kind, write.id].version != write.value.version for write in batch):
            return  # Conflict: nothing of it is written
        for write in batch:
            stored = replace(write.value, version=write.value.version + 1)
            self.store[write.kind, write.id] = self.nodes[node].seen[write.kind, write.id] = stored

    @rule(node=nodes)
    def assign_at_once(self, node: int) -> None:
        """Without it nearly all batches would be stale, and little would ever be assigned."""
        self.read_everything(node)
        self.assign_who_waits(node)
        self.commit(node)

    @invariant()
    def nobody_is_over_capacity(self) -> None:
        for id, who in AGENTS.items():
            state = self.store["state", id]
            assert used(state) <= who.capacity, state

    @invariant()
    def every_conversation_has_one_owner_or_none(self) -> None:
        for id in CONVERSATIONS:
            talk = self.store["talk", id]
            holders = [who for who in AGENTS for hold in self.store["state", who].held if hold.conversation_id == id]
            assert holders == ([talk.assignee_id] if talk.assignee_id is not None else [])
            assert talk.status != "resolved" or talk.assignee_id is None


TestManyNodes = ManyNodes.TestCase
TestManyNodes.settings = settings(
    max_examples=120, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
