"""Fetching behind the guard, from real servers on loopback addresses: 127.0.0.1 is allowed, all else is inside."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.errors import Permanent, Refused, Transient
from gateway.service.fetch import Fetcher
from gateway.service.guard import Guard

PNG = b"\x89PNG\r\n\x1a\n" + bytes(32)


@dataclass
class Site:
    url: str = ""
    hits: list[str] = field(default_factory=list)
    sent: int = 0


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()

    async def handle(request: web.Request) -> web.StreamResponse:
        site.hits.append(request.path_qs)
        match request.path:
            case "/image":
                return web.Response(body=PNG, content_type="text/html")
            case "/to":
                return web.Response(status=302, headers={"Location": request.query["u"]})
            case "/loop":
                return web.Response(status=302, headers={"Location": "/loop"})
            case "/status":
                return web.Response(status=int(request.query["s"]))
            case "/headers":
                return web.json_response(dict(request.headers))
            case "/slow":
                await asyncio.sleep(5)
            case "/gzip":
                return web.Response(body=gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})
            case "/endless":
                response = web.StreamResponse()
                await response.prepare(request)
                try:
                    while True:
                        await response.write(bytes(10_000))
                        site.sent += 10_000
                except ConnectionError:
                    return response
        raise web.HTTPNotFound

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with TestServer(app, host="127.0.0.1") as server:
        site.url = f"http://127.0.0.1:{server.port}"
        yield site


@pytest.fixture
async def fetch() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(Guard(allow=["127.0.0.1/32", "::1/128"]), timeout=1)
    yield fetcher
    await fetcher.close()


async def test_bytes_and_the_type_found_in_them(site: Site, fetch: Fetcher) -> None:
    assert await fetch(site.url + "/image", 1000) == (PNG, "image/png")


async def test_redirects_are_followed_and_relative_ones_resolved(site: Site, fetch: Fetcher) -> None:
    assert await fetch(site.url + "/to?u=/image", 1000) == (PNG, "image/png")


@pytest.mark.parametrize(
    "target",
    ["http://127.0.0.2/", "http://169.254.169.254/latest", "file:///etc/passwd", "http://a:b@127.0.0.1/", "http://[::"],
)
async def test_a_redirect_inwards_is_refused(site: Site, fetch: Fetcher, target: str) -> None:
    with pytest.raises(Refused):
        await fetch(f"{site.url}/to?u={target}", 1000)


async def test_endless_redirects_end(site: Site, fetch: Fetcher) -> None:
    with pytest.raises(Refused, match="redirects more than"):
        await fetch(site.url + "/loop", 1000)
    assert len(site.hits) == 6


async def test_a_body_that_is_too_large_is_given_up_early(site: Site, fetch: Fetcher) -> None:
    with pytest.raises(Refused, match="more than 100000 bytes"):
        await fetch(site.url + "/endless", 100_000)
    with pytest.raises(Refused, match="more than"):
        await fetch(site.url + "/image", len(PNG) - 1)
    with pytest.raises(Refused, match="more than"):
        await fetch(site.url + "/gzip", 100_000)
    assert site.sent < 50_000_000


async def test_what_came_of_it_is_named(site: Site, fetch: Fetcher) -> None:
    with pytest.raises(Permanent):
        await fetch(site.url + "/status?s=404", 1000)
    with pytest.raises(Transient):
        await fetch(site.url + "/status?s=503", 1000)
    with pytest.raises(Transient, match="within"):
        await fetch(site.url + "/slow", 1000)
    with pytest.raises(Transient):
        await fetch("http://127.0.0.1:1/", 1000)
    with pytest.raises(Refused):
        await fetch("http://127.1/", 1000)
    with pytest.raises(Refused):
        await fetch("http://2130706433/", 1000)


async def test_nothing_of_ours_is_sent_along(site: Site, fetch: Fetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    data, _ = await fetch(site.url + "/headers", 10_000)
    assert b"Cookie" not in data
    assert b"Authorization" not in data
