"""Intake, dispatch and conversations on a real SQLite store; time and ids as in production."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.connector import Accepted, Capabilities, Inbound, Sender
from gateway.model.access import Actor
from gateway.model.document import IdSource
from gateway.model.inbox import Inbox
from gateway.model.team import Agent, Queue
from gateway.routing.load import load
from gateway.service.attachments import Attachments
from gateway.service.conversations import Conversations
from gateway.service.directory import Directory
from gateway.service.dispatch import Dispatcher
from gateway.service.fetch import Fetcher
from gateway.service.guard import Guard
from gateway.service.intake import Intake
from gateway.service.intake.plan import Plan
from gateway.service.recent import Recent
from gateway.store.batch import Batch
from gateway.store.collection import AGENTS, INBOXES, QUEUES
from gateway.store.contract import Store
from gateway.store.sqlite.store import SqliteStore

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CAPABILITIES = Capabilities(attachments=True)


class SteppingClock:
    """A clock that the test moves; every look moves it by a millisecond, so that order shows."""

    def __init__(self) -> None:
        self.moment = START

    def now(self) -> datetime:
        self.moment += timedelta(milliseconds=1)
        return self.moment

    def pass_by(self, **span: float) -> None:
        self.moment += timedelta(**span)


@dataclass
class Desk:
    """All that the tests need of a running gateway core."""

    store: Store
    clock: SteppingClock
    directory: Directory
    intake: Intake
    dispatcher: Dispatcher
    conversations: Conversations
    inbox: Inbox
    committed: list[Plan] = field(default_factory=list)
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

    async def add_agent(self, name: str, *, capacity: int = 2, role: str = "agent", **more: Any) -> Actor:
        agent = Agent(
            id=name, email=f"{name}@example.org", name=name, role=role, capacity=capacity, created_at=START, **more
        )
        await self._add(AGENTS, agent)
        return Actor(kind="agent", id=name, name=name, role=role, agent_id=name)  # type: ignore[arg-type]

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
        self.directory.rules = loaded.ruleset


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = SteppingClock()
    ids = IdSource(clock)
    store = SqliteStore(tmp_path / "omnigate.db", clock)
    await store.open()
    directory = Directory(store)
    await directory.load()
    recent = Recent()
    fetcher = Fetcher(Guard())
    attachments = Attachments(store.blobs, fetcher, ids)
    dispatcher = Dispatcher(store, clock, ids, directory, recent)
    committed: list[Plan] = []

    def on_commit(plans: Sequence[Plan]) -> None:
        committed.extend(plans)

    intake = Intake(store, clock, ids, directory, attachments, recent, lambda kind: CAPABILITIES, on_commit)
    conversations = Conversations(
        store,
        clock,
        ids,
        directory,
        dispatcher,
        attachments,
        recent,
        lambda kind: CAPABILITIES,
        lambda inbox_id: None,
    )
    desk = Desk(
        store,
        clock,
        directory,
        intake,
        dispatcher,
        conversations,
        Inbox(id="i-app", kind="api", name="app", created_at=START),
        committed,
    )
    await desk._add(INBOXES, desk.inbox)
    await desk.add_queue("support")
    async with asyncio.TaskGroup() as group:
        running = group.create_task(intake.run())
        yield desk
        running.cancel()
    await fetcher.close()
    await store.close()
