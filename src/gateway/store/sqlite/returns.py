"""The way back from the store's threads to the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Returns:
    """Runs callables on the loop, in the order they were posted; one wake-up serves all that came meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._posted: deque[Callable[[], None]] = deque()
        self._waking = False

    def post(self, call: Callable[[], None]) -> None:
        """From any thread."""
        # `_waking` is only cleared on the loop, before it empties the queue: what is appended later wakes it again.
        self._posted.append(call)
        if not self._waking:
            self._waking = True
            try:
                self._loop.call_soon_threadsafe(self._run)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._posted.clear()

    def _run(self) -> None:
        self._waking = False
        while self._posted:
            self._posted.popleft()()
