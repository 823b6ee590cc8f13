"""What the driver's errors mean here, and how long to keep trying.

A replica set that loses its primary has a new one within some seconds: what fails for that reason is tried again
until `PATIENCE` seconds are over, so that callers see a slow answer instead of an error.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WTimeoutError,
)

from gateway.errors import StoreUnavailable
from gateway.store.mongo.interrupt import heed

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds that an operation is tried again while the replica set cannot answer."""

TRANSIENT = "TransientTransactionError"
UNKNOWN_COMMIT = "UnknownTransactionCommitResult"

DUPLICATE_KEY = 11000
CURSOR_NOT_FOUND = 43
NO_SUCH_TRANSACTION = 251
HISTORY_LOST = frozenset({260, 280, 286})
"""InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost."""

# HostUnreachable, HostNotFound, LockTimeout, CursorNotFound, MaxTimeMSExpired, StaleShardVersion, WriteConcernFailed,
# NetworkTimeout, ShutdownInProgress, WriteConflict, FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet,
# StaleEpoch, PrimarySteppedDown, ElectionInProgress, RetryChangeStream, ExceededTimeLimit, SocketException,
# LegacyNotPrimary, NotWritablePrimary, InterruptedAtShutdown, Interrupted, InterruptedDueToReplStateChange,
# StaleConfig, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary (the server's error_codes.yml).
_PASSING = frozenset(
    {6, 7, 24, CURSOR_NOT_FOUND, 50, 63, 64, 89, 91, 112, 133, 134, 150, 189, 216, 234, 262, 9001, 10058, 10107}
    | {11600, 11601, 11602, 13388, 13435, 13436}
)


def passing(error: PyMongoError) -> bool:
    """Whether the same call may work soon."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        codes = {item.get("code") for item in (*details.get("writeErrors", ()), *details.get("writeConcernErrors", ()))}
        return bool(codes) and codes <= _PASSING
    return isinstance(error, OperationFailure) and (error.code in _PASSING or error.has_error_label(TRANSIENT))


def unavailable(error: Exception) -> StoreUnavailable:
    """The error in one line, without the driver's dump of the topology."""
    if isinstance(error, InvalidOperation):
        return StoreUnavailable("the store is closed")
    details = error.details if isinstance(error, BulkWriteError) else None
    failed = (details or {}).get("writeErrors") or [{}]
    text = str(failed[0].get("errmsg", error)).split(", Timeout:")[0].split(", full error:")[0]
    return StoreUnavailable(f"MongoDB cannot answer: {' '.join(text.split())[:300]}")


class Patience:
    """A time limit with rising pauses between attempts, so that many writers do not step on one another again."""

    def __init__(self, seconds: float) -> None:
        self._since = time.monotonic()
        self._until = self._since + seconds
        self._pause = 0.002

    def over(self) -> bool:
        return time.monotonic() >= self._until

    def spent(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._since

    async def pause(self, at_most: float = 0.5) -> None:
        await asyncio.sleep(random.uniform(0.5, 1) * min(self._pause, at_most))
        self._pause *= 2


async def insist(seconds: float, attempt: Callable[[], Awaitable[T]]) -> T:
    """What the attempt returns, made again while the reason for its failure passes. The attempt must be one that may
    be made twice. Raises StoreUnavailable."""
    patience = Patience(seconds)
    while True:
        try:
            return await heed(attempt())
        except PyMongoError as error:
            if not passing(error) or patience.over():
                raise unavailable(error) from error
            await patience.pause()
