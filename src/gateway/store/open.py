"""From a store's address to its engine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gateway.errors import Problem, Refused
from gateway.model.document import Clock
from gateway.store.contract import Store

SQLITE = "sqlite:///"
MONGO = ("mongodb://", "mongodb+srv://")


def open_store(
    url: str, data_dir: Path, clock: Clock, *, mongo_driver: Literal["pymongo", "motor"] = "pymongo"
) -> Store:
    """The engine for the address, not yet connected: call its `open()`.

    `sqlite:///file` is relative to `data_dir`, `sqlite:////folder/file` is absolute; `mongodb://host,host/database…` is
    a replica set. Raises Refused for any other address.
    """
    # Each engine is imported only where it is used: a gateway on SQLite never loads the MongoDB driver.
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        from gateway.store.sqlite.store import SqliteStore  # noqa: PLC0415

        return SqliteStore(data_dir / url.removeprefix(SQLITE), clock, blobs=data_dir / "blobs")
    if url.startswith(MONGO):
        from gateway.store.mongo.store import MongoStore  # noqa: PLC0415

        return MongoStore(url, clock, driver=mongo_driver)
    shown = url.split("://", 1)[0] if "://" in url else url
    raise Refused(Problem("store", f"'{shown}' is no store: give sqlite:///path or mongodb://host/database"))
