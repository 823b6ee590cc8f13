"""The node is killed (SIGKILL) at each step of sending, under load; the next one must find everything in order."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from gateway.store.collection import DELIVERIES
from gateway.store.contract import OneOf
from tests.outbox.node import RealClock, capabilities
from tests.outbox.stage import stage

ROOT = Path(__file__).parent.parent.parent
POINTS = (
    "outbox.claim.before",
    "outbox.claim.after",
    "outbox.send.before",
    "outbox.send.after",
    "outbox.record.after",
)
IN_DOUBT = {"outbox.claim.after", "outbox.send.before", "outbox.send.after"}
REPLIES = 24


def run_node(folder: Path, url: str, kind: str, fault: str = "") -> int:
    environment = {**os.environ, "OMNIGATE_FAULT": fault} if fault else dict(os.environ)
    done = subprocess.run(
        [sys.executable, "-m", "tests.outbox.node", str(folder), url, kind],
        cwd=ROOT,
        env=environment,
        timeout=50,
        capture_output=True,
        check=False,
    )
    if done.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(done.stderr.decode()[-4000:])
    return done.returncode


@pytest.mark.parametrize("kind", ["plain", "idempotent"])
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(tmp_path: Path, point: str, kind: str) -> None:
    await _killed(tmp_path, "sqlite:///omnigate.db", point, kind)


async def test_killed_while_the_provider_has_it_on_any_store(tmp_path: Path, store_url: str) -> None:
    await _killed(tmp_path, store_url, "outbox.send.after", "plain")


async def _killed(folder: Path, url: str, point: str, kind: str) -> None:
    order: dict[str, list[str]] = defaultdict(list)
    async with stage(folder, None, capabilities(kind), url=url, clock=RealClock()) as at:
        conversations = [await at.conversation() for _ in range(6)]
        for number in range(REPLIES):
            conversation = conversations[number % 6]
            order[conversation.id].append((await at.reply(conversation)).id)

    assert await asyncio.to_thread(run_node, folder, url, kind, f"{point}:5") == -signal.SIGKILL
    assert await asyncio.to_thread(run_node, folder, url, kind) == 0

    accepted = (folder / "provider.log").read_text().split()
    count = Counter(accepted)
    async with stage(folder, None, capabilities(kind), url=url, clock=RealClock()) as at:
        page = await at.store.find(
            DELIVERIES, {"status": OneOf(("sent", "unknown", "queued", "sending", "failed"))}, limit=200
        )
        status = {delivery.id: delivery.status for delivery in page.items}
        shown = {id: (await at.message(id)).delivery for id in status}
    assert len(status) == REPLIES
    for id, state in status.items():
        view = shown[id]
        assert view is not None
        assert view.status == state
        if kind == "plain":
            assert state in ("sent", "unknown")
            assert count[id] == 1 or (state == "unknown" and count[id] == 0), "lost, or sent twice"
        else:
            assert state == "sent"
            assert count[id] >= 1, "lost"
    if kind == "plain" and point in IN_DOUBT:
        assert "unknown" in status.values()
    first = list(dict.fromkeys(accepted))
    for ids in order.values():
        assert [id for id in first if id in ids] == [id for id in ids if id in count]
