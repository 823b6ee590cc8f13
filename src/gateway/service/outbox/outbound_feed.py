"""Answers for an app that polls: in order, and marked delivered once the app asks for what comes after them."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.connector import StatusUpdate
from gateway.errors import Conflict, Problem, Refused
from gateway.model.document import Clock
from gateway.model.message import Delivery, Message
from gateway.service.outbox import receipts
from gateway.store.batch import Batch
from gateway.store.collection import DELIVERIES, IDENTITIES, MESSAGES
from gateway.store.contract import OneOf, Range, Store

BYTES = 8_000_000
"""Attachment bytes on one page; a page ends before the answer that would exceed it, but has one answer at least."""
READY = ("sent", "delivered", "read")
"""What an app may take: only answers that have been through the outbox, which keeps their order and hold-backs."""
_AT_ONCE = 200
ATTEMPTS = 5


class PolledFile(msgspec.Struct, frozen=True, kw_only=True):
    """`data`: Base64."""

    id: str
    name: str
    type: str
    size: int
    data: str


class PolledAuthor(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    automatic: bool


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as the app gets it, the same fields as in a callback. `to`: the sender id the app gave its customer."""

    id: str
    cursor: str
    conversation_id: str
    to: str
    text: str
    html: str | None = None
    subject: str | None = None
    attachments: tuple[PolledFile, ...] = ()
    author: PolledAuthor
    created_at: datetime


class PolledPage(msgspec.Struct, frozen=True, kw_only=True):
    """`next`: the cursor to go on behind, if there is more now."""

    items: tuple[Polled, ...]
    next: str | None = None


async def list_outbound(store: Store, clock: Clock, inbox_id: str, after: str | None, limit: int = 50) -> PolledPage:
    """The inbox's answers behind the cursor, oldest first; what was handed out up to it is marked delivered.

    A cursor is the id of an answer the app has; raises Refused for one that is no answer of this inbox. An answer that
    became ready only after later ones were taken (another conversation's, or a repeated one) still comes, with a cursor
    that does not go back.
    """
    if after is not None:
        known = await store.get(DELIVERIES, after)
        if known is None or known.inbox_id != inbox_id:
            raise Refused(Problem("after", "is not a cursor of this inbox"))
    for _ in range(ATTEMPTS):
        late = await _acknowledge(store, clock, inbox_id, after) if after is not None else []
        where: dict[str, Any] = {"inbox_id": inbox_id, "status": OneOf(READY)}
        if after is not None:
            where["id"] = Range(start=_behind(after))
        page = await store.find(DELIVERIES, where, order="id", limit=limit)
        due = [*late, *page.items]
        items = await _page(store, due[:limit], after or "")
        try:
            await _hand_out(store, clock, due, items)
        except Conflict:  # a receipt came in between
            continue
        more = len(items) < len(due) or page.next is not None
        return PolledPage(items=tuple(items), next=items[-1].cursor if items and more else None)
    raise Conflict(DELIVERIES.name, inbox_id)


def _behind(id: str) -> str:
    """The least text above the id that no other id is above: ids have one length, and no blanks."""
    return f"{id} "


async def _acknowledge(store: Store, clock: Clock, inbox_id: str, upto: str) -> list[Delivery]:
    """Mark delivered what the app was given; returns what it should have been given, but was not ready then.

    An answer that was handed out has the time of it in `delivered_at`; it is `delivered` only once the app asks for
    what comes after it, for until then the line may have broken.
    """
    where = {"inbox_id": inbox_id, "status": "sent", "id": Range(end=_behind(upto))}
    late: list[Delivery] = []
    after: str | None = None
    while True:
        page = await store.find(DELIVERIES, where, order="id", after=after, limit=_AT_ONCE)
        now = clock.now()
        updates = [
            StatusUpdate(status="delivered", delivery_id=known.id, at=now)
            for known in page.items
            if known.delivered_at is not None
        ]
        late += [known for known in page.items if known.delivered_at is None]
        await receipts.apply(store, clock, inbox_id, updates)
        after = page.next
        if after is None or len(late) >= _AT_ONCE:
            return late


async def _hand_out(store: Store, clock: Clock, due: list[Delivery], items: list[Polled]) -> None:
    given = {item.id for item in items}
    batch = Batch()
    now = clock.now()
    for delivery in due:
        if delivery.id in given and delivery.status == "sent" and delivery.delivered_at is None:
            batch.put(DELIVERIES, replace(delivery, delivered_at=now))
    if batch:
        await store.commit(batch)


async def _page(store: Store, due: list[Delivery], after: str) -> list[Polled]:
    messages = await store.get_many(MESSAGES, [delivery.id for delivery in due])
    items: list[Polled] = []
    room = BYTES
    for delivery in due:
        message = messages.get(delivery.id)
        if message is None:
            continue
        size = sum(attachment.size for attachment in message.attachments)
        if items and size > room:
            break
        room -= size
        items.append(await _polled(store, delivery, message, max(after, delivery.id)))
    return items


async def _polled(store: Store, delivery: Delivery, message: Message, cursor: str) -> Polled:
    identity = await store.get(IDENTITIES, delivery.identity_id)
    files = []
    for attachment in message.attachments:
        data = await store.blobs.get(attachment.sha256)
        if data is not None:
            files.append(
                PolledFile(
                    id=attachment.id,
                    name=attachment.name,
                    type=attachment.type,
                    size=attachment.size,
                    data=base64.b64encode(data).decode(),
                )
            )
    return Polled(
        id=delivery.id,
        cursor=cursor,
        conversation_id=delivery.conversation_id,
        to=identity.address if identity is not None else "",
        text=message.text,
        html=message.html,
        subject=message.subject,
        attachments=tuple(files),
        author=PolledAuthor(name=message.author.name, automatic=message.author.kind in ("rule", "bot", "system")),
        created_at=message.created_at,
    )
