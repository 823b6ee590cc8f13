"""No agent over capacity, no conversation with two owners: random interleavings on the real store, two nodes on it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.connector import Inbound, Sender
from gateway.errors import Clash, Conflict, NotFound
from gateway.model.access import Actor
from gateway.model.team import Agent, AgentState, Queue
from gateway.routing.capacity import used
from gateway.service.conversations import Changes
from gateway.store.batch import Batch
from gateway.store.collection import AGENT_STATES, AGENTS, CONVERSATIONS, INBOXES, QUEUES
from gateway.store.contract import Store
from gateway.store.sqlite.store import SqliteStore

from .node import Node, SteppingClock, an_inbox, node_on

CUSTOMERS = 6
AGENT_IDS = ("kim", "lee", "sam")


async def prepare(store: Store, clock: SteppingClock) -> None:
    batch = Batch()
    batch.insert(INBOXES, an_inbox())
    batch.insert(QUEUES, Queue(id="q-support", name="support"))
    batch.insert(QUEUES, Queue(id="q-money", name="money", strategy="least_busy", agent_ids=("kim", "lee")))
    for number, id in enumerate(AGENT_IDS):
        batch.insert(
            AGENTS,
            Agent(
                id=id,
                email=f"{id}@example.org",
                name=id,
                role="supervisor",
                capacity=number + 1,
                created_at=clock.now(),
            ),
        )
    await store.commit(batch)


async def check(store: Store) -> None:
    """The invariant, and that load and ownership tell the same story."""
    agents = {agent.id: agent for agent in (await store.find(AGENTS)).items}
    states = await store.get_many(AGENT_STATES, AGENT_IDS)
    held: dict[str, list[str]] = {}
    for id in AGENT_IDS:
        state = states.get(id) or AgentState(id=id)
        assert used(state) <= agents[id].capacity, f"{id} is over capacity"
        for hold in state.held:
            held.setdefault(hold.conversation_id, []).append(id)
    assert all(len(owners) == 1 for owners in held.values()), f"two owners: {held}"
    for conversation in (await store.find(CONVERSATIONS, limit=200)).items:
        owners = held.pop(conversation.id, [])
        assert owners == ([conversation.assignee_id] if conversation.assignee_id else []), conversation
        assert not (conversation.assignee_id and conversation.status == "resolved")
    assert not held, f"held but unknown: {held}"


async def act(node: Node, chance: random.Random, number: int) -> None:
    """One random step of a customer or an agent."""
    actor = Actor(kind="agent", id="sam", name="sam", role="supervisor", agent_id=chance.choice(AGENT_IDS))
    step = chance.choice(("say", "say", "say", "claim", "release", "resolve", "move", "hand", "presence", "reply"))
    customer = f"customer{chance.randrange(CUSTOMERS)}"
    page = await node.store.find(CONVERSATIONS, limit=50)
    picked = chance.choice(page.items).id if page.items else None
    try:
        if step == "say":
            inbound = Inbound(external_id=f"m{number}", sender=Sender(address=customer), text="hello")
            await node.intake.accept(an_inbox(), [inbound])
        elif step == "presence":
            presence = chance.choice(("online", "online", "away", "offline"))
            await node.dispatcher.set_presence(actor.agent_id or "", presence, actor)  # type: ignore[arg-type]
            await node.dispatcher.dispatch()
        elif picked is None:
            return
        elif step == "claim":
            await node.conversations.claim(picked, actor)
        elif step == "release":
            await node.conversations.release(picked, actor)
            await node.dispatcher.dispatch()
        elif step == "resolve":
            await node.conversations.update(picked, actor, Changes(status="resolved"))
            await node.dispatcher.dispatch()
        elif step == "move":
            await node.conversations.transfer(picked, actor, queue=chance.choice(("support", "money")))
        elif step == "hand":
            await node.conversations.update(picked, actor, Changes(assignee=chance.choice(AGENT_IDS)))
        else:
            await node.conversations.reply(picked, actor, "hello")
    except (Clash, NotFound, Conflict):
        pass  # a refusal is an answer; the state must be sound whatever was refused


async def interleave(store: Store, clock: SteppingClock, seed: int, steps: int) -> None:
    """Two nodes, each with an own, at times stale, view of the same store, act at the same time."""
    await prepare(store, clock)
    chance = random.Random(seed)
    async with node_on(store, clock) as one, node_on(store, clock) as two:
        for start in range(0, steps, 6):
            await asyncio.gather(
                *(act(chance.choice((one, two)), chance, number) for number in range(start, start + 6))
            )
            await check(store)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_interleavings_on_sqlite(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    async def run() -> None:
        clock = SteppingClock()
        folder: Path = tmp_path_factory.mktemp("invariant")
        store = SqliteStore(folder / "omnigate.db", clock)
        await store.open()
        try:
            await interleave(store, clock, seed, 60)
        finally:
            await store.close()

    asyncio.run(run())
