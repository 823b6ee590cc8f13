"""`omnigate serve`: runs the gateway until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from typing import Any

from gateway.cli.options import add_settings, settings
from gateway.settings import Settings


def add(commands: Any) -> None:
    command = commands.add_parser(
        "serve",
        help="run the gateway",
        description="Run the gateway: HTTP API, connectors, routing, outbox. Settings come from --config, then "
        "OMNIGATE_… in the environment, then options.",
        epilog="example: omnigate serve --listen 0.0.0.0:8080 --data /var/lib/omnigate",
    )
    add_settings(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    chosen = settings(arguments)
    try:
        import uvloop
    except ImportError:  # optional: the loop of the standard library does as well, only slower
        return asyncio.run(serve(chosen))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(chosen))


async def serve(chosen: Settings) -> int:
    """Serve until told to stop, then drain; returns the exit code."""
    from gateway.app import Gateway
    from gateway.service.log import configure

    configure(chosen.log_level, chosen.log_format)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Gateway(chosen) as gateway:
        print(_welcome(gateway.address, gateway.first_password, chosen), file=sys.stderr, flush=True)
        await stop.wait()
    return 0


def _welcome(address: str, password: str | None, chosen: Settings) -> str:
    lines = [
        "",
        f"  Omnigate is running at {address}",
        f"    API       {address}/api/v1   (description: {address}/api/v1/openapi.json)",
        f"    health    {address}/readyz",
        f"    admin     {chosen.admin_email}",
    ]
    if password is not None:
        lines.append(f"    password  {password}   (shown only now)")
    lines.append("")
    return "\n".join(lines)
