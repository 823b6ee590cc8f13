"""Transactions that are certain to be committed or not, whoever dies meanwhile.

**Collisions.** A transaction that writes what another under way has written fails at once with a passing error; it is
made again, and then finds the outcome. A transaction whose program was killed keeps what it wrote from others until the
server ends it, after a minute by default; see `orphans`.

**Commit.** When the line breaks in the commit, its outcome is unknown. Sending the commit again is how MongoDB settles
that: the transaction's record is replicated with its writes, so a new primary knows whether it was committed, and a
transaction it does not know (NoSuchTransaction, answered only once a majority confirms the primary) is not anywhere and
never will be; then it is made anew. (Driver specification "Transactions": `UnknownTransactionCommitResult` and
`TransientTransactionError`.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from gateway import faults
from gateway.errors import StoreUnavailable
from gateway.store.mongo.driver import DURABLE, Client, Session, aw, session_of
from gateway.store.mongo.failures import (
    NO_SUCH_TRANSACTION,
    TRANSIENT,
    UNKNOWN_COMMIT,
    Patience,
    passing,
    unavailable,
)
from gateway.store.mongo.interrupt import heed
from gateway.store.mongo.orphans import Orphans
from gateway.store.mongo.position import Position

T = TypeVar("T")

_SNAPSHOT = ReadConcern("snapshot")
_COMMIT_MS = 10_000


class Transactions:
    def __init__(self, client: Client, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._orphans = Orphans(client)

    def patience(self) -> Patience:
        return Patience(self._patience)

    async def run(
        self, body: Callable[[Session], Awaitable[T]], patience: Patience | None = None, *, point: str | None = None
    ) -> tuple[T, str]:
        """What the body returned, and the place in the feed behind its commit. The body writes with the session it is
        given; it is run again after a collision or a loss of the primary, and what it raises itself ends the
        transaction. `point`: the fault point around the commit.

        Raises StoreUnavailable; it says so if the outcome is unknown (the set was lost in the commit, and stayed lost).
        """
        patience = patience or self.patience()
        while True:
            try:
                async with session_of(self._client) as session:
                    return await heed(self._once(session, body, patience, point))
            except PyMongoError as error:
                if not passing(error) or patience.over():
                    raise unavailable(error) from error
            if patience.spent() > self._orphans.after:
                await self._orphans.end()
            await patience.pause(at_most=0.25)

    async def _once(
        self, session: Session, body: Callable[[Session], Awaitable[T]], patience: Patience, point: str | None
    ) -> tuple[T, str]:
        await aw(
            session.start_transaction(read_concern=_SNAPSHOT, write_concern=DURABLE, max_commit_time_ms=_COMMIT_MS)
        )
        result = await body(session)
        if point is not None:
            faults.reach(f"{point}.before")
        await self._commit(session, patience)
        if point is not None:
            faults.reach(f"{point}.after")
        moment = session.operation_time  # of the commit's answer: the commit's own
        if moment is None:
            raise StoreUnavailable("MongoDB gave no time for a commit: it is not a replica set")
        return result, str(Position.at(moment))

    async def _commit(self, session: Session, patience: Patience) -> None:
        while True:
            try:
                await session.commit_transaction()
                return
            except PyMongoError as error:
                unknown = error.has_error_label(UNKNOWN_COMMIT) or (
                    isinstance(error, OperationFailure)
                    and error.code == NO_SUCH_TRANSACTION
                    and not error.has_error_label(TRANSIENT)  # no majority has confirmed it yet
                )
                if not unknown:
                    raise
                if patience.over():
                    failure = unavailable(error)
                    raise StoreUnavailable(f"{failure}; whether the last write was kept is unknown") from error
                await patience.pause()
