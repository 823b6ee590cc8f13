"""Whatever a parser does with a mail, something comes of it."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest
import structlog

from connectors.mail.fetching import Fetched
from connectors.mail.reading import LARGE, Reader, is_bare, unread
from gateway.connector import Inbound, Sender

MOMENT = datetime(2026, 11, 22, tzinfo=UTC)


def parsed(source: bytes) -> Inbound:
    return Inbound(external_id="<1@x>", sender=Sender(address="a@x"), text=threading.current_thread().name)


def broken(source: bytes) -> Inbound:
    raise RecursionError("a bug")


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_mail_that_breaks_the_parser_is_kept_as_it_is(size: int) -> None:
    mail = Fetched(7, b"x" * size, True, size, MOMENT)
    first = await Reader(broken, structlog.get_logger()).read(mail, "INBOX", 1)
    again = await Reader(broken, structlog.get_logger()).read(mail._replace(uid=8), "Other", 2)
    assert first.kind == "unparsed"
    assert first.raw == mail.source
    assert first.sent_at == MOMENT
    assert first.external_id == again.external_id
    assert is_bare(first)


async def test_large_mails_are_read_in_a_thread() -> None:
    reader = Reader(parsed, structlog.get_logger())
    small = await reader.read(Fetched(1, b"x", True, 1, None), "INBOX", 1)
    large = await reader.read(Fetched(1, b"x" * LARGE, True, LARGE, None), "INBOX", 1)
    assert small.text == threading.current_thread().name
    assert large.text != small.text


async def test_the_time_of_arrival_stands_in_for_a_missing_date() -> None:
    message = await Reader(parsed, structlog.get_logger()).read(Fetched(1, b"x", True, 1, MOMENT), "INBOX", 1)
    assert message.sent_at == MOMENT
    assert message.meta["folder"] == "INBOX"


async def test_many_small_mails_leave_the_loop_room() -> None:
    reader, turns = Reader(parsed, structlog.get_logger()), 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        counting = group.create_task(count())
        for number in range(50):
            await reader.read(Fetched(number, b"x", True, 1, None), "INBOX", 1)
        counting.cancel()
    assert turns >= 50


def test_what_cannot_be_stored_keeps_its_source() -> None:
    message = parsed(b"source")
    bare = unread(message, Fetched(1, b"source", True, 6, MOMENT))
    assert not is_bare(message)
    assert is_bare(bare)
    assert (bare.external_id, bare.raw) == (message.external_id, b"source")
