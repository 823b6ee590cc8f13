"""Serves the application on an address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from gateway.errors import Problem, Refused
from gateway.service.services import Services
from gateway.web.app import build

BACKLOG = 1024
KEEP_ALIVE = 75.0
LINE_BYTES = 32_768
"""Of the request line: a query of many Chinese characters, each nine bytes in it, is long."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where it listens, the port as the system gave it."""

    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@asynccontextmanager
async def serve(services: Services) -> AsyncIterator[str]:
    """Serve the services where the settings say; gives the address."""
    host, port = services.settings.host_port
    async with serving(build(services), host, port, drain=services.settings.drain_seconds / 2) as listening:
        yield listening.url


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int, *, drain: float = 5.0) -> AsyncIterator[Listening]:
    """Listen while the context lasts. At its end no new connections are taken, and requests under way have `drain`
    seconds. Raises Refused where the address cannot be had."""
    runner = web.AppRunner(
        app,
        access_log=None,
        keepalive_timeout=KEEP_ALIVE,
        shutdown_timeout=drain,
        handle_signals=False,
        max_line_size=LINE_BYTES,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise Refused(
                Problem("listen", f"cannot listen on {host}:{port}: {error.strerror}"), title="cannot listen"
            ) from None
        address = runner.addresses[0]
        yield Listening(host=address[0], port=address[1])
    finally:
        await runner.cleanup()
