"""For whoever runs the gateway: alive, ready, figures, and the API's own description."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

import msgspec
import structlog
from aiohttp import web

from gateway.errors import GatewayError
from gateway.model.team import ROLE_RANK
from gateway.service.services import Services
from gateway.web.auth import Gate, unauthenticated
from gateway.web.metrics import CONTENT_TYPE, WebMetrics
from gateway.web.problem import wait

log = structlog.get_logger("web")

READY_SECONDS = 5.0


class Operations:
    def __init__(self, services: Services, gate: Gate, metrics: WebMetrics, description: dict[str, Any]) -> None:
        self._services = services
        self._gate = gate
        self._metrics = metrics
        self._description = msgspec.json.encode(description)

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/metrics", self.metrics)
        app.router.add_get("/api/v1/openapi.json", self.openapi)

    async def healthz(self, request: web.Request) -> web.Response:
        """The process answers."""
        return web.json_response({"status": "alive"})

    async def readyz(self, request: web.Request) -> web.Response:
        """A write would work, and intake has room."""
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._services.store.ping()
        except (GatewayError, TimeoutError) as error:
            log.warning("not_ready", reason=str(error) or type(error).__name__)
            raise wait(503, "the store cannot take a write now", 2) from None
        if self._services.intake.pending >= self._services.settings.intake_pending:
            raise wait(503, "intake is full", 1)
        return web.json_response({"status": "ready"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Open to this host and to admins: figures tell how busy a house is."""
        if not is_loopback(self._gate.address(request)):
            caller = await self._gate.identify(request)
            if caller is None or ROLE_RANK[caller.actor.role] < ROLE_RANK["admin"]:
                raise unauthenticated()
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, request: web.Request) -> web.Response:
        return web.Response(body=self._description, content_type="application/json")


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
