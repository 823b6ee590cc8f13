"""Agents, their presence, and what they hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from gateway.errors import Denied, NotFound
from gateway.model.team import Agent, Presence, Role
from gateway.service.services import Services
from gateway.store.batch import Batch
from gateway.web.fields import Body, Email, Key, Listing, Name, Paging, View, given
from gateway.web.paging import listed
from gateway.web.route import Call, route

Capacity = Annotated[int, Meta(ge=0, le=1000)]
Weights = dict[Key, Annotated[int, Meta(ge=0, le=1000)]]
Skills = Annotated[tuple[Key, ...], Meta(max_length=100)]
Password = Annotated[str, Meta(min_length=10, max_length=200)]


class AgentView(View, frozen=True, kw_only=True):
    """`load`: points taken of `capacity`; `totp`: whether the login asks for a one-time code."""

    id: str
    email: str
    name: str
    role: Role
    enabled: bool
    skills: list[str]
    languages: list[str]
    capacity: int
    weights: dict[str, int]
    presence: Presence
    presence_at: datetime | None
    load: int
    conversations: list[str]
    totp: bool
    created_at: datetime
    version: int


class NewAgent(Body, frozen=True, kw_only=True):
    email: Email
    name: Name
    role: Role = "agent"
    password: Password | None = None
    skills: Skills = ()
    languages: Skills = ()
    capacity: Capacity = 5
    weights: Weights = {}
    enabled: bool = True


class AgentPatch(Body, frozen=True, kw_only=True):
    """`totp: false` switches a lost second factor off."""

    email: Email | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    skills: Skills | UnsetType = UNSET
    languages: Skills | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    weights: Weights | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    totp: bool | UnsetType = UNSET


class PresenceBody(Body, frozen=True, kw_only=True):
    state: Presence


def agent_view(services: Services, agent: Agent) -> AgentView:
    state = services.directory.state_of(agent.id)
    return AgentView(
        id=agent.id,
        email=agent.email,
        name=agent.name,
        role=agent.role,
        enabled=agent.enabled,
        skills=list(agent.skills),
        languages=list(agent.languages),
        capacity=agent.capacity,
        weights=agent.weights,
        presence=state.presence,
        presence_at=state.presence_at,
        load=sum(hold.points for hold in state.held),
        conversations=[hold.conversation_id for hold in state.held],
        totp=agent.totp_secret is not None,
        created_at=agent.created_at,
        version=agent.version,
    )


async def list_agents(call: Call[None, Paging]) -> Listing[AgentView]:
    agents = sorted(call.services.directory.agents.values(), key=lambda agent: agent.id)
    return listed(agents, call.query, lambda agent: agent_view(call.services, agent))


async def get_agent(call: Call[None, None]) -> AgentView:
    agent = call.services.directory.agents.get(call.id)
    if agent is None:
        raise NotFound("agent", call.id)
    return agent_view(call.services, agent)


async def get_me(call: Call[None, None]) -> AgentView:
    return agent_view(call.services, me(call.services, call.actor.agent_id))


async def create_agent(call: Call[NewAgent, None]) -> AgentView:
    fields = given(call.body)
    password = fields.pop("password")
    made = await call.services.config.agents.create(call.actor, fields, password)
    return agent_view(call.services, made)


async def update_agent(call: Call[AgentPatch, None]) -> AgentView:
    fields = given(call.body)
    password = fields.pop("password", None)
    totp = fields.pop("totp", None)
    if totp:
        raise Denied("only the agent can switch one-time codes on: PUT /agents/me/totp")
    made = await call.services.config.agents.update(
        call.actor, call.id, fields, password=password, reset_totp=totp is False, expect=call.expected_version()
    )
    if not made.enabled:
        await call.services.conversations.let_go_of_all(made.id)
    return agent_view(call.services, made)


async def delete_agent(call: Call[None, None]) -> None:
    await call.services.config.agents.delete(call.actor, call.id)


async def set_my_presence(call: Call[PresenceBody, None]) -> AgentView:
    agent = me(call.services, call.actor.agent_id)
    await call.services.dispatcher.set_presence(agent.id, call.body.state, call.actor)
    return agent_view(call.services, agent)


async def set_presence(call: Call[PresenceBody, None]) -> AgentView:
    """A supervisor sends someone off who forgot to."""
    agent = call.services.directory.agents.get(call.id)
    if agent is None:
        raise NotFound("agent", call.id)
    await call.services.dispatcher.set_presence(agent.id, call.body.state, call.actor)
    await call.services.audit.commit(Batch(), call.actor, "agent.presence", agent.id, {"state": call.body.state})
    return agent_view(call.services, agent)


def me(services: Services, agent_id: str | None) -> Agent:
    agent = services.directory.agents.get(agent_id or "")
    if agent is None:
        raise Denied("this token belongs to no agent")
    return agent


ROUTES = [
    route(
        "GET",
        "/agents",
        list_agents,
        query=Paging,
        response=Listing[AgentView],
        role="agent",
        scope="config:read",
        tag="agents",
        summary="Agents with presence and load",
    ),
    route(
        "POST",
        "/agents",
        create_agent,
        body=NewAgent,
        response=AgentView,
        status=201,
        role="admin",
        scope="config:write",
        tag="agents",
        creates=True,
        summary="Add an agent",
    ),
    route(
        "GET",
        "/agents/me",
        get_me,
        response=AgentView,
        role="agent",
        scope="config:read",
        tag="agents",
        summary="The agent one is",
    ),
    route(
        "PUT",
        "/agents/me/presence",
        set_my_presence,
        body=PresenceBody,
        response=AgentView,
        role="agent",
        scope="conversations:write",
        tag="agents",
        summary="Come on, go away, go off",
    ),
    route(
        "GET",
        "/agents/{id}",
        get_agent,
        response=AgentView,
        role="agent",
        scope="config:read",
        tag="agents",
        summary="An agent",
    ),
    route(
        "PATCH",
        "/agents/{id}",
        update_agent,
        body=AgentPatch,
        response=AgentView,
        role="admin",
        scope="config:write",
        tag="agents",
        summary="Change an agent; a new password or `enabled: false` ends their sessions",
    ),
    route(
        "DELETE",
        "/agents/{id}",
        delete_agent,
        role="admin",
        scope="config:write",
        tag="agents",
        summary="Delete an agent who has no conversations",
    ),
    route(
        "PUT",
        "/agents/{id}/presence",
        set_presence,
        body=PresenceBody,
        response=AgentView,
        role="supervisor",
        scope="conversations:write",
        tag="agents",
        summary="Set another agent's presence",
    ),
]
