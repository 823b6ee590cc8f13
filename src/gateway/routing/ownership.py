"""A conversation and its agent's load change together, here and nowhere else, so that the two never disagree.

Write both results in one batch, each checked by version: two nodes that decide on the same state then cannot both win.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.errors import Problem, Refused
from gateway.model.conversation import Conversation
from gateway.model.team import Agent, AgentState
from gateway.routing.capacity import give_back, has_room, points_for, take, used


def give(conversation: Conversation, agent: Agent, state: AgentState, now: datetime) -> tuple[Conversation, AgentState]:
    """The agent becomes the owner. Raises Refused if it has another owner, is resolved, or the agent has no room."""
    if conversation.assignee_id == agent.id:
        return conversation, state
    if conversation.assignee_id is not None:
        raise Refused(Problem("assignee", "another agent has this conversation"))
    if conversation.status == "resolved":
        raise Refused(Problem("status", "the conversation is resolved: reopen it first"))
    if not agent.enabled:
        raise Refused(Problem("assignee", f"{agent.name} is disabled"))
    if not has_room(agent, state, conversation.channel):
        raise Refused(Problem("assignee", f"{agent.name} is full {used(state)}/{agent.capacity}"))
    return (
        msgspec.structs.replace(
            conversation, assignee_id=agent.id, preferred_agent_id=agent.id, queued_at=None, updated_at=now
        ),
        take(state, conversation.id, points_for(agent, conversation.channel), now),
    )


def free(
    conversation: Conversation, state: AgentState, now: datetime, *, waits: bool
) -> tuple[Conversation, AgentState]:
    """The owner lets go; `waits`: it goes back into the line of its queue (else it is resolved, or goes to a bot)."""
    return (
        msgspec.structs.replace(conversation, assignee_id=None, queued_at=now if waits else None, updated_at=now),
        give_back(state, conversation.id),
    )
