"""Supervision: runs the connector of every enabled inbox, restarts what fails, and lets one node pull each mailbox.

A channel that is pushed to (webhooks) costs no task; one that pulls costs one, on the node that holds its lease. The
leases of all inboxes are renewed in one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import aiohttp
import msgspec
import structlog

from gateway.connector import CheckResult, Connector, Context
from gateway.errors import GatewayError, StoreError
from gateway.model.document import Clock, token
from gateway.model.event import Event
from gateway.model.inbox import Health, Inbox
from gateway.registry import Registry
from gateway.service.channel_log import ChannelLogs
from gateway.service.inbox_health import HealthBoard
from gateway.service.inbox_keeper import InboxKeeper, Surroundings, readable, redactor_for
from gateway.service.inbox_sink import Accepting, NoSink
from gateway.service.redact import Redactor
from gateway.service.seal import Seal
from gateway.service.shape import as_problem
from gateway.store.batch import Batch, Lease
from gateway.store.collection import INBOXES
from gateway.store.contract import Store

log = structlog.get_logger("supervisor")

TTL = 15.0
AT_A_TIME = 32
"""Connectors that are opened or closed at the same time."""
CHECK_SECONDS = 30.0
REOPEN_AFTER = 60.0
"""Seconds after which a connector that could not be opened is tried again."""
PATIENCE = 30.0


class Directory(Protocol):
    """The part of gateway.service.directory that is needed here."""

    @property
    def inboxes(self) -> Mapping[str, Inbox]: ...

    def on_change(self, listener: Callable[[str, str], None]) -> None: ...


class Supervisor:
    """Run `run` in a task; cancel it to stop. `node` names this node; `fetch` is gateway.service.fetch's; `http` is
    the session that all connectors share (see gateway.service.provider_http)."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Directory,
        *,
        registry: Registry,
        seal: Seal,
        intake: Accepting,
        fetch: Callable[[str, int], Any],
        http: aiohttp.ClientSession,
        channel_logs: ChannelLogs,
        node: str = "",
        public_url: str = "",
        lease_seconds: float = TTL,
    ) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._holder = f"{node}/{token(9)}"
        self._ttl = lease_seconds
        self.board = HealthBoard(store, clock, lambda: directory.inboxes, node)
        self._around = Surroundings(
            store=store,
            clock=clock,
            registry=registry,
            seal=seal,
            intake=intake,
            inboxes=lambda: directory.inboxes,
            fetch=fetch,
            http=http,
            channel_logs=channel_logs,
            board=self.board,
            public_url=public_url,
        )
        self._keepers: dict[str, InboxKeeper] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._changed: set[str] = set()
        self._bell = asyncio.Event()
        self._leases_bell = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._group: asyncio.TaskGroup | None = None
        self._ready: list[Callable[[str], None]] = []
        self.started = asyncio.Event()
        """Set once every inbox was opened, or found to be unusable."""
        directory.on_change(self._on_change)

    # for others

    def when_ready(self, listener: Callable[[str], None]) -> None:
        """Call the listener with an inbox's id whenever its connector can send (again)."""
        self._ready.append(listener)

    def connector(self, inbox_id: str) -> Connector | None:
        """The inbox's connector, while it can send."""
        keeper = self._keepers.get(inbox_id)
        return keeper.connector if keeper is not None and keeper.refused is None else None

    def webhook_connector(self, inbox_id: str) -> Connector | None:
        """The inbox's connector for calls from outside, which are taken also while sending is refused."""
        keeper = self._keepers.get(inbox_id)
        return keeper.connector if keeper is not None else None

    def redactor(self, inbox_id: str) -> Redactor:
        """Hides the inbox's secrets."""
        keeper = self._keepers.get(inbox_id)
        return keeper.redactor if keeper is not None else Redactor()

    @contextmanager
    def hold(self, inbox_id: str) -> Iterator[None]:
        """While it is held, a change of the inbox waits a while with closing the connector in use."""
        keeper = self._keepers.get(inbox_id)
        if keeper is None:
            yield
        else:
            with keeper.hold():
                yield

    def refused(self, inbox_id: str, connector: Connector, reason: str) -> None:
        """The provider refused the account while sending: nothing is sent until an admin changes the inbox. What comes
        in still does, for it may need another sign-in."""
        keeper = self._keepers.get(inbox_id)
        if keeper is not None and keeper.connector is connector:
            keeper.refuse(reason)

    def health(self, inbox_id: str) -> Health | None:
        """What this node knows last; the store has what all nodes know."""
        return self.board.known(inbox_id)

    async def poll_now(self, inbox_id: str) -> None:
        """Make the inbox look for messages at once, on whichever node pulls it."""
        keeper = self._keepers.get(inbox_id)
        if keeper is not None and keeper.lease is not None:
            keeper.wake.set()
            return
        batch = Batch()
        batch.emit(Event(type="inbox.poll", at=self._clock.now(), inbox_id=inbox_id, audience="admins"))
        await self._store.commit(batch)

    def heard(self, event: Event) -> None:
        """An event of the feed: an admin on another node asks to poll."""
        keeper = self._keepers.get(event.inbox_id or "") if event.type == "inbox.poll" else None
        if keeper is not None:
            keeper.wake.set()

    async def check(self, kind: str, settings: Any, *, inbox: Inbox | None = None) -> list[CheckResult]:
        """Prove settings (as an admin entered them, or the connector's Struct; secrets in the clear) against the
        provider, with a connector of their own. Raises Refused only for a kind that there is not."""
        spec = self._around.registry.spec(kind)
        if isinstance(settings, Mapping):
            try:
                settings = msgspec.convert(dict(settings), spec.settings)
            except msgspec.ValidationError as error:
                path, message = as_problem(error, "settings")
                return [CheckResult(name=path, ok=False, detail=message, action="Correct this setting.")]
        wrong = [
            CheckResult(name=f"settings.{name}", ok=False, detail=message, action="Correct this setting.")
            for name, message in spec.validate(settings)
        ]
        if wrong:
            return wrong
        redactor = redactor_for(spec, settings)
        id = inbox.id if inbox is not None else "check"
        context = Context(
            inbox_id=id,
            inbox_name=inbox.name if inbox is not None else "",
            sink=NoSink(),
            http=self._around.http,
            fetch=self._around.fetch,
            clock=self._clock,
            log=redactor.logger(structlog.get_logger(f"connector.{kind}").bind(inbox=id)),
            channel_log=self._around.channel_logs.of(id, redactor),
            report=lambda health: None,
            secret=self._around.seal.inbox_secret(id),
            public_url=self._around.public_url,
        )
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                async with spec.create(settings, context) as connector:
                    results = await connector.check()
        except TimeoutError:
            return [CheckResult(name="check", ok=False, detail=f"no result within {CHECK_SECONDS:g} s")]
        except Exception as error:
            if not isinstance(error, GatewayError):
                log.exception("supervisor.check", kind=kind)
            return [CheckResult(name="check", ok=False, detail=redactor.text(readable(error)))]
        return [
            msgspec.structs.replace(result, detail=redactor.text(result.detail), action=redactor.text(result.action))
            for result in results
        ]

    # running

    async def run(self) -> None:
        """Care for all inboxes until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self.board.run())
                group.create_task(self._keep_leases())
                async with asyncio.TaskGroup() as first:
                    for id in list(self._directory.inboxes):
                        first.create_task(self._apply(id))
                self.started.set()
                while True:
                    await self._bell.wait()
                    self._bell.clear()
                    changed, self._changed = self._changed, set()
                    for id in changed:
                        group.create_task(self._apply(id))
        finally:
            self._group = None
            await self._close_all()

    def _on_change(self, collection: str, id: str) -> None:
        if collection == INBOXES.name:
            self._changed.add(id)
            self._bell.set()

    async def _apply(self, id: str) -> None:
        """Bring what runs in line with the inbox as it is configured now."""
        try:
            async with self._locks.setdefault(id, asyncio.Lock()), self._slots:
                await self._apply_alone(id)
        except Exception:
            log.exception("supervisor.apply", inbox=id)

    async def _apply_alone(self, id: str) -> None:
        inbox = self._directory.inboxes.get(id)
        keeper = self._keepers.get(id)
        wanted = inbox is not None and inbox.enabled
        if keeper is not None and wanted and keeper.connector is not None and keeper.inbox == inbox:
            return
        if keeper is not None:
            del self._keepers[id]
            lease = keeper.lease
            await keeper.close()
            if lease is not None:
                await self._release([lease])
        if inbox is None:
            self.board.forget(id)
            return
        if not inbox.enabled:
            self.board.report(id, Health(state="disabled"))
            return
        keeper = InboxKeeper(inbox, self._around)
        await keeper.open()
        self._keepers[id] = keeper
        if keeper.connector is not None:
            if keeper.pulls:
                self._leases_bell.set()
            for listener in self._ready:
                listener(id)

    # pulling

    async def _keep_leases(self) -> None:
        """Hold the leases of what pulls, and run it only under them."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(self._ttl / 3):
                    await self._renew()
            except (StoreError, TimeoutError) as error:
                log.warning("supervisor.leases", error=str(error) or "the store does not answer")
            except Exception:
                log.exception("supervisor.leases")
            now = loop.time()
            for keeper in list(self._keepers.values()):
                if keeper.lease is not None and now >= keeper.lease_until:
                    keeper.lose_lease()
                keeper.settled(now, PATIENCE)
                if keeper.connector is None and now - keeper.opened_at >= REOPEN_AFTER:
                    self._on_change(INBOXES.name, keeper.inbox.id)
            try:
                async with asyncio.timeout(self._ttl / 3):
                    await self._leases_bell.wait()
            except TimeoutError:
                continue
            self._leases_bell.clear()

    async def _renew(self) -> None:
        keepers = {_lease_name(id): keeper for id, keeper in self._keepers.items() if keeper.pulls}
        if not keepers:
            return
        began = asyncio.get_running_loop().time()
        got = await self._store.acquire(list(keepers), self._holder, self._ttl)
        for name, keeper in keepers.items():
            lease = got.get(name)
            if lease is None:
                keeper.lose_lease()
                continue
            if keeper.lease is not None and keeper.lease.token != lease.token:
                keeper.lose_lease()  # another node was at it in between: begin anew, from what it kept
            keeper.lease, keeper.lease_until = lease, began + self._ttl * 0.8
            if self._group is not None and keeper.pulls and (keeper.pulling is None or keeper.pulling.done()):
                keeper.pulling = self._group.create_task(keeper.pull())

    async def _release(self, leases: Sequence[Lease]) -> None:
        """Give leases back, so that another node need not wait."""
        try:
            async with asyncio.timeout(2):
                await self._store.release(leases)
        except (StoreError, TimeoutError) as error:
            log.warning("supervisor.release", error=str(error))

    async def _close_all(self) -> None:
        keepers = list(self._keepers.values())
        self._keepers.clear()
        leases = [keeper.lease for keeper in keepers if keeper.lease is not None]
        await asyncio.gather(*(keeper.close() for keeper in keepers))
        if leases:
            await self._release(leases)


def _lease_name(inbox_id: str) -> str:
    return f"inbox:{inbox_id}"
