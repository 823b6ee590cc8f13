"""Transactions whose program is gone.

A program that is killed in a transaction leaves it open in the server, with everything it wrote locked, until
`transactionLifetimeLimitSeconds` (60 by default) are over. Whoever collides for long with something therefore ends the
gateway's transactions that have been doing nothing for some seconds. A program that was only slow finds its transaction
gone and makes it again.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from gateway.store.mongo.driver import APP_NAME, Client, aw

_log = structlog.get_logger(__name__)

_IDLE_SECONDS = 3
_PAUSE_SECONDS = 1.0


class Orphans:
    after = 1.0
    """Seconds of collisions that are nothing unusual."""

    def __init__(self, client: Client) -> None:
        self._admin = client.admin
        self._last = 0.0

    async def end(self) -> None:
        """End those there are. A user may see and end its own sessions without any further right; where that fails,
        the server's limit does it."""
        if time.monotonic() < self._last + _PAUSE_SECONDS:
            return
        self._last = time.monotonic()
        with contextlib.suppress(PyMongoError):
            idle: dict[str, Any] = {
                "type": "idleSession",
                "appName": APP_NAME,
                "transaction.timeInactiveMicros": {"$gte": _IDLE_SECONDS * 1_000_000},
            }
            own = {"$currentOp": {"idleSessions": True, "idleConnections": False, "allUsers": False}}
            found = await aw(self._admin.aggregate([own, {"$match": idle}, {"$project": {"lsid.id": 1}}]))
            sessions = [{"id": row["lsid"]["id"]} async for row in found]
            if sessions:
                _log.warning("ended transactions that a killed program left open", count=len(sessions))
                await self._admin.command({"killSessions": sessions})
