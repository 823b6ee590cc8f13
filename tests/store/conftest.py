"""Every engine, one at a time: a test that asks for `store` runs once on each."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Literal

import motor.motor_asyncio  # noqa: F401 - imported before any loop runs: importing reads files
import pytest
from pymongo import MongoClient

import gateway.store.mongo.store  # noqa: F401
from gateway.model.document import SystemClock
from gateway.store.batch import Batch
from gateway.store.collection import COLLECTIONS
from gateway.store.contract import Store
from gateway.store.open import open_store
from tests.servers import mongod
from tests.servers.mongod_fixture import mongodb_server, mongodb_url

__all__ = ["mongodb_server", "mongodb_url"]


class Place(ABC):
    """Where an engine keeps its data: any number of stores can be opened on it, one after the other."""

    url: str
    folder: Path
    driver: Literal["pymongo", "motor"] = "pymongo"

    def store(self) -> Store:
        """One that is not open yet."""
        return open_store(self.url, self.folder, SystemClock(), mongo_driver=self.driver)

    @abstractmethod
    def set_schema(self, version: int) -> None:
        """Make the data look as if written by a program of this schema version."""


class SqlitePlace(Place):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = "sqlite:///omnigate.db"

    def set_schema(self, version: int) -> None:
        connection = sqlite3.connect(self.folder / "omnigate.db")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.close()


class MongoPlace(Place):
    """One database for all tests of a driver: making its indexes anew for each would take longer than the tests."""

    def __init__(self, folder: Path, server: str, database: str, driver: Literal["pymongo", "motor"]) -> None:
        self.folder = folder
        self.server = server
        self.database = database
        self.url = mongod.database_url(server, database)
        self.driver = driver

    def set_schema(self, version: int) -> None:
        with MongoClient[dict[str, Any]](self.server) as client:
            client[self.database]["meta"].update_one({"_id": "schema"}, {"$set": {"version": version}})

    async def clear(self) -> None:
        store = self.store()
        await store.open()
        try:
            for collection in COLLECTIONS:
                while (page := await store.find(collection, limit=500)).items:
                    batch = Batch()
                    for doc in page.items:
                        batch.delete(collection, doc)
                    await store.commit(batch)
        finally:
            await store.close()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "own_database: leaves locks behind (it kills a client), so shares no database")


@pytest.fixture(scope="session")
def mongodb_databases() -> Iterator[dict[str, str]]:
    """Databases by the driver (or the test) that uses them, filled as they are needed."""
    names: dict[str, str] = {}
    yield names
    for name in names.values():
        mongod.drop(mongod.shared(), name)


@pytest.fixture(params=["sqlite", "mongo", "mongo-motor"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, mongodb_databases: dict[str, str]
) -> AsyncIterator[Place]:
    if request.param == "sqlite":
        yield SqlitePlace(tmp_path)
        return
    server = request.getfixturevalue("mongodb_server")
    database = mongodb_databases.setdefault(request.param, mongod.fresh_name())
    own = request.node.get_closest_marker("own_database") is not None
    if own:
        database = mongodb_databases[request.node.name] = mongod.fresh_name()
    mongo = MongoPlace(tmp_path, server, database, "motor" if request.param == "mongo-motor" else "pymongo")
    yield mongo
    if not own:
        await mongo.clear()


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    opened = place.store()
    await opened.open()
    yield opened
    await opened.close()
