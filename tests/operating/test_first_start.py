"""The first start: killed half-way it is gone on with, and of several nodes one does it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.settings import Settings

PASSWORD = "a password of length"


async def names(gateway: Gateway) -> tuple[list[str], list[str], int]:
    directory = gateway.services.directory
    queues = sorted(queue.name for queue in directory.queues.values())
    return queues, [inbox.name for inbox in directory.inboxes.values()], directory.rules.version


WHOLE = (["bot", "complaints", "payments", "risk", "support"], ["app"], 1)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("commit", [1, 3, 5, 8])
async def test_killed_half_way_it_is_gone_on_with(commit: int, tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "gateway", "inbox", "list", "--data", str(tmp_path)],
        env={"OMNIGATE_FAULT": f"store.commit.before:{commit}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    async with Gateway(Settings(data=str(tmp_path), listen="127.0.0.1:0"), connectors=False) as gateway:
        assert await names(gateway) == WHOLE


async def test_what_was_removed_stays_removed(tmp_path: Path) -> None:
    chosen = Settings(data=str(tmp_path), listen="127.0.0.1:0", admin_password=PASSWORD)
    async with Gateway(chosen, connectors=False) as gateway:
        (inbox,) = gateway.services.directory.inboxes.values()
        from gateway.model.access import SYSTEM

        await gateway.services.config.inboxes.delete(SYSTEM, inbox.id)
    async with Gateway(chosen, connectors=False) as gateway:
        assert (await names(gateway))[1] == []


@pytest.mark.timeout(60)
async def test_of_nodes_that_start_at_once_one_does_it(tmp_path: Path, mongodb_url: str) -> None:
    def node(name: str) -> Gateway:
        data = str(tmp_path / name)
        return Gateway(Settings(data=data, store=mongodb_url, listen="127.0.0.1:0", secret_key=KEY), connectors=False)

    one, two = node("one"), node("two")
    async with asyncio.TaskGroup() as group:
        starts = [group.create_task(gateway.__aenter__()) for gateway in (one, two)]
    assert all(start.done() for start in starts)
    try:
        assert await names(one) == await names(two) == WHOLE
        assert sorted(password is None for password in (one.first_password, two.first_password)) == [False, True]
    finally:
        await one.__aexit__(None, None, None)
        await two.__aexit__(None, None, None)


KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
