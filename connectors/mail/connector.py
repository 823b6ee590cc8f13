"""The mail connector: ties mailbox, sender, tokens and settings together. What they do is in their own modules."""

from __future__ import annotations

import asyncio
import ssl
import time

from connectors.mail import MailSettings, trouble
from connectors.mail.imap import LineLost, Refusal, Session
from connectors.mail.inbound import to_inbound
from connectors.mail.oauth import SIGN_IN_AGAIN, TokenSource
from connectors.mail.outbound import compose
from connectors.mail.reading import Reader
from connectors.mail.restraint import DailyLimit, refuse_robots
from connectors.mail.smtp import Sender
from connectors.mail.tokens import Tokens
from connectors.mail.watch import Watcher
from gateway.connector import CheckResult, Connector, Context, Inbound, Outgoing, Sent
from gateway.errors import SendError, Unauthorized
from gateway.model.inbox import Health


class MailConnector(Connector):
    """One mailbox and its way out."""

    def __init__(self, settings: MailSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._tokens = Tokens(context.secret)
        self._oauth = TokenSource(settings, context)
        self._tls_context: ssl.SSLContext | None = None
        self._sender = Sender(settings, self._tls, self._oauth.token)
        self._limit = DailyLimit(settings.automatic_per_day, context.sink)
        self._own = frozenset(address.lower() for address in (settings.address, *settings.aliases))
        self._reader = Reader(self._parse, context.log)
        self._imap = f"the IMAP server {settings.imap_host}:{settings.imap_port}"

    def _parse(self, source: bytes) -> Inbound:
        now = self._context.clock.now()
        return to_inbound(source, own_addresses=self._own, verify_token=self._tokens.verify, now=now)

    async def __aexit__(self, *exc: object) -> None:
        await self._sender.close()

    async def run(self) -> None:
        await Watcher(self._settings, self._context, self._reader, self._open_or_report, self._warning).run()

    async def send(self, message: Outgoing) -> Sent:
        mail = compose(message, self._settings, self._tokens)
        now = self._context.clock.now()
        if message.automatic:
            refuse_robots(message, mail.to[0])
            await self._limit.count(message, mail.to[0], now)
        began = time.monotonic()
        try:
            await self._sender.send(mail)
        except SendError as error:
            self._record_sent(began, error)
            raise
        self._record_sent(began, None)
        meta = {
            "message_id": mail.message_id,
            "references": list(mail.references),
            "to": mail.to[0],
            "automatic": message.automatic,
            "at": now.isoformat(),
        }
        return Sent(provider_id=mail.message_id, meta=meta)

    def _record_sent(self, began: float, error: SendError | None) -> None:
        self._context.channel_log.record(
            "out",
            "SMTP: a mail" if error is None else f"SMTP: {type(error).__name__.lower()}",
            ok=error is None,
            response=error.reason if error else "",
            elapsed_ms=(time.monotonic() - began) * 1000,
        )

    async def check(self) -> list[CheckResult]:
        results: list[CheckResult] = []
        settings = self._settings
        try:
            session = await self._open_session()
        except SendError as error:
            results.append(_failed("IMAP sign-in", error))
        else:
            results.append(CheckResult(name="IMAP sign-in", ok=True, detail=f"{self._imap} lets us in"))
            try:
                results += [await self._check_folder(session, name) for name in settings.folders]
                await session.logout()
            except LineLost as lost:
                results.append(CheckResult(name="IMAP", ok=False, detail=str(lost), action="Try again."))
            finally:
                session.close()
        try:
            await self._sender.check()
        except SendError as error:
            results.append(_failed("SMTP sign-in", error))
        else:
            results.append(CheckResult(name="SMTP sign-in", ok=True, detail=f"{self._sender.where} lets us in"))
        reason, action = self._warning()
        if reason:
            results.append(CheckResult(name="OAuth", ok=False, detail=reason, action=action))
        return results

    @staticmethod
    async def _check_folder(session: Session, name: str) -> CheckResult:
        try:
            folder = await session.examine(name)
        except Refusal as refusal:
            return CheckResult(
                name=f"Folder {name}",
                ok=False,
                detail=f"cannot be opened: {trouble.shorten(refusal.text)}",
                action="Check the spelling; folders within folders are as on the server, for example INBOX/Web.",
            )
        return CheckResult(name=f"Folder {name}", ok=True, detail=f"{folder.messages} mails")

    async def _tls(self) -> ssl.SSLContext:
        """Verifies names and certificates. Read once, in a thread: the system's authorities are files."""
        if self._tls_context is None:
            extra = self._settings.ca_certificate or None
            context = await asyncio.to_thread(ssl.create_default_context)
            if extra:
                context.load_verify_locations(cadata=extra)
            self._tls_context = context
        return self._tls_context

    async def _open_or_report(self) -> Session:
        began = time.monotonic()
        try:
            session = await self._open_session()
        except SendError as error:
            self._context.channel_log.record("out", "IMAP sign-in", ok=False, response=error.reason)
            self._context.report(Health(state="failing", reason=error.reason, action=error.action))
            raise
        elapsed = (time.monotonic() - began) * 1000
        self._context.channel_log.record("out", f"IMAP sign-in at {self._imap}", elapsed_ms=elapsed)
        return session

    async def _open_session(self) -> Session:
        """A signed-in session. Raises the SendErrors."""
        settings = self._settings
        oauth = settings.imap_auth == "xoauth2"
        user = settings.imap_user or settings.address
        for fresh in (False, True):
            token = await self._oauth.token(fresh) if oauth else ""
            session: Session | None = None
            try:
                session = await Session.connect(
                    settings.imap_host,
                    settings.imap_port,
                    await self._tls() if settings.imap_security == "tls" else None,
                    max_literal=(settings.max_message_mb + 1) * 1024 * 1024,
                )
                if oauth:
                    await session.login_with_token(user, token)
                else:
                    await session.login(user, settings.imap_password)
            except Refusal as refusal:
                if session is not None:
                    session.close()
                found = trouble.sign_in(refusal, self._imap, oauth=oauth)
                if oauth and not fresh and isinstance(found, Unauthorized):
                    continue  # the token may have been revoked before its time
                raise found from None
            except (OSError, LineLost) as error:
                if session is not None:
                    session.close()
                line = trouble.network(error, self._imap)
                if line is None:
                    raise
                raise line from None
            return session
        raise AssertionError("the second refusal raises")

    def _warning(self) -> tuple[str, str]:
        reason = self._oauth.warning(self._context.clock.now().date())
        return reason, SIGN_IN_AGAIN if reason else ""


def _failed(name: str, error: SendError) -> CheckResult:
    return CheckResult(name=name, ok=False, detail=error.reason, action=error.action or "Try again later.")
