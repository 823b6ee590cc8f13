"""Reads what a batch of messages is decided on, and keeps the state as the batch changes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from gateway.connector import Accepted
from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation
from gateway.model.document import Ids
from gateway.model.message import Delivery, Message
from gateway.service.intake.arrival import Arrival, Situation
from gateway.service.recent import Recent
from gateway.store.collection import CONTACTS, CONVERSATIONS, DELIVERIES, IDENTITIES, MESSAGES, THREADS
from gateway.store.contract import Store

SUBJECT_LOOKBACK = 20
"""How many of a contact's latest conversations in an inbox are compared by subject."""

REPORTING = ("bounce", "complaint", "receipt", "auto_reply")


def thread_id(inbox_id: str, key: str) -> str:
    """Where a thread key is kept; the inbox is part of it, so that no key leads across inboxes."""
    return f"{inbox_id}/{key}"


def automatic_key(kind: str) -> str:
    """The thread key of the conversation that collects an inbox's automatic mail."""
    return f"automatic:{kind}"


class Workspace:
    """The reading side of intake. Call `read` for a batch, then `situation` for each of its messages in order."""

    def __init__(self, store: Store, recent: Recent, ids: Ids) -> None:
        self._store = store
        self._recent = recent
        self._ids = ids
        self._reports: dict[str, tuple[Delivery, Message | None]] = {}
        self._subjects: dict[tuple[str, str], list[Conversation]] = {}

    async def known(self, arrivals: Sequence[Arrival]) -> dict[tuple[str, str], Accepted]:
        """The messages that are in the store already, by (inbox id, external id)."""
        keys = [(arrival.inbox.id, arrival.inbound.external_id) for arrival in arrivals]
        found = await self._store.find_keys(MESSAGES, "external_id", keys)
        return {
            (str(key[0]), str(key[1])): Accepted(
                message_id=message.id, conversation_id=message.conversation_id, duplicate=True
            )
            for key, message in found.items()
        }

    async def read(self, arrivals: Sequence[Arrival]) -> None:
        """Fetch what is not kept: identities, contacts, thread keys, reports, conversations."""
        await self._read_people(arrivals)
        await self._read_threads(arrivals)
        await self._read_reports(arrivals)
        await self._read_conversations(arrivals)

    def situation(self, arrival: Arrival) -> Situation:
        """Who wrote and where it belongs, as far as the store and the batch so far know."""
        identity, contact = self._people(arrival)
        report = self._reports.get(arrival.message_id)
        if arrival.inbound.kind in REPORTING:
            conversation = self._reported_conversation(arrival, report)
        else:
            conversation = self._threaded(arrival) if arrival.inbound.thread is not None else None
            if conversation is None and arrival.inbound.thread is None:
                conversation = self._current(arrival.inbox.id, contact.id)
            if conversation is None and arrival.inbound.thread is not None:
                conversation = self._by_subject(arrival, contact)
        return Situation(
            contact=contact,
            identity=identity,
            conversation=conversation,
            delivery=report[0] if report else None,
            reported=report[1] if report else None,
        )

    def wrote(self, situation: Situation, conversation: Conversation, keys: Sequence[str]) -> None:
        """The batch will leave things like this: later messages of it, and of the next, build on that."""
        recent = self._recent
        identity = situation.identity
        recent.identities.put((identity.namespace, identity.address), identity)
        recent.contacts.put(situation.contact.id, situation.contact)
        recent.conversations.put(conversation.id, conversation)
        if not conversation.automatic:
            recent.current.put((conversation.inbox_id, conversation.contact_id), conversation.id)
        for key in keys:
            recent.threads.put(thread_id(conversation.inbox_id, key), conversation.id)

    def knows_thread(self, inbox_id: str, key: str) -> bool:
        return self._recent.threads.get(thread_id(inbox_id, key)) is not None

    # people

    async def _read_people(self, arrivals: Sequence[Arrival]) -> None:
        recent = self._recent
        missing = {arrival.address for arrival in arrivals if recent.identities.get(arrival.address) is None}
        if missing:
            found = await self._store.find_keys(IDENTITIES, "address", sorted(missing))
            for one in found.values():
                recent.identities.put((one.namespace, one.address), one)
        wanted = {
            identity.contact_id
            for arrival in arrivals
            if (identity := recent.identities.get(arrival.address)) is not None
            and recent.contacts.get(identity.contact_id) is None
        }
        if wanted:
            for contact in (await self._store.get_many(CONTACTS, sorted(wanted))).values():
                recent.contacts.put(contact.id, contact)

    def _people(self, arrival: Arrival) -> tuple[Identity, Contact]:
        identity = self._recent.identities.get(arrival.address)
        contact = self._recent.contacts.get(identity.contact_id) if identity is not None else None
        sender = arrival.inbound.sender
        if contact is None:
            contact = Contact(
                id=identity.contact_id if identity is not None else self._ids(),
                name=sender.name,
                email=sender.email,
                phone=sender.phone,
                language=sender.language,
                attributes=sender.attributes,
                created_at=arrival.at,
                updated_at=arrival.at,
            )
        if identity is None:
            namespace, address = arrival.address
            identity = Identity(
                id=self._ids(),
                contact_id=contact.id,
                namespace=namespace,
                address=address,
                name=sender.name,
                verification=sender.verification,
                created_at=arrival.at,
            )
        return identity, contact

    # threads

    async def _read_threads(self, arrivals: Sequence[Arrival]) -> None:
        wanted: set[str] = set()
        for arrival in arrivals:
            thread = arrival.inbound.thread
            if thread is not None:
                own = (thread.own_key,) if thread.own_key else ()
                wanted.update(thread_id(arrival.inbox.id, key) for key in (*own, *thread.keys))
            if arrival.inbound.kind in REPORTING:
                wanted.add(thread_id(arrival.inbox.id, automatic_key(arrival.inbound.kind)))
        missing = sorted(id for id in wanted if self._recent.threads.get(id) is None)
        if missing:
            for id, ref in (await self._store.get_many(THREADS, missing)).items():
                self._recent.threads.put(id, ref.conversation_id)

    def _threaded(self, arrival: Arrival) -> Conversation | None:
        """By the token of ours, then by the thread's keys: its own first, for a parent that arrives after its reply."""
        thread = arrival.inbound.thread
        if thread is None:
            return None
        if thread.conversation_id is not None:
            conversation = self._in_inbox(arrival.inbox.id, thread.conversation_id)
            if conversation is not None:
                return conversation
        for key in (*((thread.own_key,) if thread.own_key else ()), *thread.keys):
            id = self._recent.threads.get(thread_id(arrival.inbox.id, key))
            conversation = self._in_inbox(arrival.inbox.id, id) if id is not None else None
            if conversation is not None:
                return conversation
        return None

    def _by_subject(self, arrival: Arrival, contact: Contact) -> Conversation | None:
        thread = arrival.inbound.thread
        if thread is None or not thread.subject:
            return None
        oldest = arrival.at - timedelta(hours=thread.subject_hours)
        candidates = list(self._subjects.get((arrival.inbox.id, contact.id), ()))
        current = self._current(arrival.inbox.id, contact.id)
        if current is not None:
            candidates.insert(0, current)
        for candidate in candidates:
            kept = self._recent.conversations.get(candidate.id) or candidate
            if kept.last_message_at >= oldest and kept.attributes.get("thread_subject") == thread.subject:
                return kept
        return None

    # reports on messages of ours

    async def _read_reports(self, arrivals: Sequence[Arrival]) -> None:
        async def read(arrival: Arrival) -> None:
            status = arrival.inbound.status
            if status is None:
                return
            delivery: Delivery | None = None
            if status.delivery_id is not None:
                delivery = await self._store.get(DELIVERIES, status.delivery_id)
            elif status.provider_id is not None:
                where = {"inbox_id": arrival.inbox.id, "provider_id": status.provider_id}
                page = await self._store.find(DELIVERIES, where, limit=1)
                delivery = page.items[0] if page.items else None
            if delivery is not None and delivery.inbox_id == arrival.inbox.id:
                self._reports[arrival.message_id] = delivery, await self._store.get(MESSAGES, delivery.id)

        await asyncio.gather(*(read(arrival) for arrival in arrivals if arrival.inbound.status is not None))

    def _reported_conversation(
        self, arrival: Arrival, report: tuple[Delivery, Message | None] | None
    ) -> Conversation | None:
        if report is not None:
            conversation = self._recent.conversations.get(report[0].conversation_id)
            if conversation is not None:
                return conversation
        conversation = self._threaded(arrival)
        if conversation is not None:
            return conversation
        id = self._recent.threads.get(thread_id(arrival.inbox.id, automatic_key(arrival.inbound.kind)))
        return self._in_inbox(arrival.inbox.id, id) if id is not None else None

    # conversations

    async def _read_conversations(self, arrivals: Sequence[Arrival]) -> None:
        recent = self._recent
        by_id: set[str] = set()
        by_contact: set[tuple[str, str]] = set()
        by_subject: set[tuple[str, str]] = set()
        for arrival in arrivals:
            identity = recent.identities.get(arrival.address)
            thread = arrival.inbound.thread
            if thread is not None:
                keys = (*((thread.own_key,) if thread.own_key else ()), *thread.keys)
                ids = [self._recent.threads.get(thread_id(arrival.inbox.id, key)) for key in keys]
                by_id.update(id for id in (thread.conversation_id, *ids) if id is not None)
                if thread.subject and identity is not None:
                    by_subject.add((arrival.inbox.id, identity.contact_id))
            elif identity is not None:
                pair = (arrival.inbox.id, identity.contact_id)
                id = recent.current.get(pair)
                if id is None:
                    by_contact.add(pair)
                else:
                    by_id.add(id)
            if arrival.inbound.kind in REPORTING:
                id = self._recent.threads.get(thread_id(arrival.inbox.id, automatic_key(arrival.inbound.kind)))
                if id is not None:
                    by_id.add(id)
            report = self._reports.get(arrival.message_id)
            if report is not None:
                by_id.add(report[0].conversation_id)
        missing = sorted(id for id in by_id if recent.conversations.get(id) is None)
        if missing:
            for conversation in (await self._store.get_many(CONVERSATIONS, missing)).values():
                recent.conversations.put(conversation.id, conversation)
        await asyncio.gather(
            *(self._read_latest(inbox_id, contact_id, 1) for inbox_id, contact_id in by_contact - by_subject),
            *(self._read_latest(inbox_id, contact_id, SUBJECT_LOOKBACK) for inbox_id, contact_id in by_subject),
        )

    async def _read_latest(self, inbox_id: str, contact_id: str, limit: int) -> None:
        page = await self._store.find(
            CONVERSATIONS,
            {"inbox_id": inbox_id, "contact_id": contact_id},
            order="-last_message_at",
            limit=limit,
        )
        found = [conversation for conversation in page.items if not conversation.automatic]
        self._subjects[inbox_id, contact_id] = found
        for conversation in reversed(found):
            known = self._recent.conversations.get(conversation.id)
            if known is None or known.version < conversation.version:
                self._recent.conversations.put(conversation.id, conversation)
        if found:
            self._recent.current.put((inbox_id, contact_id), found[0].id)

    def _current(self, inbox_id: str, contact_id: str) -> Conversation | None:
        id = self._recent.current.get((inbox_id, contact_id))
        return self._in_inbox(inbox_id, id) if id is not None else None

    def _in_inbox(self, inbox_id: str, conversation_id: str) -> Conversation | None:
        conversation = self._recent.conversations.get(conversation_id)
        return conversation if conversation is not None and conversation.inbox_id == inbox_id else None
