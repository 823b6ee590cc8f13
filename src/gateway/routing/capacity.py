"""An agent's load: points held, points free. Every change of an owner goes through `take` or `give_back`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.model.team import Agent, AgentState, Hold


def points_for(agent: Agent, channel: str) -> int:
    """What a conversation of the channel weighs for the agent (1 unless they say otherwise, never below 0)."""
    return max(0, agent.weights.get(channel, 1))


def used(state: AgentState) -> int:
    """Points held now."""
    return sum([hold.points for hold in state.held])


def has_room(agent: Agent, state: AgentState, channel: str) -> bool:
    """Whether one more conversation of the channel stays within the agent's capacity."""
    return used(state) + points_for(agent, channel) <= agent.capacity


def holds(state: AgentState, conversation_id: str) -> bool:
    return any(hold.conversation_id == conversation_id for hold in state.held)


def take(state: AgentState, conversation_id: str, points: int, now: datetime) -> AgentState:
    """The state with the conversation held; the same state if it is held already (a repeat adds nothing)."""
    if holds(state, conversation_id):
        return state
    return msgspec.structs.replace(
        state,
        held=(*state.held, Hold(conversation_id=conversation_id, points=points)),
        last_assigned_at=now,
        assigned_count=state.assigned_count + 1,
    )


def give_back(state: AgentState, conversation_id: str) -> AgentState:
    """The state without the conversation; the same state if it is not held."""
    if not holds(state, conversation_id):
        return state
    return msgspec.structs.replace(
        state, held=tuple([hold for hold in state.held if hold.conversation_id != conversation_id])
    )
