"""Events to WebSocket clients, many a second to hundreds of them.

Each event's frame is built once: a server's frames are not masked (RFC 6455, 5.1), so without per-message compression
they are the same bytes for every client. Clients that see the same share one payload per flush, and a flush is one
`transport.write` per client.

The payload goes to the transport directly, past aiohttp's WebSocketResponse, which still does the handshake, pings,
pongs and closing. The two do not get into each other's frames: without compression aiohttp writes each of its frames
whole to the same transport, in one step of the loop (aiohttp 3.14, `WebSocketWriter._write_websocket_frame`), and a
flush writes whole frames in one step too. After aiohttp's close frame nothing may follow: `closed` is set before it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from aiohttp import WSCloseCode, web

from gateway.errors import Overloaded
from gateway.model.access import Actor
from gateway.service.directory import Directory
from gateway.service.feed import Entry, Feed, Reader
from gateway.service.viewers import Viewer, places, viewer_of

log = structlog.get_logger("events")

SHORTEST, LONGEST = 0.002, 0.010
"""Seconds between flushes. In between: three times what the last one took, so that flushing takes at most a quarter of
the loop's time; the first event after a pause goes out at once."""
MAX_BACKLOG = 1_000_000
"""Bytes that may wait in a client's socket; one that reads slower is closed, and resumes by its cursor."""
LINGER = 5.0
"""Seconds a client that was too slow has to read what it was sent and close."""
REGROUP = 1.0
"""Seconds after which a change of role or queues counts at the latest."""
MAX_CLIENTS = 5_000
HAND_OVER = 500
"""Events a client may be behind when the fan-out takes it over."""

POLICY_VIOLATION, TRY_AGAIN = WSCloseCode.POLICY_VIOLATION, WSCloseCode.TRY_AGAIN_LATER


