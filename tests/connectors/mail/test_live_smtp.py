"""Sending, at an SMTP server that fails on purpose and at one that does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal

import pytest

from connectors.mail import SPEC, smtp
from gateway.connector import Connector, OutgoingFile
from gateway.errors import Permanent, SendError, Transient, Unauthorized, Unknown
from gateway.model.message import Attachment
from tests.conformance.sink import Surroundings, opened
from tests.connectors.mail.live import answer, eventually, settings
from tests.servers.dovecot import start_dovecot
from tests.servers.ports import authority, free_port
from tests.servers.smtp import PASSWORD, FaultySmtp, Mode

Start = Callable[..., FaultySmtp]


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as stack:

        def begin(**options: Any) -> FaultySmtp:
            server = FaultySmtp(**options)
            stack.callback(server.stop)
            return server

        yield begin


def values(server: FaultySmtp, **changes: Any) -> dict[str, Any]:
    dovecot = start_dovecot()
    return settings(dovecot, "support@example.org", **{"smtp_port": server.port, "smtp_host": "localhost", **changes})


async def failure(connector: Connector, **changes: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        await connector.send(answer(**changes))
    return caught.value


async def test_a_mail_is_sent_once_and_the_connection_is_used_again(start: Start) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector:
        for number in range(5):
            sent = await connector.send(answer(id=f"0193b5c0-0000-7000-8000-00000000000{number}"))
    assert len(server.received) == 5
    assert server.connections == 1
    assert server.mails()[-1]["Message-ID"] == sent.provider_id
    assert server.received[-1].mail_from == "support@example.org"
    assert server.received[-1].rcpt_tos == ["customer@example.com"]


async def test_no_more_than_a_few_connections(start: Start) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector, asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(connector.send(answer(id=f"0193b5c0-0000-7000-8000-0000000000{number:02}")))
    assert len(server.received) == 20
    assert server.connections <= smtp.MAX_CONNECTIONS


@pytest.mark.parametrize(
    ("mode", "kind", "words", "kept"),
    [
        ("greet_421", Transient, "421", 0),
        ("sender_452", Transient, "out of room", 0),
        ("rcpt_450", Transient, "try later", 0),
        ("rcpt_550", Permanent, "no such user here", 0),
        ("data_451", Transient, "greylisted", 0),
        ("data_552", Permanent, "too large", 0),
        ("drop_at_mail", Transient, "broke", 0),
        ("drop_at_data", Transient, "broke", 0),
        ("drop_after_data", Unknown, "whether", 1),
    ],
)
async def test_failures_have_their_names(
    start: Start, mode: Mode, kind: type[SendError], words: str, kept: int
) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector:
        server.mode = mode
        error = await failure(connector)
        assert type(error) is kind
        assert words in error.reason
        assert len(server.received) == kept
        server.mode = ""
        await connector.send(answer())
    assert len(server.received) == kept + 1


@pytest.mark.parametrize("mode", ["greet_421", "sender_452", "rcpt_550", "data_451", "drop_at_mail", "drop_after_data"])
async def test_failures_on_a_used_connection(start: Start, mode: Mode) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector:
        await connector.send(answer())
        server.mode = mode
        if mode == "greet_421":
            await connector.send(answer())  # greets only new connections
        else:
            assert type(await failure(connector)) is {
                "rcpt_550": Permanent,
                "drop_after_data": Unknown,
            }.get(mode, Transient)
        server.mode = ""
        await connector.send(answer())


async def test_a_connection_that_the_server_closed_is_replaced(start: Start) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector:
        await connector.send(answer())
        server.drop_all()
        await connector.send(answer())
        await asyncio.sleep(0.05)
        server.drop_all()
        await asyncio.sleep(0.05)
        await connector.send(answer())
    assert len(server.received) == 3


async def test_no_answer_after_the_data(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    server.mode = "slow_after_data"
    async with opened(SPEC, values(server), Surroundings()) as connector:
        monkeypatch.setattr(connector._sender, "_answer_seconds", 0.2)  # type: ignore[attr-defined]
        assert type(await failure(connector)) is Unknown
    assert len(server.received) == 1


async def test_nobody_listens() -> None:
    config = settings(start_dovecot(), "support@example.org", smtp_port=free_port())
    async with opened(SPEC, config, Surroundings()) as connector:
        error = await failure(connector)
    assert type(error) is Transient
    assert "nothing listens" in error.reason


async def test_addresses_that_are_none(start: Start) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector:
        for address in ("", "nobody", "a b@example.com", "x@example.com\r\nRCPT TO:<y@example.com>", "a@b@c", "@x"):
            assert type(await failure(connector, address=address)) is Permanent
    assert server.received == []
    assert server.connections == 0


@pytest.mark.parametrize("security", ["none", "starttls", "tls"])
async def test_sign_in(start: Start, security: Literal["none", "starttls", "tls"]) -> None:
    server = start(auth=True, security=security)
    config = values(
        server, smtp_security=security, smtp_auth="password", smtp_user="me", smtp_password=PASSWORD,
        ca_certificate=authority().pem,
    )  # fmt: skip
    around = Surroundings()
    async with opened(SPEC, config, around) as connector:
        await connector.send(answer())
        assert all(result.ok for result in await connector.check() if result.name == "SMTP sign-in")
    wrong = {**config, "smtp_password": "not-the-password"}
    async with opened(SPEC, wrong, around) as connector:
        error = await failure(connector)
        assert type(error) is Unauthorized
        results = [result for result in await connector.check() if result.name == "SMTP sign-in"]
        assert not results[0].ok
        assert "password" in results[0].action
    assert len(server.received) == 1
    assert "not-the-password" not in around.said() + repr(error) + repr(results)


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_untrusted_certificate(start: Start, security: Literal["starttls", "tls"]) -> None:
    server = start(security=security)
    async with opened(SPEC, values(server, smtp_security=security), Surroundings()) as connector:
        error = await failure(connector)
    assert type(error) is Transient
    assert "certificate" in error.reason
    assert server.received == []


async def test_starttls_is_not_given_up_silently(start: Start) -> None:
    server = start()
    async with opened(SPEC, values(server, smtp_security="starttls"), Surroundings()) as connector:
        error = await failure(connector)
    assert type(error) in (Unauthorized, Transient, Permanent)
    assert server.received == []


async def test_non_ascii_address_and_large_file(start: Start) -> None:
    server = start()
    data = bytes(range(256)) * 20_000
    file = OutgoingFile(
        attachment=Attachment(id="a", name="发票 2026.pdf", type="application/pdf", size=len(data), sha256=""),
        data=data,
    )
    async with opened(SPEC, values(server), Surroundings()) as connector:
        await connector.send(answer(address="müller@bücher.example", files=(file,), text=".\n..dots\n.end"))
    (received,) = server.received
    assert received.rcpt_tos == ["müller@xn--bcher-kva.example"]
    (parsed,) = server.mails()
    (found,) = parsed.iter_attachments()
    assert found.get_filename() == "发票 2026.pdf"
    assert found.get_content() == data
    body = parsed.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == [".", "..dots", ".end"]


async def test_automatic_answers_are_marked_and_limited(start: Start) -> None:
    server, around = start(), Surroundings()
    config = values(server, automatic_per_day=3)
    async with opened(SPEC, config, around) as connector:
        for number in range(3):
            await connector.send(answer(id=f"id-{number}", automatic=True))
        await connector.send(answer(id="id-2", automatic=True))  # tried again: counted once
        error = await failure(connector, id="id-3", automatic=True)
        assert type(error) is Permanent
        assert "24 hours" in error.reason
        await connector.send(answer(id="id-4"))  # a person may always write
        await connector.send(answer(id="id-5", automatic=True, address="other@example.com"))
    async with opened(SPEC, config, around) as connector:  # a restart forgets nothing
        assert type(await failure(connector, id="id-6", automatic=True)) is Permanent
    first, *_, by_a_person, _ = server.mails()
    assert first["Auto-Submitted"] == "auto-generated"
    assert first["X-Auto-Response-Suppress"] == "All"
    assert "Auto-Submitted" not in by_a_person


async def test_robots_get_no_automatic_answer(start: Start) -> None:
    server = start()
    async with opened(SPEC, values(server), Surroundings()) as connector:
        for address in (
            "mailer-daemon@x.example",
            "no-reply@x.example",
            "list-request@x.example",
            "bounces+1@x.example",
        ):
            assert type(await failure(connector, address=address, automatic=True)) is Permanent
        kind = await failure(connector, automatic=True, reply_to={"kind": "auto_reply"})
        assert type(kind) is Permanent
    assert server.received == []


async def test_idle_connections_are_closed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    monkeypatch.setattr(smtp, "IDLE_SECONDS", 0.05)
    async with opened(SPEC, values(server), Surroundings()) as connector:
        await connector.send(answer())
        await eventually(lambda: not connector._sender._idle)  # type: ignore[attr-defined]
        await connector.send(answer())
    assert server.connections == 2
