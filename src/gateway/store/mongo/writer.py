"""Writing a batch: its checks, its documents and its events, in one transaction.

**Checks.** A put removes the document by id and version, and inserts it anew; that it was there is the check. (A
replacement would do too, but in a transaction MongoDB 6 reads its catalog twice for each index of a document that it
updates: with the nine indexes of a conversation that costs the server twice as much.) A check without a write touches
the document (an absent one is inserted and removed again), so that a transaction which changes it meanwhile collides
with this one; reading it would not do, as two snapshots can both read what the other is about to change.

**Fences.** For the same reason a fence writes to its lease, last of all, so that renewing the lease rarely waits for
it: a takeover either comes first and is found, or comes after the commit.

**Errors.** A definite error (Duplicate, Conflict) is raised only when what caused it can be read with majority concern,
so that the caller, who reads again, does not read what it knew before.
"""

from __future__ import annotations

from typing import Any

from bson.objectid import ObjectId
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, PyMongoError
from pymongo.results import BulkWriteResult

from gateway import faults
from gateway.errors import Conflict, Duplicate, Fenced, Problem, Refused, StoreError, StoreUnavailable
from gateway.store.batch import Write
from gateway.store.mongo.driver import Database, Raw, Session
from gateway.store.mongo.events import event_rows
from gateway.store.mongo.failures import DUPLICATE_KEY, Patience
from gateway.store.mongo.indexes import EVENTS, LEASES
from gateway.store.mongo.transaction import Transactions
from gateway.store.mongo.work import Ready, Work

_SETTLE_SECONDS = 2.0

TOUCHED = "touched"
"""Field that a check writes into a document; the next put removes it."""

_REMOVED_AT_ONCE = 64
"""Documents in one removal: each is compared with every expected version."""

_Operation = InsertOne[Any] | ReplaceOne[Any] | UpdateOne | DeleteOne | DeleteMany


class _Mismatch(Exception):
    """Fewer documents were at their version than were written."""

    def __init__(self, writes: list[Write]) -> None:
        super().__init__("a document is at another version")
        self.writes = writes


class _Taken(Exception):
    """A unique key is taken. `where` finds the document that has it."""

    def __init__(self, write: Write, key: str, where: Raw) -> None:
        super().__init__(key)
        self.write = write
        self.key = key
        self.where = where


