"""The mailbox at a server that misbehaves: nothing is left out, and no mail stops the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors.mail import imap, watch
from tests.conformance.sink import Surroundings
from tests.connectors.mail.live import eventually, mail, watching
from tests.servers.scripted_imap import ScriptedImap


@pytest.fixture
async def server() -> AsyncIterator[ScriptedImap]:
    async with ScriptedImap().running() as scripted:
        scripted.mails = {number: mail(number) for number in range(1, 8)}
        yield scripted


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that break again and again come back at once."""
    monkeypatch.setattr(watch, "SHORT_LIFE", 0.0)


def settings(server: ScriptedImap, **changes: Any) -> dict[str, Any]:
    return {
        "address": "support@example.org",
        "imap_host": "127.0.0.1",
        "imap_port": server.port,
        "imap_security": "none",
        "imap_password": "password",
        "since": "all",
        "smtp_host": "127.0.0.1",
        "smtp_auth": "none",
        **changes,
    }


def numbers(around: Surroundings) -> list[int]:
    return sorted(int(message.text.split()[-1]) for message in around.sink.accepted if message.kind == "message")


@pytest.mark.parametrize("style", ["literal", "reversed", "chatty"])
async def test_answers_of_all_shapes(server: ScriptedImap, style: str) -> None:
    around = Surroundings()
    server.style = style
    async with watching(settings(server), around):
        await around.sink.until_accepted(7)
    assert numbers(around) == [1, 2, 3, 4, 5, 6, 7]


async def test_short_bodies_as_quoted_strings(server: ScriptedImap) -> None:
    around = Surroundings()
    server.style = "quoted"
    server.mails = {1: rb'no "header" \ at all', 2: b"", 3: mail(3)}
    async with watching(settings(server), around):
        await around.sink.until_accepted(3)
    assert any('no "header" \\ at all' in (message.text or str(message.raw)) for message in around.sink.accepted)


async def test_one_that_breaks_the_line_is_had_without_its_body(server: ScriptedImap) -> None:
    around = Surroundings()
    server.broken = {4}
    async with watching(settings(server), around) as (_, run):
        await around.sink.until_accepted(7)
        assert not run.ended.is_set()
    assert numbers(around) == [1, 2, 3, 5, 6, 7]
    (odd,) = (message for message in around.sink.accepted if message.kind == "unparsed")
    assert odd.subject == "Question 4"
    assert odd.external_id == "<4@example.com>"
    assert "only the beginning" in odd.meta["note"]


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_one_that_cannot_be_had_at_all_leaves_its_place(server: ScriptedImap, size: int) -> None:
    around = Surroundings()
    server.mails[2] += b"x" * size
    server.lost = {2}
    async with watching(settings(server, max_message_mb=1), around) as (_, run):
        await around.sink.until_accepted(7)
        assert not run.ended.is_set()
    assert numbers(around) == [1, 3, 4, 5, 6, 7]
    (odd,) = (message for message in around.sink.accepted if message.kind == "unparsed")
    assert odd.external_id == "imap:INBOX:7:2"
    assert "cannot hand it out" in odd.meta["note"]


async def test_one_that_is_refused_stops_no_other(server: ScriptedImap) -> None:
    around = Surroundings()
    server.refused = {3}
    async with watching(settings(server), around):
        await around.sink.until_accepted(7)
    assert numbers(around) == [1, 2, 4, 5, 6, 7]
    assert server.connections == 1


@pytest.mark.parametrize("of", ["silent", "bodiless"])
async def test_one_that_is_left_out_of_the_answer_is_asked_for_again(server: ScriptedImap, of: str) -> None:
    around = Surroundings()
    setattr(server, of, {5})
    async with watching(settings(server), around):
        await around.sink.until_accepted(7)
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("last") == 7)
    assert numbers(around) == [1, 2, 3, 4, 6, 7]
    assert [message.kind for message in around.sink.accepted].count("unparsed") == 1


