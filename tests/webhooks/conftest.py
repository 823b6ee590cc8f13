"""A real store and feed, a receiver on loopback, and a clock that can be put forward."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.model.document import IdSource, SystemClock
from gateway.model.event import Event, Webhook
from gateway.service import webhook_sender
from gateway.service.feed import Feed
from gateway.service.guard import Guard
from gateway.service.seal import Seal
from gateway.service.webhook_sender import secret_context
from gateway.service.webhook_signature import new_secret
from gateway.service.webhooks import CHECKPOINT, Webhooks
from gateway.store.batch import Batch
from gateway.store.collection import CHECKPOINTS, WEBHOOKS
from gateway.store.sqlite.store import SqliteStore


class MovableClock(SystemClock):
    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Receiver:
    """Answers with `answers` in turn, then 200; keeps what it got."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[web.Response | Exception] = field(default_factory=list)
    default: int = 200
    delay: float = 0
    now: int = 0
    most: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            body = await request.read()
            await asyncio.sleep(self.delay)
            self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
            answer = self.answers.pop(0) if self.answers else web.Response(status=self.default)
            if isinstance(answer, Exception):
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            return answer
        finally:
            self.now -= 1


@dataclass
class House:
    store: SqliteStore
    feed: Feed
    clock: MovableClock
    seal: Seal
    receiver: Receiver
    ids: IdSource
    networks: tuple[str, ...] = ("127.0.0.1/32",)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Webhooks]:
        webhooks = Webhooks(
            store=self.store,
            feed=self.feed,
            clock=self.clock,
            ids=self.ids,
            seal=self.seal,
            guard=Guard(allow=self.networks),
            node="one",
        )
        async with asyncio.TaskGroup() as group:
            task = group.create_task(webhooks.run())
            await self.until(lambda: self.store.get(CHECKPOINTS, CHECKPOINT))
            yield webhooks
            task.cancel()

    async def add(self, **fields: Any) -> tuple[Webhook, str]:
        id, secret = self.ids(), new_secret()
        fields = {"url": self.receiver.url, "created_at": self.clock.now() - timedelta(seconds=1), **fields}
        batch = Batch()
        webhook = batch.insert(WEBHOOKS, Webhook(id=id, secret=self.seal.seal(secret, secret_context(id)), **fields))
        batch.emit(Event(type="webhook.created", at=self.clock.now(), audience="admins", data={"id": id}))
        await self.store.commit(batch)
        return webhook, secret

    async def emit(self, *types: str, **fields: Any) -> None:
        batch = Batch()
        for kind in types:
            batch.emit(Event(type=kind, at=self.clock.now(), **fields))
        await self.store.commit(batch)

    async def until(self, done: Callable[[], Any], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while True:
                found = done()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.01)


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(webhook_sender, "POLL", 0.05)
    clock = MovableClock()
    store = SqliteStore(tmp_path / "store.db", clock)
    await store.open()
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    feed = Feed(store, clock)
    async with TestServer(app, host="127.0.0.1") as server, asyncio.TaskGroup() as group:
        receiver.url = f"http://127.0.0.1:{server.port}/events"
        task = group.create_task(feed.run())
        await feed.ready()
        yield House(store, feed, clock, Seal(bytes(32)), receiver, IdSource(clock))
        feed.close()
        task.cancel()
    await store.close()