def text_frame(payload: bytes) -> bytes:
    """An unmasked, unfragmented text frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x81, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def close_frame(code: int, reason: str) -> bytes:
    """RFC 6455, 5.5.1; the reason has at most 123 bytes."""
    body = struct.pack("!H", code) + reason.encode()[:123]
    return struct.pack("!BB", 0x88, len(body)) + body


@dataclass(eq=False, slots=True)
class Client:
    """One connected socket. `viewer`: what it may see, as of the last regrouping."""

    socket: web.WebSocketResponse
    transport: asyncio.Transport
    actor: Actor
    viewer: Viewer
    dropped: bool = False


@dataclass(slots=True)
class _Group:
    """Clients that see the same but for what is assigned to them."""

    viewer: Viewer
    clients: set[Client] = field(default_factory=set)


class EventSockets:
    """The connected clients. Driven by the feed; has no task of its own. Make it while the loop runs."""

    def __init__(self, feed: Feed, directory: Directory) -> None:
        self._feed = feed
        self._directory = directory
        self._loop = asyncio.get_running_loop()
        self._groups: dict[tuple[str, frozenset[str]], _Group] = {}
        self._clients: set[Client] = set()
        self._pending: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._took = 0.0
        self._grouped_at = 0.0
        feed.on_event(self._arrived)
        directory.on_change(self._changed)

    def __len__(self) -> int:
        return len(self._clients)

    def admit(self) -> None:
        """Raises Overloaded where no more clients are taken."""
        if len(self._clients) >= MAX_CLIENTS:
            raise Overloaded("the number of event listeners", retry_after=30)

    def attach(self, client: Client, reader: Reader) -> bool:
        """From here on the client is sent what comes, beginning where the reader stands, if that is in the ring; False:
        read on and try again. The client must not be sent anything else meanwhile."""
        self._flush()  # so that every client has had the same: all that came so far
        if reader.number is None:
            return False
        behind = self._feed.cut(reader.number, HAND_OVER)
        if behind is None or reader.number + len(behind) != self._feed.end:
            return False
        self._write(client, b"".join(text_frame(e.json) for e in behind if client.viewer.sees(e.event)))
        self._clients.add(client)
        self._join(client)
        return True

    def detach(self, client: Client) -> None:
        """Send it nothing more."""
        self._clients.discard(client)
        self._leave(client)

    def close(self) -> None:
        """Tell every client that the node goes away (1001)."""
        self._flush()
        for client in list(self._clients):
            self._drop(client, WSCloseCode.GOING_AWAY, "the gateway is restarting; connect again")
        self._feed.off_event(self._arrived)

    # groups

    def _join(self, client: Client) -> None:
        viewer = client.viewer
        key = (viewer.role, viewer.queue_ids)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(Viewer(viewer.role, viewer.queue_ids, None))
        group.clients.add(client)

    def _leave(self, client: Client) -> None:
        key = (client.viewer.role, client.viewer.queue_ids)
        group = self._groups.get(key)
        if group is not None:
            group.clients.discard(client)
            if not group.clients:
                del self._groups[key]

    def _changed(self, collection: str, id: str) -> None:
        if collection in ("agents", "queues"):
            self._grouped_at = 0.0

    def _regroup(self) -> None:
        """Look again at what each client may see; those whose agent is gone are closed."""
        self._grouped_at = self._loop.time()
        for client in list(self._clients):
            viewer = viewer_of(client.actor, self._directory)
            if viewer is None:
                self._drop(client, POLICY_VIOLATION, "you may no longer listen")
            elif viewer != client.viewer:
                self._leave(client)
                client.viewer = viewer
                self._join(client)

    # sending

    def _arrived(self, entries: Sequence[Entry]) -> None:
        self._pending.extend(entries)
        if self._timer is not None:
            return
        wait = self._flushed_at + min(max(3 * self._took, SHORTEST), LONGEST) - self._loop.time()
        if wait <= 0:
            self._flush()
        else:
            self._timer = self._loop.call_later(wait, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        entries, self._pending = self._pending, []
        if not entries:
            return
        begun = self._loop.time()
        if begun - self._grouped_at > REGROUP:
            self._regroup()
        if self._clients:
            self._send(entries)
        self._flushed_at = self._loop.time()
        self._took = self._flushed_at - begun

    def _send(self, entries: Sequence[Entry]) -> None:
        frames = [text_frame(entry.json) for entry in entries]
        whole = b"".join(frames)
        # May-see depends on the agent only where the event is assigned to them: agents are looked at one by one only
        # for events that name them.
        named: dict[str, list[int]] = {}
        for number, entry in enumerate(entries):
            for agent_id in {agent_id for _, agent_id in places(entry.event) if agent_id is not None}:
                named.setdefault(agent_id, []).append(number)
        for group in list(self._groups.values()):
            shared = [number for number, entry in enumerate(entries) if group.viewer.sees(entry.event)]
            payload = whole if len(shared) == len(frames) else _join(frames, shared)
            for client in list(group.clients):
                own = named.get(client.viewer.agent_id or "")
                if own is None or payload is whole:
                    self._write(client, payload)
                else:
                    numbers = {*shared, *(n for n in own if client.viewer.sees(entries[n].event))}
                    self._write(client, _join(frames, sorted(numbers)))

    def _write(self, client: Client, payload: bytes) -> None:
        if not payload or client.dropped or client.socket.closed or client.transport.is_closing():
            return
        if client.transport.get_write_buffer_size() > MAX_BACKLOG:
            self._drop(client, TRY_AGAIN, "you read too slowly; connect again with your last cursor")
            return
        client.transport.write(payload)

    def _drop(self, client: Client, code: int, reason: str) -> None:
        """Send a close frame behind what waits in the socket; one that does not answer it is cut off."""
        if client.dropped:
            return
        client.dropped = True
        self.detach(client)
        if client.socket.closed or client.transport.is_closing():
            return
        if code != WSCloseCode.GOING_AWAY:
            log.info("events.closed", code=int(code), reason=reason)
        client.transport.write(close_frame(code, reason))
        self._loop.call_later(LINGER, client.transport.abort)


def _join(frames: Sequence[bytes], numbers: Iterable[int]) -> bytes:
    return b"".join([frames[number] for number in numbers])
