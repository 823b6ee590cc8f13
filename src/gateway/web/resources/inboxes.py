"""Inboxes: accounts of channels, how they do, and what passed between them and their providers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from gateway.connector import CheckResult
from gateway.errors import NotFound
from gateway.model.inbox import ChannelLogEntry, Health, HealthState, Inbox
from gateway.model.team import ROLE_RANK
from gateway.store.collection import CHANNEL_LOG, INBOX_HEALTH
from gateway.web.fields import Body, Id, Listing, Name, Paging, View, checked_json, given
from gateway.web.paging import paged
from gateway.web.route import Call, route

Days = Annotated[int, Meta(ge=0, le=3650)]
SettingsBody = dict[str, Any]


class HealthView(View, frozen=True, kw_only=True):
    """`reason`: what is wrong; `action`: what an admin can do about it."""

    state: HealthState
    reason: str
    action: str
    since: datetime | None
    restarts: int
    details: dict[str, Any]


class InboxView(View, frozen=True, kw_only=True):
    """`settings` are for admins only (empty for others); a secret that is set is shown as {"$secret": true}.
    `webhook_url`: where a provider, or an app with receipts, calls."""

    id: str
    kind: str
    name: str
    settings: dict[str, Any]
    enabled: bool
    reopen_days: int
    health: HealthView
    webhook_url: str
    created_at: datetime
    version: int


class MadeInbox(InboxView, frozen=True, kw_only=True):
    """`token`: what an app posts messages with; shown this once, null for other kinds."""

    token: str | None


class NewInbox(Body, frozen=True, kw_only=True):
    """`settings`: as the channel's `settings_schema` says (see /channels)."""

    kind: Id
    name: Name
    settings: SettingsBody = {}
    enabled: bool = True
    reopen_days: Days = 14


class InboxPatch(Body, frozen=True, kw_only=True):
    """`settings`: those to change; null puts one back to its default, {"$secret": true} or leaving it out keeps it."""

    name: Name | UnsetType = UNSET
    settings: SettingsBody | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    reopen_days: Days | UnsetType = UNSET


class CheckBody(Body, frozen=True, kw_only=True):
    """`settings`: to be tried over those that are kept, without keeping them."""

    settings: SettingsBody = {}


class CheckNew(Body, frozen=True, kw_only=True):
    kind: Id
    settings: SettingsBody


class CheckView(View, frozen=True, kw_only=True):
    name: str
    ok: bool
    detail: str
    action: str


class CheckList(View, frozen=True, kw_only=True):
    ok: bool
    checks: list[CheckView]


class LogView(View, frozen=True, kw_only=True):
    id: str
    at: datetime
    direction: Literal["in", "out"]
    summary: str
    ok: bool
    request: str
    response: str
    elapsed_ms: float


def inbox_view(call: Call[Any, Any], inbox: Inbox, health: Health | None) -> InboxView:
    admin = ROLE_RANK[call.actor.role] >= ROLE_RANK["admin"]
    return InboxView(
        id=inbox.id,
        kind=inbox.kind,
        name=inbox.name,
        settings=call.services.config.inboxes.shown(inbox) if admin else {},
        enabled=inbox.enabled,
        reopen_days=inbox.reopen_days,
        health=health_view(inbox, health),
        webhook_url=f"{call.public_url()}/hooks/{inbox.id}",
        created_at=inbox.created_at,
        version=inbox.version,
    )


def made_view(call: Call[Any, Any], inbox: Inbox, token: str | None) -> MadeInbox:
    shown = inbox_view(call, inbox, None)
    return MadeInbox(**{name: getattr(shown, name) for name in shown.__struct_fields__}, token=token)


def health_view(inbox: Inbox, health: Health | None) -> HealthView:
    health = health or Health()
    return HealthView(
        state=health.state if inbox.enabled else "disabled",
        reason=health.reason,
        action=health.action,
        since=health.since,
        restarts=health.restarts,
        details=health.details,
    )


def check_list(results: list[CheckResult]) -> CheckList:
    return CheckList(
        ok=all(result.ok for result in results),
        checks=[CheckView(name=r.name, ok=r.ok, detail=r.detail, action=r.action) for r in results],
    )


def find_inbox(call: Call[Any, Any]) -> Inbox:
    inbox = call.services.directory.inboxes.get(call.id)
    if inbox is None:
        raise NotFound("inbox", call.id)
    return inbox


async def health_of(call: Call[Any, Any], ids: list[str]) -> dict[str, Health]:
    found = await call.services.store.get_many(INBOX_HEALTH, ids)
    return {id: entry.health for id, entry in found.items()}


async def list_inboxes(call: Call[None, Paging]) -> Listing[InboxView]:
    start, limit = call.query.cursor or "", call.query.limit
    rest = sorted((i for i in call.services.directory.inboxes.values() if i.id > start), key=lambda inbox: inbox.id)
    page = rest[:limit]
    health = await health_of(call, [inbox.id for inbox in page])
    return Listing(
        items=[inbox_view(call, inbox, health.get(inbox.id)) for inbox in page],
        next=page[-1].id if len(rest) > limit else None,
    )


