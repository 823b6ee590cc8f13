"""One node on a real SQLite store, and what the tests do with it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.connector import Accepted, Inbound, Sender
from gateway.model.access import Actor
from gateway.model.inbox import Inbox
from gateway.model.team import Agent, Queue, Role
from gateway.routing.load import load
from gateway.store.batch import Batch
from gateway.store.collection import AGENTS, INBOXES, QUEUES
from gateway.store.sqlite.store import SqliteStore

from .node import START, Node, SteppingClock, an_inbox, node_on


@dataclass
class Desk(Node):
    inbox: Inbox = field(default_factory=an_inbox)
    _number: Any = field(default_factory=lambda: itertools.count(1))

    async def say(self, text: str, sender: str = "anna", **more: Any) -> Accepted:
        """The customer writes."""
        inbound = Inbound(
            external_id=more.pop("external_id", f"m{next(self._number)}"),
            sender=Sender(address=sender, name=sender.title()),
            text=text,
            **more,
        )
        (accepted,) = await self.intake.accept(more.get("inbox", self.inbox), [inbound])
        return accepted

    async def add_agent(self, name: str, *, capacity: int = 2, role: Role = "agent", **more: Any) -> Actor:
        agent = Agent(
            id=name, email=f"{name}@example.org", name=name, role=role, capacity=capacity, created_at=START, **more
        )
        await self._add(AGENTS, agent)
        return Actor(kind="agent", id=name, name=name, role=role, agent_id=name)

    async def online(self, actor: Actor) -> None:
        await self.dispatcher.set_presence(actor.id, "online", actor)
        await self.dispatcher.dispatch()

    async def _add(self, collection: Any, doc: Any) -> None:
        batch = Batch()
        batch.insert(collection, doc)
        await self.store.commit(batch)
        await self.directory.reload(collection.name, doc.id)

    async def add_queue(self, name: str, **more: Any) -> Queue:
        queue = Queue(id=f"q-{name}", name=name, **more)
        await self._add(QUEUES, queue)
        return queue

    async def add_inbox(self, name: str, kind: str = "api") -> Inbox:
        inbox = Inbox(id=f"i-{name}", kind=kind, name=name, created_at=START)
        await self._add(INBOXES, inbox)
        return inbox

    async def rules(self, text: str) -> None:
        loaded = await asyncio.to_thread(load, [("test.yaml", text)], None, version=7)
        assert loaded.ruleset is not None, loaded.problems
        self.directory.use_rules(loaded.ruleset)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = SteppingClock()
    store = SqliteStore(tmp_path / "omnigate.db", clock)
    await store.open()
    async with node_on(store, clock) as node:
        desk = Desk(
            node.store, node.clock, node.directory, node.intake, node.dispatcher, node.conversations, node.committed
        )
        await desk._add(INBOXES, desk.inbox)
        await desk.add_queue("support")
        yield desk
    await store.close()
