"""The feed over WebSocket and SSE, on real sockets: each client gets what it may see, once, in order."""

import asyncio
import json
import random
import socket as sockets
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from gateway.errors import Denied, Overloaded
from gateway.model.access import Actor
from gateway.model.document import SystemClock
from gateway.model.event import Event
from gateway.model.team import Agent, Queue
from gateway.service.directory import Directory
from gateway.service.feed import Feed
from gateway.service.services import Services
from gateway.service.viewers import viewer_of
from gateway.store.batch import Batch
from gateway.store.collection import AGENTS, QUEUES
from gateway.store.sqlite.store import SqliteStore
from gateway.web import events, fanout
from gateway.web.auth import Gate
from gateway.web.decode import decode_query
from gateway.web.events import EventQuery
from gateway.web.fanout import close_frame, text_frame
from gateway.web.problem import problem_response, to_problem
from gateway.web.route import Call

AT = datetime(2026, 1, 2, tzinfo=UTC)


@dataclass
class Doorman:
    """Who a request is from, by its `X-Agent`; those put out are no longer let in."""

    directory: Directory
    out: set[str] = field(default_factory=set)

    async def identify(self, request: web.Request) -> Actor | None:
        agent = self.directory.agents[request.headers["X-Agent"]]
        if agent.id in self.out:
            raise Denied("you were put out")
        return Actor(kind="agent", id=agent.id, agent_id=agent.id, role=agent.role)


@dataclass
class Parts:
    """What the handlers use of the services."""

    store: SqliteStore
    clock: SystemClock
    feed: Feed
    directory: Directory


