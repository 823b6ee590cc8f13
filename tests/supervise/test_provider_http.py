"""The connectors' session reaches a house's own servers, and never the cloud's metadata."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from gateway.service.provider_http import provider_session


async def test_private_addresses_are_reached_on_any_port_without_cookies() -> None:
    seen: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Cookie"))
        response = web.Response(text="ok")
        response.set_cookie("a", "b")
        return response

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    try:
        async with provider_session() as session:
            for _ in range(2):
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    assert response.status == 200
        assert seen == [None, None]
    finally:
        await runner.cleanup()


async def test_link_local_addresses_are_closed() -> None:
    async with provider_session() as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get("http://169.254.169.254/latest/meta-data/")
        assert isinstance(caught.value.os_error, PermissionError)
