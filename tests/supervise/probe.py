"""A connector that does as it is told, and all that a supervisor needs around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec.structs import replace

from gateway.connector import (
    Accepted,
    Capabilities,
    CheckResult,
    Connector,
    ConnectorSpec,
    Context,
    Inbound,
    Outgoing,
    Sent,
    StatusUpdate,
    WebhookRequest,
    WebhookResponse,
)
from gateway.errors import Permanent
from gateway.model.document import IdSource, SystemClock
from gateway.model.inbox import Health, Inbox
from gateway.registry import Registry
from gateway.service.channel_log import ChannelLogs
from gateway.service.seal import Seal
from gateway.service.supervise import Supervisor
from gateway.store.batch import Batch, Lease
from gateway.store.collection import INBOX_HEALTH, INBOXES
from gateway.store.contract import Store
from gateway.store.sqlite.store import SqliteStore

KEY = bytes(range(32))


class ProbeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str = "probe"
    password: str = ""


async def forever(connector: Probe) -> None:
    await asyncio.Event().wait()


async def answer_ok(connector: Probe, request: WebhookRequest) -> WebhookResponse:
    return WebhookResponse(body=b"ok")


class Script:
    """What all connectors of a stage do; change it while they run."""

    def __init__(self) -> None:
        self.run: Callable[[Probe], Awaitable[None]] = forever
        self.webhook: Callable[[Probe, WebhookRequest], Awaitable[WebhookResponse]] = answer_ok
        self.create: Callable[[Any], None] = lambda settings: None
        self.check: Callable[[Probe], Awaitable[list[CheckResult]]] = self._check
        self.made: list[Probe] = []
        self.overlaps = 0
        """How often a connector was run while it was running."""

    async def _check(self, connector: Probe) -> list[CheckResult]:
        return [CheckResult(name="sign-in", ok=True)]

    @property
    def running(self) -> int:
        return sum(probe.running for probe in self.made)

    @property
    def open(self) -> int:
        return sum(probe.open for probe in self.made)


class Probe(Connector):
    def __init__(self, script: Script, settings: ProbeSettings, context: Context) -> None:
        self.script = script
        self.settings = settings
        self.context = context
        self.open = False
        self.running = 0
        self.runs = 0

    async def __aenter__(self) -> Probe:
        self.open = True
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert not self.running, "closed while it runs"
        self.open = False

    async def run(self) -> None:
        self.runs += 1
        self.running += 1
        self.script.overlaps += self.running > 1
        try:
            await self.script.run(self)
        finally:
            await asyncio.sleep(0)
            self.running -= 1

    async def check(self) -> list[CheckResult]:
        return await self.script.check(self)

    async def send(self, message: Outgoing) -> Sent:
        raise Permanent("not needed here")

    async def webhook(self, request: WebhookRequest) -> WebhookResponse:
        return await self.script.webhook(self, request)


class Desk:
    """Stands in for intake: keeps what it is handed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, bool, Lease | None]] = []
        self.updates: list[StatusUpdate] = []
        self.error: Exception | None = None

    async def accept(
        self, inbox: Inbox, messages: Sequence[Inbound], *, wait: bool = True, fence: Lease | None = None
    ) -> list[Accepted]:
        self.calls.append((inbox.id, wait, fence))
        if self.error is not None:
            raise self.error
        return [Accepted(message_id="m", conversation_id="c") for _ in messages]

    async def status(self, inbox_id: str, updates: Sequence[StatusUpdate]) -> None:
        self.updates += updates


class Inboxes:
    """Stands in for the directory."""

    def __init__(self) -> None:
        self.known: dict[str, Inbox] = {}
        self.listeners: list[Callable[[str, str], None]] = []

    @property
    def inboxes(self) -> Mapping[str, Inbox]:
        return self.known

    def on_change(self, listener: Callable[[str, str], None]) -> None:
        self.listeners.append(listener)

    def put(self, inbox: Inbox) -> None:
        before = self.known.get(inbox.id)
        self.known[inbox.id] = replace(inbox, version=before.version + 1 if before else 1)
        self._tell(inbox.id)

    def remove(self, id: str) -> None:
        del self.known[id]
        self._tell(id)

    def _tell(self, id: str) -> None:
        for listener in self.listeners:
            listener(INBOXES.name, id)


class Scene:
    def __init__(self, store: Store, registry: Registry, http: aiohttp.ClientSession, script: Script) -> None:
        self.store = store
        self.clock = SystemClock()
        self.ids = IdSource(self.clock)
        self.registry = registry
        self.http = http
        self.script = script
        self.seal = Seal(KEY)
        self.inboxes = Inboxes()
        self.desk = Desk()
        self.logs = ChannelLogs(store, self.clock, self.ids)

    def inbox(self, kind: str = "pulling", **settings: Any) -> Inbox:
        stored = self.seal.seal_settings(self.registry.spec(kind), settings)
        id = self.ids()
        inbox = Inbox(id=id, kind=kind, name=f"Inbox {id}", settings=stored, created_at=self.clock.now())
        self.inboxes.put(inbox)
        return self.inboxes.known[id]

    def supervisor(self, node: str = "node", lease_seconds: float = 0.6) -> Supervisor:
        async def fetch(url: str, max_bytes: int) -> tuple[bytes, str]:
            raise Permanent("not needed here")

        return Supervisor(
            self.store,
            self.clock,
            self.inboxes,
            registry=self.registry,
            seal=self.seal,
            intake=self.desk,
            fetch=fetch,
            http=self.http,
            channel_logs=self.logs,
            node=node,
            lease_seconds=lease_seconds,
        )

    async def health(self, inbox: Inbox) -> Health | None:
        stored = await self.store.get(INBOX_HEALTH, inbox.id)
        return stored.health if stored is not None else None

    async def until_state(self, inbox: Inbox, state: str) -> Health:
        async def reached() -> bool:
            health = await self.health(inbox)
            return health is not None and health.state == state

        await until(reached)
        health = await self.health(inbox)
        assert health is not None
        return health

    async def write(self, doc: Inbox) -> None:
        batch = Batch()
        batch.insert(INBOXES, doc)
        await self.store.commit(batch)


async def until(condition: Callable[[], Awaitable[bool]], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not await condition():
            await asyncio.sleep(0.01)


async def soon(condition: Callable[[], bool], timeout: float = 10) -> None:
    async def met() -> bool:
        return condition()

    await until(met, timeout)


def spec(kind: str, script: Script, *, pulls: bool) -> ConnectorSpec:
    def create(settings: ProbeSettings, context: Context) -> Connector:
        script.create(settings)
        probe = Probe(script, settings, context)
        script.made.append(probe)
        return probe

    return ConnectorSpec(
        kind=kind,
        title=kind,
        settings=ProbeSettings,
        secrets=("password",),
        capabilities=Capabilities(),
        create=create,
        pulls=pulls,
        webhooks=not pulls,
    )


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    """A store, a registry with the kinds `pulling` and `pushed`, and no supervisor yet."""
    script = Script()
    store = SqliteStore(folder / "omnigate.db", SystemClock())
    await store.open()
    registry = await asyncio.to_thread(
        Registry, [spec("pulling", script, pulls=True), spec("pushed", script, pulls=False)]
    )
    try:
        async with aiohttp.ClientSession() as http:
            yield Scene(store, registry, http, script)
    finally:
        await store.close()


@asynccontextmanager
async def running(supervisor: Supervisor) -> AsyncIterator[Supervisor]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(supervisor.run())
        try:
            await supervisor.started.wait()
            yield supervisor
        finally:
            task.cancel()
