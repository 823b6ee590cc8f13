"""Which events a reader of the feed may see."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.access import Actor
from gateway.model.event import Event
from gateway.model.team import ROLE_RANK, Role
from gateway.routing.visibility import may_see
from gateway.service.directory import Directory


@dataclass(frozen=True, slots=True)
class Viewer:
    """A reader: readers with the same `role` and `queue_ids` see the same, but for what is assigned to `agent_id`."""

    role: Role
    queue_ids: frozenset[str]
    agent_id: str | None

    def sees(self, event: Event) -> bool:
        if event.audience == "admins" and self.role != "admin":
            return False
        if event.conversation_id is None and event.queue_id is None and event.assignee_id is None:
            return True
        return any(self.sees_at(queue_id, assignee_id) for queue_id, assignee_id in places(event))

    def sees_at(self, queue_id: str | None, assignee_id: str | None) -> bool:
        """Whether it sees a conversation that is there."""
        return may_see(self.role, self.queue_ids, self.agent_id, queue_id=queue_id, assignee_id=assignee_id)


def places(event: Event) -> tuple[tuple[str | None, str | None], ...]:
    """(queue, agent) where the event's conversation is, and where it just was: who had it must learn that it left."""
    now = (event.queue_id, event.assignee_id)
    was = event.data.get("was")
    return (now, (was.get("queue_id"), was.get("assignee_id"))) if isinstance(was, dict) else (now,)


def viewer_of(actor: Actor, directory: Directory) -> Viewer | None:
    """The actor as a reader, as the directory stands now; None for an agent who is no more, or disabled."""
    role: Role = actor.role
    if actor.agent_id is None:
        return Viewer(role, frozenset(), None)
    agent = directory.agents.get(actor.agent_id)
    if agent is None or not agent.enabled:
        return None
    if actor.kind == "agent":
        role = agent.role
    elif ROLE_RANK[agent.role] < ROLE_RANK[role]:
        role = agent.role  # a token never reaches further than the agent it belongs to
    if role != "agent":
        return Viewer(role, frozenset(), actor.agent_id)  # sees all queues: all of them share a group
    return Viewer(role, directory.queues_of(actor.agent_id), actor.agent_id)