async def get_inbox(call: Call[None, None]) -> InboxView:
    return await shown(call, find_inbox(call))


async def create_inbox(call: Call[NewInbox, None]) -> MadeInbox:
    body = call.body
    made, token = await call.services.config.inboxes.create(
        call.actor,
        kind=body.kind,
        name=body.name,
        settings=checked_json(body.settings, "settings", plain=False),
        enabled=body.enabled,
        reopen_days=body.reopen_days,
    )
    return made_view(call, made, token)


async def update_inbox(call: Call[InboxPatch, None]) -> InboxView:
    fields = given(call.body)
    settings = fields.pop("settings", None)
    if settings is not None:
        checked_json(settings, "settings", plain=False)
    inbox = await call.services.config.inboxes.update(call.actor, call.id, fields, settings, call.expected_version())
    return await shown(call, inbox)


async def delete_inbox(call: Call[None, None]) -> None:
    await call.services.config.inboxes.delete(call.actor, call.id)


async def rotate_token(call: Call[None, None]) -> MadeInbox:
    return made_view(call, *await call.services.config.inboxes.rotate_token(call.actor, call.id))


async def check_inbox(call: Call[CheckBody, None]) -> CheckList:
    inbox = find_inbox(call)
    settings = call.services.config.inboxes.opened(inbox.kind, call.body.settings, inbox)
    return check_list(await call.services.supervisor.check(inbox.kind, settings, inbox=inbox))


async def check_new(call: Call[CheckNew, None]) -> CheckList:
    settings = call.services.config.inboxes.opened(call.body.kind, call.body.settings)
    return check_list(await call.services.supervisor.check(call.body.kind, settings))


async def poll_inbox(call: Call[None, None]) -> None:
    await call.services.supervisor.poll_now(find_inbox(call).id)


async def list_log(call: Call[None, Paging]) -> Listing[LogView]:
    page = await call.services.store.find(
        CHANNEL_LOG,
        {"inbox_id": find_inbox(call).id},
        order="-at",
        after=call.query.cursor,
        limit=call.query.limit,
    )
    return paged(page, log_view)


def log_view(entry: ChannelLogEntry) -> LogView:
    return LogView(
        id=entry.id,
        at=entry.at,
        direction=entry.direction,
        summary=entry.summary,
        ok=entry.ok,
        request=entry.request,
        response=entry.response,
        elapsed_ms=entry.elapsed_ms,
    )


async def shown(call: Call[Any, Any], inbox: Inbox) -> InboxView:
    return inbox_view(call, inbox, (await health_of(call, [inbox.id])).get(inbox.id))


ROUTES = [
    route(
        "GET", "/inboxes", list_inboxes, query=Paging, response=Listing[InboxView],
        role="agent", scope="config:read", tag="inboxes", summary="Inboxes and how they do",
    ),
    route(
        "POST", "/inboxes", create_inbox, body=NewInbox, response=MadeInbox, status=201, creates=True,
        secret_answer=True, role="admin", scope="config:write", tag="inboxes", summary="Add an inbox",
    ),
    route(
        "POST", "/inboxes/check", check_new, body=CheckNew, response=CheckList,
        role="admin", scope="config:write", tag="inboxes",
        summary="Try settings at the provider before adding an inbox; sends nothing to anyone",
    ),
    route(
        "GET", "/inboxes/{id}", get_inbox, response=InboxView,
        role="agent", scope="config:read", tag="inboxes", summary="An inbox",
    ),
    route(
        "PATCH", "/inboxes/{id}", update_inbox, body=InboxPatch, response=InboxView,
        role="admin", scope="config:write", tag="inboxes", summary="Change an inbox",
    ),
    route(
        "DELETE", "/inboxes/{id}", delete_inbox,
        role="admin", scope="config:write", tag="inboxes", summary="Delete an inbox without conversations",
    ),
    route(
        "POST", "/inboxes/{id}/token", rotate_token, response=MadeInbox,
        role="admin", scope="config:write", tag="inboxes", summary="A new token for the app; the old one ends at once",
    ),
    route(
        "POST", "/inboxes/{id}/check", check_inbox, body=CheckBody, response=CheckList,
        role="admin", scope="config:write", tag="inboxes",
        summary="Try the settings at the provider; sends nothing to anyone",
    ),
    route(
        "POST", "/inboxes/{id}/poll", poll_inbox,
        role="admin", scope="config:write", tag="inboxes", summary="Look for new messages now",
    ),
    route(
        "GET", "/inboxes/{id}/log", list_log, query=Paging, response=Listing[LogView],
        role="admin", scope="config:read", tag="inboxes",
        summary="Exchanges with the provider, secrets removed, newest first",
    ),
]  # fmt: skip
