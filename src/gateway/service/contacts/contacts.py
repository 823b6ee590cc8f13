"""The contacts service: reading and changing contacts, and the long jobs on them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, replace

from gateway.errors import Clash, Conflict, NotFound, Problem, Refused, StoreError
from gateway.model.access import Actor
from gateway.model.contact import Contact, Evidence, Identity, Merge
from gateway.model.conversation import Conversation
from gateway.model.document import Clock, Ids
from gateway.model.event import Event
from gateway.service.audit import Audit
from gateway.service.contacts.erase import Erasing
from gateway.service.contacts.export import write_archive
from gateway.service.contacts.jobs import open_jobs
from gateway.service.contacts.merge import Merging
from gateway.service.leased import run_leased
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CONTACTS, CONVERSATIONS, IDENTITIES, MERGES
from gateway.store.contract import Page, Range, Store

log = structlog.get_logger("contacts")

RESUME_EVERY = 30.0
ATTEMPTS = 5
HOPS = 20
"""Merges of merges that are followed."""


class ContactFields(Struct, frozen=True, kw_only=True):
    """What may be set; what is left out stays."""

    name: str | UnsetType = UNSET
    email: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    language: str | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not UNSET}


class Contacts:
    """Run `run` in a task, on every node: it finishes jobs that a kill left half done."""

    def __init__(self, *, store: Store, clock: Clock, ids: Ids, audit: Audit, node: str) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._audit = audit
        self._node = node
        self._merging = Merging(store, clock, ids, audit)
        self._erasing = Erasing(store, clock, audit)

    # reading

    async def get(self, id: str) -> Contact:
        """The contact; raises NotFound. One that was merged is shown as it is, with `merged_into`."""
        contact = await self._store.get(CONTACTS, id)
        if contact is None:
            raise NotFound("contact", id)
        return contact

    async def current(self, id: str) -> Contact:
        """The contact that stands for this one now: itself, or the one it was merged into."""
        contact = await self.get(id)
        for _ in range(HOPS):
            if contact.merged_into is None:
                break
            contact = await self.get(contact.merged_into)
        return contact

    async def find(
        self, where: Mapping[str, Any] | None = None, *, after: str | None = None, limit: int = 50
    ) -> Page[Contact]:
        """Contacts that stand for themselves, last changed first."""
        wanted = {"merged_into": None, **(where or {})}
        return await self._store.find(CONTACTS, wanted, order="-updated_at", after=after, limit=limit)

    async def search(
        self, query: str, *, limit: int = 50, visible: Callable[[Conversation], bool] = lambda conversation: True
    ) -> list[Contact]:
        """Contacts by e-mail address, phone number, address on a channel, the beginning of the name, or the words of
        names and messages; the surest first. `visible`: whose words may be told of."""
        query = query.strip()
        if not query:
            return []
        exact = tuple(dict.fromkeys((query, query.lower())))
        found: dict[str, Contact] = {}

        def add(contacts: Sequence[Contact]) -> bool:
            for contact in contacts:
                if contact.merged_into is None and contact.erased_at is None:
                    found.setdefault(contact.id, contact)
            return len(found) >= limit

        wheres: list[dict[str, Any]] = [{"email": text} for text in exact]
        wheres += [{"phone": query}, {"name": Range(query, query + "\U0010ffff")}]
        for where in wheres:
            if add((await self._store.find(CONTACTS, where, limit=limit)).items):
                break
        for text in exact:
            identities = (await self._store.find(IDENTITIES, {"address": text}, limit=limit)).items
            add(await self._many([identity.contact_id for identity in identities]))
        if len(found) < limit:
            hits = await self._store.search(query, limit=200)
            ids = dict.fromkeys(hit.conversation_id for hit in hits)
            conversations = await self._store.get_many(CONVERSATIONS, list(ids))
            seen = [conversations[id] for id in ids if id in conversations]
            add(await self._many([conversation.contact_id for conversation in seen if visible(conversation)]))
        return list(found.values())[:limit]

    async def _many(self, ids: Sequence[str]) -> list[Contact]:
        unique = list(dict.fromkeys(ids))
        found = await self._store.get_many(CONTACTS, unique)
        return [found[id] for id in unique if id in found]

    async def identities(self, id: str) -> list[Identity]:
        """The addresses the contact writes from."""
        return (await self._store.find(IDENTITIES, {"contact_id": id}, limit=200)).items

    async def merges(self, id: str) -> list[Merge]:
        """Merges into the contact, oldest first."""
        return (await self._store.find(MERGES, {"winner_id": id}, limit=200)).items

    # changing

    async def create(self, fields: ContactFields, actor: Actor) -> Contact:
        """A contact without an address yet."""
        now = self._clock.now()
        batch = Batch()
        contact = batch.insert(CONTACTS, Contact(id=self._ids(), created_at=now, updated_at=now, **fields.given()))
        batch.emit(Event(type="contact.created", at=now, data={"id": contact.id}))
        await self._audit.commit(batch, actor, "contact.create", contact.id)
        return contact

    async def patch(self, id: str, fields: ContactFields, actor: Actor, *, expect: int | None = None) -> Contact:
        """Change fields. `expect`: the version the caller has seen; another raises Conflict."""
        given = fields.given()
        for _ in range(ATTEMPTS):
            before = await self.get(id)
            if expect is not None and before.version != expect:
                raise Conflict(CONTACTS.name, id)
            if before.erased_at is not None:
                raise Clash("the contact was erased")
            if before.merged_into is not None:
                raise Clash(f"the contact was merged into {before.merged_into}")
            changed = sorted(name for name, value in given.items() if getattr(before, name) != value)
            if not changed:
                return before
            now = self._clock.now()
            batch = Batch()
            contact = batch.put(CONTACTS, replace(before, updated_at=now, **given))
            batch.emit(Event(type="contact.updated", at=now, data={"id": id, "changed": changed}))
            try:
                # The values stay out of the audit log, which nothing is ever erased from.
                await self._audit.commit(batch, actor, "contact.update", id, {"changed": changed})
            except Conflict:
                continue
            return contact
        raise Conflict(CONTACTS.name, id)

    async def merge(self, winner_id: str, loser_id: str, kind: str, detail: str, actor: Actor) -> Merge:
        """Make the two one: the winner gets the loser's addresses, conversations, and what it lacks itself. `kind` and
        `detail` say why they are the same person. Raises NotFound, Refused or Clash."""
        if winner_id == loser_id:
            raise Refused(Problem("loser_id", "is the same contact"))
        evidence = Evidence(kind=kind, detail=detail, by=actor.id, at=self._clock.now())
        merge = await self._merging.begin(await self.get(winner_id), await self.get(loser_id), evidence, actor)
        await self._merging.move(merge.id)
        return await self._merge(merge.id)

    async def unmerge(self, merge_id: str, actor: Actor) -> Merge:
        """Part them again: addresses and conversations that came with the merge go back, also what was said from those
        addresses since."""
        await self._merging.undo(await self._merge(merge_id), actor)
        await self._merging.move_back(merge_id)
        return await self._merge(merge_id)

    async def _merge(self, id: str) -> Merge:
        merge = await self._store.get(MERGES, id)
        if merge is None:
            raise NotFound("merge", id)
        return merge

    async def export(self, id: str, actor: Actor, path: Path) -> None:
        """Write a zip of all that is kept about the contact, attachments included."""
        contact = await self.get(id)
        await self._audit.commit(Batch(), actor, "contact.export", id)
        await write_archive(self._store, contact, path)

    async def erase(self, id: str, actor: Actor) -> Contact:
        """Forget the contact: see `Erasing`. Returns once the texts are gone; files follow when it is certain that no
        other message has them."""
        contact = await self._erasing.begin(await self.get(id), actor)
        await self._erasing.scrub(id)
        return contact

    # jobs left half done

    async def run(self) -> None:
        """Finish what was begun, until cancelled."""
        await run_leased(self._store, "contacts", self._node, self._work)

    async def _work(self, lease: Lease) -> None:
        while True:
            await self.resume()
            await asyncio.sleep(RESUME_EVERY)

    async def resume(self) -> None:
        """Finish all jobs once."""
        async for kind, target in open_jobs(self._store):
            try:
                match kind:
                    case "merge":
                        await self._merging.move(target, settled=True)
                    case "unmerge":
                        await self._merging.move_back(target)
                    case "erase":
                        await self._erasing.scrub(target)
            except StoreError:
                raise
            except Exception:
                log.exception("contacts.job", kind=kind, target=target)
        await self._erasing.drop_files()
