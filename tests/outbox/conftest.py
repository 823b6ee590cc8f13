"""The outbox's tests that need a real cluster's store run on both engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gateway.store.mongo.store  # noqa: F401 - imported before any loop runs: importing reads files
from tests.servers import mongod
from tests.servers.mongod_fixture import mongodb_server

__all__ = ["mongodb_server"]


@pytest.fixture(params=["sqlite", "mongo"])
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a fresh store."""
    if request.param == "sqlite":
        yield "sqlite:///omnigate.db"
        return
    server = request.getfixturevalue("mongodb_server")
    name = mongod.fresh_name()
    yield mongod.database_url(server, name)
    mongod.drop(server, name)
