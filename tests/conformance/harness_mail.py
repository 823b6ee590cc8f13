"""Mail under test: a mailbox in a real Dovecot, and an SMTP server that can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from gateway.connector import Connector
from tests.conformance.harness import Delivered, Failure, Harness, Inbound
from tests.servers.dovecot import PASSWORD, Dovecot, start_dovecot
from tests.servers.smtp import PASSWORD as SMTP_PASSWORD
from tests.servers.smtp import FaultySmtp, Mode

_MODES: dict[Failure, Mode] = {
    "unreachable": "drop_at_mail",
    "server_error": "data_451",
    "rejected": "rcpt_550",
    "lost_after_send": "drop_after_data",
}


class MailHarness:
    kind = "mail"
    inbound: Inbound = "pull"
    failures: frozenset[Failure] = frozenset({"wrong_credentials", *_MODES})
    secrets: tuple[str, ...] = (PASSWORD, SMTP_PASSWORD)
    client_modules: tuple[str, ...] = ("aioimaplib", "aiosmtplib")

    def __init__(self, dovecot: Dovecot, smtp: FaultySmtp) -> None:
        self._dovecot = dovecot
        self._smtp = smtp
        self._user = dovecot.user()

    def settings(self) -> dict[str, Any]:
        return {
            "address": self._user,
            "imap_host": "127.0.0.1",
            "imap_port": self._dovecot.imap_port,
            "imap_security": "none",
            "imap_password": PASSWORD,
            "since": "all",
            "smtp_host": "127.0.0.1",
            "smtp_port": self._smtp.port,
            "smtp_security": "none",
            "smtp_password": SMTP_PASSWORD,
        }

    def wrong_settings(self) -> Sequence[tuple[dict[str, Any], str]]:
        good = self.settings()
        return [
            ({**good, "address": "not an address"}, "address"),
            ({**good, "imap_port": 0}, "imap_port"),
            ({**good, "smtp_host": "bad\r\nhost"}, "smtp_host"),
            ({**good, "imap_password": ""}, "imap_password"),
            ({**good, "imap_host": "mail.example.com"}, "imap_security"),
            ({**good, "imap_auth": "xoauth2", "oauth_token_url": "https://id.example.com/t"}, "oauth_client_id"),
            ({**good, "folders": ["INBOX", "INBOX"]}, "folders"),
            ({**good, "ca_certificate": "-----BEGIN CERTIFICATE-----\nnonsense"}, "ca_certificate"),
        ]

    async def inject(self, connector: Connector, key: str, text: str) -> int | None:
        source = (
            f"From: customer@example.com\r\nTo: {self._user}\r\nSubject: {key}\r\n"
            f"Message-ID: <{key}@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
        )
        await asyncio.to_thread(self._dovecot.append, self._user, [source.encode()])
        return None

    def recipient(self) -> tuple[str, Mapping[str, Any]]:
        return "customer@example.com", {"message_id": "<1@example.com>", "subject": "Question", "text": "Why?"}

    async def delivered(self) -> list[Delivered]:
        found = []
        for envelope, mail in zip(self._smtp.received, self._smtp.mails(), strict=True):
            body = mail.get_body(("plain",))
            text = body.get_content() if body is not None else ""
            found.append(
                Delivered(address=envelope.rcpt_tos[0], text=text.strip(), provider_id=str(mail["Message-ID"]))
            )
        return found

    async def fail(self, failure: Failure | None) -> None:
        self._smtp.mode = _MODES.get(failure, "") if failure is not None else ""
        self._smtp.password = "another" if failure == "wrong_credentials" else SMTP_PASSWORD


@asynccontextmanager
async def harness() -> AsyncIterator[Harness]:
    dovecot = await asyncio.to_thread(start_dovecot)
    smtp = FaultySmtp(auth=True)
    try:
        yield MailHarness(dovecot, smtp)
    finally:
        await asyncio.to_thread(smtp.stop)
