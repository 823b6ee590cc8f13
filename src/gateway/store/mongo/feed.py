"""The feed: events are inserted by the transaction that makes them; a change stream on their collection hands them out
in commit order, within milliseconds.

The stream is read with plain commands (`aggregate`, `getMore`), a batch at a time. How far back it reaches is how much
of its log the replica set keeps, and never further than `trim` allows.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import structlog
from pymongo.errors import OperationFailure, PyMongoError

from gateway.errors import CursorGone, StoreUnavailable
from gateway.store.contract import FeedItem
from gateway.store.mongo.driver import CODEC, Client, Database, Raw, Session, aw, session_of
from gateway.store.mongo.events import events_of
from gateway.store.mongo.failures import HISTORY_LOST, Patience, insist, passing, unavailable
from gateway.store.mongo.indexes import EVENTS, META
from gateway.store.mongo.interrupt import Interruptible
from gateway.store.mongo.position import Position

_log = structlog.get_logger(__name__)

BATCH = 100
"""Commits in one answer of the server."""

MOST = 500
"""Events handed out at a time."""

_WAIT_MS = 1_000
"""How long the server holds a question for new events open."""

_PIPELINE: list[Raw] = [
    {"$match": {"operationType": "insert"}},
    {"$project": {"clusterTime": 1, "fullDocument.n": 1, "fullDocument.events": 1}},
]


class Feed:
    def __init__(self, client: Client, database: Database, patience: float, calls: Interruptible) -> None:
        self._calls = calls
        self._client = client
        self._database = database
        self._patience = patience

    async def head(self) -> str:
        """A write that the majority confirms: everything before it in the log is then either readable or nowhere, so
        that who reads the store after this, and the feed from here, misses nothing."""

        async def attempt() -> str:
            async with session_of(self._client) as session:
                await self._database[META].update_one({"_id": "head"}, {"$inc": {"n": 1}}, upsert=True, session=session)
                moment = session.operation_time
            if moment is None:
                raise StoreUnavailable("MongoDB gave no time for a write: it is not a replica set")
            return str(Position.at(moment))

        return await insist(self._patience, attempt)

    async def follow(self, after: str) -> AsyncIterator[list[FeedItem]]:
        """See gateway.store.contract. While the replica set cannot answer, the iterator waits for it."""
        last = Position.parse(after)
        trimmed = await insist(self._patience, self._trimmed)
        reach: Raw = {"startAtOperationTime": last.timestamp}
        checked = False
        patience = Patience(self._patience)
        while True:
            try:
                if not checked:
                    await self._check_reached(last)
                    checked = True
                async with contextlib.aclosing(self._read(reach)) as stream:
                    async for rows, token in stream:
                        items = []
                        for row in rows:
                            for ordinal, event in events_of(row["fullDocument"]):
                                place = Position.at(row["clusterTime"], ordinal)
                                if place <= last:
                                    continue
                                if trimmed is not None and trimmed.covers(place, event.at):
                                    raise CursorGone("the feed no longer reaches back to this cursor")
                                last = place
                                items.append(FeedItem(str(place), event))
                        reach = {"resumeAfter": token}
                        patience = Patience(self._patience)
                        for start in range(0, len(items), MOST):
                            yield items[start : start + MOST]
            except PyMongoError as error:
                if isinstance(error, OperationFailure) and error.code in HISTORY_LOST:
                    raise CursorGone("the feed no longer reaches back to this cursor") from error
                if not _resumable(error):
                    raise unavailable(error) from error
                if patience.over():
                    _log.warning("the feed waits for MongoDB", error=str(unavailable(error)))
                    patience = Patience(self._patience)
                await patience.pause()

    async def _read(self, reach: Raw) -> AsyncGenerator[tuple[list[Raw], Raw], None]:
        """Changes as the server tells them, with the token to go on behind them."""
        async with session_of(self._client, causal_consistency=False) as session:
            pipeline = [{"$changeStream": reach}, *_PIPELINE]
            cursor = await self._command(
                session, {"aggregate": EVENTS, "pipeline": pipeline, "cursor": {"batchSize": BATCH}, **_MAJORITY}
            )
            number = cursor["id"]
            try:
                yield cursor["firstBatch"], cursor["postBatchResumeToken"]
                more = {"getMore": number, "collection": EVENTS, "batchSize": BATCH, "maxTimeMS": _WAIT_MS}
                while True:
                    cursor = await self._command(session, more)
                    yield cursor["nextBatch"], cursor["postBatchResumeToken"]
            finally:
                with contextlib.suppress(PyMongoError):
                    await self._database.command({"killCursors": EVENTS, "cursors": [number]}, session=session)

    async def _command(self, session: Session, command: Raw) -> Raw:
        reply = await self._calls.call(lambda: self._database.command(command, session=session, codec_options=CODEC))
        cursor: Raw = reply["cursor"]
        if not cursor["id"]:
            raise CursorGone("the collection of events was dropped or renamed")
        return cursor

    async def _check_reached(self, last: Position) -> None:
        """A cursor from the future is of another replica set, or of one that was restored: nothing would ever come."""
        if last > Position.parse(await self.head()):
            raise CursorGone("the feed has not come to this cursor: it is of another store")

    async def trim(self, before: datetime) -> int:
        """The log of the replica set still has what is dropped; what is noted here keeps it from being handed out."""

        async def attempt() -> int:
            head = Position.parse(await self.head())
            rising = {"_id": "feed", "$or": [{"before": {"$exists": False}}, {"before": {"$lte": before}}]}
            mark = {"before": before, "until": head.timestamp}
            await self._database[META].update_one(rising, {"$set": mark})
            events = self._database[EVENTS]
            old = {"at": {"$lt": before}}
            # one document holds events of one time only
            counted = await aw(events.aggregate([{"$match": old}, {"$group": {"_id": None, "n": {"$sum": "$count"}}}]))
            total = [row["n"] async for row in counted]
            await events.delete_many(old)
            return total[0] if total else 0

        return await insist(self._patience, attempt)

    async def _trimmed(self) -> _Trimmed | None:
        mark: Raw | None = await self._database[META].find_one({"_id": "feed"})
        return None if mark is None or "before" not in mark else _Trimmed(mark["before"], Position.at(mark["until"]))


@dataclass(frozen=True, slots=True)
class _Trimmed:
    """Events older than `before` that were committed up to `until` are gone."""

    before: datetime
    until: Position

    def covers(self, place: Position, at: datetime) -> bool:
        return at < self.before and place <= self.until


_MAJORITY: Raw = {"readConcern": {"level": "majority"}}


def _resumable(error: PyMongoError) -> bool:
    return passing(error) or error.has_error_label("ResumableChangeStreamError")
