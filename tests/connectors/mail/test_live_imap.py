"""The mailbox at a real Dovecot."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest

from connectors.mail import SPEC, watch
from gateway.errors import Overloaded, Transient, Unauthorized
from gateway.model.document import SystemClock
from tests.conformance.sink import Surroundings, opened
from tests.connectors.mail.live import eventually, mail, settings, watching
from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.ports import authority, free_port


@pytest.fixture
def dovecot() -> Dovecot:
    return start_dovecot()


def texts(around: Surroundings) -> list[str]:
    return [message.text.strip() for message in around.sink.accepted]


async def test_mail_is_pushed(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    async with watching(settings(dovecot, user, poll_seconds=3600), around):
        await eventually(lambda: around.health.state == "ok")
        for number in (1, 2, 3):
            await asyncio.to_thread(dovecot.deliver, user, mail(number))
            began = time.monotonic()
            await around.sink.until_accepted(number)
            assert time.monotonic() - began < 2
    assert texts(around) == ["Hello 1", "Hello 2", "Hello 3"]


async def test_all_or_only_new_mail(dovecot: Dovecot) -> None:
    user, everything, new = dovecot.user(), Surroundings(), Surroundings()
    dovecot.append(user, [mail(1), mail(2)])
    async with watching(settings(dovecot, user), everything):
        await everything.sink.until_accepted(2)
    async with watching(settings(dovecot, user, since="now"), new):
        await eventually(lambda: new.health.state == "ok")
        dovecot.append(user, [mail(3)])
        await new.sink.until_accepted(1)
        counts = {"messages": 3, "taken_in": 1, "older": 2, "waiting": 0}
        await eventually(lambda: new.health.details["folders"]["INBOX"] == counts)
    assert texts(new) == ["Hello 3"]
    # asked for all later, the older ones come, too; the one that is known is a repeat
    async with watching(settings(dovecot, user, since="all"), new):
        await new.sink.until_accepted(3)
    assert sorted(texts(new)) == ["Hello 1", "Hello 2", "Hello 3"]


async def test_nothing_is_marked_as_seen(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1), mail(2)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(2)
        dovecot.append(user, [mail(3)])
        await around.sink.until_accepted(3)
    flags = dovecot.flags(user)
    assert all(b"\\Seen" not in each for each in flags)
    assert all(b"\\Recent" in each for each in flags)  # other programs still see it as newly come


async def test_goes_on_where_it_was(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(1)
        await eventually(lambda: around.sink.saves >= 2)
    dovecot.append(user, [mail(2)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(2)
    assert around.sink.offered == ["<1@example.com>", "<2@example.com>"] or len(around.sink.offered) == 2


async def test_cursor_waits_for_accept(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1)])
    around.sink.gate.clear()
    async with watching(settings(dovecot, user), around):
        await around.sink.until_offered(1)
        await asyncio.sleep(0.1)
        assert around.sink.saved["imap"]["folders"]["INBOX"].get("last", 0) == 0
    around.sink.gate.set()
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(1)


async def test_a_full_gateway_is_waited_for(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1)])
    refusals = [Overloaded("intake", 0.05), Overloaded("intake", 0.05)]
    around.sink.refuse = lambda messages: refusals.pop() if refusals else None
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(1)
    assert not refusals


async def test_comes_back_after_the_server_process_dies(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    async with watching(settings(dovecot, user, poll_seconds=3600), around) as (_, run):
        await eventually(lambda: around.health.state == "ok")
        await eventually(lambda: dovecot.kill_sessions(user))
        dovecot.append(user, [mail(1)])
        await around.sink.until_accepted(1, timeout=5)
        assert not run.ended.is_set()
    assert "degraded" in {health.state for health in around.healths}


async def test_several_folders_also_chinese_ones(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    folders = ["INBOX", "客户投诉", 'Odd & "quoted" (1)*']
    for name in folders[1:2]:
        dovecot.create(user, name)
    dovecot.append(user, [mail(1)])
    dovecot.append(user, [mail(2)], "客户投诉")
    async with watching(settings(dovecot, user, folders=folders), around):
        await around.sink.until_accepted(2)
        await eventually(lambda: around.health.state == "degraded")
        assert "Odd" in around.health.reason
        assert around.health.details["folders"]["客户投诉"]["taken_in"] == 1
        dovecot.append(user, [mail(3)], "客户投诉")
        around.wake.set()
        await around.sink.until_accepted(3, timeout=3)
    assert {message.meta["folder"] for message in around.sink.accepted} == {"INBOX", "客户投诉"}


async def test_new_uidvalidity_looks_at_all_again(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1), mail(2)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(2)
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("last") == 2)
    dovecot.renumber(user)
    dovecot.append(user, [mail(3)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(3)
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("last") == 3)
    assert len(around.sink.offered) == 5
    assert len(around.sink.accepted) == 3


async def test_new_uidvalidity_leaves_older_mail_alone(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    old = (SystemClock().now() - timedelta(days=3)).strftime('"%d-%b-%Y %H:%M:%S +0000"')
    with dovecot.imap(user) as client:
        client.append("INBOX", "", old, mail(2))
    async with watching(settings(dovecot, user, since="now"), around):
        await eventually(lambda: around.health.state == "ok")
        dovecot.append(user, [mail(3)])
        await around.sink.until_accepted(1)
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("taken") == 1)
    dovecot.renumber(user)
    dovecot.append(user, [mail(4)])
    async with watching(settings(dovecot, user, since="now"), around):
        await around.sink.until_accepted(2)
    assert texts(around) == ["Hello 3", "Hello 4"]


async def test_a_late_lower_uid_is_found(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1), mail(2), mail(3)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(3)
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("last") == 3)
    around.sink.accepted = [message for message in around.sink.accepted if message.text.strip() != "Hello 2"]
    around.sink.saved["imap"]["folders"]["INBOX"]["settled"] = "1,3"  # as if 2 had not been visible then
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(3)
    assert sorted(texts(around)) == ["Hello 1", "Hello 2", "Hello 3"]


async def test_many_mails_in_order(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.fill(user, [mail(number, text="x" * (number * 40)) for number in range(1, 331)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(330)
        await eventually(lambda: around.sink.saved["imap"]["folders"]["INBOX"].get("last") == 330)
        wanted = {"messages": 330, "taken_in": 330, "older": 0, "waiting": 0}
        await eventually(lambda: around.health.details["folders"]["INBOX"] == wanted)
    assert [message.external_id for message in around.sink.accepted] == around.sink.offered
    assert [int(message.text.split()[-1]) for message in around.sink.accepted] == list(range(1, 331))
    assert max(map(len, around.sink.batches)) <= 150


async def test_too_large_a_mail_shows_its_beginning(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    large = mail(1, text="BEGINNING " + ("y" * 70 + "\r\n") * 30_000)
    dovecot.append(user, [large, mail(2)])
    async with watching(settings(dovecot, user, max_message_mb=1), around):
        await around.sink.until_accepted(2)
    first, second = around.sink.accepted
    assert first.kind == "unparsed"
    assert first.sender.address == "customer@example.com"
    assert first.subject == "Question 1"
    assert "BEGINNING" in first.text
    assert first.raw is not None
    assert large.startswith(first.raw)
    assert first.meta["size"] == len(large)
    assert second.kind == "message"


async def test_a_large_mail_is_whole(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    body = ("z" * 70 + "\r\n") * 150_000
    dovecot.append(user, [mail(1), mail(2, text=body), mail(3)])
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(3, timeout=20)
    assert len(around.sink.accepted[1].text) >= 150_000 * 71
    assert texts(around)[2] == "Hello 3"


async def test_a_mail_that_cannot_be_stored_stops_no_other(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(number) for number in range(1, 6)])
    around.sink.refuse = lambda messages: (
        ValueError("broken") if any(message.text.strip() == "Hello 3" for message in messages) else None
    )
    async with watching(settings(dovecot, user), around):
        await around.sink.until_accepted(5)
    third = around.sink.accepted[2]
    assert (third.kind, third.text, third.raw) == ("unparsed", "", mail(3))
    assert around.sink.accepted[4].text.strip() == "Hello 5"


async def test_wrong_password(dovecot: Dovecot) -> None:
    around = Surroundings()
    async with watching(settings(dovecot, dovecot.user(), imap_password="not-it"), around) as (connector, run):
        await run.ended.wait()
        results = await connector.check()
    assert isinstance(run.error, Unauthorized)
    assert around.health.state == "failing"
    assert "refuses the sign-in" in around.health.reason
    assert "password" in around.health.action
    assert [result.ok for result in results if result.name.startswith("IMAP")] == [False]
    assert "not-it" not in around.said() + repr(run.error) + repr(results)


async def test_nobody_listens() -> None:
    dovecot, around = start_dovecot(), Surroundings()
    values = settings(dovecot, "a@example.org", imap_port=free_port())
    async with watching(values, around) as (_, run):
        await run.ended.wait()
    assert isinstance(run.error, Transient)
    assert "nothing listens" in around.health.reason


async def test_tls_with_an_own_authority(dovecot: Dovecot) -> None:
    user, around, distrust = dovecot.user(), Surroundings(), Surroundings()
    dovecot.append(user, [mail(1)])
    values = settings(dovecot, user, imap_security="tls", imap_port=dovecot.imaps_port, imap_host="localhost")
    async with watching({**values, "ca_certificate": authority().pem}, around):
        await around.sink.until_accepted(1)
    async with watching(values, distrust) as (_, run):
        await run.ended.wait()
    assert isinstance(run.error, Transient)
    assert "certificate" in distrust.health.reason


async def test_check_names_each_part(dovecot: Dovecot) -> None:
    user = dovecot.user()
    async with opened(SPEC, settings(dovecot, user, folders=["INBOX", "Missing"]), Surroundings()) as connector:
        results = {result.name: result for result in await connector.check()}
    assert results["IMAP sign-in"].ok
    assert results["Folder INBOX"].ok
    assert not results["Folder Missing"].ok
    assert results["Folder Missing"].action
    assert not results["SMTP sign-in"].ok
    assert "127.0.0.1:9" in results["SMTP sign-in"].detail


@pytest.fixture
def quick_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "IDLE_SECONDS", 0.2)


@pytest.mark.usefixtures("quick_idle")
async def test_idle_is_issued_again(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    async with watching(settings(dovecot, user, poll_seconds=3600), around):
        await eventually(lambda: around.health.state == "ok")
        await asyncio.sleep(0.8)
        dovecot.append(user, [mail(1)])
        await around.sink.until_accepted(1, timeout=3)
    assert len([entry for entry in around.channel_log.entries if "sign-in" in entry["summary"]]) == 1


async def test_emptied_while_it_waits(dovecot: Dovecot) -> None:
    """A thousand EXPUNGE lines at once: aioimaplib by itself recurses and hangs."""
    user, around = dovecot.user(), Surroundings()
    dovecot.fill(user, [mail(number) for number in range(1, 1201)])
    async with watching(settings(dovecot, user, poll_seconds=3600), around) as (_, run):
        await around.sink.until_accepted(1200, timeout=30)
        await eventually(lambda: around.health.details["folders"]["INBOX"]["waiting"] == 0)
        await asyncio.to_thread(dovecot.remove, user)
        dovecot.append(user, [mail(2000)])
        await around.sink.until_accepted(1201, timeout=5)
        assert not run.ended.is_set()
    assert len([entry for entry in around.channel_log.entries if "sign-in" in entry["summary"]]) == 1
