"""Webhooks: what a provider gets to hear."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.connector import Inbound, Sender, WebhookRequest, WebhookResponse
from gateway.errors import Conflict, Overloaded, Permanent, Problem, Refused, StoreUnavailable
from gateway.model.inbox import ChannelLogEntry
from gateway.service.hooks import Hooks
from gateway.store.collection import CHANNEL_LOG
from tests.supervise.probe import Probe, Scene, running, scene

HELLO = Inbound(external_id="e-1", sender=Sender(address="a"), text="hello")


async def call(
    hooks: Hooks, inbox_id: str, subpath: str = "/in", body: bytes = b"{}", **changes: Any
) -> WebhookResponse:
    values: dict[str, Any] = {
        "query": {"a": "1"},
        "headers": {"X-Signature": "s"},
        "body": body,
        "remote": "192.0.2.1",
        "url": "https://gateway.example.org/hooks/x/in",
        **changes,
    }
    return await hooks.handle(inbox_id, "post", subpath, **values)


async def logged(at: Scene) -> list[ChannelLogEntry]:
    await at.logs.flush()
    return (await at.store.find(CHANNEL_LOG)).items


async def test_a_call_reaches_the_connector_as_it_came(tmp_path: Path) -> None:
    seen: list[WebhookRequest] = []

    async def keep(probe: Probe, request: WebhookRequest) -> WebhookResponse:
        seen.append(request)
        await probe.context.sink.accept([HELLO])
        return WebhookResponse(body=b"taken")

    async with scene(tmp_path) as at:
        at.script.webhook = keep
        inbox = at.inbox("pushed", password="signing-key-1")
        async with running(at.supervisor()) as supervisor:
            hooks = Hooks(at.inboxes, at.registry, supervisor, at.logs)
            response = await call(hooks, inbox.id, body=b'{"key": "signing-key-1", "text": "hi"}')
            assert (response.status, response.body) == (200, b"taken")
            assert (seen[0].method, seen[0].path, seen[0].query) == ("POST", "/in", {"a": "1"})
            assert seen[0].headers == {"x-signature": "s"}
            # a provider that waits for its answer is told at once when the gateway is full
            assert at.desk.calls == [(inbox.id, False, None)]
            [entry] = await logged(at)
            assert entry.summary == "POST /in from 192.0.2.1 → 200"
            assert entry.request == '{"key": "****", "text": "hi"}'
            assert entry.ok


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Overloaded("intake", 3), 503, "3"),
        (StoreUnavailable("disk full"), 503, "5"),
        (Conflict("messages", "1"), 503, "5"),
        (TimeoutError(), 503, "5"),
        (Refused(Problem("body", "is no JSON")), 422, None),
        (Permanent("no"), 400, None),
        (ZeroDivisionError(), 400, None),
    ],
)
async def test_errors_become_answers(tmp_path: Path, error: Exception, status: int, retry_after: str | None) -> None:
    async def fails(probe: Probe, request: WebhookRequest) -> WebhookResponse:
        raise error

    async with scene(tmp_path) as at:
        at.script.webhook = fails
        inbox = at.inbox("pushed")
        async with running(at.supervisor()) as supervisor:
            response = await call(Hooks(at.inboxes, at.registry, supervisor, at.logs), inbox.id)
            assert response.status == status
            assert response.headers.get("Retry-After") == retry_after
            assert [entry.ok for entry in await logged(at)] == [False]


@pytest.mark.parametrize(("said", "status"), [(500, 400), (502, 400), (503, 503), (404, 404), (204, 204)])
async def test_no_5xx_but_503(tmp_path: Path, said: int, status: int) -> None:
    async def answers(probe: Probe, request: WebhookRequest) -> WebhookResponse:
        return WebhookResponse(status=said)

    async with scene(tmp_path) as at:
        at.script.webhook = answers
        inbox = at.inbox("pushed")
        async with running(at.supervisor()) as supervisor:
            response = await call(Hooks(at.inboxes, at.registry, supervisor, at.logs), inbox.id)
            assert response.status == status
            assert ("Retry-After" in response.headers) == (status == 503)


async def test_calls_that_lead_nowhere(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        pulling, pushed, disabled = at.inbox("pulling"), at.inbox("pushed"), at.inbox("pushed")
        at.inboxes.put(replace(disabled, enabled=False))
        supervisor = at.supervisor()
        hooks = Hooks(at.inboxes, at.registry, supervisor, at.logs, body_bytes=10)
        assert (await call(hooks, pushed.id)).status == 503, "not started yet"
        async with running(supervisor):
            assert (await call(hooks, "nosuch")).status == 404
            assert (await call(hooks, pulling.id)).status == 404
            assert (await call(hooks, disabled.id)).status == 410
            assert (await call(hooks, pushed.id, body=b"x" * 11)).status == 413
            assert (await call(hooks, pushed.id)).status == 200


async def test_a_connector_that_hangs_is_cut_off(tmp_path: Path) -> None:
    async def hangs(probe: Probe, request: WebhookRequest) -> WebhookResponse:
        await asyncio.sleep(60)
        return WebhookResponse()

    async with scene(tmp_path) as at:
        at.script.webhook = hangs
        inbox = at.inbox("pushed")
        async with running(at.supervisor()) as supervisor:
            hooks = Hooks(at.inboxes, at.registry, supervisor, at.logs, seconds=0.05)
            assert (await call(hooks, inbox.id)).status == 503
