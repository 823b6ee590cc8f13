"""From a Route to what aiohttp calls: admit, decode, run, encode; and the border where errors become answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from gateway.errors import GatewayError, StoreError, StoreUnavailable
from gateway.service.services import Services
from gateway.web.auth import Gate
from gateway.web.decode import BodyDecoder, decode_query, read_body
from gateway.web.idempotency import HEADER, Idempotency, Replay
from gateway.web.problem import HttpProblem, bad
from gateway.web.route import Answer, Call, Route

Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON = "application/json"

_encode = msgspec.json.Encoder().encode
_HEADERS: dict[str, str] = {"Cache-Control": "no-store"}


def endpoint(route: Route, services: Services, gate: Gate, idempotency: Idempotency) -> Endpoint:
    """The aiohttp handler of a route."""
    reader = body_reader(route, services.settings.body_bytes)
    run, query_type, timeout = route.handler, route.query, route.timeout

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await gate.admit(request, route.rights)
        query = None if query_type is None else decode_query(request.query, query_type)
        raw, body = b"", None
        if reader is not None:
            raw, body = await reader(request)
        call = Call(request, services, caller.actor, caller.session, gate, body, query)
        if route.creates and (key := request.headers.get(HEADER)) is not None:
            return await once(route, call, idempotency, key, raw)
        return respond(route, await run(call))

    async def timed(request: web.Request) -> web.StreamResponse:
        async with asyncio.timeout(timeout):
            return await handle(request)

    return handle if timeout is None else timed


def respond(route: Route, result: Any) -> web.StreamResponse:
    """The response to a handler's result."""
    if isinstance(result, web.StreamResponse):
        return result
    status = route.status
    headers: dict[str, str] = _HEADERS
    if isinstance(result, Answer):
        status, headers = result.status or status, {**headers, **result.headers}
        result = result.value
    if result is None and route.response is None:
        return web.Response(status=status, headers=headers)
    return web.Response(status=status, body=_encode(result), headers=headers, content_type=JSON)


async def once(
    route: Route, call: Call[Any, Any], idempotency: Idempotency, key: str, raw: bytes
) -> web.StreamResponse:
    """Run a creating call under its Idempotency-Key."""
    claim = await idempotency.begin(
        call.actor, f"{route.method} {call.request.path}", key, raw, resumable=route.resumes
    )
    if isinstance(claim, Replay):
        return web.Response(status=claim.status, body=claim.body, headers=_HEADERS, content_type=JSON)
    call.reserved_id = claim.reserved_id
    try:
        response = respond(route, await route.handler(call))
    except StoreUnavailable:
        raise  # it may have been kept all the same: a repeat must find the reserved id
    except (GatewayError, HttpProblem):
        # A refusal, also by the store, changed nothing. Any other error leaves the record, for nobody knows.
        with suppress(StoreError):
            await idempotency.abandon(claim)
        raise
    if isinstance(response, web.Response) and isinstance(response.body, bytes):
        with suppress(StoreError):  # the work is done: that is what the client must hear
            await idempotency.finish(claim, response.status, response.body, secret=route.secret_answer)
    return response


def body_reader(route: Route, default_limit: int) -> Callable[[web.Request], Awaitable[tuple[bytes, Any]]] | None:
    """Reads and decodes the body a route takes; None if it takes none."""
    if route.body is None:
        return None
    decode: BodyDecoder[Any] = BodyDecoder(route.body)
    limit = route.max_body or default_limit
    from_text = route.from_text

    async def read(request: web.Request) -> tuple[bytes, Any]:
        kind = request.content_type
        is_json = kind == JSON or kind.endswith("+json")
        if not is_json and (from_text is None or kind not in TEXT_TYPES):
            if not request.can_read_body:
                return b"", decode(b"{}")
            expected = f"{JSON} or {', '.join(sorted(TEXT_TYPES))}" if from_text else JSON
            raise HttpProblem(415, f"send the body as {expected}, not {kind}")
        raw = await read_body(request, limit)
        if from_text is not None and not is_json:
            try:
                return raw, from_text(raw.decode())
            except UnicodeDecodeError as error:
                raise bad(400, f"the body is not UTF-8: {error}", title="not UTF-8") from None
        return raw, decode(raw or b"{}")

    return read


TEXT_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/plain"})
"""What a route with `from_text` takes beside JSON (RFC 9512 and its forerunners)."""
