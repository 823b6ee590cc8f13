"""Who may see a conversation and its events."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model.team import ROLE_RANK, Agent, Queue, Role


def may_see(
    role: Role,
    queue_ids: frozenset[str],
    agent_id: str | None,
    *,
    queue_id: str | None,
    assignee_id: str | None,
) -> bool:
    """Supervisors and admins see all; agents what waits or is handled in a queue they serve (`queue_ids`), and what is
    theirs in whichever queue. What has neither queue nor agent is for supervisors."""
    if ROLE_RANK[role] >= ROLE_RANK["supervisor"]:
        return True
    return (queue_id is not None and queue_id in queue_ids) or (assignee_id is not None and assignee_id == agent_id)


def queues_served(agent_id: str, queues: Iterable[Queue]) -> frozenset[str]:
    """Ids of the queues the agent serves; one that names no agents is served by all."""
    return frozenset(queue.id for queue in queues if serves(agent_id, queue))


def serves(agent_id: str, queue: Queue) -> bool:
    return not queue.agent_ids or agent_id in queue.agent_ids


def able_agents(queue: Queue, agents: Iterable[Agent]) -> list[Agent]:
    """The enabled agents who serve the queue and have its skills, whether present or not."""
    needed = set(queue.skills)
    return [agent for agent in agents if agent.enabled and serves(agent.id, queue) and needed.issubset(agent.skills)]
