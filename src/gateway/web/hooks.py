"""Providers' webhooks: /hooks/{inbox_id} and what follows it, any method. The inbox's connector answers."""

from __future__ import annotations

from aiohttp import hdrs, web

from gateway.service.hooks import BODY_BYTES
from gateway.service.services import Services
from gateway.web.auth import Gate
from gateway.web.decode import read_body


class HookDoor:
    def __init__(self, services: Services, gate: Gate) -> None:
        self._services = services
        self._gate = gate

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Hand the call to the inbox's connector, as it came."""
        inbox_id, tail = request.match_info["inbox_id"], request.match_info["tail"]
        answer = await self._services.hooks.handle(
            inbox_id,
            request.method,
            tail,
            query=request.query,
            headers=request.headers,
            body=await read_body(request, BODY_BYTES),
            remote=self._gate.address(request),
            url=self._url(request),
        )
        return web.Response(
            status=answer.status,
            body=answer.body,
            headers={hdrs.CONTENT_TYPE: answer.content_type, hdrs.CACHE_CONTROL: "no-store", **answer.headers},
        )

    def _url(self, request: web.Request) -> str:
        """As the provider called it: signatures of some cover the address."""
        public = self._services.settings.public_url.rstrip("/")
        return (public or f"{request.scheme}://{request.host}") + request.raw_path


def add_to(app: web.Application, services: Services, gate: Gate) -> None:
    door = HookDoor(services, gate)
    app.router.add_route("*", "/hooks/{inbox_id:[^/]+}{tail:.*}", door.answer)
