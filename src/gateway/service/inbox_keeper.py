"""Cares for the connector of one inbox: opens it, keeps `run` going, closes it, and says how it does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import structlog
from msgspec.structs import replace

from gateway.connector import Connector, ConnectorSpec, Context
from gateway.errors import Fenced, GatewayError, Refused, SendError, Unauthorized
from gateway.model.document import Clock
from gateway.model.inbox import Health, Inbox
from gateway.registry import Registry
from gateway.service.channel_log import ChannelLogs
from gateway.service.inbox_health import HealthBoard
from gateway.service.inbox_sink import Accepting, InboxSink
from gateway.service.redact import Redactor
from gateway.service.seal import Seal, secret_values
from gateway.service.shape import as_problem
from gateway.store.batch import Lease
from gateway.store.contract import Store

log = structlog.get_logger("connector")

FIRST_DELAY = 1.0
LONGEST_DELAY = 300.0
HEALTHY = 60.0
"""A run that lasted this long was well: the next restart comes soon again."""
OPEN_SECONDS = 30.0
CLOSE_SECONDS = 10.0

SIGN_IN = "Correct the account's sign-in in the inbox's settings and save them; it starts again then."
LOOK = "It is tried again by itself. If it stays so, look into the channel log and check the settings."
SETTINGS = "Correct the inbox's settings and save them."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all connectors share."""

    store: Store
    clock: Clock
    registry: Registry
    seal: Seal
    intake: Accepting
    inboxes: Callable[[], Mapping[str, Inbox]]
    fetch: Callable[[str, int], Any]
    http: aiohttp.ClientSession
    channel_logs: ChannelLogs
    board: HealthBoard
    public_url: str = ""

    def settings(self, spec: ConnectorSpec, inbox: Inbox) -> Any:
        """The inbox's settings as the connector wants them; raises Refused naming the wrong ones."""
        opened = self.seal.open_settings(spec, inbox.settings)
        try:
            return msgspec.convert(opened, spec.settings)
        except msgspec.ValidationError as error:
            raise Refused(as_problem(error, "settings"), title="the settings are not usable") from None


