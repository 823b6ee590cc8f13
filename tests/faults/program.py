"""A gateway in a process of its own, to be killed, and the customers, agents and app around it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

PASSWORD = "correct horse battery staple"
PATIENCE = 60.0


@dataclass
class Program:
    """`omnigate serve`, started again as often as it dies; `kills` counts those deaths."""

    folder: Path
    store: str
    fault: str | None = None
    kills: int = 0
    url: str = ""
    token: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    _stopping: bool = False
    _process: asyncio.subprocess.Process | None = None
    up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def stopping(self) -> bool:
        return self._stopping

    async def run(self) -> None:
        """Keep it running; only the first process has the fault."""
        fault = self.fault
        while not self._stopping:
            await self._start(fault)
            assert self._process is not None
            code = await self._process.wait()
            self.up.clear()
            if self.stopping:
                return
            assert code == -signal.SIGKILL, f"ended with {code}: {self.log()}"
            self.kills += 1
            fault = None

    async def _start(self, fault: str | None) -> None:
        run_file = self.folder / "data" / "run.json"
        run_file.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMNIGATE_")}
        environment |= {
            "OMNIGATE_DATA": str(self.folder / "data"),
            "OMNIGATE_STORE": self.store,
            "OMNIGATE_ADMIN_PASSWORD": PASSWORD,
            "OMNIGATE_LISTEN": "127.0.0.1:0",
            "OMNIGATE_LOG_LEVEL": "warning",
            **self.environment,
        }
        if fault is not None:
            environment["OMNIGATE_FAULT"] = fault
        with (self.folder / "gateway.log").open("a") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "serve", env=environment, stdout=output, stderr=output
            )
        async with asyncio.timeout(PATIENCE):
            while not run_file.exists():
                if self._process.returncode is not None:
                    return
                await asyncio.sleep(0.02)
        found = json.loads(run_file.read_text())
        self.url = found["url"] + "/api/v1"
        if not self.token:  # one session for the whole test: an agent stays signed in over a restart
            async with aiohttp.ClientSession() as session:
                body = {"email": "admin@localhost", "password": PASSWORD}
                async with session.post(self.url + "/session", json=body) as answer:
                    self.token = (await answer.json())["token"]
        self.up.set()

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self._stopping = True
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(15):
            return await self._process.wait()

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()[-3000:]


@dataclass
class World:
    """What happened outside: what was acknowledged to the customers and agents, and what reached the app."""

    program: Program
    session: aiohttp.ClientSession
    inbox: str = ""
    inbox_token: str = ""
    accepted: dict[str, str] = field(default_factory=dict)
    """external id → message id, as answered with 201."""
    replied: dict[str, str] = field(default_factory=dict)
    """message id → text of each reply acknowledged to an agent."""
    reached: Counter[str] = field(default_factory=Counter)
    """How often the app got each reply, by its idempotency key."""

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Try until it is answered: a customer's app, like an agent's browser, sends again after a broken line."""
        async with asyncio.timeout(PATIENCE):
            while True:
                await self.program.up.wait()
                authorization = headers.pop("token", None) or self.program.token
                sent = {"Authorization": f"Bearer {authorization}", **headers}
                try:
                    async with self.session.request(method, self.program.url + path, json=body, headers=sent) as answer:
                        content = await answer.read()
                        if answer.status < 300:
                            return json.loads(content) if content else None
                        assert answer.status in (409, 503), f"{method} {path}: {answer.status} {content.decode()}"
                except (aiohttp.ClientError, ConnectionError):
                    pass
                if authorization != self.program.token:
                    headers["token"] = authorization
                await asyncio.sleep(0.05)

    async def write(self, number: int) -> None:
        """A customer writes, and writes again until it is acknowledged."""
        external_id = f"m{number}"
        body = {
            "external_id": external_id,
            "sender": {"id": f"customer{number % 7}"},
            "text": f"text {number}",
            "attachments": [{"name": "a.txt", "type": "text/plain", "data": _base64(number)}]
            if number % 5 == 0
            else [],
        }
        path = f"/inboxes/{self.inbox}/messages"
        answer = await self.call("POST", path, body, token=self.inbox_token)
        self.accepted[external_id] = answer["message_id"]

    async def answer(self, conversation_id: str, number: int) -> None:
        """An agent answers; the idempotency key makes it one answer however often it is sent."""
        body = {"kind": "reply", "text": f"reply {number}"}
        path = f"/conversations/{conversation_id}/messages"
        message = await self.call("POST", path, body, **{"Idempotency-Key": f"reply-{number}"})
        self.replied[message["id"]] = body["text"]

    async def messages(self) -> list[dict[str, Any]]:
        """All messages of all conversations of the inbox."""
        found: list[dict[str, Any]] = []
        async for conversation in self.each(f"/conversations?inbox={self.inbox}"):
            path = f"/conversations/{conversation['id']}/messages"
            found += [{**message, "conversation_id": conversation["id"]} async for message in self.each(path)]
        return found

    async def each(self, path: str) -> AsyncIterator[dict[str, Any]]:
        cursor = ""
        while True:
            mark = "&" if "?" in path else "?"
            page = await self.call("GET", f"{path}{mark}limit=200" + (f"&cursor={cursor}" if cursor else ""))
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return


def _base64(number: int) -> str:
    return base64.b64encode(f"attachment {number}".encode()).decode()


@asynccontextmanager
async def world(folder: Path, store: str, fault: str | None, **environment: str) -> AsyncIterator[World]:
    """A gateway with an app's inbox whose answers are called back to a real server here."""
    program = Program(folder, store, fault, environment=environment)
    reached: Counter[str] = Counter()

    async def callback(request: web.Request) -> web.Response:
        await request.read()
        reached[request.headers["Idempotency-Key"]] += 1
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/callback", callback)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    callback_url = f"http://127.0.0.1:{runner.addresses[0][1]}/callback"
    try:
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            running = group.create_task(program.run())
            it = World(program, session, reached=reached)
            try:
                inbox = await it.call(
                    "POST",
                    "/inboxes",
                    {"kind": "api", "name": "tested", "settings": {"callback_url": callback_url}},
                    **{"Idempotency-Key": "make-inbox"},
                )
                it.inbox, it.inbox_token = inbox["id"], inbox["token"]
                yield it
            finally:
                await program.stop()
                running.cancel()
    finally:
        await runner.cleanup()
