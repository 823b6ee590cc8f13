"""Forgetting a contact."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import structlog
from msgspec.structs import replace

from gateway.errors import Clash, Conflict, Duplicate
from gateway.model.access import Actor
from gateway.model.contact import Contact, Merge
from gateway.model.conversation import Conversation
from gateway.model.document import Clock
from gateway.model.event import Event
from gateway.model.message import Author, Message
from gateway.service.audit import Audit
from gateway.service.contacts.jobs import PIECE, begin, drop, every, finish, is_open, piecewise
from gateway.service.indexer import CHECKPOINT as INDEXED
from gateway.store.batch import Batch
from gateway.store.collection import (
    CHECKPOINTS,
    CONTACTS,
    CONVERSATIONS,
    DECISIONS,
    DELIVERIES,
    IDENTITIES,
    MERGES,
    MESSAGES,
    THREADS,
    Checkpoint,
)
from gateway.store.contract import OneOf, Range, Store

log = structlog.get_logger("contacts")

FILE = "erase-file/"
"""Checkpoints with this prefix name files (SHA-256) to be deleted once nothing else has them. Their cursor: where the
feed was when the message lost it."""
WAITING = ("queued", "unknown")


class Erasing:
    """Takes from a contact all that says who it is or what was said: names, addresses, attributes; of its messages the
    texts, files, subjects and connectors' notes; from decisions what they looked at; thread keys; search entries.

    What remains counts and dates: that there was a conversation, how long it waited, who answered. A message's external
    id stays, so that a mailbox that is read again does not bring the message back. Events, webhook deliveries and
    channel logs go with their own, short retention.
    """

    def __init__(self, store: Store, clock: Clock, audit: Audit) -> None:
        self._store = store
        self._clock = clock
        self._audit = audit

    async def begin(self, contact: Contact, actor: Actor) -> Contact:
        """From here on the contact is nobody; `scrub` does the rest. Once more does no harm."""
        if contact.merged_into is not None:
            raise Clash(f"the contact was merged into {contact.merged_into}: erase that one, or undo the merge first")
        for _ in range(5):
            now = self._clock.now()
            batch = Batch()
            erased = batch.put(CONTACTS, replace(blank(contact), erased_at=contact.erased_at or now, updated_at=now))
            if not await is_open(self._store, "erase", contact.id):
                begin(batch, "erase", contact.id)
            batch.emit(Event(type="contact.erased", at=now, data={"id": contact.id}))
            try:
                await self._audit.commit(batch, actor, "contact.erase", contact.id)
            except (Conflict, Duplicate):
                contact = await self._store.get(CONTACTS, contact.id) or contact
                continue
            return erased
        raise Conflict(CONTACTS.name, contact.id)

    async def scrub(self, contact_id: str) -> None:
        """Take everything from what is left of the contact; may be called again after a kill."""
        await self._scrub_person(contact_id)
        await finish(self._store, "erase", contact_id)

    async def _scrub_person(self, contact_id: str) -> None:
        await self._blank_losers(contact_id)
        async for loser in every(self._store, CONTACTS, {"merged_into": contact_id}):
            await self._scrub_person(loser.id)
        await self._delete(IDENTITIES, {"contact_id": contact_id})
        async for conversation in every(self._store, CONVERSATIONS, {"contact_id": contact_id}):
            await self._scrub_conversation(conversation)
        await self._scrub_merges(contact_id)

    async def _blank_losers(self, contact_id: str) -> None:
        """Contacts that were merged into this one are the same person."""

        async def plan(batch: Batch) -> bool:
            now = self._clock.now()
            async for loser in every(self._store, CONTACTS, {"merged_into": contact_id}):
                if loser.erased_at is None:
                    batch.put(CONTACTS, replace(blank(loser), erased_at=now, updated_at=now))
                    return True
            return False

        await piecewise(self._store, plan)

    async def _scrub_merges(self, contact_id: str) -> None:
        async def plan(batch: Batch) -> bool:
            async for merge in every(self._store, MERGES, {"winner_id": contact_id}):
                scrubbed = without_images(merge)
                if scrubbed != merge:
                    batch.put(MERGES, scrubbed)
                    return True
            return False

        await piecewise(self._store, plan)

    async def _scrub_conversation(self, conversation: Conversation) -> None:
        await self._scrub_each(MESSAGES, conversation)
        await self._scrub_each(DECISIONS, conversation)
        await self._delete(THREADS, {"conversation_id": conversation.id})
        await self._cancel_deliveries(conversation.id)

        async def plan(batch: Batch) -> bool:
            current = await self._store.get(CONVERSATIONS, conversation.id)
            if current is None:
                return False
            scrubbed = replace(current, subject="", last_message_preview="", attributes={})
            if scrubbed == current:
                return False
            batch.put(CONVERSATIONS, scrubbed)
            data = {"subject": "", "last_message_preview": "", "erased": True}
            batch.emit(self._event("conversation.updated", current, data))
            return True

        await piecewise(self._store, plan)

    async def _scrub_each(self, collection: Any, conversation: Conversation) -> None:
        """Messages or decisions of the conversation, a piece at a time."""
        after: str | None = None
        while True:
            where = {"conversation_id": conversation.id}
            page = await self._store.find(collection, where, order="id", after=after, limit=PIECE)
            ids = [document.id for document in page.items]

            async def plan(batch: Batch, ids: list[str] = ids) -> bool:
                current = await self._store.get_many(collection, ids)
                if collection is MESSAGES:
                    await self._scrub_messages(batch, conversation, current.values())
                else:
                    for decision in current.values():
                        if decision.facts or decision.error:
                            batch.put(DECISIONS, replace(decision, facts={}, error=None))
                return bool(batch)

            await piecewise(self._store, plan)
            if collection is MESSAGES and ids:
                # The indexer does the same when it comes to the events of this; a kill in between is no harm.
                await self._store.unindex(ids)
            after = page.next
            if after is None:
                return

    async def _scrub_messages(self, batch: Batch, conversation: Conversation, messages: Iterable[Message]) -> None:
        files: set[str] = set()
        for message in messages:
            scrubbed = without_content(message)
            if scrubbed == message:
                continue
            files |= files_of(message)
            batch.put(MESSAGES, scrubbed)
            batch.emit(self._event("message.updated", conversation, {"erased": True}, message.id))
        if files:
            # Noted with the change that loses them, so that none is forgotten.
            head = await self._store.head()
            known = await self._store.get_many(CHECKPOINTS, [FILE + sha256 for sha256 in files])
            for sha256 in sorted(files):
                note = Checkpoint(id=FILE + sha256, cursor=head)
                earlier = known.get(note.id)
                if earlier is None:
                    batch.insert(CHECKPOINTS, note)
                else:
                    batch.put(CHECKPOINTS, replace(earlier, cursor=head))

    async def _cancel_deliveries(self, conversation_id: str) -> None:
        async def plan(batch: Batch) -> bool:
            where = {"conversation_id": conversation_id, "status": OneOf(WAITING)}
            page = await self._store.find(DELIVERIES, where, limit=PIECE)
            for delivery in page.items:
                batch.put(DELIVERIES, replace(delivery, status="failed", next_at=None, error="the contact was erased"))
            return bool(batch)

        await piecewise(self._store, plan)

    async def _delete(self, collection: Any, where: dict[str, Any]) -> None:
        async def plan(batch: Batch) -> bool:
            for document in (await self._store.find(collection, where, limit=PIECE)).items:
                batch.delete(collection, document)
            return bool(batch)

        await piecewise(self._store, plan)

    def _event(
        self, kind: str, conversation: Conversation, data: dict[str, Any], message_id: str | None = None
    ) -> Event:
        return Event(
            type=kind,
            at=self._clock.now(),
            conversation_id=conversation.id,
            message_id=message_id,
            inbox_id=conversation.inbox_id,
            queue_id=conversation.queue_id,
            assignee_id=conversation.assignee_id,
            data=data,
        )

    async def drop_files(self) -> None:
        """Delete the files of erased messages that no other message has.

        Messages with the same file are found through the search index, so this waits until the index has all that was
        committed before the file was lost. The same file sent anew in the very moment it is deleted is not seen.
        """
        indexed = await self._store.get(CHECKPOINTS, INDEXED)
        async for note in every(self._store, CHECKPOINTS, {"id": Range(FILE, FILE + "~")}):
            if indexed is None or indexed.cursor < note.cursor:
                continue
            sha256 = note.id.removeprefix(FILE)
            if not await self._in_use(sha256):
                await self._store.blobs.delete(sha256)
            await drop(self._store, note.id)

    async def _in_use(self, sha256: str) -> bool:
        after: str | None = None
        while True:
            hits = await self._store.search(sha256, limit=50, after=after)
            if not hits:
                return False
            messages = await self._store.get_many(MESSAGES, [hit.message_id for hit in hits])
            if any(sha256 in files_of(message) for message in messages.values()):
                return True
            after = hits[-1].message_id


def blank(contact: Contact) -> Contact:
    """The contact without anything that says who it is."""
    return replace(contact, name="", email=None, phone=None, language=None, attributes={}, tags=())


def without_content(message: Message) -> Message:
    """The message without what was said; what counts and dates stays."""
    author = message.author
    if author.kind == "contact":
        author = Author(kind="contact", id=author.id)
    delivery = message.delivery
    return replace(
        message,
        author=author,
        text="",
        visible_text=None,
        html=None,
        subject=None,
        attachments=(),
        masked_text=None,
        meta={},
        raw=None,
        delivery=replace(delivery, error=None) if delivery is not None else None,
    )


def without_images(merge: Merge) -> Merge:
    """The merge without what the contacts were before it, and the words of its evidence."""
    return replace(
        merge,
        winner_before=blank(merge.winner_before),
        loser_before=blank(merge.loser_before),
        evidence=replace(merge.evidence, detail=""),
    )


def files_of(message: Message) -> set[str]:
    """SHA-256 of the message's files."""
    files = {attachment.sha256 for attachment in message.attachments}
    if message.raw is not None:
        files.add(message.raw.sha256)
    return files
