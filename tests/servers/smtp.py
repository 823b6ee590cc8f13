"""An SMTP server that fails in named ways, for what a well-behaved one never does."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import ssl
import threading
from email.message import EmailMessage
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.ports import authority

Mode = Literal[
    "",
    "greet_421",
    "sender_452",
    "rcpt_450",
    "rcpt_550",
    "data_451",
    "data_552",
    "drop_at_mail",
    "drop_at_data",
    "drop_after_data",
    "slow_after_data",
]
"""Where it fails: with that code, or by dropping the line (before any data, at the DATA command, or having kept the
mail); slow: it keeps the mail and does not answer."""

PASSWORD = "smtp-secret"


class _Server(SMTP):
    """aiosmtpd's protocol with the failures put in."""

    def __init__(self, owner: FaultySmtp) -> None:
        self._owner = owner
        super().__init__(
            owner,
            hostname="faulty.example.org",
            ident="faulty",
            data_size_limit=50_000_000,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=owner.authenticate if owner.auth else None,
            tls_context=owner.starttls_context,
            require_starttls=owner.starttls_context is not None,
        )

    def connection_made(self, transport: Any) -> None:
        self._owner.connections += 1
        if self._owner.mode == "greet_421":
            transport.write(b"421 4.3.2 no service now\r\n")
            transport.close()
            return
        super().connection_made(transport)

    async def smtp_DATA(self, arg: str) -> None:
        if self._owner.mode == "drop_at_data":
            _drop(self)
            return
        await super().smtp_DATA(arg)


def _drop(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


class FaultySmtp:
    """The server; runs in a thread. `received`: the envelopes it took, oldest first."""

    def __init__(self, *, auth: bool = False, security: Literal["tls", "starttls", "none"] = "none") -> None:
        self.auth = auth
        self.mode: Mode = ""
        self.received: list[Envelope] = []
        self.connections = 0
        self.logins: list[str] = []
        self.tokens: set[str] = set()
        """Valid XOAUTH2 access tokens."""
        self.refused: set[str] = set()
        """Recipients answered with 550."""
        self.password = PASSWORD
        context = None
        if security != "none":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority().certificate, authority().key)
        self.starttls_context = context if security == "starttls" else None
        self._tls = context if security == "tls" else None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        server = await self._loop.create_server(lambda: _Server(self), "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def mails(self) -> list[EmailMessage]:
        """What was received, parsed by the standard library."""
        parsed = [
            email.message_from_bytes(envelope.original_content or b"", policy=email.policy.default)
            for envelope in self.received
        ]
        return [mail for mail in parsed if isinstance(mail, EmailMessage)]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def drop_all(self) -> None:
        """Closes every open connection, as an idle time-out would."""

        def drop() -> None:
            for task in asyncio.all_tasks(self._loop):
                frame = getattr(task.get_coro(), "cr_frame", None)
                server = frame and frame.f_locals.get("self")
                if isinstance(server, SMTP) and server.transport is not None:
                    server.transport.close()

        self._loop.call_soon_threadsafe(drop)

    def authenticate(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        """Called by aiosmtpd for PLAIN and LOGIN."""
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password.decode() == self.password, handled=False)

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        """Google's and Microsoft's way: a refusal is first a challenge with the reason, then 535."""
        answer = base64.b64decode(args[1]).decode()
        user, _, rest = answer.partition("\1")
        token = rest.removeprefix("auth=Bearer ").rstrip("\1")
        self.logins.append(user.removeprefix("user="))
        if token in self.tokens:
            return AuthResult(success=True, handled=False)
        await server.push("334 " + base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode())
        await server._reader.readline()
        return AuthResult(success=False, handled=False)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mode == "drop_at_mail":
            _drop(server)
        if self.auth and not session.authenticated:
            return "530 5.7.0 sign in first"
        if self.mode == "sender_452":
            return "452 4.3.1 out of room"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mode == "rcpt_450":
            return "450 4.2.1 try later"
        if self.mode == "rcpt_550" or address in self.refused:
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.mode == "data_451":
            return "451 4.7.1 greylisted"
        if self.mode == "data_552":
            return "552 5.3.4 too large"
        self.received.append(envelope)
        if self.mode == "drop_after_data":
            _drop(server)
        if self.mode == "slow_after_data":
            await asyncio.sleep(30)
        return "250 2.0.0 kept"
