"""Which shards of the outbox this node holds: leases that are renewed, and given back at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.errors import StoreError
from gateway.service.outbox.entry import SHARDS
from gateway.store.batch import Lease
from gateway.store.contract import Store

log = structlog.get_logger("outbox")

TTL = 15.0
RENEW_EVERY = 5.0
MARGIN = 2.0
"""A lease is not used in its last two seconds: a send that begins then could outlast it."""


class Shards:
    """`holder` names this process's run, never two of them: a lease taken by a later run gets a new token, and by that
    the entries that the earlier one left in `sending` are known."""

    def __init__(self, store: Store, holder: str, *, ttl: float = TTL, every: float = RENEW_EVERY) -> None:
        self._store = store
        self._holder = holder
        self._ttl = ttl
        self._every = every
        self._leases: dict[int, tuple[Lease, float]] = {}

    def held(self) -> tuple[int, ...]:
        """The shards that may be worked on now."""
        return tuple(shard for shard in self._leases if self.lease(shard) is not None)

    def lease(self, shard: int) -> Lease | None:
        """The shard's lease, while it surely holds by this node's own clock."""
        known = self._leases.get(shard)
        if known is None or asyncio.get_running_loop().time() >= known[1]:
            return None
        return known[0]

    def lose(self, shard: int) -> None:
        """The store says that the lease is another's."""
        self._leases.pop(shard, None)

    async def keep(self, gained: Callable[[list[int]], None]) -> None:
        """Take what is free and renew what is held, for ever; `gained` is told of shards whose lease is new."""
        while True:
            try:
                gained(await self.renew())
            except StoreError as error:
                log.warning("outbox.leases", error=str(error))
            except Exception:
                log.exception("outbox.leases")
            await asyncio.sleep(self._every)

    async def renew(self) -> list[int]:
        """One round of it; returns the shards whose lease is new, or new again."""
        started = asyncio.get_running_loop().time()
        names = {f"outbox:{shard}": shard for shard in range(SHARDS)}
        got = await self._store.acquire(list(names), self._holder, self._ttl)
        until = started + self._ttl - min(MARGIN, self._ttl / 3)
        before = {shard: lease.token for shard, (lease, _) in self._leases.items()}
        self._leases = {names[name]: (lease, until) for name, lease in got.items()}
        return [shard for shard, (lease, _) in self._leases.items() if before.get(shard) != lease.token]

    async def release(self) -> None:
        """Give all back."""
        leases = [lease for lease, _ in self._leases.values()]
        self._leases.clear()
        if leases:
            await self._store.release(leases)
