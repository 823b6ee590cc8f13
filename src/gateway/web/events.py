"""The feed over HTTP: Server-Sent Events and WebSocket. Both resume behind a cursor.

A client first gets `{"type": "ready", "cursor": …}`: everything behind that cursor follows. `{"type": "reload",
"cursor": …}` says that what it missed is no longer kept: it should read everything anew, and is told what comes behind
the cursor.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import WSCloseCode, WSMsgType, web

from gateway.errors import CursorGone, Denied, NotSignedIn, StoreError
from gateway.model.access import Actor
from gateway.service.feed import Feed, Reader, signal
from gateway.service.services import Services
from gateway.service.viewers import Viewer, viewer_of
from gateway.web.fanout import Client, EventSockets
from gateway.web.fields import Cursor, Query
from gateway.web.route import Call, Route, route

HEARTBEAT = 15.0
"""Seconds of silence after which a sign of life is sent; proxies cut silent connections, often after 60."""
RECHECK = 60.0
"""Seconds after which an open connection must still be allowed: its session may have ended."""
SEND_TIMEOUT = 30.0
"""Seconds a client may take to read a batch while it catches up; then it is closed, and resumes by its cursor."""
RETRY_MS = 2000

SOCKETS: web.AppKey[EventSockets] = web.AppKey("event_sockets", EventSockets)


def install(app: web.Application, services: Services) -> None:
    """Make the routes below work in the application, and end their connections when it shuts down."""

    async def start(app: web.Application) -> None:
        app[SOCKETS] = EventSockets(services.feed, services.directory)

    async def stop(app: web.Application) -> None:
        app[SOCKETS].close()
        services.feed.close()

    app.on_startup.append(start)
    app.on_shutdown.append(stop)


class EventQuery(Query, frozen=True, kw_only=True):
    after: Cursor | None = None


async def get_events(call: Call[None, EventQuery]) -> web.StreamResponse:
    """Server-Sent Events (WHATWG HTML, 9.2): `id` is the cursor, so that a browser resumes by itself."""
    after = call.request.headers.get("Last-Event-ID") or call.query.after
    async with _open(call.services, after) as (reader, kind):
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # nginx would hold events back
            }
        )
        await response.prepare(call.request)
        await _Stream(call, reader).run(response, *_signal(call.services, kind, reader))
        return response


class _Stream:
    """One SSE client."""

    def __init__(self, call: Call[None, EventQuery], reader: Reader) -> None:
        self._call = call
        self._reader = reader
        self._checked = asyncio.get_running_loop().time()

    async def run(self, response: web.StreamResponse, message: bytes, cursor: str) -> None:
        """Send the opening message, then events until the client goes, may no longer listen, or the node stops."""
        feed = self._call.services.feed
        try:
            await self._write(response, b"retry: %d\n" % RETRY_MS + _sse(message, cursor))
            while not feed.closed:
                entries = await self._reader.next(timeout=HEARTBEAT)
                viewer = await self._viewer()
                if viewer is None:
                    return
                data = b"".join(_sse(e.json, e.cursor) for e in entries if viewer.sees(e.event))
                await self._write(response, data or b": \n\n")
        except StoreError:
            return  # its next request says more: `reload` where it fell behind what is kept
        except (TimeoutError, ConnectionError):
            transport = self._call.request.transport
            if transport is not None:
                transport.abort()

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        async with asyncio.timeout(SEND_TIMEOUT):
            await response.write(data)

    async def _viewer(self) -> Viewer | None:
        now = asyncio.get_running_loop().time()
        if now - self._checked > RECHECK:
            self._checked = now
            if not await _still_allowed(self._call):
                return None
        return viewer_of(self._call.actor, self._call.services.directory)


async def get_socket(call: Call[None, EventQuery]) -> web.StreamResponse:
    """The feed as a WebSocket: one event a message, as JSON text. What the client sends is ignored."""
    sockets = call.request.app[SOCKETS]
    sockets.admit()
    viewer = _viewer(call.actor, call.services)
    async with _open(call.services, call.query.after) as (reader, kind):
        # No compression: the frames are the same bytes for all clients (see gateway.web.fanout).
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, compress=False, max_msg_size=4096, timeout=3)
        await socket.prepare(call.request)
        transport = call.request.transport
        if transport is None:
            return socket  # gone already
        client = Client(socket, transport, call.actor, viewer)
        try:
            await _send(socket, [_signal(call.services, kind, reader)[0]])
            await _catch_up(call.services.feed, sockets, client, reader)
            await _listen(call, socket)
        except ConnectionError:
            pass  # it went while something was being sent
        finally:
            sockets.detach(client)
        return socket


async def _catch_up(feed: Feed, sockets: EventSockets, client: Client, reader: Reader) -> None:
    """Send what the client missed, and hand it over to the fan-out where it has caught up."""
    socket = client.socket
    try:
        while not socket.closed and not feed.closed and not sockets.attach(client, reader):
            entries = await reader.next(timeout=HEARTBEAT)
            await _send(socket, [e.json for e in entries if client.viewer.sees(e.event)])
    except StoreError:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"connect again with your last cursor")
    except TimeoutError:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"you read too slowly; connect again")


async def _listen(call: Call[None, EventQuery], socket: web.WebSocketResponse) -> None:
    """Until it is closed, by whichever side."""
    while not socket.closed:
        try:
            message = await socket.receive(timeout=RECHECK)
        except TimeoutError:
            if not await _still_allowed(call):
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"log in again")
            continue
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
            return


async def _send(socket: web.WebSocketResponse, messages: list[bytes]) -> None:
    async with asyncio.timeout(SEND_TIMEOUT):
        for message in messages:
            await socket.send_frame(message, WSMsgType.TEXT)


@asynccontextmanager
async def _open(services: Services, after: str | None) -> AsyncIterator[tuple[Reader, str]]:
    """A reader behind the cursor, and `ready`; where the cursor is no longer kept one at the head, and `reload`.
    Raises Refused for what is no cursor."""
    async with AsyncExitStack() as stack:
        try:
            reader, kind = await stack.enter_async_context(services.feed.subscribe(after)), "ready"
        except CursorGone:
            reader, kind = await stack.enter_async_context(services.feed.subscribe()), "reload"
        yield reader, kind


def _signal(services: Services, kind: str, reader: Reader) -> tuple[bytes, str]:
    cursor = reader.start
    return signal(kind, cursor, services.clock.now()), cursor


def _viewer(actor: Actor, services: Services) -> Viewer:
    viewer = viewer_of(actor, services.directory)
    if viewer is None:
        raise NotSignedIn("the agent this belongs to is no more, or disabled")
    return viewer


async def _still_allowed(call: Call[None, EventQuery]) -> bool:
    try:
        return await call.gate.identify(call.request) is not None
    except Denied:
        return False
    except StoreError:
        return True  # nobody can tell now; asked again soon


def _sse(data: bytes, cursor: str) -> bytes:
    return b"id: " + cursor.encode() + b"\ndata: " + data + b"\n\n"


ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/events",
        get_events,
        summary="Follow what happens, as Server-Sent Events",
        tag="events",
        role="agent",
        scope="events:read",
        query=EventQuery,
        timeout=None,
        media_type="text/event-stream",
        description="Each event is `{cursor, type, at, …}`, as far as the caller may see. `after`, or the header "
        "Last-Event-ID, resumes behind a cursor. The first message has the type `ready`, or `reload` where the cursor "
        "is no longer kept.",
    ),
    route(
        "GET",
        "/events/socket",
        get_socket,
        summary="Follow what happens, over a WebSocket",
        tag="events",
        role="agent",
        scope="events:read",
        query=EventQuery,
        timeout=None,
        media_type="text/plain",
        status=101,
        description="As `/events`, one JSON text message per event. Closed with 1013 when the client reads too slowly: "
        "connect again with the last cursor.",
    ),
)
