"""A connector's surroundings for tests: a sink that records, a channel log that keeps all, a context around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import aiohttp
import msgspec
import structlog

from gateway.connector import Accepted, Connector, ConnectorSpec, Context, Inbound, StatusUpdate
from gateway.model.document import SystemClock
from gateway.model.inbox import Health

SECRET = bytes(range(32))


class RecordingSink:
    """Keeps what was accepted, once per external id; can be told to fail or to block."""

    def __init__(self) -> None:
        self.accepted: list[Inbound] = []
        """In the order of arrival, without repeats."""
        self.batches: list[list[str]] = []
        """External ids of each call that succeeded, with repeats."""
        self.offered: list[str] = []
        """External ids of all calls, also of those that failed."""
        self.updates: list[StatusUpdate] = []
        self.saved: dict[str, dict[str, Any]] = {}
        self.saves = 0
        self.refuse: Callable[[Sequence[Inbound]], Exception | None] = lambda messages: None
        """Called for every batch; what it returns is raised."""
        self.gate = asyncio.Event()
        """`accept` waits for it; open from the start."""
        self.gate.set()
        self._news = asyncio.Condition()

    async def accept(self, messages: Sequence[Inbound]) -> list[Accepted]:
        self.offered += [message.external_id for message in messages]
        async with self._news:
            self._news.notify_all()
        await self.gate.wait()
        error = self.refuse(messages)
        if error is not None:
            raise error
        known = {message.external_id for message in self.accepted}
        answers = []
        for message in messages:
            duplicate = message.external_id in known
            if not duplicate:
                known.add(message.external_id)
                self.accepted.append(message)
                if message.status is not None:
                    self.updates.append(message.status)
            answers.append(Accepted(message_id=f"m-{message.external_id}", conversation_id="c-1", duplicate=duplicate))
        self.batches.append([message.external_id for message in messages])
        async with self._news:
            self._news.notify_all()
        return answers

    async def status(self, updates: Sequence[StatusUpdate]) -> None:
        self.updates += updates

    async def load(self, key: str) -> dict[str, Any]:
        return msgspec.json.decode(msgspec.json.encode(self.saved.get(key, {})), type=dict[str, Any])

    async def save(self, key: str, data: dict[str, Any]) -> None:
        self.saved[key] = msgspec.json.decode(msgspec.json.encode(data), type=dict[str, Any])
        self.saves += 1

    async def until(self, condition: Callable[[], bool], timeout: float = 10) -> None:
        """Waits until the condition holds; looked at whenever something is offered or accepted."""
        async with asyncio.timeout(timeout), self._news:
            await self._news.wait_for(condition)

    async def until_accepted(self, count: int, timeout: float = 10) -> list[Inbound]:
        await self.until(lambda: len(self.accepted) >= count, timeout)
        return self.accepted

    async def until_offered(self, count: int, timeout: float = 10) -> None:
        await self.until(lambda: len(self.offered) >= count, timeout)


class RecordingLog:
    """A channel log that keeps all entries as they were given, before any redaction."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def record(
        self,
        direction: Literal["in", "out"],
        summary: str,
        *,
        ok: bool = True,
        request: str = "",
        response: str = "",
        elapsed_ms: float = 0,
    ) -> None:
        self.entries.append(
            {"direction": direction, "summary": summary, "ok": ok, "request": request, "response": response}
        )


class Surroundings:
    """What the connector was given and what it said: sink, log lines, channel log, health."""

    def __init__(self, sink: RecordingSink | None = None) -> None:
        self.sink = sink or RecordingSink()
        self.channel_log = RecordingLog()
        self.log_lines: list[MutableMapping[str, Any]] = []
        self.healths: list[Health] = []
        self.wake = asyncio.Event()

    @property
    def health(self) -> Health:
        return self.healths[-1] if self.healths else Health()

    def said(self) -> str:
        """All that was logged or reported, as one text to search in."""
        return "\n".join(map(repr, [*self.log_lines, *self.channel_log.entries, *self.healths]))

    @asynccontextmanager
    async def context(self, *, inbox_id: str = "inbox-1", secret: bytes = SECRET) -> AsyncIterator[Context]:
        def capture(_: Any, level: str, event: MutableMapping[str, Any]) -> str:
            self.log_lines.append({"level": level, **event})
            raise structlog.DropEvent

        async def fetch(url: str, max_bytes: int) -> tuple[bytes, str]:
            async with session.get(url) as response:
                return await response.content.read(max_bytes), response.content_type

        async with aiohttp.ClientSession() as session:
            yield Context(
                inbox_id=inbox_id,
                inbox_name="Inbox under test",
                sink=self.sink,
                http=session,
                fetch=fetch,
                clock=SystemClock(),
                log=structlog.wrap_logger(None, processors=[structlog.processors.format_exc_info, capture]),
                channel_log=self.channel_log,
                report=self.healths.append,
                secret=secret,
                public_url="http://gateway.example.org",
                wake=self.wake,
            )


@asynccontextmanager
async def opened(spec: ConnectorSpec, settings: dict[str, Any], around: Surroundings) -> AsyncIterator[Connector]:
    """The connector of these settings, ready to send."""
    async with around.context() as context:
        connector = spec.create(msgspec.convert(settings, spec.settings), context)
        async with connector:
            yield connector


class Run:
    """One `run` of a connector: whether it ended by itself, and with what error."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.ended = asyncio.Event()

    async def __call__(self, connector: Connector) -> None:
        try:
            await connector.run()
        except Exception as error:
            self.error = error
        finally:
            self.ended.set()


@asynccontextmanager
async def running(connector: Connector) -> AsyncIterator[Run]:
    """`run` in a task of its own, cancelled at the end."""
    run = Run()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(run(connector))
        try:
            yield run
        finally:
            task.cancel()
