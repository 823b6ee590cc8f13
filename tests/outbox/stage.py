"""A store with an inbox and conversations, a connector that does as it is told, and an outbox over them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from gateway.connector import Capabilities, CheckResult, Connector, ConnectorSpec, Context, Outgoing, Sent
from gateway.errors import SendError
from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation
from gateway.model.document import IdSource, to_ms
from gateway.model.inbox import Inbox
from gateway.model.message import Attachment, Author, Delivery, Lane, Message
from gateway.registry import Registry
from gateway.service.outbox import Outbox
from gateway.service.outbox.entry import new_delivery
from gateway.service.outbox.status import view
from gateway.store.batch import Batch
from gateway.store.collection import CONTACTS, CONVERSATIONS, DELIVERIES, IDENTITIES, INBOXES, MESSAGES
from gateway.store.contract import Store
from gateway.store.open import open_store

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = Capabilities()


class FakeClock:
    """Runs as fast as it is told, and never stands quite still, as ids and cursors need."""

    def __init__(self) -> None:
        self._now = START

    def now(self) -> datetime:
        self._now += timedelta(microseconds=10)
        return to_ms(self._now)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


class NoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


Script = Callable[[Outgoing], Awaitable[Sent | SendError]]


async def accept(message: Outgoing) -> Sent | SendError:
    return Sent(provider_id=f"p-{message.id}")


class Scripted(Connector):
    """Keeps what it was asked to send, and does as the script says."""

    def __init__(self, script: Script = accept) -> None:
        self.script = script
        self.sends: list[Outgoing] = []
        self.accepted: list[str] = []
        """Ids in the order in which they were accepted."""
        self.lookups: list[str] = []
        self.has: Callable[[Outgoing], Sent | None] = lambda message: None
        self.together = 0
        self.most_together = 0
        self.open: set[str] = set()

    async def check(self) -> list[CheckResult]:
        return []

    async def send(self, message: Outgoing) -> Sent:
        assert message.conversation_id not in self.open, "two sends to one conversation at a time"
        self.open.add(message.conversation_id)
        self.sends.append(message)
        self.together += 1
        self.most_together = max(self.together, self.most_together)
        try:
            outcome = await self.script(message)
        finally:
            self.together -= 1
            self.open.discard(message.conversation_id)
        if isinstance(outcome, SendError):
            raise outcome
        self.accepted.append(message.id)
        return outcome

    async def lookup(self, message: Outgoing) -> Sent | None:
        self.lookups.append(message.id)
        return self.has(message)


def spec(capabilities: Capabilities) -> ConnectorSpec:
    def create(settings: Any, context: Context) -> Connector:
        raise AssertionError("the stage makes its own")

    return ConnectorSpec(
        kind="scripted", title="Scripted", settings=NoSettings, capabilities=capabilities, create=create
    )


class Stage:
    """Also stands in for the directory (`inboxes`) and the supervisor (`connector`, `refused`)."""

    def __init__(
        self, store: Store, clock: FakeClock, connector: Scripted, capabilities: Capabilities, registry: Registry
    ) -> None:
        self.store = store
        self.clock = clock
        self.ids = IdSource(clock)
        self.scripted: Connector | None = connector
        self.capabilities = capabilities
        self.registry = registry
        self.inbox = Inbox(id=self.ids(), kind="scripted", name="Inbox", created_at=START)
        self.known: dict[str, Inbox] = {self.inbox.id: self.inbox}
        self.refusals: list[str] = []

    def use(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.known = {inbox.id: inbox}

    @property
    def inboxes(self) -> Mapping[str, Inbox]:
        return self.known

    def connector(self, inbox_id: str) -> Connector | None:
        return self.scripted

    def hold(self, inbox_id: str) -> AbstractContextManager[None]:
        return nullcontext()

    def refused(self, inbox_id: str, connector: Connector, reason: str) -> None:
        self.refusals.append(reason)

    async def conversation(self, **fields: Any) -> Conversation:
        batch = Batch()
        contact = batch.insert(CONTACTS, Contact(id=self.ids(), name="Customer", created_at=START, updated_at=START))
        identity = batch.insert(
            IDENTITIES,
            Identity(
                id=self.ids(),
                contact_id=contact.id,
                namespace=f"scripted:{self.inbox.id}",
                address=f"user-{contact.id}",
                created_at=START,
            ),
        )
        conversation = batch.insert(
            CONVERSATIONS,
            Conversation(
                id=self.ids(),
                inbox_id=self.inbox.id,
                channel="scripted",
                contact_id=contact.id,
                identity_id=identity.id,
                queue_id="queue-1",
                assignee_id="agent-1",
                created_at=START,
                updated_at=START,
                last_message_at=START,
                **fields,
            ),
        )
        await self.store.commit(batch)
        return conversation

    async def reply(
        self,
        conversation: Conversation,
        text: str = "hello",
        *,
        lane: Lane = "answer",
        author: Author | None = None,
        attachments: tuple[Attachment, ...] = (),
        subject: str | None = None,
    ) -> Delivery:
        now = self.clock.now()
        message = Message(
            id=self.ids(),
            inbox_id=conversation.inbox_id,
            conversation_id=conversation.id,
            direction="out",
            author=author or Author(kind="agent", id="agent-1", name="Agent"),
            text=text,
            subject=subject,
            attachments=attachments,
            created_at=now,
        )
        delivery = new_delivery(message, conversation, self.capabilities, lane=lane, now=now)
        batch = Batch()
        batch.insert(MESSAGES, msgspec.structs.replace(message, delivery=view(delivery)))
        stored = batch.insert(DELIVERIES, delivery)
        await self.store.commit(batch)
        return stored

    async def inbound(self, conversation: Conversation, text: str, **fields: Any) -> Message:
        message = Message(
            id=self.ids(),
            inbox_id=conversation.inbox_id,
            conversation_id=conversation.id,
            direction="in",
            author=Author(kind="contact"),
            text=text,
            created_at=self.clock.now(),
            **fields,
        )
        batch = Batch()
        stored = batch.insert(MESSAGES, message)
        await self.store.commit(batch)
        return stored

    async def delivery(self, id: str) -> Delivery:
        found = await self.store.get(DELIVERIES, id)
        assert found is not None
        return found

    async def message(self, id: str) -> Message:
        found = await self.store.get(MESSAGES, id)
        assert found is not None
        return found

    async def until(self, condition: Callable[[], Awaitable[bool]], timeout: float = 15) -> None:
        async with asyncio.timeout(timeout):
            while not await condition():
                await asyncio.sleep(0.01)

    async def until_status(self, id: str, *statuses: str) -> Delivery:
        async def reached() -> bool:
            return (await self.delivery(id)).status in statuses

        await self.until(reached)
        return await self.delivery(id)

    def outbox(self, node: str = "node", **options: Any) -> Outbox:
        options = {"sweep_seconds": 0.1, "renew_seconds": 0.2, "lease_seconds": 3.0, "rand": lambda: 0.5, **options}
        return Outbox(self.store, self.clock, self, self.registry, self, node=node, **options)


@asynccontextmanager
async def stage(
    folder: Path,
    connector: Scripted | None = None,
    capabilities: Capabilities = PLAIN,
    *,
    url: str = "sqlite:///omnigate.db",
    clock: FakeClock | None = None,
) -> AsyncIterator[Stage]:
    """A stage on the store at `url`; what is there already stays, and the first inbox of it is used."""
    clock = clock or FakeClock()
    store = open_store(url, folder, clock)
    await store.open()
    try:
        registry = await asyncio.to_thread(Registry, [spec(capabilities)])
        set_up = Stage(store, clock, connector or Scripted(), capabilities, registry)
        found = await store.find(INBOXES, limit=1)
        if found.items:
            set_up.use(found.items[0])
        else:
            batch = Batch()
            batch.insert(INBOXES, set_up.inbox)
            await store.commit(batch)
        yield set_up
    finally:
        await store.close()


@asynccontextmanager
async def sending(outbox: Outbox) -> AsyncIterator[Outbox]:
    """The outbox at work; drained at the end."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(outbox.run())
        try:
            yield outbox
            await outbox.drain(5)
        finally:
            task.cancel()
