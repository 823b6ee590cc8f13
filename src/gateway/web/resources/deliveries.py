"""What is on its way out, what failed, and what a person decides about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.errors import NotFound
from gateway.model.message import Delivery, DeliveryStatus
from gateway.store.batch import Batch
from gateway.store.collection import DELIVERIES
from gateway.web.fields import Body, Line, Listing, Paging, View
from gateway.web.paging import paged
from gateway.web.resources.conversation_list import inbox_named
from gateway.web.resources.inboxes import find_inbox
from gateway.web.route import Call, route


class DeliveryView(View, frozen=True, kw_only=True):
    """`id` is the message's; `dead`: given up, to be retried by a person; `next_at`: when it is tried again."""

    id: str
    inbox_id: str
    conversation_id: str
    status: DeliveryStatus
    attempts: int
    next_at: datetime | None
    deadline: datetime
    provider_id: str | None
    error: str | None
    error_code: str
    dead: bool
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None


class InboxDeliveryQuery(Paging, frozen=True, kw_only=True):
    status: DeliveryStatus | None = None
    dead: Annotated[bool, Meta(description="given up, or not")] | None = None


class DeliveryQuery(InboxDeliveryQuery, frozen=True, kw_only=True):
    """`inbox`: id or name."""

    inbox: Line | None = None


class Resolve(Body, frozen=True, kw_only=True):
    """Of a delivery whose fate is unknown: `sent`, or `discard` so that it is not sent."""

    outcome: Literal["sent", "discard"]


def delivery_view(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        inbox_id=delivery.inbox_id,
        conversation_id=delivery.conversation_id,
        status=delivery.status,
        attempts=delivery.attempts,
        next_at=delivery.next_at,
        deadline=delivery.deadline,
        provider_id=delivery.provider_id,
        error=delivery.error,
        error_code=delivery.error_code,
        dead=delivery.dead,
        created_at=delivery.created_at,
        sent_at=delivery.sent_at,
        delivered_at=delivery.delivered_at,
        read_at=delivery.read_at,
    )


async def list_of_inbox(call: Call[None, InboxDeliveryQuery]) -> Listing[DeliveryView]:
    return await found(call, call.query, {"inbox_id": find_inbox(call).id})


async def list_deliveries(call: Call[None, DeliveryQuery]) -> Listing[DeliveryView]:
    where: dict[str, Any] = {}
    if call.query.inbox is not None:
        where["inbox_id"] = inbox_named(call.services, call.query.inbox)
        if where["inbox_id"] is None:
            raise NotFound("inbox", call.query.inbox)
    return await found(call, call.query, where)


async def found(call: Call[Any, Any], query: InboxDeliveryQuery, where: dict[str, Any]) -> Listing[DeliveryView]:
    if query.status is not None:
        where["status"] = query.status
    if query.dead is not None:
        where["dead"] = query.dead
    page = await call.services.store.find(DELIVERIES, where, order="-created_at", after=query.cursor, limit=query.limit)
    return paged(page, delivery_view)


async def get_delivery(call: Call[None, None]) -> DeliveryView:
    return delivery_view(await seen(call))


async def retry(call: Call[None, None]) -> DeliveryView:
    delivery = await seen(call)
    retried = await call.services.outbox.retry(delivery.id, call.actor)
    await call.services.audit.commit(Batch(), call.actor, "delivery.retry", delivery.id)
    return delivery_view(retried)


async def resolve(call: Call[Resolve, None]) -> DeliveryView:
    delivery = await seen(call)
    settled = await call.services.outbox.settle(delivery.id, call.body.outcome, call.actor)
    detail = {"outcome": call.body.outcome}
    await call.services.audit.commit(Batch(), call.actor, "delivery.resolve", delivery.id, detail)
    return delivery_view(settled)


async def seen(call: Call[Any, Any]) -> Delivery:
    """The delivery, if its conversation is one the caller may see."""
    delivery = await call.services.store.get(DELIVERIES, call.id)
    if delivery is None:
        raise NotFound("delivery", call.id)
    await call.services.conversations.get(delivery.conversation_id, call.actor)
    return delivery


ROUTES = [
    route(
        "GET", "/inboxes/{id}/deliveries", list_of_inbox, query=InboxDeliveryQuery, response=Listing[DeliveryView],
        role="supervisor", scope="conversations:read", tag="deliveries", summary="An inbox's deliveries, newest first",
    ),
    route(
        "GET", "/deliveries", list_deliveries, query=DeliveryQuery, response=Listing[DeliveryView],
        role="supervisor", scope="conversations:read", tag="deliveries", summary="Deliveries, newest first",
    ),
    route(
        "GET", "/deliveries/{id}", get_delivery, response=DeliveryView,
        role="agent", scope="conversations:read", tag="deliveries", summary="A delivery; its id is its message's",
    ),
    route(
        "POST", "/deliveries/{id}/retry", retry, response=DeliveryView,
        role="agent", scope="conversations:write", tag="deliveries",
        summary="Send a failed or unknown delivery again",
    ),
    route(
        "POST", "/deliveries/{id}/resolve", resolve, body=Resolve, response=DeliveryView,
        role="agent", scope="conversations:write", tag="deliveries",
        summary="Say what became of a delivery whose fate is unknown",
    ),
]  # fmt: skip
