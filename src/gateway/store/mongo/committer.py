"""Several batches, one transaction.

A transaction costs some ten exchanges with the server, whatever is in it. Batches that are committed while `LANES`
transactions are under way wait, and those that have nothing in common then share one. What goes into a transaction has
no document and no lease in common with any other that is under way here, so this node never collides with itself. If a
shared transaction fails for a reason that one batch has, each of its batches is committed alone: none fails because of
another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.errors import Conflict, Duplicate, Fenced, Overloaded, Refused, StoreError, StoreUnavailable
from gateway.store.mongo.work import Work, merge

LANES = 3
"""Transactions at a time. More of them make each smaller: 64 callers with a message each get 3,000 a second with two or
three, 300 with one transaction for each message."""

MOST_WAITING = 2_000
"""Batches; beyond that Overloaded is raised."""

MOST_BATCHES = 64
MOST_BYTES = 8 * 1024 * 1024

_OWN_FAULT = (Duplicate, Conflict, Fenced, Refused)


@dataclass(slots=True, eq=False)
class _Entry:
    work: Work
    done: asyncio.Future[str]


class Committer:
    """`run` commits one transaction's work. The tasks live in the group given."""

    def __init__(self, run: Callable[[Work], Awaitable[str]], tasks: asyncio.TaskGroup) -> None:
        self._run = run
        self._tasks = tasks
        self._waiting: deque[_Entry] = deque()
        self._busy: set[tuple[str, str]] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def commit(self, work: Work) -> str:
        """Whoever stops waiting for the outcome does not stop what has begun."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded("the store's write queue")
        entry = _Entry(work, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._start()
        return await entry.done

    async def close(self) -> None:
        """Commit what waits; take no more."""
        self._closed = True
        await self._idle.wait()

    def abandon(self) -> None:
        """Stop what is under way; whoever waits is told that the outcome is unknown."""
        for task in self._running:
            task.cancel()
        for entry in self._waiting:
            if not entry.done.done():
                entry.done.set_exception(StoreUnavailable("the store is closed"))
        self._waiting.clear()

    def _start(self) -> None:
        while len(self._running) < LANES and (group := self._take()):
            self._idle.clear()
            self._busy.update(*(entry.work.keys for entry in group))
            task = self._tasks.create_task(self._lane(group))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _take(self) -> list[_Entry]:
        """The first that wait, without those that share something with one under way, taken, or waiting before them."""
        group: list[_Entry] = []
        passed: list[_Entry] = []
        held: set[tuple[str, str]] = set()
        size = 0
        while self._waiting and len(group) < MOST_BATCHES and len(passed) < MOST_BATCHES:
            entry = self._waiting.popleft()
            if entry.done.cancelled():
                continue
            keys = entry.work.keys
            if not self._busy.isdisjoint(keys) or not held.isdisjoint(keys):
                passed.append(entry)
            elif group and size + entry.work.size > MOST_BYTES:
                passed.append(entry)
                break
            else:
                group.append(entry)
                size += entry.work.size
            held |= keys
        self._waiting.extendleft(reversed(passed))
        return group

    async def _lane(self, group: list[_Entry]) -> None:
        try:
            if not await self._together(group):
                for entry in group:
                    await self._together([entry])
        finally:
            for entry in group:
                if not entry.done.done():  # the store is closed over it
                    entry.done.set_exception(StoreUnavailable("the store was closed before the outcome was known"))
            self._busy.difference_update(*(entry.work.keys for entry in group))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()
        if not self._running:
            self._idle.set()

    async def _together(self, group: list[_Entry]) -> bool:
        """False: the transaction failed for a reason that only one of them has."""
        try:
            cursor = await self._run(group[0].work if len(group) == 1 else merge(entry.work for entry in group))
        except Exception as error:  # every failure belongs to those who wait for it
            if len(group) > 1 and (isinstance(error, _OWN_FAULT) or not isinstance(error, StoreError)):
                return False
            for entry in group:
                if not entry.done.done():
                    entry.done.set_exception(error)
            return True
        for entry in group:
            if not entry.done.done():
                entry.done.set_result(cursor)
        return True
