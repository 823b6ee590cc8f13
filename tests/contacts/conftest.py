"""A node on a real SQLite store: intake, contacts, feed and indexer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.connector import Accepted, File, Inbound, Sender, Threading
from gateway.model.access import Actor
from gateway.model.contact import Contact
from gateway.model.conversation import Conversation
from gateway.model.document import IdSource
from gateway.model.inbox import Inbox
from gateway.model.message import Message
from gateway.model.team import Queue
from gateway.service.audit import Audit
from gateway.service.contacts import Contacts
from gateway.service.feed import Feed
from gateway.service.indexer import Indexer
from gateway.store.batch import Batch
from gateway.store.collection import CONTACTS, CONVERSATIONS, IDENTITIES, INBOXES, MESSAGES, QUEUES
from gateway.store.sqlite.store import SqliteStore
from tests.intake.node import Node, SteppingClock, an_inbox, node_on

ADMIN = Actor(kind="agent", id="admin", agent_id="admin", role="admin")


@dataclass
class House:
    store: SqliteStore
    clock: SteppingClock
    node: Node
    feed: Feed
    contacts: Contacts
    inbox: Inbox = field(default_factory=an_inbox)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def say(
        self,
        sender: str,
        text: str = "hello",
        *,
        files: tuple[File, ...] = (),
        thread: Threading | None = None,
        **more: Any,
    ) -> Accepted:
        inbound = Inbound(
            external_id=f"m{next(self.numbers)}",
            sender=Sender(address=sender, name=sender.title(), **more),
            text=text,
            subject=f"About {sender}",
            files=files,
            thread=thread,
            meta={"to": sender},
        )
        (accepted,) = await self.node.intake.accept(self.inbox, [inbound])
        return accepted

    async def contact_of(self, sender: str) -> Contact:
        namespace = f"{self.inbox.kind}:{self.inbox.id}"
        found = await self.store.find_keys(IDENTITIES, "address", [(namespace, sender)])
        contact = await self.store.get(CONTACTS, found[namespace, sender].contact_id)
        assert contact is not None
        return contact

    async def conversation(self, id: str) -> Conversation:
        found = await self.store.get(CONVERSATIONS, id)
        assert found is not None
        return found

    async def message(self, id: str) -> Message:
        found = await self.store.get(MESSAGES, id)
        assert found is not None
        return found

    def restarted(self) -> Contacts:
        """The service as another process would start it."""
        return contacts_on(self.store, self.clock)

    @asynccontextmanager
    async def indexing(self, **options: Any) -> AsyncIterator[None]:
        indexer = Indexer(self.store, self.feed, self.clock, "one", **options)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(indexer.run())
            yield
            task.cancel()

    async def until(self, done: Callable[[], Awaitable[Any]], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not await done():
                await asyncio.sleep(0.01)

    async def finds(self, query: str) -> list[str]:
        """Ids of the messages that a search finds."""
        return [hit.message_id for hit in await self.store.search(query)]


def contacts_on(store: SqliteStore, clock: SteppingClock) -> Contacts:
    return Contacts(store=store, clock=clock, ids=IdSource(clock), audit=Audit(store, clock), node="one")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = SteppingClock()
    store = SqliteStore(tmp_path / "store.db", clock)
    await store.open()
    feed = Feed(store, clock)
    async with node_on(store, clock) as node, asyncio.TaskGroup() as group:
        task = group.create_task(feed.run())
        await feed.ready()
        house = House(store, clock, node, feed, contacts_on(store, clock))
        feed.on_event(lambda entries: node.intake.people_changed())
        batch = Batch()
        batch.insert(INBOXES, house.inbox)
        batch.insert(QUEUES, Queue(id="support", name="support"))
        await store.commit(batch)
        await node.directory.load()
        yield house
        feed.close()
        task.cancel()
    await store.close()
