"""The stages of taking mails in: in order, bounded, and over at the first error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from connectors.mail import flow as flow_module
from connectors.mail.fetching import Batch, Fetched
from connectors.mail.flow import Read, flow
from gateway.connector import Inbound, Sender


def batch(*uids: int, size: int = 10) -> Batch:
    return Batch([Fetched(uid, b"x" * size, True, size, None) for uid in uids], list(uids))


async def read(mail: Fetched) -> Inbound:
    await asyncio.sleep(0)
    return Inbound(external_id=str(mail.uid), sender=Sender(address="customer@example.com"))


async def of(*batches: Batch) -> AsyncIterator[Batch]:
    for one in batches:
        await asyncio.sleep(0)
        yield one


async def test_in_order_and_together_where_storing_is_slow() -> None:
    settled: list[list[str]] = []

    async def settle(together: Sequence[Read]) -> None:
        settled.append([message.external_id for one in together for message in one.messages])
        assert [uid for one in together for uid in one.batch.uids] == list(map(int, settled[-1]))
        await asyncio.sleep(0.01)

    await flow(of(*(batch(number) for number in range(1, 21))), read, settle)
    assert [int(id) for ids in settled for id in ids] == list(range(1, 21))
    assert 7 <= len(settled) < 20
    assert max(map(len, settled)) <= 1 + flow_module.READY


async def test_no_more_bytes_on_the_way_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_module, "HELD_BYTES", 250)
    fetched, settled, most = 0, 0, 0

    async def batches() -> AsyncIterator[Batch]:
        nonlocal fetched, most
        for number in range(20):
            fetched += 1
            most = max(most, fetched - settled)
            yield batch(number, size=100)

    async def settle(together: Sequence[Read]) -> None:
        nonlocal settled
        await asyncio.sleep(0.005)
        settled += len(together)

    await flow(batches(), read, settle)
    assert settled == 20
    assert most == 3


@pytest.mark.parametrize("stage", ["fetch", "read", "settle"])
async def test_the_first_error_ends_it(stage: str) -> None:
    settled: list[int] = []

    async def batches() -> AsyncIterator[Batch]:
        yield batch(1)
        if stage == "fetch":
            raise LookupError(stage)
        for number in range(2, 100):
            yield batch(number)

    async def reading(mail: Fetched) -> Inbound:
        if stage == "read" and mail.uid == 5:
            raise LookupError(stage)
        return await read(mail)

    async def settle(together: Sequence[Read]) -> None:
        await asyncio.sleep(0)
        if stage == "settle" and settled:
            raise LookupError(stage)
        settled.extend(uid for one in together for uid in one.batch.uids)

    async with asyncio.timeout(5):
        with pytest.raises(LookupError, match=stage):
            await flow(batches(), reading, settle)
    assert settled == list(range(1, len(settled) + 1))
