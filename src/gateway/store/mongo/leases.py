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
from gateway.store.mongo.driver import Database
from gateway.store.mongo.failures import insist
from gateway.store.mongo.indexes import LEASES

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Leases:
    def __init__(self, database: Database, clock: Clock, patience: float) -> None:
        self._rows = database[LEASES]
        self._clock = clock
        self._patience = patience
        self._known: set[str] = set()

    async def acquire(self, names: Sequence[str], holder: str, ttl: float) -> dict[str, Lease]:
        """See gateway.store.contract. A repeat of an attempt whose answer was lost renews what that one took."""
        if not names:
            return {}
        new = [name for name in names if name not in self._known]
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

        async def attempt() -> dict[str, Lease]:
            if new:
                unheld = {"$setOnInsert": {"holder": None, "token": 0, "expires_at": _LONG_AGO}}
                await self._rows.bulk_write(
                    [UpdateOne({"_id": name}, unheld, upsert=True) for name in new], ordered=False
                )
            asked = self._clock.now()
            await self._rows.bulk_write(
                [UpdateOne({"_id": name, "$expr": {"$or": [mine, free]}}, take) for name in names], ordered=False
            )
            rows = await self._rows.find({"_id": {"$in": list(names)}, "holder": holder}, {"token": 1}).to_list(None)
            until = asked + timedelta(seconds=ttl)
            return {row["_id"]: Lease(row["_id"], holder, row["token"], until) for row in rows}

        held = await insist(self._patience, attempt)
        self._known.update(names)
        return held

    async def release(self, leases: Sequence[Lease]) -> None:
        """The token stays, so that the next holder's is higher."""
        if not leases:
            return
        free = {"$set": {"holder": None, "expires_at": _LONG_AGO}}
        operations = [
            UpdateOne({"_id": lease.name, "token": lease.token, "holder": lease.holder}, free) for lease in leases
        ]
        await insist(self._patience, lambda: self._rows.bulk_write(operations, ordered=False))
