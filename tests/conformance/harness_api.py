"""The in-app channel's provider: an app's server, which verifies signatures as connectors/api/README.md says."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from gateway.connector import Connector
from tests.conformance.harness import Delivered, Failure, Inbound

SECRET = "callback-secret-0123456789"


def genuine(secret: str, header: str, body: bytes) -> bool:
    """As in the README."""
    fields = dict(part.split("=", 1) for part in header.split(","))
    right = hmac.new(secret.encode(), fields["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(right, fields["v1"]) and abs(time.time() - int(fields["t"])) < 300


class App:
    kind = "api"
    inbound: Inbound = "none"
    failures: frozenset[Failure] = frozenset(
        {"wrong_credentials", "unreachable", "server_error", "rate_limited", "rejected", "lost_after_send"}
    )
    secrets = (SECRET,)
    client_modules = ("connectors.api.connector",)

    def __init__(self) -> None:
        self.port = 0
        self._received: list[Delivered] = []
        self._failure: Failure | None = None
        application = web.Application()
        application.router.add_route("*", "/callback", self._called)
        self._runner = web.AppRunner(application)
        self._site: web.TCPSite | None = None

    async def start(self) -> None:
        await self._runner.setup()
        await self._listen()

    async def stop(self) -> None:
        await self._runner.cleanup()

    def settings(self) -> dict[str, Any]:
        return {
            "callback_url": f"http://127.0.0.1:{self.port}/callback",
            "callback_secret": SECRET,
            "timeout_seconds": 2,
        }

    def wrong_settings(self) -> Sequence[tuple[dict[str, Any], str]]:
        return (
            ({"callback_url": "ftp://app.example.org/x"}, "callback_url"),
            ({"callback_url": "https://user:pass@app.example.org/"}, "callback_url"),
            ({"callback_url": "https://app.example.org:99999/"}, "callback_url"),
            ({"callback_url": "https://app.example.org/", "callback_secret": "short"}, "callback_secret"),
            ({"timeout_seconds": 0}, "timeout_seconds"),
        )

    async def inject(self, connector: Connector, key: str, text: str) -> int | None:
        raise AssertionError("messages come in by the gateway's own API")

    def recipient(self) -> tuple[str, Mapping[str, Any]]:
        return "user-7", {}

    async def delivered(self) -> list[Delivered]:
        return self._received

    async def fail(self, failure: Failure | None) -> None:
        self._failure = failure
        if failure == "unreachable":
            if self._site is not None:
                await self._site.stop()
                self._site = None
        elif self._site is None:
            await self._listen()

    async def _listen(self) -> None:
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await self._site.start()
        self.port = int(self._runner.addresses[0][1])

    async def _called(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self._failure == "wrong_credentials" or not genuine(SECRET, request.headers["Omnigate-Signature"], body):
            return web.json_response({"detail": "wrong signature"}, status=401)
        if request.method == "HEAD":
            return web.Response()
        match self._failure:
            case "server_error":
                return web.Response(status=502, text="<html>Bad gateway</html>")
            case "rate_limited":
                return web.Response(status=429, headers={"Retry-After": "7"})
            case "rejected":
                return web.json_response({"detail": "no such user"}, status=404)
        message = await request.json()
        assert request.headers["Idempotency-Key"] == message["id"]
        provider_id = f"app-{len(self._received) + 1}"
        self._received.append(Delivered(address=message["to"], text=message["text"], provider_id=provider_id))
        if self._failure == "lost_after_send":
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"id": provider_id}, status=201)


@asynccontextmanager
async def harness() -> AsyncIterator[App]:
    app = App()
    await app.start()
    try:
        yield app
    finally:
        await app.stop()
