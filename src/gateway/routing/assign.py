"""Which agent gets a conversation: one pure choice, with the reason for or against each candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec

from gateway.model.conversation import Conversation
from gateway.model.decision import Candidate
from gateway.model.team import Agent, AgentState, Queue
from gateway.routing.capacity import points_for, used
from gateway.routing.visibility import serves

MAX_CANDIDATES = 50
"""Candidates kept with a decision; the last one then counts the rest."""

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation asks of its agent."""

    channel: str
    skills: tuple[str, ...] = ()
    """On top of the queue's."""
    language: str | None = None
    preferred_agent_id: str | None = None
    exclude: tuple[str, ...] = ()
    """Agents who must not get it (they just let it go, or let an offer pass)."""


def need_of(conversation: Conversation, *, exclude: tuple[str, ...] = ()) -> Need:
    return Need(
        channel=conversation.channel,
        skills=conversation.skills,
        language=conversation.language,
        preferred_agent_id=conversation.preferred_agent_id,
        exclude=exclude,
    )


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """`agent_id` None: nobody can take it now. `points`: what it weighs for the chosen one (see capacity.take)."""

    agent_id: str | None = None
    points: int = 0
    candidates: tuple[Candidate, ...] = ()


def choose(queue: Queue, need: Need, agents: Sequence[tuple[Agent, AgentState]], now: datetime) -> Choice:
    """The agent for a conversation in the queue.

    Able is who is enabled, online, serves the queue, has the queue's and the conversation's skills, and has room for
    it. Who lists languages must speak the conversation's, unless nobody who serves the queue does.
    The preferred agent comes first when able, then the queue's strategy decides; ties go to who was given fewer, then
    by id, so that equal states give equal choices. Agents who do not serve the queue are not listed.
    """
    serving = [(agent, state) for agent, state in agents if serves(agent.id, queue)]
    language = _hurdle(need.language, (agent for agent, _ in serving))
    skills = (*queue.skills, *need.skills)
    able: list[tuple[Agent, AgentState]] = []
    against: list[tuple[Agent, str]] = []
    for agent, state in serving:
        reason = _against(agent, state, need, skills, language)
        if reason:
            against.append((agent, reason))
        else:
            able.append((agent, state))
    if not able:
        return Choice(candidates=_bounded([_candidate(agent, reason) for agent, reason in against]))
    able.sort(key=partial(_rank, queue))
    chosen = able[0]
    why = _why(queue, chosen[1], now)
    for entry in able:
        if entry[0].id == need.preferred_agent_id:
            chosen, why = entry, "preferred"
    agent = chosen[0]
    listed = [Candidate(agent_id=agent.id, name=agent.name, chosen=True, reason=f"chosen: {why}")]
    listed += [
        _candidate(other, f"could take it {used(state)}/{other.capacity}")
        for other, state in able
        if other is not agent
    ]
    listed += [_candidate(other, reason) for other, reason in against]
    return Choice(agent_id=agent.id, points=points_for(agent, need.channel), candidates=_bounded(listed))


def _hurdle(language: str | None, serving: Iterable[Agent]) -> str | None:
    """The language an agent must speak: the conversation's, if one of those who serve the queue does."""
    if language is None:
        return None
    primary = language.partition("-")[0].lower()
    return primary if any(agent.enabled and primary in _spoken(agent) for agent in serving) else None


def _spoken(agent: Agent) -> list[str]:
    return [one.partition("-")[0].lower() for one in agent.languages]


def _against(agent: Agent, state: AgentState, need: Need, skills: tuple[str, ...], language: str | None) -> str:
    """Why the agent cannot take it; "": they can."""
    if not agent.enabled:
        return "disabled"
    if agent.id in need.exclude:
        return "let it go just now"
    lacking = [skill for skill in skills if skill not in agent.skills]
    if lacking:
        return "lacks skill " + ", ".join(dict.fromkeys(lacking))
    if language is not None and agent.languages and language not in _spoken(agent):
        return f"does not speak {language}"
    if state.presence != "online":
        return state.presence
    load, points = used(state), points_for(agent, need.channel)
    if load + points > agent.capacity:
        return f"full {load}/{agent.capacity}" + (f", this takes {points}" if points != 1 else "")
    return ""


def _rank(queue: Queue, entry: tuple[Agent, AgentState]) -> tuple[float, datetime, int, str]:
    """Sorts the next one first. Idle counts from the last assignment or from coming online, whichever was later; turns
    count from the last assignment alone, so that going away and back neither gains nor loses one."""
    agent, state = entry
    last = state.last_assigned_at or _NEVER
    if queue.strategy == "round_robin":
        return 0.0, last, state.assigned_count, agent.id
    idle = max(last, state.presence_at or _NEVER)
    share = used(state) / max(agent.capacity, 1) if queue.strategy == "least_busy" else 0.0
    return share, idle, state.assigned_count, agent.id


def _why(queue: Queue, state: AgentState, now: datetime) -> str:
    if queue.strategy == "least_busy":
        return "least busy"
    if queue.strategy == "round_robin":
        return "next in turn"
    since = max(state.last_assigned_at or _NEVER, state.presence_at or _NEVER)
    return (
        "longest idle" if since == _NEVER else f"longest idle, {max(0, int((now - since).total_seconds() // 60))} min"
    )


def _candidate(agent: Agent, reason: str) -> Candidate:
    return Candidate(agent_id=agent.id, name=agent.name, reason=reason)


def _bounded(candidates: list[Candidate]) -> tuple[Candidate, ...]:
    if len(candidates) <= MAX_CANDIDATES:
        return tuple(candidates)
    kept, rest = candidates[: MAX_CANDIDATES - 1], candidates[MAX_CANDIDATES - 1 :]
    kinds = Counter(candidate.reason.split(" ")[0].rstrip(",") for candidate in rest)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))
    return (*kept, Candidate(agent_id="", reason=f"and {len(rest)} more: {counted}"))