class Writer:
    def __init__(self, database: Database, transactions: Transactions) -> None:
        self._database = database
        self._transactions = transactions

    async def run(self, work: Work) -> str:
        """Commit the work; returns the place in the feed behind it. Raises Duplicate, Conflict, Fenced, Refused or
        StoreUnavailable."""
        patience = self._transactions.patience()
        while True:
            try:
                _, place = await self._transactions.run(
                    lambda session: self._apply(session, work), patience, point="store.commit"
                )
                return place
            except (_Mismatch, _Taken) as found:
                definite = await self._settled(found)
                if definite is not None:
                    raise definite from None
            if patience.over():
                raise StoreUnavailable("MongoDB cannot answer: other writers keep changing the same documents")

    async def _apply(self, session: Session, work: Work) -> None:
        mark = ObjectId()
        by_collection: dict[str, list[Ready]] = {}
        for ready in work.writes:
            by_collection.setdefault(ready.write.collection.name, []).append(ready)
        for name, writes in by_collection.items():
            await self._write(session, name, writes, mark)
        faults.reach("store.commit.middle")
        if work.events:
            await self._database[EVENTS].insert_many(event_rows(work.events, str(mark)), session=session)
        await self._fence(session, work, mark)

    async def _fence(self, session: Session, work: Work, mark: ObjectId) -> None:
        for name, token in dict.fromkeys((lease.name, lease.token) for lease in work.fences):
            result = await self._database[LEASES].update_one(
                {"_id": name, "token": token}, {"$set": {"used": mark}}, session=session
            )
            if result.matched_count == 0:
                raise Fenced(name)

    async def _write(self, session: Session, name: str, writes: list[Ready], mark: ObjectId) -> None:
        """A command for each kind of write: removals first, so that a unique key given up in the batch can be taken in
        it."""
        plan: list[tuple[_Operation, Write]] = []
        gone = [ready.write for ready in writes if ready.write.op in ("put", "delete")]
        for at in range(0, len(gone), _REMOVED_AT_ONCE):
            piece = gone[at : at + _REMOVED_AT_ONCE]
            plan.append((DeleteMany(_at_version(piece)), piece[0]))
        plan += [(InsertOne(r.body), r.write) for r in writes if r.write.op in ("put", "insert") and r.body is not None]
        checks = [ready.write for ready in writes if ready.write.op == "check"]
        for write in checks:
            if write.expect != 0:
                touch = {"$set": {TOUCHED: mark}}
                plan.append((UpdateOne({"_id": write.id, "version": write.expect}, touch), write))
        absent = [write for write in checks if write.expect == 0]
        plan += [(InsertOne({"_id": write.id}), write) for write in absent]
        plan += [(DeleteOne({"_id": write.id}), write) for write in absent]
        if plan:
            result = await self._bulk(session, name, plan, gone)
            removed, touched = len(gone) + len(absent), len(checks) - len(absent)
            if result.deleted_count != removed or result.matched_count != touched:
                raise _Mismatch(gone + checks)
        loads: list[tuple[_Operation, Write]] = [
            (ReplaceOne({"_id": r.write.id}, r.body, upsert=True), r.write)
            for r in writes
            if r.write.op == "load" and r.body is not None
        ]
        if loads:
            await self._bulk(session, name, loads, [])

    async def _bulk(
        self, session: Session, name: str, plan: list[tuple[_Operation, Write]], gone: list[Write]
    ) -> BulkWriteResult:
        try:
            return await self._database[name].bulk_write([operation for operation, _ in plan], session=session)
        except DocumentTooLarge as error:
            raise Refused(Problem("", f"the store cannot keep this: {error}")) from error
        except BulkWriteError as error:
            details = error.details or {}
            failed = details.get("writeErrors") or [{}]
            if failed[0].get("code") != DUPLICATE_KEY:
                raise
            if details.get("nRemoved") != len(gone):  # what was not removed is in the way of what replaces it
                raise _Mismatch(gone) from None
            write = plan[failed[0]["index"]][1]
            if write.op == "check":
                raise _Mismatch([write]) from None
            raise _taken(write, failed[0]) from None

    async def _settled(self, found: _Mismatch | _Taken) -> StoreError | None:
        """The definite error, once its cause is committed to the majority; None if it went away."""
        patience = Patience(_SETTLE_SECONDS)
        while not patience.over():
            try:
                definite = await self._cause(found)
            except PyMongoError:
                return None  # the next attempt says more
            if definite is not None:
                return definite
            await patience.pause(at_most=0.05)
        return None

    async def _cause(self, found: _Mismatch | _Taken) -> StoreError | None:
        if isinstance(found, _Taken):
            rows = self._database[found.write.collection.name].find(found.where, {"_id": 1}).limit(1)
            return Duplicate(found.write.collection.name, found.key) if await rows.to_list(1) else None
        name = found.writes[0].collection.name
        ids = [write.id for write in found.writes]
        rows = self._database[name].find({"_id": {"$in": ids}}, {"version": 1})
        versions = {row["_id"]: row["version"] async for row in rows}
        for write in found.writes:
            if versions.get(write.id, 0) != write.expect:
                return Conflict(name, write.id)
        return None


def _at_version(writes: list[Write]) -> Raw:
    """Finds those of the documents that are at the version expected of each, by their ids."""
    query: Raw = {"_id": {"$in": [write.id for write in writes]}}
    versions = {write.expect for write in writes}
    if len(versions) == 1:
        query["version"] = versions.pop()
    else:
        expected = [[write.id, write.expect] for write in writes]
        query["$expr"] = {"$in": [["$_id", "$version"], {"$literal": expected}]}
    return query


def _taken(write: Write, failed: Raw) -> _Taken:
    fields = tuple(failed.get("keyPattern", {}))
    where = dict(failed.get("keyValue", {}))
    if fields == ("_id",):
        return _Taken(write, "id", where)
    for unique in write.collection.unique:
        if unique.fields == fields:
            return _Taken(write, unique.name, where)
    return _Taken(write, "_".join(fields), where)
