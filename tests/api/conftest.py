"""A whole gateway on SQLite behind a real socket, and a client that speaks to it as scripts and browsers do."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from gateway.app import Gateway
from gateway.model.document import Clock
from gateway.settings import Settings

ADMIN = "admin@example.org"
PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.raw)

    def expect(self, status: int) -> Any:
        """The decoded body, if the status is as expected."""
        assert self.status == status, f"{self.status}: {self.raw[:2000].decode(errors='replace')}"
        return self.json if self.raw else None

    def problem(self, status: int) -> Any:
        """The problem document, if there is one with the status."""
        body = self.expect(status)
        assert self.headers["Content-Type"] == "application/problem+json"
        assert body["status"] == status
        assert body["title"]
        assert isinstance(body["detail"], str)
        assert all(set(error) == {"path", "message"} for error in body["errors"])
        return body

    def paths(self) -> set[str]:
        """The fields a problem names."""
        return {error["path"] for error in self.json["errors"]}


@dataclass(slots=True)
class House:
    """A running gateway. `tokens`: an API token a role; the agent's and the supervisor's belong to agents."""

    gateway: Gateway
    http: aiohttp.ClientSession
    url: str
    tokens: dict[str, str] = field(default_factory=dict)
    agents: dict[str, str] = field(default_factory=dict)
    _counter: Callable[[], int] = field(default_factory=lambda: itertools.count(1).__next__)

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "admin",
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """A call of /api/v1 (a path that begins with `~/`: of the root). `token`: a role of `tokens`, or a token;
        None: nobody."""
        sent: dict[str, str] = {}
        if token is not None:
            sent["Authorization"] = f"Bearer {self.tokens.get(token, token)}"
        if body is not None:
            data = msgspec.json.encode(body)
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        address = self.url + (path[1:] if path.startswith("~/") else "/api/v1" + path)
        body_sent = BytesIO(data) if data is not None else None
        async with self.http.request(method, address, data=body_sent, headers=sent, params=params) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("POST", path, body, **options)

    async def patch(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("PATCH", path, body, **options)

    async def put(self, path: str, body: Any, **options: Any) -> Answer:
        return await self.call("PUT", path, body, **options)

    async def delete(self, path: str, body: Any = None, **options: Any) -> Answer:
        return await self.call("DELETE", path, body, **options)

    def name(self, what: str) -> str:
        """A name no other test uses."""
        return f"{what}-{self._counter()}"

    async def app_inbox(self) -> tuple[str, str]:
        """A new in-app inbox: (id, token)."""
        made = (await self.post("/inboxes", {"kind": "api", "name": self.name("app")})).expect(201)
        return made["id"], made["token"]

    async def write(self, inbox: tuple[str, str], text: str, sender: str = "customer-1", **more: Any) -> Any:
        """A customer writes; returns {message_id, conversation_id, duplicate}."""
        body = {"external_id": self.name("m"), "sender": {"id": sender}, "text": text, **more}
        return (await self.post(f"/inboxes/{inbox[0]}/messages", body, token=inbox[1])).expect(201)

    async def queue(self, agent_ids: list[str] | None = None, **more: Any) -> Any:
        body = {"name": self.name("queue"), "agent_ids": agent_ids or [], **more}
        return (await self.post("/queues", body)).expect(201)

    async def agent(self, role: str = "agent", password: str | None = None, **more: Any) -> tuple[Any, str]:
        """A new agent, and a token of theirs."""
        body = {"email": f"{self.name(role)}@example.org", "name": self.name(role), "role": role, **more}
        if password is not None:
            body["password"] = password
        made = (await self.post("/agents", body)).expect(201)
        token = {"name": self.name("token"), "role": role, "agent_id": made["id"]}
        return made, (await self.post("/tokens", token)).expect(201)["token"]


@asynccontextmanager
async def open_house(folder: Path, clock: Clock | None = None, **settings: Any) -> AsyncIterator[House]:
    chosen = Settings(data=str(folder), listen="127.0.0.1:0", admin_email=ADMIN, admin_password=PASSWORD, **settings)
    async with (
        Gateway(chosen, clock=clock) as gateway,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
    ):
        house = House(gateway, http, gateway.address, {"admin": gateway.local_token})
        for role in ("agent", "supervisor"):
            made, token = await house.agent(role)
            house.agents[role] = made["id"]
            house.tokens[role] = token
        yield house


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Shared by all tests that leave it as they found it, but for things with names of their own."""
    async with open_house(tmp_path_factory.mktemp("house")) as opened:
        yield opened


Opener = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def new_house(tmp_path: Path) -> Opener:
    """Opens houses of one's own: `async with new_house(session_hours=1) as house`."""
    return lambda **settings: open_house(tmp_path, **settings)