class InboxKeeper:
    """One inbox on this node. `lease` is set by the supervisor while this node is the one that pulls."""

    def __init__(self, inbox: Inbox, around: Surroundings) -> None:
        self.inbox = inbox
        self.spec: ConnectorSpec | None = None
        self.connector: Connector | None = None
        self.lease: Lease | None = None
        self.lease_until = 0.0
        self.pulling: asyncio.Task[None] | None = None
        self.stopped = False
        """The account was refused while pulling: nothing more is pulled until the inbox changes."""
        self.refused: str | None = None
        """Why the account was refused while sending: nothing more is sent until the inbox changes."""
        self.opened_at = 0.0
        self.wake = asyncio.Event()
        self._around = around
        self.redactor = Redactor()
        self._holds = 0
        self._released = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._running_since: float | None = None
        self._reported: Health | None = None
        self._ours = True  # the last report is the gateway's, not the connector's
        self._restarts = 0

    @property
    def pulls(self) -> bool:
        """Whether it is to be given the lease: it is open, pulls, and was not refused."""
        return self.connector is not None and self.spec is not None and self.spec.pulls and not self.stopped

    async def open(self) -> bool:
        """Make the connector and make it ready; what is wrong is reported. Whether it is open."""
        self.opened_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                self.connector = await self._opened()
        except Refused as error:
            self._report(Health(state="failing", reason=self.redactor.text(str(error)), action=SETTINGS))
        except Exception as error:
            log.warning("connector.unusable", inbox=self.inbox.id, kind=self.inbox.kind, error=self._said(error))
            self._report(Health(state="failing", reason=self._said(error), action=LOOK))
        if self.connector is None:
            return False
        if not self.pulls:  # of one that pulls, only the node that does so knows how it is
            self._report(Health(state="ok"))
        return True

    async def close(self) -> None:
        """Stop pulling, let sends under way end, close the connector."""
        self.lose_lease()
        await self._ended()
        connector, self.connector = self.connector, None
        if connector is None:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._holds:
                    self._released.clear()
                    await self._released.wait()
        except TimeoutError:
            log.warning("connector.busy", inbox=self.inbox.id)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await connector.__aexit__(None, None, None)
        except Exception as error:
            log.warning("connector.unclosed", inbox=self.inbox.id, error=self._said(error))

    @contextmanager
    def hold(self) -> Iterator[None]:
        """While held the connector is not closed, if it does not take too long."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._released.set()

    def lose_lease(self) -> None:
        """Another node pulls by now, or may."""
        self.lease = None
        if self.pulling is not None:
            self.pulling.cancel()
            self.pulling, self._ending = None, self.pulling

    def refuse(self, reason: str) -> None:
        """The provider refused the account while sending."""
        self.refused = self.redactor.text(reason)
        self._report(self._reported or Health(state="ok"))

    def settled(self, now: float, patience: float) -> None:
        """A connector that runs for a while without a word is well."""
        if self._ours and self._running_since is not None and now - self._running_since > patience:
            self._report(Health(state="ok"))

    async def pull(self) -> None:
        """Keep `run` going until cancelled, or until the account is refused or the lease lost."""
        await self._ended()
        self._report(Health(state="starting"))
        connector = self.connector
        delay = FIRST_DELAY
        loop = asyncio.get_running_loop()
        while connector is not None and connector is self.connector:
            began = self._running_since = loop.time()
            failure: BaseException | None = None
            try:
                await connector.run()
            except Exception as error:
                failure = worst(error)
            finally:
                self._running_since = None
            if isinstance(failure, Fenced):
                self.lease = None
                return
            if isinstance(failure, Unauthorized):
                self.stopped = True
                self._report(Health(state="failing", reason=self._said(failure), action=failure.action or SIGN_IN))
                return
            if loop.time() - began >= HEALTHY:
                delay = FIRST_DELAY
            self._restarts += 1
            reason = self._said(failure) if failure is not None else "it stopped by itself"
            action = failure.action if isinstance(failure, SendError) else ""
            self._report(Health(state="failing", reason=reason, action=action or LOOK))
            log.warning("connector.restart", inbox=self.inbox.id, kind=self.inbox.kind, reason=reason, delay=delay)
            await self._pause(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, LONGEST_DELAY)

    async def _ended(self) -> None:
        """Returns when an earlier, cancelled `pull` is over, or takes too long over it."""
        if self._ending is not None and self._ending is not asyncio.current_task():
            await asyncio.wait({self._ending}, timeout=CLOSE_SECONDS)
            self._ending = None

    async def _pause(self, seconds: float) -> None:
        """Wait so long, or until an admin asks to poll now."""
        self.wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self.wake.wait()
        except TimeoutError:
            pass

    async def _opened(self) -> Connector:
        spec = self.spec = self._around.registry.spec(self.inbox.kind)
        settings = self._around.settings(spec, self.inbox)
        self.redactor = redactor_for(spec, settings)
        connector = spec.create(settings, self._context(spec, settings))
        return await connector.__aenter__()

    def _context(self, spec: ConnectorSpec, settings: Any) -> Context:
        around = self._around
        id = self.inbox.id
        return Context(
            inbox_id=id,
            inbox_name=self.inbox.name,
            sink=InboxSink(around.store, around.intake, around.inboxes, id, self._fence),
            http=around.http,
            fetch=around.fetch,
            clock=around.clock,
            log=self.redactor.logger(structlog.get_logger(f"connector.{spec.kind}").bind(inbox=id)),
            channel_log=around.channel_logs.of(id, self.redactor),
            report=self._heard,
            secret=around.seal.inbox_secret(id),
            public_url=around.public_url,
            wake=self.wake,
        )

    def _fence(self) -> Lease | None:
        if self.spec is None or not self.spec.pulls:
            return None
        if self.lease is None:
            raise Fenced(f"inbox:{self.inbox.id}")
        return self.lease

    def _heard(self, health: Health) -> None:
        """The connector says how it is."""
        self._report(health)
        self._ours = False

    def _report(self, health: Health) -> None:
        self._ours = True
        self._reported = health
        shown = replace(
            health,
            reason=self.redactor.text(health.reason),
            action=self.redactor.text(health.action),
            details=self.redactor.value(health.details),
            restarts=health.restarts or self._restarts,
        )
        if self.refused is not None and health.state != "failing":
            shown = replace(shown, state="failing", reason=f"answers are refused: {self.refused}", action=SIGN_IN)
        self._around.board.report(self.inbox.id, shown)

    def _said(self, error: BaseException) -> str:
        return self.redactor.text(readable(error))


def worst(error: Exception) -> BaseException:
    """Of a group of errors the one that decides what is to be done."""
    leaves = list(_leaves(error))
    for kind in (Fenced, Unauthorized, SendError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def readable(error: BaseException) -> str:
    """The error as an admin reads it."""
    if isinstance(error, SendError):
        return error.reason
    if isinstance(error, GatewayError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "it took too long"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def redactor_for(spec: ConnectorSpec, settings: Any) -> Redactor:
    """Hides the settings' secrets."""
    return Redactor(secret_values(spec, msgspec.structs.asdict(settings)), spec.secrets)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
