"""Sends mail over a few reused connections. It knows at every moment whether the server may have the message: up to
the final dot it cannot, from there to its answer it may."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiosmtplib

from connectors.mail import MailSettings, trouble
from connectors.mail.outbound import Mail
from gateway.errors import Permanent, SendError, Transient, Unauthorized, Unknown

MAX_CONNECTIONS = 4
IDLE_SECONDS = 30.0
"""Servers close idle connections after a minute or more; ours go first."""
MAX_MESSAGES = 100
"""Messages on one connection; Postfix and others ask for a new one at some point."""
COMMAND_SECONDS = 60.0
ANSWER_SECONDS = 300.0
"""For the answer to the whole message: servers scan it meanwhile (RFC 5321, 4.5.3.2.6 allows ten minutes)."""
CHUNK = 256 * 1024

_DOT = re.compile(rb"(?m)^\.")
Token = Callable[[bool], Awaitable[str]]
"""Gives an access token; True: not the one it gave before, the server refused that."""


class _Connection:
    def __init__(self, client: aiosmtplib.SMTP) -> None:
        self.client = client
        self.sent = 0
        self.unfinished = False
        """The last message was refused on the way: the server must forget its envelope."""
        self.closing: asyncio.TimerHandle | None = None


class Sender:
    """Sends mails by the settings' SMTP server. `token`: for XOAUTH2."""

    def __init__(
        self,
        settings: MailSettings,
        tls: Callable[[], Awaitable[ssl.SSLContext]],
        token: Token,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._token = token
        self._answer_seconds = answer_seconds
        self._idle: list[_Connection] = []
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self.where = f"the SMTP server {settings.smtp_host}:{settings.smtp_port}"

    async def send(self, mail: Mail) -> None:
        """One attempt. Raises the SendErrors."""
        async with self._room, self._attempt():
            reused = self._take_idle()
            if reused is not None:
                try:
                    return await self._deliver(reused, mail)
                except aiosmtplib.SMTPServerDisconnected:
                    pass  # the server closed it as idle; it has nothing of this mail
            return await self._deliver(_Connection(await self._connect()), mail)

    async def check(self) -> None:
        """Connects and signs in, sends nothing. Raises the SendErrors."""
        async with self._attempt():
            client = await self._connect()
            with contextlib.suppress(aiosmtplib.SMTPException):
                await client.quit(timeout=5)

    async def close(self) -> None:
        """Ends all connections; those in use when their message is done."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._end(connection)

    @asynccontextmanager
    async def _attempt(self) -> AsyncIterator[None]:
        try:
            yield
        except (SendError, aiosmtplib.SMTPException, OSError) as error:
            found = trouble.smtp(error, self.where)
            if found is error:
                raise
            raise found from None

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.closing is not None:
                connection.closing.cancel()
            if connection.client.is_connected:
                return connection
        return None

    async def _connect(self) -> aiosmtplib.SMTP:
        settings = self._settings
        password = settings.smtp_password or settings.imap_password
        user = settings.smtp_user or settings.imap_user or settings.address
        oauth = settings.smtp_auth == "xoauth2"
        for fresh in (False, True):
            client = aiosmtplib.SMTP(
                hostname=settings.smtp_host,
                port=settings.smtp_port,
                use_tls=settings.smtp_security == "tls",
                start_tls=settings.smtp_security == "starttls",
                tls_context=await self._tls() if settings.smtp_security != "none" else None,
                username=user if settings.smtp_auth != "none" else None,
                password=password if settings.smtp_auth == "password" else None,
                oauth_token_generator=self._generator(fresh) if oauth else None,
                local_hostname=settings.address.rpartition("@")[2].encode("idna").decode(),
                timeout=COMMAND_SECONDS,
            )
            try:
                await client.connect(timeout=20)
            except aiosmtplib.SMTPAuthenticationError as error:
                if oauth and not fresh and error.code >= 500:
                    continue  # the token may have been revoked before its time
                raise
            return client
        raise Unauthorized(f"{self.where} refuses the sign-in")

    def _generator(self, fresh: bool) -> Callable[[], Awaitable[str]]:
        return lambda: self._token(fresh)

    async def _deliver(self, connection: _Connection, mail: Mail) -> None:
        """Raises SMTPServerDisconnected only if it happened before the server could have the message."""
        client = connection.client
        try:
            if connection.unfinished:
                await client.rset()
            connection.unfinished = True
            await self._envelope(client, mail)
            await self._data(client, mail.data)
            connection.unfinished = False
        except aiosmtplib.SMTPResponseException as error:
            if error.code == 421 and connection.sent:
                raise aiosmtplib.SMTPServerDisconnected(error.message) from None
            raise trouble.reply(error.code, error.message) from None
        except SendError:
            raise
        except BaseException:
            client.close()  # out of step, or cancelled in between
            raise
        finally:
            connection.sent += 1
            self._give_back(connection)

    async def _envelope(self, client: aiosmtplib.SMTP, mail: Mail) -> None:
        options: list[str] = []
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        limit = client.esmtp_extensions.get("size", "")
        if limit.isdigit() and 0 < int(limit) < len(mail.data):
            raise Permanent(
                f"the mail has {len(mail.data) // 1024} KiB, the mail server takes {int(limit) // 1024} KiB",
                code="552",
            )
        if client.supports_extension("size"):
            options.append(f"SIZE={len(mail.data)}")
        if mail.utf8:
            if not client.supports_extension("smtputf8"):
                raise Permanent("the mail server cannot write to an address that is not ASCII", code="553")
            options += ["SMTPUTF8", "BODY=8BITMIME"]
        encoding = "utf-8" if mail.utf8 else "ascii"
        await client.mail(mail.sender, options=options, encoding=encoding)
        for recipient in mail.to:
            await client.rcpt(recipient, encoding=encoding)
        answer = await client.execute_command(b"DATA")
        if answer.code != 354:
            raise trouble.reply(answer.code, answer.message)

    async def _data(self, client: aiosmtplib.SMTP, data: bytes) -> None:
        """The message and its end. Lines end with CRLF already."""
        data = _DOT.sub(b"..", data if data.endswith(b"\r\n") else data + b"\r\n")
        for at in range(0, len(data), CHUNK):
            await self._write(client, data[at : at + CHUNK])
        protocol = client.protocol
        if protocol is None or not client.is_connected:
            raise Transient("the mail server closed the connection before it had the message", code="line")
        try:
            protocol.write(b".\r\n")
            answer = await protocol.read_response(timeout=self._answer_seconds)
        except (aiosmtplib.SMTPException, OSError):
            client.close()
            raise Unknown("the connection broke before the mail server said whether it took the mail") from None
        except asyncio.CancelledError:
            client.close()
            raise
        if answer.code != 250:
            raise trouble.reply(answer.code, answer.message)

    async def _write(self, client: aiosmtplib.SMTP, piece: bytes) -> None:
        transport: Any = client.transport
        end = time.monotonic() + COMMAND_SECONDS
        if client.is_connected:
            transport.write(piece)
        while client.is_connected and transport.get_write_buffer_size() > 2 * CHUNK:
            if time.monotonic() > end:
                client.close()
                raise Transient("the mail server stopped taking the message", code="timeout")
            await asyncio.sleep(0.01)

    def _give_back(self, connection: _Connection) -> None:
        if connection.sent < MAX_MESSAGES and connection.client.is_connected:
            connection.closing = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._drop, connection)
            self._idle.append(connection)
        else:
            self._end(connection)

    def _drop(self, connection: _Connection) -> None:
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)
        self._end(connection)

    @staticmethod
    def _end(connection: _Connection) -> None:
        if connection.closing is not None:
            connection.closing.cancel()
        client = connection.client
        if client.is_connected and client.protocol is not None:
            with contextlib.suppress(aiosmtplib.SMTPException, OSError):
                client.protocol.write(b"QUIT\r\n")
        client.close()
