"""A load generator: HTTP/1.1 over kept-alive connections with as little client cost as Python allows.

Runs in a process of its own (`python -m bench.load`), reads its plan as JSON from stdin and prints its result as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, cast


def requests(plan: dict[str, Any]) -> Iterator[bytes]:
    """Request after request: `senders` customers in turn (0: a new one each time), a text of `size` bytes."""
    text = ("The transfer of yesterday is still pending, could you look into it please? " * 40)[: plan["size"]]
    head = (
        f"POST {plan['path']} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {plan['token']}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    )
    number = plan.get("first", 0)
    while True:
        sender = number % plan["senders"] if plan["senders"] else number
        body = json.dumps(
            {
                "external_id": f"{plan['run']}-{number}",
                "sender": {"id": f"{plan['run'] if not plan['senders'] else 'customer'}-{sender}", "name": "Customer"},
                "text": text,
            }
        ).encode()
        yield head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body
        number += 1


class Connection(asyncio.Protocol):
    """One connection with one request under way at a time."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = b""
        self.started = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self.run.idle(self)

    def send(self, request: bytes, started: float) -> None:
        assert self.transport is not None
        self.started = started
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : (head.find(b"\r\n", at) + 1 or len(head) + 1) - 1]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            status = int(head[9:12])
            self.buffer = self.buffer[end + 4 + length :]
            self.run.answered(self, status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.run.lost += 1


class Run:
    """Closed loop (`rate` absent): each connection sends on as soon as it is answered. Open loop: `rate` a second."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.source = requests(plan)
        self.waiting: list[Connection] = []
        self.latencies: list[float] = []
        self.statuses: dict[int, int] = {}
        self.lost = 0
        self.counting = False
        self.stopped = False
        self.overdue = 0

    def idle(self, connection: Connection) -> None:
        if self.plan.get("rate") is None and not self.stopped:
            connection.send(next(self.source), time.perf_counter())
        else:
            self.waiting.append(connection)

    def answered(self, connection: Connection, status: int) -> None:
        if self.counting:
            self.latencies.append(time.perf_counter() - connection.started)
            self.statuses[status] = self.statuses.get(status, 0) + 1
        self.idle(connection)

    async def pace(self) -> None:
        """Open loop: a request is due every 1/rate seconds, and its latency counts from when it was due."""
        interval = 1 / self.plan["rate"]
        due = time.perf_counter()
        while not self.stopped:
            now = time.perf_counter()
            while due <= now:
                if self.waiting:
                    self.waiting.pop().send(next(self.source), due)
                    due += interval
                else:
                    self.overdue += 1
                    break
            await asyncio.sleep(min(max(due - time.perf_counter(), 0), 0.002))

    async def go(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        for _ in range(self.plan["connections"]):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", self.plan["port"])
        async with asyncio.TaskGroup() as group:
            if self.plan.get("rate") is not None:
                group.create_task(self.pace())
            await asyncio.sleep(self.plan["warm"])
            self.counting = True
            started = time.perf_counter()
            await asyncio.sleep(self.plan["seconds"])
            elapsed = time.perf_counter() - started
            self.counting = False
            self.stopped = True
        ordered = sorted(self.latencies)

        def at(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")

        return {
            "rate": len(ordered) / elapsed,
            "p50_ms": at(0.5),
            "p99_ms": at(0.99),
            "statuses": self.statuses,
            "lost": self.lost,
        }


def main() -> None:
    plan = json.load(sys.stdin)
    try:
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result = runner.run(Run(plan).go())
    except ImportError:
        result = asyncio.run(Run(plan).go())
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
