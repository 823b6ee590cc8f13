"""A node that sends all there is to send and ends: `python -m tests.outbox.node FOLDER STORE plain|idempotent`.

Its provider is the file `provider.log`: a message that is in it was accepted, whatever the node lived to note.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from gateway.connector import Capabilities, Outgoing, Sent
from gateway.errors import SendError
from gateway.model.document import SystemClock
from gateway.store.collection import DELIVERIES
from gateway.store.contract import OneOf
from tests.outbox.stage import FakeClock, Scripted, sending, stage

LEASE = 1.5


class RealClock(FakeClock):
    """The machine's clock, for a node that lives in real time."""

    now = SystemClock().now


def capabilities(kind: str) -> Capabilities:
    return Capabilities(idempotent_send=kind == "idempotent")


async def main(folder: Path, url: str, kind: str) -> None:
    async def keep(message: Outgoing) -> Sent | SendError:
        await asyncio.sleep(0.002)
        handle = os.open(folder / "provider.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{message.id}\n".encode())
        os.close(handle)
        return Sent(provider_id=f"p-{message.id}")

    async with stage(folder, Scripted(keep), capabilities(kind), url=url, clock=RealClock()) as at:
        outbox = at.outbox(lease_seconds=LEASE, rand=lambda: 0.0)
        async with sending(outbox):
            while await at.store.count(DELIVERIES, {"status": OneOf(("queued", "sending"))}, limit=1):
                await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
