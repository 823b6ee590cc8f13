"""A mail connector at real servers, for the live tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from connectors.mail import SPEC
from gateway.connector import Connector, Outgoing
from tests.conformance.sink import Run, Surroundings, opened, running
from tests.servers.dovecot import PASSWORD, Dovecot


def mail(number: int = 1, *, text: str = "Hello", headers: str = "", sender: str = "customer@example.com") -> bytes:
    """A simple mail; `number` makes its Message-ID."""
    return (
        f"From: A customer <{sender}>\r\nTo: support@example.org\r\nSubject: Question {number}\r\n"
        f"Message-ID: <{number}@example.com>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n"
        f"{headers}\r\n{text} {number}\r\n"
    ).encode()


def settings(dovecot: Dovecot, user: str, **changes: Any) -> dict[str, Any]:
    """Settings for a mailbox of this Dovecot, with an SMTP server that is not there."""
    return {
        "address": user,
        "imap_host": "127.0.0.1",
        "imap_port": dovecot.imap_port,
        "imap_security": "none",
        "imap_password": PASSWORD,
        "since": "all",
        "smtp_host": "127.0.0.1",
        "smtp_port": 9,
        "smtp_security": "none",
        "smtp_auth": "none",
        "poll_seconds": 5,
        **changes,
    }


def answer(**changes: Any) -> Outgoing:
    """Something to send."""
    values: dict[str, Any] = {
        "id": "0193b5c0-0000-7000-8000-000000000001",
        "conversation_id": "0193b5c0-0000-7000-8000-0000000000aa",
        "address": "customer@example.com",
        "text": "We are on it.",
        "created_at": datetime(2026, 11, 22, 10, tzinfo=UTC),
        **changes,
    }
    return Outgoing(**values)


@asynccontextmanager
async def watching(values: dict[str, Any], around: Surroundings) -> AsyncIterator[tuple[Connector, Run]]:
    """The connector, and its `run` under way."""
    async with opened(SPEC, values, around) as connector, running(connector) as run:
        yield connector, run


async def eventually(condition: Callable[[], object], seconds: float = 10) -> None:
    """Waits until it holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
