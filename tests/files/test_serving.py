"""Attachments over HTTP: nothing a customer sent runs, and nobody sees what is not theirs to see."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.access import Actor
from gateway.model.conversation import Conversation
from gateway.model.document import SystemClock
from gateway.model.message import Attachment, Author, Message
from gateway.model.team import Agent, Queue
from gateway.service.directory import Directory
from gateway.service.services import Services
from gateway.store.batch import Batch
from gateway.store.collection import AGENTS, CONVERSATIONS, MESSAGES, QUEUES
from gateway.store.sqlite.store import SqliteStore
from gateway.web.auth import Gate
from gateway.web.decode import decode_query
from gateway.web.files import FileQuery, disposition, get_attachment
from gateway.web.problem import problem_response, to_problem
from gateway.web.route import Call

AT = datetime(2026, 1, 2, tzinfo=UTC)
DATA = bytes(range(100))


@dataclass
class Parts:
    store: SqliteStore
    directory: Directory


@dataclass
class Site:
    url: str
    session: aiohttp.ClientSession

    async def get(self, attachment: str, agent: str = "a1", query: str = "", **headers: str) -> tuple[Any, bytes]:
        sent = {"X-Agent": agent, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self.session.get(f"{self.url}/m/{attachment}{query}", headers=sent) as response:
            return response, await response.read()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    store = SqliteStore(tmp_path / "store.db", SystemClock())
    await store.open()
    sha256 = await store.blobs.put(DATA)
    types = ["image/png", "text/html", "image/svg+xml", "application/pdf", "video/mp4"]
    files = tuple(
        Attachment(id=kind.rpartition("/")[2], name='bild "é".x', type=kind, size=len(DATA), sha256=sha256)
        for kind in types
    )
    lost = Attachment(id="lost", name="lost", type="image/png", size=1, sha256="0" * 64)
    raw = Attachment(id="raw", name="mail.eml", type="message/rfc822", size=len(DATA), sha256=sha256)
    batch = Batch()
    for name in ("a1", "a2", "off"):
        agent = Agent(id=name, email=f"{name}@example.org", name=name, created_at=AT, enabled=name != "off")
        batch.insert(AGENTS, agent)
    batch.insert(QUEUES, Queue(id="q", name="q", agent_ids=("a1", "off")))
    batch.insert(
        CONVERSATIONS,
        Conversation(
            id="c",
            inbox_id="i",
            channel="api",
            contact_id="p",
            identity_id="d",
            queue_id="q",
            created_at=AT,
            updated_at=AT,
            last_message_at=AT,
        ),
    )
    batch.insert(
        MESSAGES,
        Message(
            id="m",
            inbox_id="i",
            conversation_id="c",
            direction="in",
            author=Author(kind="contact"),
            attachments=(*files, lost),
            raw=raw,
            created_at=AT,
        ),
    )
    await store.commit(batch)
    directory = Directory(store)
    await directory.load()
    services = cast(Services, Parts(store, directory))

    async def handle(request: web.Request) -> web.StreamResponse:
        agent = request.headers["X-Agent"]
        actor = Actor(kind="agent", id=agent, agent_id=agent)
        try:
            query = decode_query(request.query, FileQuery)
            return await get_attachment(Call(request, services, actor, None, cast(Gate, None), None, query))
        except Exception as error:
            return problem_response(to_problem(error))

    app = web.Application()
    app.router.add_get("/{message_id}/{attachment_id}", handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield Site(f"http://127.0.0.1:{server.port}", session)
    await store.close()


@pytest.mark.parametrize(
    ("file", "shown"),
    [("png", True), ("mp4", True), ("html", False), ("svg+xml", False), ("pdf", False), ("raw", False)],
)
async def test_only_what_cannot_run_is_shown_and_all_of_it_in_a_sandbox(site: Site, file: str, shown: bool) -> None:
    response, body = await site.get(file)
    assert (response.status, body) == (200, DATA)
    assert response.headers["Content-Disposition"].startswith("inline;" if shown else "attachment;")
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"].startswith("private")
    response, _ = await site.get(file, query="?download=true")
    assert response.headers["Content-Disposition"].startswith("attachment;")


async def test_only_those_who_see_the_conversation_see_its_files(site: Site) -> None:
    for agent, status in (("a1", 200), ("a2", 404), ("off", 404), ("nobody", 404)):
        response, _ = await site.get("png", agent)
        assert response.status == status, agent
    for file in ("nothing", "lost"):
        response, _ = await site.get(file)
        assert response.status == 404


@pytest.mark.parametrize(
    ("wanted", "status", "part", "extent"),
    [
        ("bytes=0-9", 206, DATA[:10], "bytes 0-9/100"),
        ("bytes=90-", 206, DATA[90:], "bytes 90-99/100"),
        ("bytes=-5", 206, DATA[95:], "bytes 95-99/100"),
        ("bytes=50-5000", 206, DATA[50:], "bytes 50-99/100"),
        ("bytes=0-1,5-6", 200, DATA, None),
        ("lines=0-1", 200, DATA, None),
        ("bytes=9-1", 200, DATA, None),
        ("bytes=x", 200, DATA, None),
    ],
    ids=lambda value: value if isinstance(value, str) and "=" in value else "",
)
async def test_parts_of_a_file(site: Site, wanted: str, status: int, part: bytes, extent: str | None) -> None:
    response, body = await site.get("mp4", Range=wanted)
    assert (response.status, body) == (status, part)
    assert response.headers.get("Content-Range") == extent


async def test_a_part_behind_the_end_and_of_another_version(site: Site) -> None:
    response, _ = await site.get("mp4", Range="bytes=100-")
    assert response.status == 416
    assert response.headers["Content-Range"] == "bytes */100"
    response, body = await site.get("mp4", Range="bytes=0-1", If_Range='"other"')
    assert (response.status, body) == (200, DATA)


async def test_what_the_browser_has_is_not_sent_again(site: Site) -> None:
    response, _ = await site.get("png")
    response, body = await site.get("png", If_None_Match=response.headers["ETag"])
    assert (response.status, body) == (304, b"")


@given(st.text(max_size=40))
def test_any_name_makes_a_header(name: str) -> None:
    value = disposition("attachment", name)
    assert value.isascii()
    assert value.isprintable()
    assert value.count('"') == 2
    if name.isascii() and name.isprintable() and name and not set(name) & set('"\\%'):
        assert value == f'attachment; filename="{name}"'
