"""Work that one node does at a time: taken over when its holder stops, and taken up again when it fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import Fenced, StoreError
from gateway.store.batch import Lease
from gateway.store.contract import Store

log = structlog.get_logger("leased")

TTL = 15.0
"""Seconds after which another node takes over from one that stopped without giving back."""


async def run_leased(
    store: Store, name: str, node: str, work: Callable[[Lease], Awaitable[None]], *, ttl: float = TTL
) -> None:
    """Do the work under the lease `name`, for ever: start it when the lease is ours, cancel it when it is lost, start
    it anew with backoff when it fails. What it commits should be fenced with the lease it is given."""
    delay = 0.5
    while True:
        try:
            lease = (await store.acquire([name], node, ttl)).get(name)
        except StoreError:
            lease = None
        if lease is None:
            await asyncio.sleep(random.uniform(ttl / 4, ttl / 3))
            continue
        begun = asyncio.get_running_loop().time()
        try:
            await _under(store, lease, node, work, ttl)
        except* Fenced:
            log.info("lease.lost", name=name)
        except* StoreError as errors:
            log.warning("lease.interrupted", name=name, error=type(errors.exceptions[0]).__name__)
        except* Exception:
            log.exception("lease.failed", name=name)
        if asyncio.get_running_loop().time() - begun > 60:
            delay = 0.5
        await asyncio.sleep(delay * random.uniform(0.5, 1))
        delay = min(delay * 2, 30)


async def _under(store: Store, lease: Lease, node: str, work: Callable[[Lease], Awaitable[None]], ttl: float) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            keeper = group.create_task(_keep(store, lease, node, ttl))
            await work(lease)
            keeper.cancel()
    finally:
        try:
            async with asyncio.timeout(2):
                await store.release([lease])
        except (StoreError, TimeoutError):
            pass  # it runs out by itself


async def _keep(store: Store, lease: Lease, node: str, ttl: float) -> None:
    """Renew the lease; raises Fenced once it is not certain any more that it is ours."""
    loop = asyncio.get_running_loop()
    renewed = loop.time()
    while True:
        await asyncio.sleep(ttl / 4)
        asked = loop.time()
        try:
            async with asyncio.timeout(max(renewed + ttl * 0.8 - asked, 0.01)):
                held = (await store.acquire([lease.name], node, ttl)).get(lease.name)
        except (StoreError, TimeoutError):
            if loop.time() - renewed >= ttl * 0.75:
                raise Fenced(lease.name) from None
            continue
        if held is None or held.token != lease.token:
            raise Fenced(lease.name)
        renewed = asked
