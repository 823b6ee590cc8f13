"""The one thread that writes: everything queued when it starts shares one transaction and one fsync."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

from gateway import faults
from gateway.errors import GatewayError, Overloaded, Problem, Refused, StoreError, StoreUnavailable
from gateway.store.batch import Batch
from gateway.store.sqlite.apply import Mismatch, Prepared, apply, culprit
from gateway.store.sqlite.connection import unavailable
from gateway.store.sqlite.returns import Returns

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]
Event = tuple[int, bytes]
"""A committed event's number and its JSON."""

# A value that SQLite has no room for (an integer of more than 64 bits, a text of a gigabyte).
_BAD_VALUE = (sqlite3.InterfaceError, sqlite3.DataError, sqlite3.IntegrityError)


@dataclass(slots=True, eq=False)
class _Request:
    """One caller's batch or job, and what came of it."""

    work: Batch | Job[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


def _cannot_keep(error: Exception) -> Refused:
    return Refused(Problem("", f"the store cannot keep this: {error}"))


_Encoded = tuple[_Request, Prepared]


class Writer:
    """Takes batches and jobs on the loop; `committed` is called there with each group's events, before the futures
    of the group are resolved, and `written` in the writer's thread. At most `limit` requests wait; then Overloaded is
    raised."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        loop: asyncio.AbstractEventLoop,
        *,
        seq: int,
        limit: int,
        written: Callable[[], None],
        committed: Callable[[Sequence[Event]], None],
        name: str,
    ) -> None:
        self._connection = connection
        self._loop = loop
        self._returns = Returns(loop)
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._waiting = 0
        self._limit = limit
        self._seq = seq
        self._events: list[Event] = []
        self._written = written
        self._committed = committed
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, work: Batch | Job[T]) -> asyncio.Future[Any]:
        """A batch's future gets the number of its last event (or of the last one before it); a job's, its result.

        A job runs inside the group's transaction; if it raises, what it did is undone and the others stay.
        """
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._waiting >= self._limit:
            raise Overloaded("the store's write queue")
        self._waiting += 1
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put(_Request(work, future))
        return future

    def close(self) -> None:
        """Write what is queued, then end; blocks, so call it off the loop."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            group = [self._queue.get()]
            group.extend(self._queue.get() for _ in range(self._queue.qsize()))  # this thread alone takes from it
            closing = None in group
            requests = [request for request in group if request is not None]
            if requests:
                self._write(requests)
        self._connection.close()

    def _write(self, requests: list[_Request]) -> None:
        before = self._seq
        self._events = []
        try:
            batches = self._prepare(requests)
            self._connection.execute("BEGIN IMMEDIATE")
            self._apply_batches(batches)
            for request in requests:
                if not isinstance(request.work, Batch):
                    self._run_job(request, request.work)
            faults.reach("store.commit.before")
            self._connection.execute("COMMIT")
        except Exception as error:  # whatever it was, every caller must hear of it, and the next group must start clean
            self._roll_back()
            self._seq = before
            self._events = []
            for request in requests:
                told = unavailable(error) if isinstance(error, sqlite3.Error) else error
                request.error = request.error or told
        else:
            faults.reach("store.commit.after")
            self._written()
        events = self._events
        self._returns.post(lambda: self._deliver(requests, events))

    def _prepare(self, requests: list[_Request]) -> list[_Encoded]:
        """Encode the batches; one that cannot be (a text that is no Unicode, say) fails alone."""
        encoded: list[_Encoded] = []
        for request in requests:
            if isinstance(request.work, Batch):
                try:
                    encoded.append((request, Prepared(request.work)))
                except (UnicodeError, OverflowError) as error:
                    request.error = _cannot_keep(error)
                except Exception as error:  # the caller's mistake is the caller's to see
                    request.error = error
        return encoded

    def _apply_batches(self, batches: list[_Encoded]) -> None:
        """All that touch different documents together; one that comes second to a document in the next round."""
        while batches:
            taken: set[tuple[str, str]] = set()
            together: list[_Encoded] = []
            later: list[_Encoded] = []
            for request, part in batches:
                if taken.isdisjoint(part.keys):
                    taken.update(part.keys)
                    together.append((request, part))
                else:
                    later.append((request, part))
            error = self._apply_once(together)
            if error is not None:
                # Somebody's mistake: each on its own, so that it hurts only the one who made it.
                for request, part in together:
                    request.error = error if len(together) == 1 else self._apply_once([(request, part)])
            batches = later

    def _apply_once(self, batches: list[_Encoded]) -> GatewayError | None:
        """Write these batches under a savepoint; on an error nothing of them is written, and it is returned."""
        seq = self._seq
        self._connection.execute("SAVEPOINT batch")
        try:
            last = apply(self._connection, Prepared.merged([part for _, part in batches]), seq)
        except (StoreError, Mismatch, OverflowError, *_BAD_VALUE) as error:
            self._connection.execute("ROLLBACK TO batch")
            self._connection.execute("RELEASE batch")
            if isinstance(error, Mismatch):
                return culprit(self._connection, error)
            return error if isinstance(error, StoreError) else _cannot_keep(error)
        self._connection.execute("RELEASE batch")
        self._seq = last
        for request, part in batches:
            for _, encoded in part.events:
                seq += 1
                self._events.append((seq, encoded))
            request.result = seq
        return None

    def _run_job(self, request: _Request, job: Job[Any]) -> None:
        self._connection.execute("SAVEPOINT job")
        try:
            request.result = job(self._connection)
        except sqlite3.Error:
            raise
        except Exception as error:
            self._connection.execute("ROLLBACK TO job")
            request.error = error
        self._connection.execute("RELEASE job")

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:  # SQLite ends the transaction itself on a full disk; a second failure changes nothing
            pass

    def _deliver(self, requests: list[_Request], events: list[Event]) -> None:
        self._waiting -= len(requests)
        self._committed(events)
        for request in requests:
            if request.future.done():  # its caller was cancelled; the write stands all the same
                continue
            if request.error is None:
                request.future.set_result(request.result)
            else:
                request.future.set_exception(request.error)
