"""Login throttling, per account and per address, shared by all nodes through the store.

A failure is counted before the password is looked at and taken back on success, so that many attempts made at once do
not all pass before the first is counted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from gateway.errors import Conflict, Duplicate, Overloaded, Throttled
from gateway.model.access import LoginThrottle
from gateway.model.document import Clock
from gateway.store.batch import Batch
from gateway.store.collection import THROTTLES
from gateway.store.contract import Store

FORGET = timedelta(hours=1)
"""After an hour without a failure the count starts anew."""
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """Above `free` failures each one blocks, twice as long as the last, up to `longest` seconds."""

    free: int
    longest: float


ACCOUNT = Limit(free=5, longest=60)
"""Short at most: whoever knows an address must not be able to lock its owner out for long."""
ADDRESS = Limit(free=20, longest=900)
"""Wider: an office shares one address."""


class Throttle:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def count(self, account: str, address: str) -> None:
        """Count an attempt as failed; raises Throttled (and counts nothing) while either is blocked."""
        for _ in range(ATTEMPTS):
            now = self._clock.now()
            batch = Batch()
            for id, limit in keys(account, address).items():
                known = await self._store.get(THROTTLES, id)
                if known is not None and known.blocked_until is not None and known.blocked_until > now:
                    seconds = (known.blocked_until - now).total_seconds()
                    raise Throttled("too many failed logins; try again later", seconds)
                if known is None:
                    batch.insert(THROTTLES, LoginThrottle(id=id, failures=1, at=now))
                else:
                    failures = 1 if now - known.at > FORGET else known.failures + 1
                    batch.put(
                        THROTTLES,
                        replace(known, failures=failures, at=now, blocked_until=blocked_until(now, failures, limit)),
                    )
            try:
                await self._store.commit(batch)
            except (Conflict, Duplicate):
                continue
            return
        raise Overloaded("the login counter")

    async def succeed(self, account: str, address: str) -> None:
        """Take the attempt back: the account starts anew, the address has one failure less."""
        await self._less(account, address, anew=True)

    async def take_back(self, account: str, address: str) -> None:
        """The attempt was no failure, and no success yet: as if it had not been made."""
        await self._less(account, address, anew=False)

    async def _less(self, account: str, address: str, *, anew: bool) -> None:
        for _ in range(ATTEMPTS):
            batch = Batch()
            for id, limit in keys(account, address).items():
                known = await self._store.get(THROTTLES, id)
                if known is None:
                    continue
                if known.failures <= 1 or (anew and limit is ACCOUNT):
                    batch.delete(THROTTLES, known)
                else:
                    batch.put(THROTTLES, replace(known, failures=known.failures - 1, blocked_until=None))
            try:
                if batch:
                    await self._store.commit(batch)
            except Conflict:
                continue
            return


def keys(account: str, address: str) -> dict[str, Limit]:
    """Ids of the counters. Accounts are hashed: what was typed may be a password in the wrong field."""
    digest = hashlib.sha256(account.lower().encode()).hexdigest()[:32]
    return {f"account/{digest}": ACCOUNT, f"address/{address or 'unknown'}": ADDRESS}


def blocked_until(now: datetime, failures: int, limit: Limit) -> datetime | None:
    """When the next attempt is allowed after so many failures; None: at once."""
    over = failures - limit.free
    if over < 0:
        return None
    return now + timedelta(seconds=min(limit.longest, 2.0 ** min(over, 30)))
