"""The desk's list: conversations by filter or by words, newest activity first, as far as the caller may see."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import Problem, Refused
from gateway.model.access import Actor
from gateway.model.conversation import Conversation
from gateway.model.team import ROLE_RANK
from gateway.service.services import Services
from gateway.store.collection import CONVERSATIONS
from gateway.store.contract import OneOf
from gateway.web.fields import Id, Line, Listing, Paging
from gateway.web.resources.conversation_views import ConversationView, conversation_views
from gateway.web.route import Call

StatusFilter = Annotated[
    str,
    Meta(
        pattern=r"^(open|pending|snoozed|resolved)(,(open|pending|snoozed|resolved)){0,3}$",
        description="one status or several, separated by commas",
    ),
]
Sort = Literal["-last_message_at", "last_message_at", "-created_at", "created_at"]
SORTS = {"-created_at": "-id", "created_at": "id"}
"""Ids rise with time, and are indexed."""

SEARCH_PAGE = 200
SEARCH_PAGES = 10
"""How far one request looks for hits that pass the other filters; `next` goes on from there."""


class ConversationQuery(Paging, frozen=True, kw_only=True):
    """`queue`: name or id · `assignee`: id, e-mail address, `me` or `none` · `inbox`: id or name · `q`: words in
    messages (then the order is by newest hit, one conversation once a page, and `sort` is not taken)."""

    status: StatusFilter | None = None
    queue: Line | None = None
    assignee: Line | None = None
    inbox: Line | None = None
    contact: Id | None = None
    tag: Line | None = None
    q: Annotated[str, Meta(max_length=200)] | None = None
    sort: Sort | None = None


class Cursor(msgspec.Struct, frozen=True):
    """Where a page ends: the store's cursor, and for an agent's merged list the sort value and id it ends at; for a
    search the last message looked at."""

    store: str | None = None
    value: str | None = None
    id: str | None = None
    hit: str | None = None


async def list_conversations(call: Call[None, ConversationQuery]) -> Listing[ConversationView]:
    query, services = call.query, call.services
    where = where_of(services, call.actor, query)
    cursor = read_cursor(query.cursor)
    if query.q is not None and query.q.strip():
        if query.sort is not None:
            raise Refused(Problem("sort", "a search is ordered by its newest hits"))
        found, after = await search(services, call.actor, query.q, where, cursor=cursor, limit=query.limit)
    else:
        found, after = await page_of(services, call.actor, where, query, cursor)
    return Listing(items=await conversation_views(services, found), next=write_cursor(after))


def where_of(services: Services, actor: Actor, query: ConversationQuery) -> dict[str, Any]:
    """The query as the store's filter. Raises Refused for names that lead nowhere."""
    where: dict[str, Any] = {}
    problems = []
    directory = services.directory
    if query.status is not None:
        statuses = tuple(dict.fromkeys(query.status.split(",")))
        where["status"] = statuses[0] if len(statuses) == 1 else OneOf(statuses)
    if query.queue is not None:
        queue = directory.queue(query.queue)
        if queue is None:
            problems.append(Problem("queue", f"there is no queue {query.queue!r}"))
        else:
            where["queue_id"] = queue.id
    if query.inbox is not None:
        inbox_id = inbox_named(services, query.inbox)
        if inbox_id is None:
            problems.append(Problem("inbox", f"there is no inbox {query.inbox!r}"))
        where["inbox_id"] = inbox_id
    if query.assignee is not None:
        match query.assignee:
            case "none":
                where["assignee_id"] = None
            case "me":
                where["assignee_id"] = actor.agent_id or ""
            case name:
                where["assignee_id"] = agent_named(services, name)
                if where["assignee_id"] is None:
                    problems.append(Problem("assignee", f"there is no agent {name!r}"))
    if query.contact is not None:
        where["contact_id"] = query.contact
    if query.tag is not None:
        where["tags"] = query.tag
    if problems:
        raise Refused(*problems)
    return where


def inbox_named(services: Services, name: str) -> str | None:
    inboxes = services.directory.inboxes
    if name in inboxes:
        return name
    return next((inbox.id for inbox in inboxes.values() if inbox.name == name), None)


def agent_named(services: Services, name: str) -> str | None:
    agents = services.directory.agents
    if name in agents:
        return name
    return next((agent.id for agent in agents.values() if agent.email == name.lower()), None)


