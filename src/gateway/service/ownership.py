"""Who holds a conversation: every change of assignee goes through here, with the agents' load in the same batch.

The load documents are version-checked, so two writers that both see the last free place cannot both take it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from gateway.model.conversation import Conversation
from gateway.model.event import Event
from gateway.model.team import Agent, AgentState
from gateway.routing.capacity import give_back, points_for, take, used
from gateway.store.batch import Batch
from gateway.store.collection import AGENT_STATES


def put_state(batch: Batch, state: AgentState, now: datetime, *, kind: str = "agent.state") -> AgentState:
    """Write the state, also the first one, and tell other nodes; returns it as stored."""
    stored = batch.insert(AGENT_STATES, state) if state.version == 0 else batch.put(AGENT_STATES, state)
    batch.emit(
        Event(
            type=kind,
            at=now,
            data={
                "agent_id": stored.id,
                "version": stored.version,
                "presence": stored.presence,
                "load": used(stored),
            },
        )
    )
    return stored


def change_owner(
    batch: Batch,
    before: Conversation,
    after: Conversation,
    state_of: Callable[[str], AgentState],
    agent_of: Callable[[str], Agent | None],
    now: datetime,
) -> dict[str, AgentState]:
    """Move the load from the old assignee to the new one; returns the states as stored, by agent id."""
    changed: dict[str, AgentState] = {}
    if before.assignee_id == after.assignee_id:
        return changed
    if before.assignee_id is not None:
        state = give_back(state_of(before.assignee_id), before.id)
        changed[before.assignee_id] = put_state(batch, state, now)
    if after.assignee_id is not None:
        agent = agent_of(after.assignee_id)
        points = points_for(agent, after.channel) if agent is not None else 1
        state = changed.get(after.assignee_id) or state_of(after.assignee_id)
        changed[after.assignee_id] = put_state(batch, take(state, after.id, points, now), now)
    return changed


def released(conversation: Conversation) -> Conversation:
    """The conversation without an owner; who had it is preferred when it comes back."""
    return replace(
        conversation,
        assignee_id=None,
        preferred_agent_id=conversation.assignee_id or conversation.preferred_agent_id,
    )


def free_points(agent: Agent, state: AgentState) -> int:
    """How much more the agent can take."""
    return agent.capacity - used(state)
