"""The channel log: each inbox's last exchanges with its provider, for an admin who looks for a fault.

Connectors record into memory; a task writes in batches. A full buffer or a store that is down loses entries, and
nothing else: the log never holds up or fails a connector.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import suppress
from datetime import datetime
from typing import Literal

import structlog

from gateway.errors import StoreError
from gateway.model.document import Clock, Ids
from gateway.model.inbox import ChannelLogEntry
from gateway.service.redact import Redactor
from gateway.store.batch import Batch
from gateway.store.collection import CHANNEL_LOG
from gateway.store.contract import Store

log = structlog.get_logger("channel_log")

KEPT = 500
"""Entries kept per inbox."""
SLACK = 100
"""How many more may stand before the oldest are removed: trimming costs a count."""
BUFFER = 2_000
BATCH = 200
BODY = 4_000
"""Characters kept of a request or response."""
_LOOKED_AT = 64_000
_SUMMARY = 500


class ChannelLogs:
    """Run `run` in a task. `of` gives an inbox's log."""

    def __init__(
        self, store: Store, clock: Clock, ids: Ids, *, kept: int = KEPT, slack: int = SLACK, every: float = 0.5
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._kept = kept
        self._slack = slack
        self._every = every
        self._buffer: deque[ChannelLogEntry] = deque(maxlen=BUFFER)
        self._bell = asyncio.Event()
        self._written: Counter[str] = Counter()

    def of(self, inbox_id: str, redactor: Redactor) -> InboxLog:
        """The inbox's log; what goes in is redacted."""
        return InboxLog(self, inbox_id, redactor)

    def add(self, entry: ChannelLogEntry) -> None:
        """Keep the entry soon; the oldest waiting one gives way when too many wait."""
        self._buffer.append(entry)
        self._bell.set()

    def new_id(self) -> str:
        return self._ids()

    def now(self) -> datetime:
        return self._clock.now()

    async def run(self) -> None:
        """Write what was recorded, until cancelled; the rest is written then too."""
        try:
            while True:
                await self._bell.wait()
                self._bell.clear()
                await self.flush()
                await asyncio.sleep(self._every)
        finally:
            with suppress(Exception):  # the task's own end must come through
                async with asyncio.timeout(2):
                    await self.flush()

    async def flush(self) -> None:
        """Write what waits."""
        while self._buffer:
            entries = [self._buffer.popleft() for _ in range(min(BATCH, len(self._buffer)))]
            batch = Batch()
            for entry in entries:
                batch.insert(CHANNEL_LOG, entry)
            try:
                await self._store.commit(batch)
            except StoreError as error:
                log.warning("channel_log.lost", entries=len(entries), error=str(error))
                return
            for entry in entries:
                self._written[entry.inbox_id] += 1
                if self._written[entry.inbox_id] >= self._slack:
                    del self._written[entry.inbox_id]
                    await self._trim(entry.inbox_id)

    async def _trim(self, inbox_id: str) -> None:
        where = {"inbox_id": inbox_id}
        try:
            excess = await self._store.count(CHANNEL_LOG, where, limit=self._kept + 10 * self._slack) - self._kept
            while excess > 0:
                page = await self._store.find(CHANNEL_LOG, where, order="id", limit=min(excess, BATCH))
                batch = Batch()
                for entry in page.items:
                    batch.delete(CHANNEL_LOG, entry)
                await self._store.commit(batch)
                excess -= max(1, len(page.items))
        except StoreError as error:  # another node trims too
            log.debug("channel_log.trim", error=str(error))


class InboxLog:
    """What a connector gets (see gateway.connector.ChannelLog)."""

    def __init__(self, logs: ChannelLogs, inbox_id: str, redactor: Redactor) -> None:
        self._logs = logs
        self._inbox_id = inbox_id
        self._redactor = redactor

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
        """Keep one exchange. Raises nothing."""
        try:
            self._logs.add(
                ChannelLogEntry(
                    id=self._logs.new_id(),
                    inbox_id=self._inbox_id,
                    at=self._logs.now(),
                    direction=direction,
                    summary=self._redactor.text(summary[:_LOOKED_AT])[:_SUMMARY],
                    ok=ok,
                    request=self._shortened(request),
                    response=self._shortened(response),
                    elapsed_ms=round(elapsed_ms, 1),
                )
            )
        except Exception:
            log.exception("channel_log.record", inbox=self._inbox_id)

    def _shortened(self, body: str) -> str:
        # Redacted before it is cut: half a secret would not be known for one.
        clean = self._redactor.text(body[:_LOOKED_AT])
        cut = len(body) - BODY
        return clean if len(clean) <= BODY else f"{clean[:BODY]}… (+{max(cut, len(clean) - BODY)})"
