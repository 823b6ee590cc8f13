"""Conversations: read and change, claim, release, transfer, and why they are where they are."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import hdrs
from msgspec import UNSET, Meta, UnsetType

from gateway.model.conversation import Conversation, Priority, Status
from gateway.service.conversations import Changes
from gateway.web.fields import Body, Key, Line, Listing, Moment, utc
from gateway.web.resources.conversation_list import ConversationQuery, list_conversations
from gateway.web.resources.conversation_views import ConversationView, conversation_views
from gateway.web.route import Answer, Call, route

Note = Annotated[str, Meta(max_length=10_000)]
Version = Annotated[int, Meta(ge=1, le=2**53)]


class ConversationPatch(Body, frozen=True, kw_only=True):
    """`queue`: name or id · `assignee`: id, e-mail address, `me`, or null for nobody · `snoozed_until` goes with the
    status `snoozed` · `version`: the one that was read; 409 if it is another by now (If-Match does the same: 412)."""

    status: Status | UnsetType = UNSET
    queue: Line | UnsetType = UNSET
    assignee: Line | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    tags: Annotated[tuple[Key, ...], Meta(max_length=100)] | UnsetType = UNSET
    snoozed_until: Moment | UnsetType | None = UNSET
    subject: Line | UnsetType = UNSET
    language: Key | UnsetType | None = UNSET
    unread: Annotated[int, Meta(ge=0, le=0)] | UnsetType = UNSET
    version: Version | UnsetType = UNSET


class Transfer(Body, frozen=True, kw_only=True):
    """Either `queue` (name or id) or `agent` (id or e-mail address)."""

    queue: Line | None = None
    agent: Line | None = None
    note: Note = ""


async def shown(call: Call[Any, Any], conversation: Conversation) -> Answer[ConversationView]:
    (view,) = await conversation_views(call.services, [conversation])
    return Answer(view, headers={hdrs.ETAG: f'"{conversation.version}"'})


async def get_conversation(call: Call[None, None]) -> Answer[ConversationView]:
    return await shown(call, await call.services.conversations.get(call.id, call.actor))


async def update_conversation(call: Call[ConversationPatch, None]) -> Answer[ConversationView]:
    body, conversations = call.body, call.services.conversations
    version = call.expected_version()
    if version is None and body.version is not UNSET:
        version = body.version
    changes = Changes(
        status=body.status,
        queue=body.queue,
        assignee=body.assignee,
        priority=body.priority,
        tags=body.tags,
        snoozed_until=UNSET if body.snoozed_until is UNSET else utc(body.snoozed_until, "snoozed_until"),
        subject=body.subject,
        language=body.language,
    )
    conversation = await conversations.update(call.id, call.actor, changes, version=version)
    if body.unread is not UNSET:
        conversation = await conversations.mark_read(call.id, call.actor)
    return await shown(call, conversation)


async def claim(call: Call[None, None]) -> Answer[ConversationView]:
    return await shown(call, await call.services.conversations.claim(call.id, call.actor))


async def release(call: Call[None, None]) -> Answer[ConversationView]:
    return await shown(call, await call.services.conversations.release(call.id, call.actor))


async def transfer(call: Call[Transfer, None]) -> Answer[ConversationView]:
    body = call.body
    conversation = await call.services.conversations.transfer(
        call.id, call.actor, queue=body.queue, agent=body.agent, note=body.note
    )
    return await shown(call, conversation)


ROUTES = [
    route(
        "GET", "/conversations", list_conversations, query=ConversationQuery, response=Listing[ConversationView],
        role="agent", scope="conversations:read", tag="conversations",
        summary="Conversations, newest activity first",
        description="Agents see those of the queues they serve, and their own.",
    ),
    route(
        "GET", "/conversations/{id}", get_conversation, response=ConversationView,
        role="agent", scope="conversations:read", tag="conversations", summary="A conversation",
    ),
    route(
        "PATCH", "/conversations/{id}", update_conversation, body=ConversationPatch, response=ConversationView,
        role="agent", scope="conversations:write", tag="conversations", summary="Change a conversation",
    ),
    route(
        "POST", "/conversations/{id}/claim", claim, response=ConversationView,
        role="agent", scope="conversations:write", tag="conversations",
        summary="Take an unowned conversation; 409 says why not",
    ),
    route(
        "POST", "/conversations/{id}/release", release, response=ConversationView,
        role="agent", scope="conversations:write", tag="conversations", summary="Give it back to its queue",
    ),
    route(
        "POST", "/conversations/{id}/transfer", transfer, body=Transfer, response=ConversationView,
        role="agent", scope="conversations:write", tag="conversations",
        summary="Move it to another queue or agent; 409 says why not",
    ),
]  # fmt: skip
