"""Calls that end at once when they are cancelled, or when the store closes.

PyMongo sends with `asyncio.wait_for`, which before Python 3.12 loses a cancellation that comes just as it ends
(https://github.com/python/cpython/issues/86296): a reader of the feed that is cancelled then would stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.errors import StoreUnavailable

T = TypeVar("T")

_AGAIN_SECONDS = 0.02


async def heed(attempt: Awaitable[T]) -> T:
    """What is awaited; a cancellation that was lost in it is raised when it ends. For calls that take no time."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        return await attempt
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


class Interruptible:
    """Runs calls that wait for something to happen, each as a task of the group."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._group = tasks
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the attempt returns. Raises StoreUnavailable once this is closed."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        outcome: list[T | Exception] = []

        async def run() -> None:
            try:
                outcome.append(await attempt())
            except Exception as error:  # it belongs to the caller, not to the group
                outcome.append(error)

        task = self._group.create_task(run())
        self._tasks.add(task)
        try:
            await asyncio.wait({task})
        finally:
            await _end(task)
            self._tasks.discard(task)
        if self._closed or not outcome:
            raise StoreUnavailable("the store is closed")
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    async def close(self) -> None:
        """End what waits."""
        self._closed = True
        for task in list(self._tasks):
            await _end(task)


async def _end(task: asyncio.Task[None]) -> None:
    """Cancel it until it has ended."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=_AGAIN_SECONDS)