async def test_one_that_went_meanwhile_is_no_message(server: ScriptedImap) -> None:
    around = Surroundings()
    around.sink.gate.clear()
    server.mails = {number: mail(number) for number in range(1, 431)}
    async with watching(settings(server), around):
        await around.sink.until_offered(50)
        await asyncio.sleep(0.05)
        del server.mails[430]
        around.sink.gate.set()
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("taken") == 429)
        assert around.sink.saved["imap"]["folders"]["INBOX"]["last"] == 430
    assert len(around.sink.accepted) == 429


@pytest.mark.parametrize("how", ["none", "refused"])
async def test_polls_where_there_is_no_idle(server: ScriptedImap, how: str) -> None:
    around = Surroundings()
    server.capabilities = "IMAP4rev1" if how == "none" else "IMAP4rev1 IDLE"
    server.idle_refused = how == "refused"
    async with watching(settings(server, poll_seconds=5), around):
        await around.sink.until_accepted(7)
        await asyncio.sleep(0.1)
        before = len(server.commands)
        await asyncio.sleep(0.2)
        assert len(server.commands) - before <= 1, "it must not poll without a pause"
        server.mails[8] = mail(8)
        around.wake.set()
        await around.sink.until_accepted(8, timeout=2)
    assert server.connections == 1


async def test_a_server_deaf_in_idle_is_left(server: ScriptedImap, monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings()
    monkeypatch.setattr(imap, "COMMAND_SECONDS", 0.3)
    monkeypatch.setattr(imap, "IDLE_END_SECONDS", 0.3)
    server.deaf_idle = True
    async with watching(settings(server), around):
        await around.sink.until_accepted(7)
        await eventually(lambda: server.idlers)
        server.mails[8] = mail(8)
        server.push("* 8 EXISTS\r\n")
        await around.sink.until_accepted(8)
    assert server.connections == 2


async def test_a_silent_server_is_left(server: ScriptedImap, monkeypatch: pytest.MonkeyPatch) -> None:
    around = Surroundings()
    monkeypatch.setattr(imap, "COMMAND_SECONDS", 0.3)
    async with watching(settings(server), around):
        await around.sink.until_accepted(7)
        await eventually(lambda: server.idlers)
        server.push("* 8 EXISTS\r\n* BYE shutting down\r\n")
        server.idlers[0].transport.abort()
        server.mails[8] = mail(8)
        await around.sink.until_accepted(8)
    assert any("shutting down" in health.reason for health in around.healths)


async def test_news_during_a_fetch_are_not_missed(server: ScriptedImap) -> None:
    """EXISTS that comes between other answers must not be forgotten before IDLE begins."""
    around = Surroundings()
    server.style = "chatty"
    around.sink.gate.clear()
    async with watching(settings(server, poll_seconds=3600), around):
        await around.sink.until_offered(7)
        server.mails[8] = mail(8)  # announced by no push: the answers said EXISTS
        around.sink.gate.set()
        await around.sink.until_accepted(8, timeout=3)


async def test_since_now_where_the_server_names_no_uidnext(server: ScriptedImap) -> None:
    around = Surroundings()
    server.uidnext = False
    async with watching(settings(server, since="now"), around):
        await eventually(lambda: server.idlers)
        server.mails[8] = mail(8)
        server.push("* 8 EXISTS\r\n")
        await around.sink.until_accepted(1)
    assert numbers(around) == [8]


async def test_nonsense_ends_the_connection_not_the_run(server: ScriptedImap) -> None:
    around = Surroundings()
    async with watching(settings(server), around) as (_, run):
        await around.sink.until_accepted(7)
        await eventually(lambda: server.idlers)
        server.push("A1 OK who asked\r\n* 1 FETCH (BODY[] {999999999999}\r\n")
        server.mails[8] = mail(8)
        await around.sink.until_accepted(8)
        assert not run.ended.is_set()


async def test_a_line_that_breaks_again_and_again_is_the_supervisors(
    server: ScriptedImap, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = Surroundings()
    monkeypatch.setattr(watch, "SHORT_LIFE", 60.0)
    monkeypatch.setattr(watch, "SHORT_LIVES", 2)
    server.lost = set(server.mails)
    async with watching(settings(server), around) as (_, run):
        async with asyncio.timeout(10):
            await run.ended.wait()
    assert "again and again" in str(run.error)
