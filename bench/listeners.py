"""To a listener: from a commit to the `/events/socket` clients, 200 of them, at half the inbound rate.

Measured is from when the gateway took the message up (the event's `at`), so the wait for the commit is in it: what is
printed is an upper bound of what is asked for.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import tempfile
import time
from datetime import datetime
from multiprocessing.synchronize import Event as Signal
from pathlib import Path
from typing import Any, cast

import aiohttp

from bench.figure import Figure, quantile
from bench.inbound import prepare
from bench.program import gateway, load

CLIENTS = 200
WATCHED = 4
"""Of the clients, those whose messages are decoded and timed; the others take the bytes and drop them, or the measuring
program would be what is measured."""


def measure(full: bool) -> list[Figure]:
    seconds = 10.0 if full else 5.0
    with tempfile.TemporaryDirectory() as folder, gateway(Path(folder)) as server:
        path, token = prepare(server)
        top = load(server.port, path, token, seconds=seconds)["rate"]
        context = multiprocessing.get_context("spawn")
        ready, stop, results = context.Event(), context.Event(), context.Queue()
        listeners = context.Process(target=_listen, args=(server.port, server.token, ready, stop, results))
        listeners.start()
        try:
            if not ready.wait(60):
                raise RuntimeError("the listeners did not connect")
            load(server.port, path, token, seconds=seconds, rate=top / 2)
        finally:
            stop.set()
            delays: list[float] = results.get(timeout=60)
            listeners.join(30)
    return [
        Figure("listeners: events timed", len(delays), ""),
        Figure(f"listeners: commit to {CLIENTS} sockets, p50", quantile(delays, 0.5), "ms"),
        Figure(f"listeners: commit to {CLIENTS} sockets, p99", quantile(delays, 0.99), "ms", 25, at_most=True),
    ]


def _listen(port: int, token: str, ready: Signal, stop: Signal, results: Any) -> None:
    results.put(asyncio.run(_run(port, token, ready, stop)))


class Drain(asyncio.Protocol):
    """A listener that costs next to nothing: it takes the bytes and drops them."""

    def __init__(self, port: int, token: str) -> None:
        self.hello = (
            f"GET /api/v1/events/socket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n"
        ).encode()
        self.received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self.hello)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)


async def _run(port: int, token: str, ready: Signal, stop: Signal) -> list[float]:
    delays: list[float] = []
    headers = {"Authorization": f"Bearer {token}"}
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS - WATCHED):
            await loop.create_connection(lambda: Drain(port, token), "127.0.0.1", port)
        url = f"http://127.0.0.1:{port}/api/v1/events/socket"
        sockets = [await session.ws_connect(url, max_msg_size=0) for _ in range(WATCHED)]
        tasks = [group.create_task(_read(socket, delays)) for socket in sockets]
        ready.set()
        while not stop.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
    return delays


async def _read(socket: aiohttp.ClientWebSocketResponse, delays: list[float]) -> None:
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.TEXT:
            continue
        event = json.loads(message.data)
        if event.get("type") == "message.created":
            delays.append((time.time() - datetime.fromisoformat(event["at"]).timestamp()) * 1000)
