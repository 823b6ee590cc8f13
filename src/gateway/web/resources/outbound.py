"""Answers for an app that polls."""

from __future__ import annotations

from gateway.service.outbox.outbound_feed import PolledPage, list_outbound
from gateway.web.fields import LIMIT, Id, Limit, Query
from gateway.web.resources.app_messages import app_inbox
from gateway.web.route import Call, route


class OutboundQuery(Query, frozen=True, kw_only=True):
    """`after`: the `cursor` of the last answer the app has; those up to it are marked delivered."""

    after: Id | None = None
    limit: Limit = LIMIT


async def get_outbound(call: Call[None, OutboundQuery]) -> PolledPage:
    inbox = app_inbox(call)
    services = call.services
    return await list_outbound(services.store, services.clock, inbox.id, call.query.after, call.query.limit)


ROUTES = [
    route(
        "GET", "/inboxes/{id}/outbound", get_outbound, query=OutboundQuery, response=PolledPage,
        inbox_token=True, role="admin", scope="conversations:write", tag="in-app",
        summary="Answers for the app's customers, oldest first",
        description="Asking for what comes after a cursor says that the app has all up to it.",
    ),
]  # fmt: skip
