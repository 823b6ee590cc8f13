"""Receipts: what providers report of messages we sent, also before we know that we sent them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.connector import StatusUpdate
from gateway.errors import Conflict, Duplicate
from gateway.model.document import Clock
from gateway.model.inbox import ConnectorState
from gateway.model.message import Delivery
from gateway.service.outbox.ledger import ATTEMPTS, Ledger
from gateway.service.outbox.status import advance
from gateway.store.batch import Batch
from gateway.store.collection import CONNECTOR_STATES, DELIVERIES
from gateway.store.contract import Store

EARLY_KEY = "~receipts"
"""Beside the connector's own states, whose keys do not begin so."""
EARLY_MOST = 200
EARLY_FOR = timedelta(hours=1)
_PARALLEL = 32


async def apply(store: Store, clock: Clock, inbox_id: str, updates: Sequence[StatusUpdate]) -> int:
    """Apply the receipts to the inbox's deliveries, durably; returns how many deliveries changed.

    A receipt that names no delivery of the inbox is dropped, unless something is being sent there right now: then the
    provider may have been faster than our own note of its id, and the receipt is kept for an hour (see `apply_early`).
    """
    by_delivery: dict[str, list[StatusUpdate]] = {}
    strangers: list[StatusUpdate] = []
    for update in updates:
        delivery = await _find(store, inbox_id, update)
        if delivery is not None:
            by_delivery.setdefault(delivery.id, []).append(update)
        elif update.provider_id is not None:
            strangers.append(update)
    changed = await _apply(store, clock, by_delivery)
    if strangers and await store.count(DELIVERIES, {"inbox_id": inbox_id, "status": "sending"}, limit=1):
        await _keep(store, clock.now(), inbox_id, strangers)
        # The send may have been noted between our look and the keeping.
        for update in strangers:
            if await _find(store, inbox_id, update) is not None:
                changed += await apply_early(store, clock, inbox_id, str(update.provider_id))
    return changed


async def apply_early(store: Store, clock: Clock, inbox_id: str, provider_id: str) -> int:
    """Apply the receipts that came before it was noted that the provider calls the message so."""
    for _ in range(ATTEMPTS):
        state = await store.get(CONNECTOR_STATES, _early_id(inbox_id))
        if state is None:
            return 0
        kept = _read(state)
        mine = [update for update, _ in kept if update.provider_id == provider_id]
        if not mine:
            return 0
        changed = await apply(store, clock, inbox_id, mine)
        batch = Batch()
        rest = [entry for entry in kept if entry[0].provider_id != provider_id]
        batch.put(CONNECTOR_STATES, replace(state, data=_written(rest)))
        try:
            await store.commit(batch)
        except Conflict:
            continue
        return changed
    return 0


async def _find(store: Store, inbox_id: str, update: StatusUpdate) -> Delivery | None:
    if update.delivery_id is not None:
        delivery = await store.get(DELIVERIES, update.delivery_id)
        return delivery if delivery is not None and delivery.inbox_id == inbox_id else None
    if update.provider_id is None:
        return None
    where = {"inbox_id": inbox_id, "provider_id": update.provider_id}
    page = await store.find(DELIVERIES, where, order="-id", limit=1)
    return page.items[0] if page.items else None


async def _apply(store: Store, clock: Clock, by_delivery: dict[str, list[StatusUpdate]]) -> int:
    ledger = Ledger(store, clock)
    slots = asyncio.Semaphore(_PARALLEL)

    async def one(delivery_id: str, updates: list[StatusUpdate]) -> bool:
        def decide(delivery: Delivery) -> Delivery:
            return reduce(lambda known, update: advance(known, update, clock.now()) or known, updates, delivery)

        async with slots:
            return await ledger.change(delivery_id, decide) is not None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(*item)) for item in by_delivery.items()]
    return sum(task.result() for task in tasks)


async def _keep(store: Store, now: datetime, inbox_id: str, updates: Sequence[StatusUpdate]) -> None:
    for _ in range(ATTEMPTS):
        state = await store.get(CONNECTOR_STATES, _early_id(inbox_id))
        kept = [entry for entry in _read(state) if entry[1] > now - EARLY_FOR] if state is not None else []
        data = _written([*kept, *((update, now) for update in updates)][-EARLY_MOST:])
        batch = Batch()
        if state is None:
            batch.insert(CONNECTOR_STATES, ConnectorState(id=_early_id(inbox_id), inbox_id=inbox_id, data=data))
        else:
            batch.put(CONNECTOR_STATES, replace(state, data=data))
        try:
            await store.commit(batch)
        except (Conflict, Duplicate):
            continue
        return


def _early_id(inbox_id: str) -> str:
    return f"{inbox_id}/{EARLY_KEY}"


def _read(state: ConnectorState) -> list[tuple[StatusUpdate, datetime]]:
    return msgspec.convert(state.data.get("early", []), list[tuple[StatusUpdate, datetime]], strict=False)


def _written(kept: Sequence[tuple[StatusUpdate, datetime]]) -> dict[str, Any]:
    return {"early": msgspec.to_builtins(kept)}
