"""Queues."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from gateway.errors import NotFound
from gateway.model.team import Hours, Queue, Strategy
from gateway.service.services import Services
from gateway.web.fields import Body, Id, Key, Listing, Name, Paging, Seconds, View, given
from gateway.web.paging import listed
from gateway.web.route import Call, route

QueueType = Literal["human", "bot"]
Rank = Annotated[int, Meta(ge=-1000, le=1000)]
Skills = Annotated[tuple[Key, ...], Meta(max_length=100)]
AgentIds = Annotated[tuple[Id, ...], Meta(max_length=5000)]
Zone = Annotated[str, Meta(min_length=1, max_length=100)]
Week = Annotated[tuple[Hours, ...], Meta(max_length=100)]


class HoursView(View, frozen=True, kw_only=True):
    """`days`: 0 Monday … 6 Sunday; `open` and `close`: HH:MM in the queue's time zone."""

    days: list[int]
    open: str
    close: str


class QueueView(View, frozen=True, kw_only=True):
    """`agent_ids` empty: every agent serves it; `hours` empty: always open."""

    id: str
    name: str
    type: QueueType
    strategy: Strategy
    skills: list[str]
    priority: int
    ageing_seconds: int
    agent_ids: list[str]
    fallback_queue_id: str | None
    timezone: str
    hours: list[HoursView]
    sla_policy_id: str | None
    bot_id: str | None
    sample: bool
    version: int


class NewQueue(Body, frozen=True, kw_only=True):
    name: Name
    type: QueueType = "human"
    strategy: Strategy = "longest_idle"
    skills: Skills = ()
    priority: Rank = 0
    ageing_seconds: Seconds = 600
    agent_ids: AgentIds = ()
    fallback_queue_id: Id | None = None
    timezone: Zone = "UTC"
    hours: Week = ()
    sla_policy_id: Id | None = None
    bot_id: Id | None = None


class QueuePatch(Body, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    type: QueueType | UnsetType = UNSET
    strategy: Strategy | UnsetType = UNSET
    skills: Skills | UnsetType = UNSET
    priority: Rank | UnsetType = UNSET
    ageing_seconds: Seconds | UnsetType = UNSET
    agent_ids: AgentIds | UnsetType = UNSET
    fallback_queue_id: Id | UnsetType | None = UNSET
    timezone: Zone | UnsetType = UNSET
    hours: Week | UnsetType = UNSET
    sla_policy_id: Id | UnsetType | None = UNSET
    bot_id: Id | UnsetType | None = UNSET


def queue_view(queue: Queue) -> QueueView:
    return QueueView(
        id=queue.id,
        name=queue.name,
        type=queue.type,
        strategy=queue.strategy,
        skills=list(queue.skills),
        priority=queue.priority,
        ageing_seconds=queue.ageing_seconds,
        agent_ids=list(queue.agent_ids),
        fallback_queue_id=queue.fallback_queue_id,
        timezone=queue.timezone,
        hours=[HoursView(days=list(span.days), open=span.open, close=span.close) for span in queue.hours],
        sla_policy_id=queue.sla_policy_id,
        bot_id=queue.bot_id,
        sample=queue.sample,
        version=queue.version,
    )


def find_queue(services: Services, id: str) -> Queue:
    queue = services.directory.queues.get(id)
    if queue is None:
        raise NotFound("queue", id)
    return queue


async def list_queues(call: Call[None, Paging]) -> Listing[QueueView]:
    queues = sorted(call.services.directory.queues.values(), key=lambda queue: queue.id)
    return listed(queues, call.query, queue_view)


async def get_queue(call: Call[None, None]) -> QueueView:
    return queue_view(find_queue(call.services, call.id))


async def create_queue(call: Call[NewQueue, None]) -> QueueView:
    return queue_view(await call.services.config.queues.create(call.actor, given(call.body)))


async def update_queue(call: Call[QueuePatch, None]) -> QueueView:
    fields = given(call.body)
    return queue_view(await call.services.config.queues.update(call.actor, call.id, fields, call.expected_version()))


async def delete_queue(call: Call[None, None]) -> None:
    await call.services.config.queues.delete(call.actor, call.id)


ROUTES = [
    route(
        "GET", "/queues", list_queues, query=Paging, response=Listing[QueueView],
        role="agent", scope="config:read", tag="queues", summary="Queues",
    ),
    route(
        "POST", "/queues", create_queue, body=NewQueue, response=QueueView, status=201, creates=True,
        role="admin", scope="config:write", tag="queues", summary="Add a queue",
    ),
    route(
        "GET", "/queues/{id}", get_queue, response=QueueView,
        role="agent", scope="config:read", tag="queues", summary="A queue",
    ),
    route(
        "PATCH", "/queues/{id}", update_queue, body=QueuePatch, response=QueueView,
        role="admin", scope="config:write", tag="queues", summary="Change a queue",
    ),
    route(
        "DELETE", "/queues/{id}", delete_queue,
        role="admin", scope="config:write", tag="queues", summary="Delete a queue that nothing needs any more",
    ),
]  # fmt: skip
