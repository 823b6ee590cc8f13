"""Merging two contacts and parting them again, in bounded steps that a kill cannot leave half done for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from gateway.errors import Clash, Conflict, NotFound
from gateway.model.access import Actor
from gateway.model.contact import Contact, Evidence, Identity, Merge
from gateway.model.conversation import Conversation
from gateway.model.document import Clock, Ids
from gateway.model.event import Event
from gateway.service.audit import Audit
from gateway.service.contacts.jobs import PIECE, begin, every, finish, is_open, piecewise
from gateway.service.happenings import conversation_updated
from gateway.store.batch import Batch
from gateway.store.collection import CONTACTS, CONVERSATIONS, IDENTITIES, MERGES
from gateway.store.contract import Store

SETTLE = timedelta(seconds=60)
"""For so long after a merge a message on its way may still make a conversation for the loser: the job looks again."""


class Merging:
    def __init__(self, store: Store, clock: Clock, ids: Ids, audit: Audit) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._audit = audit

    async def begin(self, winner: Contact, loser: Contact, evidence: Evidence, actor: Actor) -> Merge:
        """From here on the loser is the winner; `move` brings its things over."""
        for contact in (winner, loser):
            if contact.merged_into is not None:
                raise Clash(f"the contact {contact.id} was merged into {contact.merged_into}")
            if contact.erased_at is not None:
                raise Clash(f"the contact {contact.id} was erased")
        now = self._clock.now()
        batch = Batch()
        merge = batch.insert(
            MERGES,
            Merge(
                id=self._ids(),
                winner_id=winner.id,
                loser_id=loser.id,
                winner_before=winner,
                loser_before=loser,
                evidence=evidence,
            ),
        )
        batch.put(CONTACTS, replace(combined(winner, loser), updated_at=now))
        batch.put(CONTACTS, replace(loser, merged_into=winner.id, updated_at=now))
        begin(batch, "merge", merge.id)
        data = {"id": winner.id, "loser_id": loser.id, "merge_id": merge.id}
        batch.emit(Event(type="contact.merged", at=now, data=data))
        detail = {"loser_id": loser.id, "merge_id": merge.id, "evidence": evidence.kind}
        await self._audit.commit(batch, actor, "contact.merge", winner.id, detail)
        return merge

    async def move(self, merge_id: str, *, settled: bool = False) -> None:
        """Bring the loser's identities and conversations to the winner. `settled`: and be done with it, once no message
        can be on its way to the loser any more."""

        async def plan(batch: Batch) -> bool:
            merge = await self._merge(merge_id)
            if merge.undone_at is not None:
                return False
            identities = await self._store.find(IDENTITIES, {"contact_id": merge.loser_id}, limit=PIECE)
            conversations = await self._store.find(CONVERSATIONS, {"contact_id": merge.loser_id}, limit=PIECE)
            if not identities.items and not conversations.items:
                return False
            self._give(batch, identities.items, conversations.items, merge.winner_id)
            batch.put(
                MERGES,
                replace(
                    merge,
                    identity_ids=(*merge.identity_ids, *(one.id for one in identities.items)),
                    conversation_ids=(*merge.conversation_ids, *(one.id for one in conversations.items)),
                ),
            )
            return True

        await piecewise(self._store, plan)
        merge = await self._merge(merge_id)
        if settled and self._clock.now() - merge.evidence.at > SETTLE:
            await finish(self._store, "merge", merge_id)

    async def undo(self, merge: Merge, actor: Actor) -> None:
        """From here on they are two again; `move_back` brings the loser's things back. Raises Clash where that is not
        possible, or not yet."""
        for _ in range(5):
            if merge.undone_at is not None:
                raise Clash("the merge was undone already")
            winner, loser = await self._contact(merge.winner_id), await self._contact(merge.loser_id)
            if winner.erased_at is not None or loser.erased_at is not None:
                raise Clash("the contact was erased since")
            if winner.merged_into is not None:
                raise Clash(f"the contact was merged into {winner.merged_into} since: undo that first")
            if await is_open(self._store, "merge", merge.id):
                await self.move(merge.id)
                merge = await self._merge(merge.id)
            now = self._clock.now()
            batch = Batch()
            batch.put(MERGES, replace(merge, undone_at=now))
            batch.put(CONTACTS, replace(parted(winner, merge), updated_at=now))
            batch.put(CONTACTS, replace(merge.loser_before, version=loser.version, updated_at=now))
            begin(batch, "unmerge", merge.id)
            data = {"id": winner.id, "loser_id": loser.id, "merge_id": merge.id}
            batch.emit(Event(type="contact.unmerged", at=now, data=data))
            detail = {"loser_id": loser.id, "merge_id": merge.id}
            try:
                await self._audit.commit(batch, actor, "contact.unmerge", winner.id, detail)
            except Conflict:
                merge = await self._merge(merge.id)
                continue
            await finish(self._store, "merge", merge.id)
            return
        raise Conflict(MERGES.name, merge.id)

    async def move_back(self, merge_id: str) -> None:
        """Bring what came with the merge, and what was said from those addresses since, back to the loser."""
        merge = await self._merge(merge_id)
        moved = frozenset(merge.identity_ids)
        came = frozenset(merge.conversation_ids)

        async def plan(batch: Batch) -> bool:
            identities: list[Identity] = []
            conversations: list[Conversation] = []
            async for identity in every(self._store, IDENTITIES, {"contact_id": merge.winner_id}):
                if identity.id in moved and len(identities) < PIECE:
                    identities.append(identity)
            async for conversation in every(self._store, CONVERSATIONS, {"contact_id": merge.winner_id}):
                if conversation.id in came or conversation.identity_id in moved:
                    conversations.append(conversation)
                    if len(conversations) == PIECE:
                        break
            self._give(batch, identities, conversations, merge.loser_id)
            return bool(batch)

        await piecewise(self._store, plan)
        await finish(self._store, "unmerge", merge_id)

    def _give(
        self, batch: Batch, identities: list[Identity], conversations: list[Conversation], contact_id: str
    ) -> None:
        now = self._clock.now()
        for identity in identities:
            batch.put(IDENTITIES, replace(identity, contact_id=contact_id))
        for conversation in conversations:
            after = replace(conversation, contact_id=contact_id, updated_at=now)
            event = conversation_updated(conversation, after, now)
            batch.put(CONVERSATIONS, after)
            if event is not None:
                batch.emit(event)

    async def _merge(self, id: str) -> Merge:
        merge = await self._store.get(MERGES, id)
        if merge is None:
            raise NotFound("merge", id)
        return merge

    async def _contact(self, id: str) -> Contact:
        contact = await self._store.get(CONTACTS, id)
        if contact is None:
            raise NotFound("contact", id)
        return contact


def combined(winner: Contact, loser: Contact) -> Contact:
    """The winner, with what it lacks taken from the loser."""
    return replace(
        winner,
        name=winner.name or loser.name,
        email=winner.email or loser.email,
        phone=winner.phone or loser.phone,
        language=winner.language or loser.language,
        attributes={**loser.attributes, **winner.attributes},
        tags=tuple(dict.fromkeys((*winner.tags, *loser.tags))),
    )


def parted(winner: Contact, merge: Merge) -> Contact:
    """The winner without what the merge gave it; what was changed since stays as it was changed."""
    before, joined = merge.winner_before, combined(merge.winner_before, merge.loser_before)
    restored: dict[str, Any] = {
        name: getattr(before, name)
        for name in ("name", "email", "phone", "language")
        if getattr(winner, name) == getattr(joined, name)
    }
    attributes = {
        key: value
        for key, value in winner.attributes.items()
        if key in before.attributes or joined.attributes.get(key, _ABSENT) != value
    }
    tags = tuple(tag for tag in winner.tags if tag in before.tags or tag not in joined.tags)
    return replace(winner, attributes=attributes, tags=tags, **restored)


_ABSENT = object()
