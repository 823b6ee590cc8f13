"""Makes messages findable: follows the feed, and hands their texts to the store's search index.

The index is built after the commit, so that search costs intake nothing; under load it lags, within bounds. An index
entry is durable before the checkpoint moves past its event, and indexing twice does no harm, so a kill loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from gateway.errors import CursorGone
from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation
from gateway.model.document import Clock, uuid7_at
from gateway.model.message import Message
from gateway.service.feed import Entry, Feed
from gateway.service.leased import run_leased
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CHECKPOINTS, CONTACTS, CONVERSATIONS, IDENTITIES, MESSAGES, Checkpoint
from gateway.store.contract import Range, SearchEntry, Store

CHECKPOINT = "indexer"
POSITION = "indexer/message"
"""Up to which message (id) the index is complete: where it begins again if the feed no longer reaches back."""
BATCH = 500
SAVE_EVERY = 1.0
"""Seconds; what was indexed since the last save is indexed again after a kill."""
MARGIN_MS = 600_000
"""Nodes' clocks may differ, so ids do not rise strictly across nodes: begin this much earlier."""
MAX_LAG = timedelta(seconds=60)
"""How far the index may fall behind before it stops giving way to intake."""
GATHER = 0.2
"""Seconds between batches while little happens: a batch costs about the same for one message as for a hundred."""
SHARE = 3
"""While intake is busy, the indexer rests this many times as long as it works."""


class Indexer:
    """`busy`: whether intake has a backlog now. Run `run` in a task, on every node: one of them works."""

    def __init__(
        self, store: Store, feed: Feed, clock: Clock, node: str, *, busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._node = node
        self._busy = busy

    async def run(self) -> None:
        """Index until cancelled."""
        await run_leased(self._store, "indexer", self._node, self._work)

    async def _work(self, lease: Lease) -> None:
        while not self._feed.closed:
            checkpoint = await self._store.get(CHECKPOINTS, CHECKPOINT)
            try:
                if checkpoint is not None:
                    await self._follow(checkpoint.cursor, lease)
            except CursorGone:
                pass
            if not self._feed.closed:
                await self._rebuild(lease)

    async def _follow(self, cursor: str, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        saved_at, newest = loop.time(), ""
        async with self._feed.subscribe(cursor, patient=False) as reader:
            while not self._feed.closed:
                entries = await reader.next(limit=BATCH, timeout=SAVE_EVERY)
                begun = loop.time()
                ids = _message_ids(entries)
                if ids:
                    await self._index(ids)
                    newest = max(newest, *ids)
                if reader.cursor != cursor and loop.time() - saved_at >= SAVE_EVERY:
                    await self._save(lease, reader.cursor, newest)
                    cursor, saved_at = reader.cursor, loop.time()
                if ids and self._busy() and self._clock.now() - entries[-1].event.at < MAX_LAG:
                    await asyncio.sleep(max(SHARE * (loop.time() - begun), GATHER))
                elif entries and len(entries) < BATCH:
                    await asyncio.sleep(GATHER)

    async def _rebuild(self, lease: Lease) -> None:
        """Index what is in the store, from where the index was complete; the feed takes over from here on."""
        head = await self._store.head()
        position = await self._store.get(CHECKPOINTS, POSITION)
        last = _earlier(position.cursor) if position is not None else ""
        while True:
            page = await self._store.find(MESSAGES, {"id": Range(start=last)}, order="id", limit=BATCH)
            if page.items:
                await self._index_messages(page.items)
                last = page.items[-1].id
            done = page.next is None
            await self._save(lease, head if done else None, last)
            if done:
                return
            if self._busy():
                await asyncio.sleep(0.05)

    async def _save(self, lease: Lease, cursor: str | None, message_id: str) -> None:
        batch = Batch()
        batch.fence(lease)
        for id, value in ((CHECKPOINT, cursor), (POSITION, message_id)):
            if value:
                known = await self._store.get(CHECKPOINTS, id)
                if known is None:
                    batch.insert(CHECKPOINTS, Checkpoint(id=id, cursor=value))
                elif id != POSITION or value > known.cursor:
                    batch.put(CHECKPOINTS, Checkpoint(id=id, version=known.version, cursor=value))
        if batch:
            await self._store.commit(batch)

    async def _index(self, ids: Sequence[str]) -> None:
        found = await self._store.get_many(MESSAGES, ids)
        await self._index_messages(list(found.values()))

    async def _index_messages(self, messages: Sequence[Message]) -> None:
        conversations = await self._store.get_many(CONVERSATIONS, _unique(m.conversation_id for m in messages))
        held = list(conversations.values())
        contacts = await self._store.get_many(CONTACTS, _unique(c.contact_id for c in held))
        identities = await self._store.get_many(IDENTITIES, _unique(c.identity_id for c in held))
        entries, empty = [], []
        for message in messages:
            conversation = conversations.get(message.conversation_id)
            text = search_text(
                message,
                contacts.get(conversation.contact_id) if conversation else None,
                identities.get(conversation.identity_id) if conversation else None,
                conversation,
            )
            if text:
                entry = SearchEntry(message.id, message.conversation_id, message.created_at, text)
                entries.append(entry)
            else:
                empty.append(message.id)
        if entries:
            await self._store.index(entries)
        if empty:
            await self._store.unindex(empty)


def search_text(
    message: Message, contact: Contact | None, identity: Identity | None, conversation: Conversation | None
) -> str:
    """What a message is found by; empty for one that is only an event, or was erased.

    Attachments' SHA-256 come first, where no limit on the text's length cuts them off: by them the other messages with
    the same file are found. Card numbers are masked here as everywhere.
    """
    if message.direction == "event" or (contact is not None and contact.erased_at is not None):
        return ""
    parts = [attachment.sha256 for attachment in message.attachments]
    if message.raw is not None:
        parts.append(message.raw.sha256)
    parts += [attachment.name for attachment in message.attachments]
    parts += [message.subject or "", message.author.name]
    if contact is not None:
        parts += [contact.name, contact.email or "", contact.phone or ""]
    if identity is not None:
        parts += [identity.address, identity.name]
    if conversation is not None and conversation.subject != message.subject:
        parts.append(conversation.subject)
    parts.append(message.text if message.masked_text is None else message.masked_text)
    return "\n".join(part for part in parts if part)


def _message_ids(entries: Sequence[Entry]) -> list[str]:
    return _unique(
        entry.event.message_id
        for entry in entries
        if entry.event.message_id is not None and entry.event.type in ("message.created", "message.updated")
    )


def _unique(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))


def _earlier(message_id: str) -> str:
    """The smallest id made MARGIN_MS before this one."""
    return uuid7_at(max(int(UUID(message_id)) >> 80, MARGIN_MS) - MARGIN_MS, 0)
