"""The MongoDB driver: `pymongo.AsyncMongoClient`, or Motor for those who chose it.

Both offer the same calls; where one must be awaited and the other not, `aw` makes them alike. Everything else in this
package is written to PyMongo's types. Motor reached its end of life in May 2026 and is never the default.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC
from typing import Any, Literal, TypeVar, cast, overload
from urllib.parse import parse_qsl

from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from gateway.errors import StoreUnavailable

Driver = Literal["pymongo", "motor"]
Raw = dict[str, Any]
Client = AsyncMongoClient[Raw]
Database = AsyncDatabase[Raw]
Session = AsyncClientSession

DEFAULT_DATABASE = "omnigate"

DURABLE = WriteConcern("majority", j=True)
"""Acknowledged when most members have it in their journal: it outlives the loss of any of the others."""

COMMITTED = ReadConcern("majority")
"""Only what cannot be rolled back any more."""

CODEC: CodecOptions[Raw] = CodecOptions(tz_aware=True, tzinfo=UTC)

APP_NAME = "omnigate"

# What the URL does not say itself. A member that stopped answering is noticed within some ten seconds.
_OPTIONS: dict[str, Any] = {
    "maxPoolSize": 64,
    "waitQueueTimeoutMS": 10_000,
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
    "heartbeatFrequencyMS": 5_000,
    "retryWrites": True,
    "retryReads": True,
}

T = TypeVar("T")


@overload
async def aw(value: Awaitable[T]) -> T: ...
@overload
async def aw(value: T) -> T: ...
async def aw(value: Any) -> Any:
    """The value, awaited if it must be."""
    return await value if inspect.isawaitable(value) else value


def _motor_class() -> type[Any]:
    try:
        from motor.motor_asyncio import AsyncIOMotorClient  # noqa: PLC0415 - only where it was chosen
    except ImportError as error:
        raise StoreUnavailable(
            "the MongoDB driver motor is not installed: pip install 'omnigate[motor]', or choose pymongo"
        ) from error
    return cast("type[Any]", AsyncIOMotorClient)


async def connect(url: str, driver: Driver) -> tuple[Client, Database]:
    """A client, and the database the URL names (`omnigate` if none). No server is reached yet.

    Raises StoreUnavailable if the URL cannot be used or the driver is not installed."""
    kind: type[Any] = AsyncMongoClient if driver == "pymongo" else await asyncio.to_thread(_motor_class)
    given = {name.lower() for name, _ in parse_qsl(url.partition("?")[2], keep_blank_values=True)}
    options = {name: value for name, value in _OPTIONS.items() if name.lower() not in given} | {"appName": APP_NAME}
    try:
        client: Client = kind(url, **options)
        database = client.get_default_database(
            DEFAULT_DATABASE, codec_options=CODEC, write_concern=DURABLE, read_concern=COMMITTED
        )
    except (ConfigurationError, ValueError, TypeError) as error:
        raise StoreUnavailable(f"the address of the store cannot be used: {error}") from error
    return client, database


@contextlib.asynccontextmanager
async def session_of(client: Client, **options: Any) -> AsyncIterator[Session]:
    """A session for the block; leaving it aborts a transaction that was not committed. (Motor's own `async with` would
    do that in the thread of the loop.)"""
    session: Session = await aw(client.start_session(**options))
    try:
        yield session
    finally:
        await session.end_session()


async def disconnect(client: Client, driver: Driver) -> None:
    """Motor's `close` talks to the server in the thread that calls it."""
    if driver == "motor":
        await asyncio.to_thread(cast("Any", client).close)
    else:
        await client.close()
