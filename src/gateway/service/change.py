"""One way to change configuration: read, decide, write with its events and its audit entry, tell the directory."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from gateway.errors import Clash, Conflict, Duplicate, NotFound
from gateway.model.access import Actor
from gateway.model.document import Clock, Document
from gateway.model.event import Event
from gateway.service.audit import Audit, changes
from gateway.service.directory import Directory
from gateway.store.batch import Batch
from gateway.store.collection import Collection
from gateway.store.contract import Store

D = TypeVar("D", bound=Document)

ATTEMPTS = 5


class Changes:
    """Creates, updates and deletes documents of configuration. `thing` is the word for them: `queue`; events are
    `queue.created`, `queue.updated`, `queue.deleted`, audit actions `queue.create` …"""

    def __init__(self, store: Store, clock: Clock, directory: Directory, audit: Audit) -> None:
        self.store = store
        self.clock = clock
        self.directory = directory
        self.audit = audit

    async def create(
        self,
        actor: Actor,
        thing: str,
        collection: Collection[D],
        doc: D,
        *,
        detail: Mapping[str, Any] | None = None,
        batch: Batch | None = None,
    ) -> D:
        """Insert the document. A taken unique key raises Clash naming the field."""
        batch = batch or Batch()
        made = batch.insert(collection, doc)
        self._emit(batch, thing, "created", collection, doc.id)
        try:
            await self.audit.commit(batch, actor, f"{thing}.create", doc.id, detail or {})
        except Duplicate as error:
            raise taken(error, thing) from None
        await self.directory.reload(collection.name, doc.id)
        return made

    async def get(self, thing: str, collection: Collection[D], id: str) -> D:
        """The document; raises NotFound."""
        doc = await self.store.get(collection, id)
        if doc is None:
            raise NotFound(thing, id)
        return doc

    async def update(
        self,
        actor: Actor,
        thing: str,
        collection: Collection[D],
        id: str,
        decide: Callable[[D, Batch], D | Awaitable[D]],
        *,
        hide: tuple[str, ...] = (),
        verb: str = "update",
        expect: int | None = None,
    ) -> D:
        """Replace the document by what `decide` makes of it (on conflict it is asked again, with a new batch, to which
        it may add writes). Nothing is written where nothing changes. `hide`: fields whose values stay out of the audit
        log. `expect`: the version the client has seen; another raises Conflict."""
        for _ in range(ATTEMPTS):
            before = await self.get(thing, collection, id)
            if expect is not None and before.version != expect:
                raise Conflict(collection.name, id)
            batch = Batch()
            decided = decide(before, batch)
            after: D = await decided if inspect.isawaitable(decided) else decided
            detail = changes(before, after, hide=hide)
            if not detail and not batch:
                return before
            made = batch.put(collection, after)
            self._emit(batch, thing, "updated", collection, id)
            try:
                await self.audit.commit(batch, actor, f"{thing}.{verb}", id, detail)
            except Conflict:
                continue
            except Duplicate as error:
                raise taken(error, thing) from None
            await self.directory.reload(collection.name, id)
            return made
        raise Conflict(collection.name, id)

    async def delete(
        self,
        actor: Actor,
        thing: str,
        collection: Collection[D],
        id: str,
        allow: Callable[[D, Batch], Awaitable[None]] | None = None,
        *,
        detail: Callable[[D], Mapping[str, Any]] = lambda doc: {},
    ) -> None:
        """Remove the document. `allow` raises Clash where it is still needed, or adds what goes with it."""
        for _ in range(ATTEMPTS):
            known = await self.get(thing, collection, id)
            batch = Batch()
            if allow is not None:
                await allow(known, batch)
            batch.delete(collection, known)
            self._emit(batch, thing, "deleted", collection, id)
            try:
                await self.audit.commit(batch, actor, f"{thing}.delete", id, detail(known))
            except Conflict:
                continue
            await self.directory.reload(collection.name, id)
            return
        raise Conflict(collection.name, id)

    def _emit(self, batch: Batch, thing: str, verb: str, collection: Collection[Any], id: str) -> None:
        now = self.clock.now()
        # First the one that makes other nodes' directories follow, then the one that readers of the feed know.
        batch.emit(config_changed(now, collection, id))
        batch.emit(Event(type=f"{thing}.{verb}", at=now, audience="admins", data={"id": id}))


def config_changed(now: datetime, collection: Collection[Any], id: str) -> Event:
    """Makes every node's directory read the document again."""
    return Event(type="config.changed", at=now, audience="admins", data={"collection": collection.name, "id": id})


def taken(error: Duplicate, thing: str) -> Clash:
    return Clash(f"another {thing} has this {error.key}", error.key)
