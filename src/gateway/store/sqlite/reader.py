"""The threads that read, each with connections of its own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from gateway.errors import Overloaded, StoreUnavailable
from gateway.store.sqlite.connection import connect, unavailable
from gateway.store.sqlite.returns import Returns

T = TypeVar("T")
Read = Callable[[sqlite3.Connection], T]

_CACHE_KIB = 16_384


class Readers:
    """`threads` readers of one file. At most `limit` reads wait; then Overloaded is raised."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, *, threads: int, limit: int, name: str) -> None:
        self._loop = loop
        self._returns = Returns(loop)
        self._queue: SimpleQueue[tuple[Read[Any], asyncio.Future[Any]] | None] = SimpleQueue()
        self._waiting = 0
        self._limit = limit
        self._closed = False
        connections = [connect(path, write=False, cache_kib=_CACHE_KIB) for _ in range(threads)]
        self._threads = [
            threading.Thread(target=self._run, args=(connection,), name=f"{name}-{at}", daemon=True)
            for at, connection in enumerate(connections)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, read: Read[T]) -> asyncio.Future[T]:
        """Run it in one of the threads."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._waiting >= self._limit:
            raise Overloaded("the store's read queue")
        self._waiting += 1
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put((read, future))
        return future

    def close(self) -> None:
        """Answer what is queued, then end; blocks, so call it off the loop."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self, connection: sqlite3.Connection) -> None:
        while (request := self._queue.get()) is not None:
            read, future = request
            result: Any = None
            error: BaseException | None = None
            try:
                result = read(connection)
            except sqlite3.Error as failure:
                error = unavailable(failure)
            except Exception as failure:  # the caller's to see
                error = failure
            self._post(future, result, error)
        connection.close()

    def _post(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._returns.post(lambda: self._deliver(future, result, error))

    def _deliver(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._waiting -= 1
        if future.done():  # its caller was cancelled
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