@dataclass
class Site:
    url: str
    parts: Parts
    doorman: Doorman
    app: web.Application
    session: aiohttp.ClientSession

    @asynccontextmanager
    async def socket(self, agent: str, after: str | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        query = f"?after={after}" if after is not None else ""
        url = f"{self.url}/events/socket{query}"
        async with self.session.ws_connect(url, headers={"X-Agent": agent}, autoping=True) as ws:
            yield ws

    async def emit(self, *happenings: Event) -> str:
        batch = Batch()
        for event in happenings:
            batch.emit(event)
        return await self.parts.store.commit(batch)

    async def put(self, collection: Any, document: Any) -> None:
        known = await self.parts.store.get(collection, document.id)
        batch = Batch()
        if known is None:
            batch.insert(collection, document)
        else:
            batch.put(collection, type(document)(**{**_fields(document), "version": known.version}))
        await self.parts.store.commit(batch)
        await self.parts.directory.reload(collection.name, document.id)


def _fields(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


def agent(id: str, role: Any = "agent", **fields: Any) -> Agent:
    return Agent(id=id, email=f"{id}@example.org", name=id, role=role, created_at=AT, **fields)


def happened(number: int, queue: str | None = "q1", assignee: str | None = None, **fields: Any) -> Event:
    data = {"n": number, **fields.pop("data", {})}
    return Event(
        type="message.created", at=AT, conversation_id="c", queue_id=queue, assignee_id=assignee, data=data, **fields
    )


@web.middleware
async def border(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except Exception as error:
        return problem_response(to_problem(error))
    return response


@pytest.fixture
async def site(store: SqliteStore, feed: Feed) -> AsyncIterator[Site]:
    parts = Parts(store, SystemClock(), feed, Directory(store))
    doorman = Doorman(parts.directory)
    services = cast(Services, parts)

    def mounted(handler: Any) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            actor = await doorman.identify(request)
            query = decode_query(request.query, EventQuery)
            call = Call(request, services, actor, None, cast(Gate, doorman), None, query)  # type: ignore[arg-type]
            response: web.StreamResponse = await handler(call)
            return response

        return handle

    app = web.Application(middlewares=[border])
    app.router.add_get("/events", mounted(events.get_events))
    app.router.add_get("/events/socket", mounted(events.get_socket))
    events.install(app, services)
    async with (
        TestServer(app, host="127.0.0.1", shutdown_timeout=1) as server,
        aiohttp.ClientSession() as session,
    ):
        site = Site(f"http://127.0.0.1:{server.port}", parts, doorman, app, session)
        for document in (agent("boss", "supervisor"), agent("root", "admin"), agent("a1"), agent("a2")):
            await site.put(AGENTS, document)
        await site.put(QUEUES, Queue(id="q1", name="one", agent_ids=("a1",)))
        await site.put(QUEUES, Queue(id="q2", name="two", agent_ids=("a2",)))
        await site.put(QUEUES, Queue(id="all", name="all"))
        yield site


async def ready(ws: aiohttp.ClientWebSocketResponse, kind: str = "ready") -> str:
    message = json.loads(await ws.receive_str(timeout=2))
    assert message["type"] == kind
    return str(message["cursor"])


async def numbers(ws: aiohttp.ClientWebSocketResponse, count: int) -> list[int]:
    return [json.loads(await ws.receive_str(timeout=3))["data"]["n"] for _ in range(count)]


async def connected(site: Site, count: int) -> None:
    """Until so many sockets are attached."""
    async with asyncio.timeout(3):
        while len(site.app[events.SOCKETS]) != count:
            await asyncio.sleep(0.01)


async def silent(ws: aiohttp.ClientWebSocketResponse) -> None:
    with pytest.raises(TimeoutError):
        await ws.receive(timeout=0.1)


async def test_a_socket_says_ready_then_tells_what_happens(site: Site) -> None:
    async with site.socket("a1") as ws:
        cursor = await ready(ws)
        await site.emit(happened(1), happened(2))
        first = json.loads(await ws.receive_str(timeout=2))
        assert first["cursor"] > cursor
        assert first == {
            "cursor": first["cursor"],
            "type": "message.created",
            "at": "2026-01-02T00:00:00Z",
            "conversation_id": "c",
            "queue_id": "q1",
            "data": {"n": 1},
        }
        assert await numbers(ws, 1) == [2]
    async with site.socket("a1", first["cursor"]) as ws:
        assert await ready(ws) == first["cursor"]
        assert await numbers(ws, 1) == [2]


@pytest.mark.parametrize("size", [0, 60, 125, 200, 65_000, 70_000, 200_000])
async def test_frames_of_any_size_arrive_whole(site: Site, size: int) -> None:
    async with site.socket("a1") as ws:
        await ready(ws)
        await site.emit(happened(1, data={"x": "é" * (size // 2)}))
        assert len(json.loads(await ws.receive_str(timeout=2))["data"]["x"]) == size // 2
        await ws.ping()
        await site.emit(happened(2))
        assert await numbers(ws, 1) == [2]


def test_frame_heads() -> None:
    for size in (0, 125, 126, 65_535, 65_536):
        frame = text_frame(b"x" * size)
        head = 2 if size < 126 else 4 if size < 65_536 else 10
        assert len(frame) == head + size
        assert frame[0] == 0x81
    assert close_frame(1013, "x" * 500) == struct.pack("!BBH", 0x88, 125, 1013) + b"x" * 123


async def test_each_sees_what_is_in_its_queues_or_its_own(site: Site) -> None:
    async with site.socket("a1") as one, site.socket("a2") as two, site.socket("boss") as boss:
        for ws in (one, two, boss):
            await ready(ws)
        await site.emit(
            happened(1, "q1"),
            happened(2, "q2"),
            happened(3, "all"),
            happened(4, "q2", "a1"),
            happened(5, None),
            happened(6, "q1", data={"was": {"queue_id": "q2", "assignee_id": None}}),
            happened(7, "q1", data={"was": {"queue_id": "q1", "assignee_id": "a2"}}),
            Event(type="agent.presence", at=AT, data={"n": 8}),
            Event(type="inbox.health", at=AT, audience="admins", data={"n": 9}),
        )
        assert await numbers(one, 6) == [1, 3, 4, 6, 7, 8]
        assert await numbers(two, 6) == [2, 3, 4, 6, 7, 8]
        assert await numbers(boss, 8) == [1, 2, 3, 4, 5, 6, 7, 8]
        for ws in (one, two, boss):
            await silent(ws)


async def test_many_clients_get_just_what_they_may_see(site: Site) -> None:
    """The grouped fan-out against the plain question, event by event and client by client."""
    dice = random.Random(7)
    names = [f"g{number}" for number in range(12)]
    for name in names:
        await site.put(AGENTS, agent(name, dice.choice(["agent", "agent", "agent", "supervisor", "admin"])))
    for queue in ("x", "y", "z"):
        await site.put(QUEUES, Queue(id=queue, name=queue, agent_ids=tuple(dice.sample(names, 5))))
    queues, people = ["x", "y", "z", "all", None], [*names, None, None]
    sent = []
    for number in range(400):
        data: dict[str, Any] = {}
        if dice.random() < 0.2:
            data["was"] = {"queue_id": dice.choice(queues), "assignee_id": dice.choice(people)}
        sent.append(happened(number, dice.choice(queues), dice.choice(people), data=data))
    async with asyncio.TaskGroup() as group:
        attached = asyncio.Event()
        waiting = len(names)

        async def listen(name: str) -> None:
            nonlocal waiting
            actor = Actor(kind="agent", id=name, agent_id=name)
            viewer = viewer_of(actor, site.parts.directory)
            assert viewer is not None
            wanted = [event.data["n"] for event in sent if viewer.sees(event)]
            async with site.socket(name) as ws:
                await ready(ws)
                waiting -= 1
                if not waiting:
                    attached.set()
                assert await numbers(ws, len(wanted)) == wanted
                await silent(ws)

        for name in names:
            group.create_task(listen(name))
        await attached.wait()
        for start in range(0, len(sent), 7):
            await site.emit(*sent[start : start + 7])


async def test_a_change_of_queues_counts_at_once(site: Site) -> None:
    async with site.socket("a2") as ws:
        await ready(ws)
        await site.emit(happened(1, "q1"), happened(2, "all"))
        assert await numbers(ws, 1) == [2]
        await site.put(QUEUES, Queue(id="q1", name="one", agent_ids=("a1", "a2")))
        await site.emit(happened(3, "q1"))
        assert await numbers(ws, 1) == [3]
        await site.put(QUEUES, Queue(id="q1", name="one", agent_ids=("a1",)))
        await site.emit(happened(4, "q1"), happened(5, "all"))
        assert await numbers(ws, 1) == [5]
        await site.put(AGENTS, agent("a2", "supervisor"))
        await site.emit(happened(6, "q1"))
        assert await numbers(ws, 1) == [6]


async def test_a_disabled_agent_is_put_out(site: Site) -> None:
    with capture_logs():
        async with site.socket("a1") as ws:
            await ready(ws)
            await site.put(AGENTS, agent("a1", enabled=False))
            await site.emit(happened(1))
            message = await ws.receive(timeout=2)
            assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_a_session_that_ended_ends_the_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "RECHECK", 0.05)
    async with site.socket("a1") as ws:
        await ready(ws)
        await asyncio.sleep(0.15)
        await site.emit(happened(1))
        assert await numbers(ws, 1) == [1]
        site.doorman.out.add("a1")
        assert (await ws.receive(timeout=2)).type == aiohttp.WSMsgType.CLOSE
        assert ws.close_code == 1008
    await connected(site, 0)


@pytest.mark.parametrize("start", [0, 10, 35, 40])
async def test_a_socket_resumes_and_goes_on_live(site: Site, start: int) -> None:
    """From the store and from the ring (which holds 8), while more keeps coming."""
    cursors = [await site.parts.store.head()] + [await site.emit(happened(n)) for n in range(1, 41)]

    async def more() -> None:
        for number in range(41, 141):
            await site.emit(happened(number))

    async with asyncio.TaskGroup() as group:
        group.create_task(more())
        async with site.socket("a1", cursors[start]) as ws:
            assert await ready(ws) == cursors[start]
            assert await numbers(ws, 140 - start) == list(range(start + 1, 141))


async def test_a_cursor_that_is_gone_means_reload(site: Site) -> None:
    gone = await site.parts.store.head()
    for number in range(20):
        await site.emit(happened(number))
    await site.parts.store.trim(AT + timedelta(days=1))
    async with site.socket("a1", gone) as ws:
        cursor = await ready(ws, "reload")
        await site.emit(happened(21))
        assert await numbers(ws, 1) == [21]
        assert cursor > gone


async def test_what_is_no_cursor_is_refused_before_the_upgrade(site: Site) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with site.socket("a1", "nonsense"):
            pass
    assert caught.value.status == 422
    async with site.session.get(site.url + "/events/socket", headers={"X-Agent": "a1"}) as response:
        assert response.status == 400


async def test_one_that_reads_too_slowly_is_closed_and_others_are_not_held_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "MAX_BACKLOG", 100_000)
    monkeypatch.setattr(fanout, "LINGER", 0.2)
    slow = sockets.create_connection(("127.0.0.1", int(site.url.rpartition(":")[2])))
    slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    slow.sendall(
        b"GET /events/socket HTTP/1.1\r\nHost: x\r\nX-Agent: a1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with capture_logs() as logs:
        async with site.socket("a1") as quick:
            await ready(quick)
            await connected(site, 2)
            for number in range(400):
                await site.emit(happened(number, data={"x": "x" * 20_000}))
                assert await numbers(quick, 1) == [number]
                if len(site.app[events.SOCKETS]) == 1:
                    break
            assert len(site.app[events.SOCKETS]) == 1
            await asyncio.sleep(0.3)
        assert [line["code"] for line in logs if line["event"] == "events.closed"] == [1013]
    slow.close()


async def test_clients_that_come_and_go_leave_nothing_behind(site: Site) -> None:
    hub = site.app[events.SOCKETS]

    async def visit(number: int) -> None:
        async with site.socket(["a1", "a2", "boss"][number % 3]) as ws:
            await ready(ws)
            if number % 2:
                await site.emit(happened(number, "all"))
                await ws.receive(timeout=2)

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(visit(number))
    await connected(site, 0)
    assert hub._groups == {}


async def test_there_are_only_so_many(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "MAX_CLIENTS", 1)
    async with site.socket("a1") as ws:
        await ready(ws)
        await site.emit(happened(1))
        await numbers(ws, 1)
        with pytest.raises(Overloaded):
            site.app[events.SOCKETS].admit()
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with site.socket("a1"):
                pass
        assert caught.value.status == 503


async def test_the_node_says_goodbye(site: Site) -> None:
    with capture_logs():
        async with site.socket("a1") as ws:
            await ready(ws)
            await site.emit(happened(1))
            await numbers(ws, 1)
            await site.app.shutdown()
            await ws.receive(timeout=2)
            assert ws.close_code == 1001


# Server-Sent Events


async def lines(response: aiohttp.ClientResponse, count: int) -> list[dict[str, str]]:
    """The next events as field → value."""
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    async with asyncio.timeout(3):
        while len(found) < count:
            line = (await response.content.readline()).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                current[name] = value
            else:
                if "data" in current:
                    found.append(current)
                current = {}
    return found


async def test_a_stream_tells_what_happens_and_resumes_by_itself(site: Site) -> None:
    head = await site.parts.store.head()
    async with site.session.get(site.url + "/events", headers={"X-Agent": "a1"}) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        (first,) = await lines(response, 1)
        assert first["retry"] == "2000"
        assert first["id"] == head
        assert json.loads(first["data"])["type"] == "ready"
        await site.emit(happened(1), happened(2, "q2"), happened(3))
        one, three = await lines(response, 2)
        assert [json.loads(one["data"])["data"]["n"], json.loads(three["data"])["data"]["n"]] == [1, 3]
        assert json.loads(one["data"])["cursor"] == one["id"]
    resumed = {"X-Agent": "a1", "Last-Event-ID": one["id"]}
    async with site.session.get(site.url + "/events?after=ignored", headers=resumed) as response:
        _, again = await lines(response, 2)
        assert again["data"] == three["data"]


async def test_a_quiet_stream_shows_that_it_lives(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    async with site.session.get(site.url + "/events", headers={"X-Agent": "a1"}) as response:
        await lines(response, 1)
        async with asyncio.timeout(2):
            assert await response.content.readline() == b": \n"
        await site.emit(happened(1))
        (event,) = await lines(response, 1)
        assert json.loads(event["data"])["data"]["n"] == 1


async def test_a_stream_ends_with_the_session_and_the_node(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    monkeypatch.setattr(events, "RECHECK", 0.0)
    async with (
        site.session.get(site.url + "/events", headers={"X-Agent": "a1"}) as one,
        site.session.get(site.url + "/events", headers={"X-Agent": "a2"}) as two,
    ):
        await lines(one, 1)
        await lines(two, 1)
        site.doorman.out.add("a1")
        async with asyncio.timeout(2):
            await one.content.read()
        site.parts.feed.close()
        async with asyncio.timeout(2):
            await two.content.read()


async def test_a_stream_with_a_cursor_that_is_gone_says_reload(site: Site) -> None:
    gone = await site.parts.store.head()
    for number in range(20):
        await site.emit(happened(number))
    await site.parts.store.trim(AT + timedelta(days=1))
    async with site.session.get(f"{site.url}/events?after={gone}", headers={"X-Agent": "a1"}) as response:
        (event,) = await lines(response, 1)
        assert json.loads(event["data"])["type"] == "reload"
    async with site.session.get(f"{site.url}/events?after=nonsense", headers={"X-Agent": "a1"}) as response:
        assert response.status == 422
