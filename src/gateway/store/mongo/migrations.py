"""The version of the stored form, and the steps from one to the next.

`STEPS[n]` brings a store from version n to n + 1. A step must bear being run again after it was cut off, and must leave
the store readable for nodes of the older program until the version is raised, as several nodes share it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from gateway.errors import StoreTooNew
from gateway.store.contract import SCHEMA_VERSION
from gateway.store.mongo.driver import Database, Raw
from gateway.store.mongo.indexes import META

Step = Callable[[Database], Awaitable[None]]

STEPS: Mapping[int, Step] = {}


async def check(database: Database, known: int = SCHEMA_VERSION) -> int | None:
    """The version of the store, None if it is empty. Raises StoreTooNew."""
    row: Raw | None = await database[META].find_one({"_id": "schema"})
    if row is None:
        return None
    version = int(row["version"])
    if version > known:
        raise StoreTooNew(
            f"the data in MongoDB database {database.name} have schema version {version}, "
            f"this program knows {known}: update the program"
        )
    return version


async def bring_up(
    database: Database, found: int | None, known: int = SCHEMA_VERSION, steps: Mapping[int, Step] = STEPS
) -> None:
    """Run the steps that are missing; a new store starts at the present version. Two nodes may do this at once."""
    if found is None:
        await database[META].update_one({"_id": "schema"}, {"$setOnInsert": {"version": known}}, upsert=True)
        return
    for version in range(found, known):
        await steps[version](database)
        await database[META].update_one({"_id": "schema", "version": version}, {"$set": {"version": version + 1}})
