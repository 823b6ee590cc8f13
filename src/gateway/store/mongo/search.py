"""The search index: one document per message with its terms (gateway.store.terms) under a multikey index.

The index has the id behind the term, so the newest messages with a term are the first in its range.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pymongo import ReplaceOne
from pymongo.errors import BulkWriteError

from gateway.store.contract import SearchEntry, SearchHit
from gateway.store.mongo.driver import Database, Raw
from gateway.store.mongo.failures import DUPLICATE_KEY, insist
from gateway.store.mongo.indexes import SEARCH
from gateway.store.terms import query_terms, query_tokens, term_set


def _rows(entries: Sequence[SearchEntry]) -> list[ReplaceOne[Raw]]:
    return [
        ReplaceOne(
            {"_id": entry.message_id},
            {
                "_id": entry.message_id,
                "conversation_id": entry.conversation_id,
                "at": entry.at,
                "terms": sorted(term_set(entry.text)),
            },
            upsert=True,
        )
        for entry in entries
    ]


class Search:
    def __init__(self, database: Database, patience: float) -> None:
        self._collection = database[SEARCH]
        self._patience = patience

    async def index(self, entries: Sequence[SearchEntry]) -> None:
        if not entries:
            return
        rows = await asyncio.to_thread(_rows, entries)

        async def attempt() -> None:
            try:
                await self._collection.bulk_write(rows, ordered=False)
            except BulkWriteError as error:
                failed = (error.details or {}).get("writeErrors", ())
                if not failed or any(item.get("code") != DUPLICATE_KEY for item in failed):
                    raise
                # another node inserted the same message at the same moment: now it is there to be replaced
                await self._collection.bulk_write(rows, ordered=False)

        await insist(self._patience, attempt)

    async def unindex(self, message_ids: Sequence[str]) -> None:
        if message_ids:
            await insist(self._patience, lambda: self._collection.delete_many({"_id": {"$in": list(message_ids)}}))

    async def search(self, query: str, limit: int, after: str | None) -> list[SearchHit]:
        tokens = query_tokens(await asyncio.to_thread(query_terms, query))
        if not tokens:
            return []
        where: Raw = {"terms": {"$all": tokens}}
        if after is not None:
            where["_id"] = {"$lt": after}

        async def attempt() -> list[SearchHit]:
            found = self._collection.find(where, {"conversation_id": 1}).sort([("_id", -1)]).limit(limit)
            return [SearchHit(row["_id"], row["conversation_id"]) for row in await found.to_list(None)]

        return await insist(self._patience, attempt)
