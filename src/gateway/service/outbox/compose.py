"""From an outbox entry to what the connector is given: the message with its files, address and thread.

Nothing that was written after the message is looked at, so that every attempt gives the same, to the same person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.connector import Outgoing, OutgoingFile
from gateway.errors import Permanent
from gateway.model.conversation import Conversation
from gateway.model.message import Delivery, Message
from gateway.store.collection import CONTACTS, CONVERSATIONS, IDENTITIES, MESSAGES
from gateway.store.contract import Range, Store

THREAD = 20
"""How many of a conversation's latest messages a channel may look at, beside its first."""
LOOK_BACK = 100
"""How far back the customer's last message is sought."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An entry's message and conversation as read, and what goes to the connector."""

    message: Message
    conversation: Conversation
    outgoing: Outgoing


async def compose(store: Store, delivery: Delivery) -> Parcel:
    """Read all that the entry's message needs. Raises Permanent, for the agent to read, where a part of it is gone."""
    message, conversation = await asyncio.gather(
        store.get(MESSAGES, delivery.id), store.get(CONVERSATIONS, delivery.conversation_id)
    )
    if message is None or conversation is None:
        raise Permanent("the message was deleted before it was sent", code="gone")
    identity, (latest, all_of_it) = await asyncio.gather(
        store.get(IDENTITIES, delivery.identity_id), _latest(store, message)
    )
    if identity is None:
        raise Permanent("the customer's address was deleted", code="gone")
    first = [] if all_of_it else await _first(store, conversation.id)
    answered = next((known for known in latest if known.direction == "in" and known.kind == "message"), None)
    outgoing = Outgoing(
        id=delivery.id,
        conversation_id=conversation.id,
        address=identity.address,
        recipient_name=identity.name or await _contact_name(store, conversation.contact_id),
        text=message.text,
        html=message.html,
        subject=_subject(message, conversation, answered),
        files=await _files(store, message),
        author_name=message.author.name,
        automatic=message.author.kind in ("rule", "bot", "system"),
        created_at=message.created_at,
        attempt=delivery.attempts + 1,
        reply_to=_reply_to(answered),
        thread_meta=_thread_meta([*first, *reversed(latest[:THREAD])], message),
    )
    return Parcel(message, conversation, outgoing)


async def _latest(store: Store, message: Message) -> tuple[list[Message], bool]:
    """The conversation's latest messages up to this one, newest first, and whether there are no others: as many as a
    thread has, more if all of those are ours."""
    where = {"conversation_id": message.conversation_id, "id": Range(end=f"{message.id} ")}  # ids hold no blanks
    page = await store.find(MESSAGES, where, order="-id", limit=THREAD)
    found = page.items
    while page.next is not None and len(found) < LOOK_BACK and not any(known.direction == "in" for known in found):
        page = await store.find(MESSAGES, where, order="-id", after=page.next, limit=THREAD)
        found = [*found, *page.items]
    return found, page.next is None and len(found) <= THREAD


async def _first(store: Store, conversation_id: str) -> list[Message]:
    return (await store.find(MESSAGES, {"conversation_id": conversation_id}, order="id", limit=1)).items


async def _contact_name(store: Store, contact_id: str) -> str:
    contact = await store.get(CONTACTS, contact_id)
    return contact.name if contact is not None else ""


async def _files(store: Store, message: Message) -> tuple[OutgoingFile, ...]:
    files = []
    for attachment in message.attachments:
        data = await store.blobs.get(attachment.sha256)
        if data is None:
            raise Permanent(f"the attachment {attachment.name} is not in the store", code="gone")
        files.append(OutgoingFile(attachment=attachment, data=data))
    return tuple(files)


def _subject(message: Message, conversation: Conversation, answered: Message | None) -> str | None:
    """The subject the author chose; None where it is only the conversation's: the channel knows how to answer one."""
    if answered is not None and answered.subject and message.subject == conversation.subject:
        return None
    return message.subject


def _reply_to(answered: Message | None) -> Mapping[str, Any]:
    if answered is None:
        return {}
    return {
        **answered.meta,
        "external_id": answered.external_id,
        "subject": answered.subject,
        "text": answered.text,
        "sent_at": answered.sent_at or answered.created_at,
    }


def _thread_meta(messages: list[Message], sent: Message) -> tuple[Mapping[str, Any], ...]:
    """The notes of what came before, oldest first, each once."""
    metas: dict[str, Mapping[str, Any]] = {}
    for known in messages:
        if known.meta and known.id != sent.id and known.direction in ("in", "out"):
            metas.setdefault(known.id, known.meta)
    return tuple(metas.values())
