"""Outgoing webhooks and what became of their deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from gateway.model.event import Webhook, WebhookDelivery
from gateway.store.collection import WEBHOOKS
from gateway.web.fields import Body, Listing, Paging, Url, View, given
from gateway.web.paging import paged
from gateway.web.route import Call, route

EventType = Annotated[str, Meta(pattern=r"^[a-z_]+\.([a-z_]+|\*)$", max_length=100)]
EventTypes = Annotated[tuple[EventType, ...], Meta(max_length=100)]
WebhookStatus = Literal["queued", "sent", "failed"]


class WebhookView(View, frozen=True, kw_only=True):
    """`types` empty: every event; `message.*`: a family."""

    id: str
    url: str
    types: list[str]
    enabled: bool
    created_at: datetime
    failing_since: datetime | None
    version: int


class MadeWebhook(WebhookView, frozen=True, kw_only=True):
    """`secret` signs the calls (Standard Webhooks); shown this once."""

    secret: str


class NewWebhook(Body, frozen=True, kw_only=True):
    url: Url
    types: EventTypes = ()
    enabled: bool = True


class WebhookPatch(Body, frozen=True, kw_only=True):
    url: Url | UnsetType = UNSET
    types: EventTypes | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WebhookDeliveryView(View, frozen=True, kw_only=True):
    id: str
    event_type: str
    status: WebhookStatus
    attempts: int
    next_at: datetime | None
    response_status: int | None
    error: str | None
    payload: str
    created_at: datetime
    sent_at: datetime | None


class WebhookDeliveryQuery(Paging, frozen=True, kw_only=True):
    status: WebhookStatus | None = None


class Replay(Body, frozen=True, kw_only=True):
    """`delivery_id`: that one; without it all that failed."""

    delivery_id: Annotated[str, Meta(min_length=1, max_length=300)] | None = None


class Replayed(View, frozen=True, kw_only=True):
    queued: int


class PingView(View, frozen=True, kw_only=True):
    ok: bool
    status: int | None
    error: str


def webhook_view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        types=list(webhook.types),
        enabled=webhook.enabled,
        created_at=webhook.created_at,
        failing_since=webhook.failing_since,
        version=webhook.version,
    )


def made_webhook(webhook: Webhook, secret: str) -> MadeWebhook:
    return MadeWebhook(
        id=webhook.id,
        url=webhook.url,
        types=list(webhook.types),
        enabled=webhook.enabled,
        created_at=webhook.created_at,
        failing_since=webhook.failing_since,
        version=webhook.version,
        secret=secret,
    )


def delivery_view(delivery: WebhookDelivery) -> WebhookDeliveryView:
    return WebhookDeliveryView(
        id=delivery.id,
        event_type=delivery.event_type,
        status=delivery.status,
        attempts=delivery.attempts,
        next_at=delivery.next_at,
        response_status=delivery.response_status,
        error=delivery.error,
        payload=delivery.payload,
        created_at=delivery.created_at,
        sent_at=delivery.sent_at,
    )


async def list_webhooks(call: Call[None, Paging]) -> Listing[WebhookView]:
    page = await call.services.store.find(WEBHOOKS, after=call.query.cursor, limit=call.query.limit)
    return paged(page, webhook_view)


async def get_webhook(call: Call[None, None]) -> WebhookView:
    return webhook_view(await call.services.config.changes.get("webhook", WEBHOOKS, call.id))


async def create_webhook(call: Call[NewWebhook, None]) -> MadeWebhook:
    return made_webhook(*await call.services.config.webhooks.create(call.actor, given(call.body)))


async def update_webhook(call: Call[WebhookPatch, None]) -> WebhookView:
    return webhook_view(await call.services.config.webhooks.update(call.actor, call.id, given(call.body)))


async def rotate_secret(call: Call[None, None]) -> MadeWebhook:
    return made_webhook(*await call.services.config.webhooks.rotate(call.actor, call.id))


async def delete_webhook(call: Call[None, None]) -> None:
    await call.services.config.webhooks.delete(call.actor, call.id)


async def list_deliveries(call: Call[None, WebhookDeliveryQuery]) -> Listing[WebhookDeliveryView]:
    query = call.query
    page = await call.services.webhooks.deliveries(call.id, query.status, after=query.cursor, limit=query.limit)
    return paged(page, delivery_view)


async def replay(call: Call[Replay, None]) -> Replayed:
    if call.body.delivery_id is None:
        return Replayed(queued=await call.services.webhooks.replay_failed(call.id))
    await call.services.webhooks.replay(call.id, call.body.delivery_id)
    return Replayed(queued=1)


async def ping(call: Call[None, None]) -> PingView:
    attempt = await call.services.webhooks.ping(call.id)
    return PingView(ok=attempt.ok, status=attempt.status, error=attempt.error)


ROUTES = [
    route(
        "GET", "/webhooks", list_webhooks, query=Paging, response=Listing[WebhookView],
        role="admin", scope="config:read", tag="webhooks", summary="Outgoing webhooks",
    ),
    route(
        "POST", "/webhooks", create_webhook, body=NewWebhook, response=MadeWebhook, status=201, creates=True,
        secret_answer=True, role="admin", scope="config:write", tag="webhooks", summary="Add a webhook",
    ),
    route(
        "GET", "/webhooks/{id}", get_webhook, response=WebhookView,
        role="admin", scope="config:read", tag="webhooks", summary="A webhook",
    ),
    route(
        "PATCH", "/webhooks/{id}", update_webhook, body=WebhookPatch, response=WebhookView,
        role="admin", scope="config:write", tag="webhooks", summary="Change a webhook",
    ),
    route(
        "DELETE", "/webhooks/{id}", delete_webhook,
        role="admin", scope="config:write", tag="webhooks", summary="Delete a webhook",
    ),
    route(
        "POST", "/webhooks/{id}/secret", rotate_secret, response=MadeWebhook,
        role="admin", scope="config:write", tag="webhooks",
        summary="A new signing secret; the old one signs beside it for a day",
    ),
    route(
        "POST", "/webhooks/{id}/ping", ping, response=PingView,
        role="admin", scope="config:write", tag="webhooks", summary="Send a test event now",
    ),
    route(
        "GET", "/webhooks/{id}/deliveries", list_deliveries, query=WebhookDeliveryQuery,
        response=Listing[WebhookDeliveryView],
        role="admin", scope="config:read", tag="webhooks", summary="Its deliveries, newest first",
    ),
    route(
        "POST", "/webhooks/{id}/replay", replay, body=Replay, response=Replayed,
        role="admin", scope="config:write", tag="webhooks", summary="Send a delivery, or all that failed, again",
    ),
]  # fmt: skip
