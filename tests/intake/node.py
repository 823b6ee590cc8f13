"""A gateway's core on a store: directory, intake, dispatch, conversations. Several on one store are several nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.connector import Capabilities
from gateway.model.document import IdSource
from gateway.model.inbox import Inbox
from gateway.service.attachments import Attachments
from gateway.service.conversations import Conversations
from gateway.service.directory import Directory
from gateway.service.dispatch import Dispatcher
from gateway.service.fetch import Fetcher
from gateway.service.guard import Guard
from gateway.service.intake import Intake
from gateway.service.intake.plan import Plan
from gateway.service.recent import Recent
from gateway.store.contract import Store

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


def an_inbox() -> Inbox:
    return Inbox(id="i-app", kind="api", name="app", created_at=START)


@dataclass
class Node:
    store: Store
    clock: SteppingClock
    directory: Directory
    intake: Intake
    dispatcher: Dispatcher
    conversations: Conversations
    committed: list[Plan] = field(default_factory=list)


@asynccontextmanager
async def node_on(store: Store, clock: SteppingClock) -> AsyncIterator[Node]:
    """A running node; leaving it does not close the store."""
    ids = IdSource(clock)
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
    async with asyncio.TaskGroup() as group:
        running = group.create_task(intake.run())
        try:
            yield Node(store, clock, directory, intake, dispatcher, conversations, committed)
        finally:
            running.cancel()
            await fetcher.close()
