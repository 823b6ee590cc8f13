"""What every connector must keep to, tried on each folder under connectors/ against its provider or a stand-in."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from gateway.connector import Connector, ConnectorSpec, Outgoing, WebhookRequest
from gateway.errors import (
    Overloaded,
    Permanent,
    RateLimited,
    Refused,
    SendError,
    StoreUnavailable,
    Transient,
    Unauthorized,
    Unknown,
)
from gateway.registry import listed
from tests.conformance.harness import Failure, Harness
from tests.conformance.sink import RecordingSink, Run, Surroundings, opened, running

KINDS = listed()

EXPECTED: dict[Failure, tuple[type[SendError], ...]] = {
    "wrong_credentials": (Unauthorized,),
    "unreachable": (Transient,),
    "server_error": (Transient, RateLimited),
    "rate_limited": (RateLimited,),
    "rejected": (Permanent,),
    "lost_after_send": (Unknown,),
}

pytestmark = pytest.mark.parametrize("kind", KINDS)


def spec_of(kind: str) -> ConnectorSpec:
    spec = importlib.import_module(f"connectors.{kind}").SPEC
    assert isinstance(spec, ConnectorSpec)
    return spec


@asynccontextmanager
async def harness_of(kind: str) -> AsyncIterator[Harness]:
    module = importlib.import_module(f"tests.conformance.harness_{kind}")
    async with module.harness() as harness:
        yield harness


def outgoing(harness: Harness, number: int = 1, **changes: Any) -> Outgoing:
    address, reply_to = harness.recipient()
    values: dict[str, Any] = {
        "id": f"0193b5c0-0000-7000-8000-{number:012d}",
        "conversation_id": "0193b5c0-0000-7000-8000-00000000c0de",
        "address": address,
        "text": f"Answer {number}",
        "reply_to": reply_to,
        "created_at": datetime(2026, 11, 22, 10, tzinfo=UTC),
        **changes,
    }
    return Outgoing(**values)


def test_has_a_harness(kind: str) -> None:
    path = Path(__file__).with_name(f"harness_{kind}.py")
    assert path.exists(), f"connectors/{kind} is untested: write {path.name} (see harness.py)"


async def test_harness_fits(kind: str) -> None:
    async with harness_of(kind) as harness:
        assert harness.kind == kind
        assert harness.failures <= set(EXPECTED)
        assert set(spec_of(kind).secrets) <= set(spec_of(kind).settings.__struct_fields__)
        assert spec_of(kind).pulls == (harness.inbound == "pull")
        assert spec_of(kind).webhooks or harness.inbound != "webhook"


async def test_spec_loads_no_client_library(kind: str) -> None:
    async with harness_of(kind) as harness:
        modules = harness.client_modules
    script = (
        f"import sys, connectors.{kind}\n"
        f"found = sorted(set({list(modules)!r}) & set(sys.modules))\n"
        "sys.exit(' '.join(found) or 0)"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"importing connectors.{kind} loads {done.stderr.strip()}"


def test_settings_schema_is_json_schema(kind: str) -> None:
    (schema,), components = msgspec.json.schema_components([spec_of(kind).settings], ref_template="#/$defs/{name}")
    dialect = "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate({"$schema": dialect, **schema, "$defs": components})
    form = components[spec_of(kind).settings.__name__]
    assert form["additionalProperties"] is False
    untitled = [name for name, field in form["properties"].items() if "title" not in field]
    assert not untitled, "the admin form needs a title for each setting"


async def test_good_settings_are_taken(kind: str) -> None:
    spec = spec_of(kind)
    async with harness_of(kind) as harness:
        settings = msgspec.convert(harness.settings(), spec.settings)
        assert not list(spec.validate(settings))
        assert msgspec.convert(msgspec.to_builtins(settings), spec.settings) == settings
        with pytest.raises(msgspec.ValidationError, match="unheard_of"):
            msgspec.convert({**harness.settings(), "unheard_of": 1}, spec.settings)


async def test_wrong_settings_are_refused_by_name(kind: str) -> None:
    async with harness_of(kind) as harness:
        wrong = harness.wrong_settings()
        assert wrong, "a channel without any wrong setting?"
        for values, blamed in wrong:
            assert blamed in await blame(spec_of(kind), values), f"{blamed} is wrong in {values}"


async def blame(spec: ConnectorSpec, values: dict[str, Any]) -> set[str]:
    """The names of the settings that are refused."""
    try:
        settings = msgspec.convert(values, spec.settings)
    except msgspec.ValidationError as error:
        return {str(error).rpartition("$.")[2].partition("`")[0].partition("[")[0].partition(".")[0]}
    named = {name for name, _ in spec.validate(settings)}
    if not named:
        try:
            async with Surroundings().context() as context:
                spec.create(settings, context)
        except Refused as refused:
            named = {path.partition(".")[0] for path, _ in refused.problems}
    return named


async def test_opens_and_closes_without_its_provider(kind: str) -> None:
    async with harness_of(kind) as harness:
        if "unreachable" in harness.failures:
            await harness.fail("unreachable")
        async with asyncio.timeout(5), opened(spec_of(kind), harness.settings(), Surroundings()):
            pass


async def test_check_tells_and_sends_nothing(kind: str) -> None:
    async with harness_of(kind) as harness, opened(spec_of(kind), harness.settings(), Surroundings()) as connector:
        results = await connector.check()
        assert results
        assert all(result.ok for result in results), results
        assert await harness.delivered() == []
        if "wrong_credentials" in harness.failures:
            await harness.fail("wrong_credentials")
            failed = [result for result in await connector.check() if not result.ok]
            assert failed, "a wrong password was not noticed"
            assert all(result.detail and result.action for result in failed)
        assert await harness.delivered() == []


async def test_sends_once(kind: str) -> None:
    async with harness_of(kind) as harness, opened(spec_of(kind), harness.settings(), Surroundings()) as connector:
        sent = await connector.send(outgoing(harness, 1, text="您好！Answer 1"))
        (found,) = await harness.delivered()
        assert found.text == "您好！Answer 1"
        assert found.address == harness.recipient()[0]
        if found.provider_id is not None:
            assert sent.provider_id == found.provider_id
        other = await connector.send(outgoing(harness, 2))
        assert len(await harness.delivered()) == 2
        assert other.provider_id != sent.provider_id or sent.provider_id is None
        msgspec.json.encode(sent.meta)  # JSON values only: it is stored


async def test_failures_have_their_names(kind: str) -> None:
    spec = spec_of(kind)
    async with harness_of(kind) as harness:
        for failure in sorted(harness.failures):
            around = Surroundings()
            before = len(await harness.delivered())
            await harness.fail(failure)
            async with opened(spec, harness.settings(), around) as connector:
                with pytest.raises(SendError) as caught:
                    await connector.send(outgoing(harness))
                expected = EXPECTED[failure]
                if failure == "lost_after_send" and spec.capabilities.idempotent_send:
                    expected = (Unknown, Transient)
                assert isinstance(caught.value, expected), f"{failure} became {caught.value!r}"
                assert caught.value.reason
                if failure == "lost_after_send":
                    assert len(await harness.delivered()) == before + 1
                else:
                    assert len(await harness.delivered()) == before, f"{failure}: unknown may only be what was sent"
                if isinstance(caught.value, RateLimited):
                    assert caught.value.retry_after > 0
                await harness.fail(None)
                await connector.send(outgoing(harness, 2))  # it recovers by itself
            told = around.said() + repr(caught.value) + str(caught.value) + repr(caught.value.__context__)
            assert not [secret for secret in harness.secrets if secret in told], f"{failure}: a secret got out"


async def take_in(harness: Harness, sink: RecordingSink, around: Surroundings) -> None:
    """Runs the connector until all that is there is taken in."""
    async with opened(spec_of(harness.kind), harness.settings(), around) as connector, running(connector):
        await sink.until_accepted(2)


async def test_messages_come_in_and_again_under_the_same_id(kind: str) -> None:
    async with harness_of(kind) as harness:
        if harness.inbound == "none":
            return
        around = Surroundings()
        async with opened(spec_of(kind), harness.settings(), around) as connector:
            for key, text in (("one", "您好"), ("two", "Hello")):
                status = await harness.inject(connector, key, text)
                assert status is None or 200 <= status < 300
            if harness.inbound == "webhook":
                for key, text in (("one", "您好"), ("two", "Hello")):
                    await harness.inject(connector, key, text)
        if harness.inbound == "pull":
            await take_in(harness, around.sink, around)
            around.sink.saved.clear()
            offered = len(around.sink.offered)
            async with opened(spec_of(kind), harness.settings(), around) as connector, running(connector):
                await around.sink.until_offered(offered + 2)
        assert sorted(message.text.strip() for message in around.sink.accepted) == ["Hello", "您好"]
        assert len(set(around.sink.offered)) == 2
        assert len(around.sink.offered) >= 4
        assert not [secret for secret in harness.secrets if secret in around.said()]
        for message in around.sink.accepted:
            assert message.external_id
            assert message.sender.address
            msgspec.json.encode(message.meta)


@pytest.mark.parametrize("error", [StoreUnavailable("no disk"), Overloaded("intake", 0.05), None], ids=str)
async def test_nothing_is_confirmed_before_it_is_stored(kind: str, error: Exception | None) -> None:
    """A sink that fails, that is full, or that never returns (None): the message comes again."""
    async with harness_of(kind) as harness:
        if harness.inbound == "none":
            return
        around = Surroundings()
        around.sink.refuse = lambda messages: error
        if error is None:
            around.sink.gate.clear()
        async with opened(spec_of(kind), harness.settings(), around) as connector:
            if harness.inbound == "webhook":
                await webhook_is_not_confirmed(harness, connector, error)
            else:
                await harness.inject(connector, "one", "Hello")
                async with running(connector) as run:
                    await around.sink.until_offered(1)
                    await asyncio.sleep(0.1)
                    assert error is not None or not run.ended.is_set()
        assert around.sink.accepted == []
        around.sink.refuse = lambda messages: None
        around.sink.gate.set()
        async with opened(spec_of(kind), harness.settings(), around) as connector, running(connector):
            if harness.inbound == "webhook":
                await harness.inject(connector, "one", "Hello")
            await around.sink.until_accepted(1)
        assert around.sink.accepted[0].text.strip() == "Hello"


async def webhook_is_not_confirmed(harness: Harness, connector: Connector, error: Exception | None) -> None:
    try:
        async with asyncio.timeout(0.3):
            status = await harness.inject(connector, "one", "Hello")
    except TimeoutError:
        assert error is None
    except (StoreUnavailable, Overloaded):
        pass  # the web layer answers 503
    else:
        assert status is not None
        assert status >= 400


async def test_run_ends_when_it_is_cancelled(kind: str) -> None:
    async with harness_of(kind) as harness:
        around = Surroundings()
        before = asyncio.all_tasks()
        async with opened(spec_of(kind), harness.settings(), around) as connector:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                run = Run()
                task = group.create_task(run(connector))
                await asyncio.sleep(0.3)
                assert not run.ended.is_set(), f"run ended by itself: {run.error!r}"
                task.cancel()
            await connector.send(outgoing(harness))
        await asyncio.sleep(0.05)
        left = [task for task in asyncio.all_tasks() - before if "connectors" in repr(task) or "aio" in repr(task)]
        assert not left


@pytest.mark.parametrize("sink_fails", [False, True])
async def test_garbage_webhooks_are_the_callers_fault(kind: str, sink_fails: bool) -> None:
    bodies = [
        b"", b"\0" * 1000, b"{", b"[" * 100_000, b'{"a":' * 5000, b"null", b"[]", b"0", b'"x"', b"\xff\xfe\xfd",
        b"x" * 5_000_000, b'{"id": 1e999}', b"<xml/>", "{'ü': 1}".encode(),
    ]  # fmt: skip
    async with harness_of(kind) as harness:
        around = Surroundings()
        if sink_fails:
            around.sink.refuse = lambda messages: AssertionError("garbage reached the sink")
        async with opened(spec_of(kind), harness.settings(), around) as connector:
            for body in bodies:
                for method in ("GET", "POST", "PUT"):
                    for path in ("", "/", "/x/../y", "/" + "a" * 5000):
                        request = WebhookRequest(
                            method=method,
                            path=path,
                            query={"hub.mode": "\0", "token": "x" * 1000},
                            headers={"content-type": "application/json", "authorization": "Bearer nonsense"},
                            body=body,
                            remote="192.0.2.1",
                            url=f"http://gateway.example.org/hooks/inbox-1{path}",
                        )
                        async with asyncio.timeout(5):
                            response = await connector.webhook(request)
                        assert 200 <= response.status < 500
        assert around.sink.accepted == []
