"""The audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gateway.model.access import AuditEntry
from gateway.web.fields import Line, Listing, Moment, Paging, View, utc
from gateway.web.paging import paged
from gateway.web.route import Call, route


class AuditView(View, frozen=True, kw_only=True):
    """`detail`: changed fields, before and after; `hash` covers the entry and `previous`."""

    seq: int
    at: datetime
    actor: str
    actor_name: str
    action: str
    target: str
    address: str
    detail: dict[str, Any]
    previous: str
    hash: str


class AuditQuery(Paging, frozen=True, kw_only=True):
    """`since` and `until`: at or after, before."""

    actor: Line | None = None
    action: Line | None = None
    target: Line | None = None
    since: Moment | None = None
    until: Moment | None = None


class ChainView(View, frozen=True, kw_only=True):
    ok: bool
    entries: int
    broken_at: int | None
    reason: str


def audit_view(entry: AuditEntry) -> AuditView:
    return AuditView(
        seq=entry.seq,
        at=entry.at,
        actor=entry.actor,
        actor_name=entry.actor_name,
        action=entry.action,
        target=entry.target,
        address=entry.address,
        detail=entry.detail,
        previous=entry.previous,
        hash=entry.hash,
    )


async def list_audit(call: Call[None, AuditQuery]) -> Listing[AuditView]:
    query = call.query
    page = await call.services.audit.find(
        actor=query.actor,
        action=query.action,
        target=query.target,
        start=utc(query.since, "since"),
        end=utc(query.until, "until"),
        after=query.cursor,
        limit=query.limit,
    )
    return paged(page, audit_view)


async def verify_audit(call: Call[None, None]) -> ChainView:
    check = await call.services.audit.verify()
    return ChainView(ok=check.ok, entries=check.entries, broken_at=check.broken_at, reason=check.reason)


ROUTES = [
    route(
        "GET", "/audit", list_audit, query=AuditQuery, response=Listing[AuditView],
        role="admin", scope="config:read", tag="audit", summary="Who changed what, newest first",
    ),
    route(
        "GET", "/audit/verify", verify_audit, response=ChainView,
        role="admin", scope="config:read", tag="audit", summary="Check the chain of hashes from its start",
    ),
]  # fmt: skip
