"""What inbound is measured against: an aiohttp handler that decodes the same JSON and answers 201, on uvloop."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop
from aiohttp import web


async def take(request: web.Request) -> web.Response:
    message = json.loads(await request.read())
    return web.json_response(
        {"message_id": message["external_id"], "conversation_id": message["sender"]["id"], "duplicate": False},
        status=201,
    )


async def serve() -> None:
    app = web.Application()
    app.router.add_post("/api/v1/inboxes/{id}/messages", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as server:
        try:
            server.run(serve())
        except KeyboardInterrupt:
            sys.exit(0)
