"""Work on a contact that takes many commits: begun with a change, and finished even if the program is killed midway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar

from gateway.errors import Conflict
from gateway.model.document import Document
from gateway.store.batch import Batch
from gateway.store.collection import CHECKPOINTS, Checkpoint, Collection
from gateway.store.contract import Range, Store

D = TypeVar("D", bound=Document)

Kind = Literal["merge", "unmerge", "erase"]

PIECE = 100
"""Documents changed in one commit."""
ATTEMPTS = 20
"""How often a piece is decided again when other writers were faster."""


def job_id(kind: Kind, target: str) -> str:
    """Where the job is noted until it is done."""
    return f"job/{kind}/{target}"


def begin(batch: Batch, kind: Kind, target: str) -> None:
    """Note the job, in the batch of the change that makes it necessary."""
    batch.insert(CHECKPOINTS, Checkpoint(id=job_id(kind, target), cursor=target))


async def is_open(store: Store, kind: Kind, target: str) -> bool:
    return await store.get(CHECKPOINTS, job_id(kind, target)) is not None


async def finish(store: Store, kind: Kind, target: str) -> None:
    """The job is done; no error if another node found so first."""
    await drop(store, job_id(kind, target))


async def drop(store: Store, checkpoint_id: str) -> None:
    known = await store.get(CHECKPOINTS, checkpoint_id)
    if known is not None:
        batch = Batch()
        batch.delete(CHECKPOINTS, known)
        with suppress(Conflict):
            await store.commit(batch)


async def open_jobs(store: Store) -> AsyncIterator[tuple[str, str]]:
    """(kind, target) of all that is not done."""
    async for checkpoint in every(store, CHECKPOINTS, {"id": Range("job/", "job0")}):
        _, kind, target = checkpoint.id.split("/", 2)
        yield kind, target


async def every(store: Store, collection: Collection[D], where: dict[str, Any]) -> AsyncIterator[D]:
    """All documents that match, in the order of their ids."""
    after: str | None = None
    while True:
        page = await store.find(collection, where, order="id", after=after, limit=PIECE)
        for document in page.items:
            yield document
        after = page.next
        if after is None:
            return


async def piecewise(store: Store, plan: Callable[[Batch], Awaitable[bool]]) -> None:
    """Commit what `plan` puts on a batch, again and again until it returns False: nothing is left to do."""
    conflicts = 0
    while True:
        batch = Batch()
        if not await plan(batch):
            return
        try:
            await store.commit(batch)
            conflicts = 0
        except Conflict:
            conflicts += 1
            if conflicts == ATTEMPTS:
                raise