async def page_of(
    services: Services, actor: Actor, where: dict[str, Any], query: ConversationQuery, cursor: Cursor
) -> tuple[list[Conversation], Cursor | None]:
    """A page by filter. An agent's list is that of the queues they serve, with what they hold in others put in its
    place: those are few, since capacity bounds them."""
    order = SORTS.get(query.sort or "", query.sort or "-last_message_at")
    if ROLE_RANK[actor.role] >= ROLE_RANK["supervisor"] or where.get("assignee_id", "") == actor.agent_id:
        page = await services.store.find(CONVERSATIONS, where, order=order, after=cursor.store, limit=query.limit)
        return page.items, Cursor(store=page.next) if page.next is not None else None
    served = services.directory.queues_of(actor.agent_id) if actor.agent_id else frozenset[str]()
    wanted = where.get("queue_id")
    own = [c for c in await held_elsewhere(services, actor, where, served) if behind(c, order, cursor)]
    if wanted is not None and wanted not in served:
        return in_order(own, order)[: query.limit], None  # few enough for one page
    narrowed = where if wanted is not None else {**where, "queue_id": OneOf(tuple(sorted(served)))}
    # The store's cursor is the end of one of its pages, while ours may lie within: what was shown is passed over.
    items: list[tuple[str | None, Conversation]] = []
    store: str | None = cursor.store
    while True:
        page = await services.store.find(CONVERSATIONS, narrowed, order=order, after=store, limit=query.limit)
        items += [(store, c) for c in page.items if behind(c, order, cursor)]
        store = page.next
        if store is None or len(items) > query.limit:
            break
    starts = {c.id: start for start, c in items}
    merged = in_order([*(c for _, c in items), *own], order)
    if len(merged) <= query.limit:
        return merged, None
    shown = merged[: query.limit]
    start = next((starts[c.id] for c in reversed(shown) if c.id in starts), cursor.store)
    return shown, Cursor(store=start, value=sort_value(shown[-1], order), id=shown[-1].id)


def in_order(found: list[Conversation], order: str) -> list[Conversation]:
    return sorted(found, key=lambda c: (sort_value(c, order), c.id), reverse=order.startswith("-"))


async def held_elsewhere(
    services: Services, actor: Actor, where: dict[str, Any], served: frozenset[str]
) -> list[Conversation]:
    """What the agent has in queues they do not serve, as far as the filter lets it through."""
    if actor.agent_id is None:
        return []
    ids = [hold.conversation_id for hold in services.directory.state_of(actor.agent_id).held]
    known = await services.store.get_many(CONVERSATIONS, ids) if ids else {}
    return [
        c for c in known.values() if c.queue_id not in served and c.assignee_id == actor.agent_id and passes(c, where)
    ]


def passes(conversation: Conversation, where: dict[str, Any]) -> bool:
    """Whether the conversation passes a filter made by `where_of`."""
    for name, wanted in where.items():
        value = getattr(conversation, name)
        if name == "tags":
            if wanted not in value:
                return False
        elif isinstance(wanted, OneOf):
            if value not in wanted.values:
                return False
        elif value != wanted:
            return False
    return True


def sort_value(conversation: Conversation, order: str) -> str:
    """Its place in the order, as text that sorts alike."""
    value = getattr(conversation, order.removeprefix("-"))
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)


def behind(conversation: Conversation, order: str, cursor: Cursor) -> bool:
    """Whether the conversation comes behind the place where a merged list was left off."""
    if cursor.id is None:
        return True
    place, here = (cursor.value or "", cursor.id), (sort_value(conversation, order), conversation.id)
    return here < place if order.startswith("-") else here > place


async def search(
    services: Services, actor: Actor, words: str, where: dict[str, Any], *, cursor: Cursor, limit: int
) -> tuple[list[Conversation], Cursor | None]:
    """Conversations that have a message with the words, by newest hit; each once a page."""
    found: dict[str, Conversation] = {}
    after = cursor.hit
    for _ in range(SEARCH_PAGES):
        hits = await services.store.search(words, limit=SEARCH_PAGE, after=after)
        known = await services.store.get_many(CONVERSATIONS, list({hit.conversation_id for hit in hits}))
        for hit in hits:
            conversation = known.get(hit.conversation_id)
            fits = conversation is not None and services.conversations.visible(conversation, actor)
            if conversation is not None and fits and passes(conversation, where):
                if conversation.id not in found and len(found) == limit:
                    return list(found.values()), Cursor(hit=after)
                found[conversation.id] = conversation
            after = hit.message_id
        if len(hits) < SEARCH_PAGE:
            return list(found.values()), None
    return list(found.values()), Cursor(hit=after)


def write_cursor(cursor: Cursor | None) -> str | None:
    if cursor is None:
        return None
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def read_cursor(text: str | None) -> Cursor:
    """Raises Refused for what is no cursor of this list."""
    if text is None:
        return Cursor()
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=Cursor)
    except (ValueError, msgspec.MsgspecError):
        raise Refused(Problem("cursor", "is not one of this list")) from None
