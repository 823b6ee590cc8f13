"""SLA policies, canned replies, tags."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from gateway.errors import NotFound
from gateway.model.team import CannedReply, SlaPolicy, Tag
from gateway.store.collection import CANNED, TAGS
from gateway.web.fields import Body, Key, Line, Listing, Name, Paging, Seconds, View, given
from gateway.web.paging import listed, paged
from gateway.web.route import Call, route

CannedText = Annotated[str, Meta(min_length=1, max_length=10_000)]
Color = Annotated[str, Meta(pattern=r"^(#[0-9a-fA-F]{6})?$")]


class SlaPolicyView(View, frozen=True, kw_only=True):
    """Targets in seconds; null: no target."""

    id: str
    name: str
    first_response_seconds: int | None
    next_response_seconds: int | None
    resolution_seconds: int | None
    version: int


class NewSlaPolicy(Body, frozen=True, kw_only=True):
    name: Name
    first_response_seconds: Seconds | None = None
    next_response_seconds: Seconds | None = None
    resolution_seconds: Seconds | None = None


class SlaPolicyPatch(Body, frozen=True, kw_only=True):
    name: Name | UnsetType = UNSET
    first_response_seconds: Seconds | UnsetType | None = UNSET
    next_response_seconds: Seconds | UnsetType | None = UNSET
    resolution_seconds: Seconds | UnsetType | None = UNSET


class CannedView(View, frozen=True, kw_only=True):
    id: str
    shortcut: str
    title: str
    text: str
    language: str | None
    version: int


class NewCanned(Body, frozen=True, kw_only=True):
    shortcut: Key
    title: Name
    text: CannedText
    language: Key | None = None


class CannedPatch(Body, frozen=True, kw_only=True):
    shortcut: Key | UnsetType = UNSET
    title: Name | UnsetType = UNSET
    text: CannedText | UnsetType = UNSET
    language: Key | UnsetType | None = UNSET


class TagView(View, frozen=True, kw_only=True):
    id: str
    name: str
    color: str
    description: str
    version: int


class NewTag(Body, frozen=True, kw_only=True):
    name: Key
    color: Color = ""
    description: Line = ""


class TagPatch(Body, frozen=True, kw_only=True):
    name: Key | UnsetType = UNSET
    color: Color | UnsetType = UNSET
    description: Line | UnsetType = UNSET


def policy_view(policy: SlaPolicy) -> SlaPolicyView:
    return SlaPolicyView(
        id=policy.id,
        name=policy.name,
        first_response_seconds=policy.first_response_seconds,
        next_response_seconds=policy.next_response_seconds,
        resolution_seconds=policy.resolution_seconds,
        version=policy.version,
    )


def canned_view(canned: CannedReply) -> CannedView:
    return CannedView(
        id=canned.id,
        shortcut=canned.shortcut,
        title=canned.title,
        text=canned.text,
        language=canned.language,
        version=canned.version,
    )


def tag_view(tag: Tag) -> TagView:
    return TagView(id=tag.id, name=tag.name, color=tag.color, description=tag.description, version=tag.version)


async def list_policies(call: Call[None, Paging]) -> Listing[SlaPolicyView]:
    policies = sorted(call.services.directory.sla_policies.values(), key=lambda policy: policy.id)
    return listed(policies, call.query, policy_view)


async def get_policy(call: Call[None, None]) -> SlaPolicyView:
    policy = call.services.directory.sla_policies.get(call.id)
    if policy is None:
        raise NotFound("SLA policy", call.id)
    return policy_view(policy)


async def create_policy(call: Call[NewSlaPolicy, None]) -> SlaPolicyView:
    return policy_view(await call.services.config.lists.create_policy(call.actor, given(call.body)))


async def update_policy(call: Call[SlaPolicyPatch, None]) -> SlaPolicyView:
    return policy_view(await call.services.config.lists.update_policy(call.actor, call.id, given(call.body)))


async def delete_policy(call: Call[None, None]) -> None:
    await call.services.config.lists.delete_policy(call.actor, call.id)


async def list_canned(call: Call[None, Paging]) -> Listing[CannedView]:
    page = await call.services.store.find(CANNED, order="shortcut", after=call.query.cursor, limit=call.query.limit)
    return paged(page, canned_view)


async def get_canned(call: Call[None, None]) -> CannedView:
    return canned_view(await call.services.config.changes.get("canned reply", CANNED, call.id))


async def create_canned(call: Call[NewCanned, None]) -> CannedView:
    return canned_view(await call.services.config.lists.create_canned(call.actor, given(call.body)))


async def update_canned(call: Call[CannedPatch, None]) -> CannedView:
    return canned_view(await call.services.config.lists.update_canned(call.actor, call.id, given(call.body)))


async def delete_canned(call: Call[None, None]) -> None:
    await call.services.config.lists.delete_canned(call.actor, call.id)


async def list_tags(call: Call[None, Paging]) -> Listing[TagView]:
    page = await call.services.store.find(TAGS, order="name", after=call.query.cursor, limit=call.query.limit)
    return paged(page, tag_view)


async def get_tag(call: Call[None, None]) -> TagView:
    return tag_view(await call.services.config.changes.get("tag", TAGS, call.id))


async def create_tag(call: Call[NewTag, None]) -> TagView:
    return tag_view(await call.services.config.lists.create_tag(call.actor, given(call.body)))


async def update_tag(call: Call[TagPatch, None]) -> TagView:
    return tag_view(await call.services.config.lists.update_tag(call.actor, call.id, given(call.body)))


async def delete_tag(call: Call[None, None]) -> None:
    await call.services.config.lists.delete_tag(call.actor, call.id)


ROUTES = [
    route(
        "GET", "/sla-policies", list_policies, query=Paging, response=Listing[SlaPolicyView],
        role="agent", scope="config:read", tag="sla-policies", summary="SLA policies",
    ),
    route(
        "POST", "/sla-policies", create_policy, body=NewSlaPolicy, response=SlaPolicyView, status=201, creates=True,
        role="admin", scope="config:write", tag="sla-policies", summary="Add an SLA policy",
    ),
    route(
        "GET", "/sla-policies/{id}", get_policy, response=SlaPolicyView,
        role="agent", scope="config:read", tag="sla-policies", summary="An SLA policy",
    ),
    route(
        "PATCH", "/sla-policies/{id}", update_policy, body=SlaPolicyPatch, response=SlaPolicyView,
        role="admin", scope="config:write", tag="sla-policies", summary="Change an SLA policy",
    ),
    route(
        "DELETE", "/sla-policies/{id}", delete_policy,
        role="admin", scope="config:write", tag="sla-policies", summary="Delete an SLA policy no queue uses",
    ),
    route(
        "GET", "/canned", list_canned, query=Paging, response=Listing[CannedView],
        role="agent", scope="config:read", tag="canned", summary="Canned replies, by shortcut",
    ),
    route(
        "POST", "/canned", create_canned, body=NewCanned, response=CannedView, status=201, creates=True,
        role="supervisor", scope="config:write", tag="canned", summary="Add a canned reply",
    ),
    route(
        "GET", "/canned/{id}", get_canned, response=CannedView,
        role="agent", scope="config:read", tag="canned", summary="A canned reply",
    ),
    route(
        "PATCH", "/canned/{id}", update_canned, body=CannedPatch, response=CannedView,
        role="supervisor", scope="config:write", tag="canned", summary="Change a canned reply",
    ),
    route(
        "DELETE", "/canned/{id}", delete_canned,
        role="supervisor", scope="config:write", tag="canned", summary="Delete a canned reply",
    ),
    route(
        "GET", "/tags", list_tags, query=Paging, response=Listing[TagView],
        role="agent", scope="config:read", tag="tags", summary="Tags that are offered, by name",
    ),
    route(
        "POST", "/tags", create_tag, body=NewTag, response=TagView, status=201, creates=True,
        role="supervisor", scope="config:write", tag="tags", summary="Add a tag",
    ),
    route(
        "GET", "/tags/{id}", get_tag, response=TagView,
        role="agent", scope="config:read", tag="tags", summary="A tag",
    ),
    route(
        "PATCH", "/tags/{id}", update_tag, body=TagPatch, response=TagView,
        role="supervisor", scope="config:write", tag="tags", summary="Change a tag",
    ),
    route(
        "DELETE", "/tags/{id}", delete_tag,
        role="supervisor", scope="config:write", tag="tags", summary="Delete a tag",
    ),
]  # fmt: skip
