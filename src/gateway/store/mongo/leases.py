"""Leases as documents: {_id: name, holder, token, expires_at}.

They expire by the server's clock, so nodes need not agree on the time. What the holder is told is counted by its own
clock from before it asked, which is never later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import UpdateOne

from gateway.model.document import Clock
from gateway.store.batch import Lease
from gateway.store.mongo.driver import Database, Session
from gateway.store.mongo.indexes import LEASES
from gateway.store.mongo.transaction import Transactions

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Leases:
    def __init__(self, database: Database, transactions: Transactions, clock: Clock) -> None:
        self._rows = database[LEASES]
        self._transactions = transactions
        self._clock = clock
        self._known: set[str] = set()

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> dict[str, Lease]:
        """See gateway.store.contract. A repeat of an attempt whose answer was lost renews what that one took."""
        if not names:
            return {}
        mine = {"$eq": ["$holder", holder]}
        free = {"$lte": ["$expires_at", "$$NOW"]}
        take: list[dict[str, Any]] = [
            {
                "$set": {
                    "token": {"$cond": [mine, "$token", {"$add": ["$token", 1]}]},
                    "holder": holder,
                    "expires_at": {"$add": ["$$NOW", round(ttl * 1000)]},
                }
            }
        ]
        unheld = {"$setOnInsert": {"holder": None, "token": 0, "expires_at": _LONG_AGO}}
        wanted = list(dict.fromkeys(names))
        writes = [UpdateOne({"_id": name}, unheld, upsert=True) for name in wanted if name not in self._known]
        writes += [UpdateOne({"_id": name, "$expr": {"$or": [mine, free]}}, take) for name in wanted]

        async def body(session: Session) -> dict[str, Lease]:
            until = self._clock.now() + timedelta(seconds=ttl)
            await self._rows.bulk_write(writes, session=session)
            held = self._rows.find({"_id": {"$in": wanted}, "holder": holder}, {"token": 1}, session=session)
            return {row["_id"]: Lease(row["_id"], holder, row["token"], until) async for row in held}

        leases, _ = await self._transactions.run(body)
        self._known.update(wanted)
        return leases

    async def release(self, leases: Sequence[Lease]) -> None:
        """The token stays, so that the next holder's is higher."""
        if not leases:
            return
        free = {"$set": {"holder": None, "expires_at": _LONG_AGO}}
        writes = [
            UpdateOne({"_id": lease.name, "token": lease.token, "holder": lease.holder}, free) for lease in leases
        ]
        await self._transactions.run(lambda session: self._rows.bulk_write(writes, session=session))
