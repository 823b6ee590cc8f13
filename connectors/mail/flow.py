"""Three stages side by side: the next mails are fetched while those before are read, and others made durable.

What is on the way is bounded in mails and in bytes. What is ready by the time the last stage is free is settled
together, so that the gateway has to make fewer things durable one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple

from connectors.mail.fetching import Batch, Fetched
from gateway.connector import Inbound

READY = 2
"""Batches that wait, read, while others are settled."""
HELD_BYTES = 16 * 1024 * 1024
"""Of mails on the way; nothing more is fetched while there are so many."""


class Read(NamedTuple):
    """A batch and its messages."""

    batch: Batch
    messages: list[Inbound]
    size: int


async def flow(
    batches: AsyncIterator[Batch],
    read: Callable[[Fetched], Awaitable[Inbound]],
    settle: Callable[[Sequence[Read]], Awaitable[None]],
) -> None:
    """Settles all batches, in order. Raises the first error of any stage; what was not settled then is let go."""
    fetched: asyncio.Queue[Batch | None] = asyncio.Queue(maxsize=1)
    ready: asyncio.Queue[Read | None] = asyncio.Queue(maxsize=READY)
    held = 0
    room = asyncio.Event()

    async def fetch() -> None:
        nonlocal held
        async for batch in batches:
            held += _size(batch)
            await fetched.put(batch)
            while held > HELD_BYTES:
                room.clear()
                await room.wait()
        await fetched.put(None)

    async def parse() -> None:
        while (batch := await fetched.get()) is not None:
            await ready.put(Read(batch, [await read(mail) for mail in batch.mails], _size(batch)))
        await ready.put(None)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fetch())
            group.create_task(parse())
            ended = False
            while not ended and (one := await ready.get()) is not None:
                together = [one]
                while not ready.empty() and not ended:
                    more = ready.get_nowait()
                    ended = more is None
                    together += [more] if more is not None else []
                await settle(together)
                held -= sum(each.size for each in together)
                room.set()
    except BaseExceptionGroup as errors:
        failure: BaseException = errors
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        raise failure from None


def _size(batch: Batch) -> int:
    return sum(len(mail.source or b"") for mail in batch.mails)
