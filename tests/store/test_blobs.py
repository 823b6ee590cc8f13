"""Attachments' bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path

from gateway.store.blobs import LEFT_SECONDS, LocalBlobs
from gateway.store.contract import Store


async def test_kept_and_read_back(store: Store) -> None:
    for size in (0, 1, 300_000, 5_000_000):
        data = os.urandom(size)
        name = await store.blobs.put(data)
        assert name == hashlib.sha256(data).hexdigest()
        assert await store.blobs.get(name) == data


async def test_the_same_bytes_are_kept_once(store: Store) -> None:
    data = os.urandom(1000)
    names = await asyncio.gather(*(store.blobs.put(data) for _ in range(10)))
    assert len(set(names)) == 1
    assert [name async for name in store.blobs.names()].count(names[0]) == 1
    assert await store.blobs.get(names[0]) == data


async def test_missing_and_deleted(store: Store) -> None:
    name = await store.blobs.put(os.urandom(50))
    await store.blobs.delete(name)
    await store.blobs.delete(name)
    assert await store.blobs.get(name) is None
    assert name not in [other async for other in store.blobs.names()]
    again = await store.blobs.put(b"again")
    assert await store.blobs.get(again) == b"again"


async def test_a_name_is_no_path(store: Store) -> None:
    for name in ("", "..", "../omnigate.db", "/etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n", "\x00"):
        assert await store.blobs.get(name) is None
        await store.blobs.delete(name)


async def test_names_are_all_names(store: Store) -> None:
    made = {await store.blobs.put(os.urandom(20)) for _ in range(30)}
    assert made <= {name async for name in store.blobs.names()}


async def test_opening_removes_what_a_crash_left_and_not_what_is_being_written(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    left, fresh = incoming / "left", incoming / "fresh"
    for file in (left, fresh):
        file.write_bytes(b"half")
    os.utime(left, times=(0, time.time() - LEFT_SECONDS - 60))
    await LocalBlobs(tmp_path).open()  # as a backup does beside a running gateway
    assert not left.exists()
    assert fresh.exists()
