"""Access tokens for XOAUTH2: asked for with the refresh token (RFC 6749, 6), kept until shortly before they expire.

Addresses and scopes: developers.google.com/workspace/gmail/imap/xoauth2-protocol and learn.microsoft.com,
"Authenticate an IMAP, POP or SMTP connection using OAuth". Microsoft answers with a new refresh token each time; it is
kept, sealed under the inbox's secret, so that the 90 days of the one in the settings never run out while we run.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

import aiohttp
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connectors.mail import MailSettings
from connectors.mail.trouble import shorten
from gateway.connector import Context
from gateway.errors import Fenced, Transient, Unauthorized

EARLY = timedelta(minutes=5)
WARN = timedelta(days=14)
STATE = "oauth"

SIGN_IN_AGAIN = "Sign in at the provider again and enter the new refresh token in the inbox's settings."

_URLS = {
    "google": "https://oauth2.googleapis.com/token",
    "microsoft": "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
}
_SCOPES = {
    "google": "",  # a refresh keeps the scopes that were granted; https://mail.google.com/ is the one to ask for
    "microsoft": "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send offline_access",
    "custom": "",
}


class TokenSource:
    """The inbox's access token."""

    def __init__(self, settings: MailSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._lock = asyncio.Lock()
        self._access = ""
        self._until: datetime | None = None
        self._refresh = settings.oauth_refresh_token
        self._loaded = False
        self.ends_at: datetime | None = None
        """When the refresh token expires, if the provider said so."""

    async def token(self, fresh: bool = False) -> str:
        """A token that is good for some minutes. `fresh`: the last one was refused. Raises Unauthorized, Transient."""
        refused = self._access if fresh else ""
        async with self._lock:
            now = self._context.clock.now()
            if self._access and self._access != refused and self._until is not None and now < self._until - EARLY:
                return self._access
            await self._load()
            try:
                answer = await self._ask()
            except Unauthorized:
                if self._refresh == self._settings.oauth_refresh_token:
                    raise
                self._refresh = self._settings.oauth_refresh_token
                answer = await self._ask()
            self._access = answer["access_token"]
            self._until = now + timedelta(seconds=_seconds(answer.get("expires_in"), 3600))
            if ends := _seconds(answer.get("refresh_token_expires_in"), 0):
                self.ends_at = now + timedelta(seconds=ends)
            renewed = answer.get("refresh_token")
            if isinstance(renewed, str) and renewed and renewed != self._refresh:
                self._refresh = renewed
                await self._keep()
            return self._access

    def warning(self, today: date) -> str:
        """That the access will end soon, or an empty text."""
        known = [self._settings.oauth_expires_on] if self._settings.oauth_expires_on else []
        if self.ends_at is not None:
            known.append(self.ends_at.date())
        if not known or min(known) - today > WARN:
            return ""
        end = min(known)
        return f"the provider's permission for this mailbox {'ended' if end < today else 'ends'} on {end.isoformat()}"

    async def _ask(self) -> dict[str, Any]:
        settings = self._settings
        form = {
            "grant_type": "refresh_token",
            "refresh_token": self._refresh,
            "client_id": settings.oauth_client_id,
        }
        if settings.oauth_client_secret:
            form["client_secret"] = settings.oauth_client_secret
        if scope := settings.oauth_scope or _SCOPES[settings.oauth_provider]:
            form["scope"] = scope
        url = settings.oauth_token_url or _URLS[settings.oauth_provider].format(tenant=settings.oauth_tenant)
        try:
            async with self._context.http.post(
                url, data=form, timeout=aiohttp.ClientTimeout(total=30), allow_redirects=False
            ) as response:
                status, body = response.status, await response.content.read(100_000)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"the token address cannot be reached ({type(error).__name__})", code="oauth") from None
        answer = _json(body)
        if status == 200 and isinstance(answer.get("access_token"), str):
            self._context.channel_log.record("out", "OAuth: a new access token")
            return answer
        said = shorten(f"{answer.get('error', '')} {answer.get('error_description', '')}") or f"HTTP {status}"
        said = said.replace(self._refresh, "…")
        self._context.channel_log.record("out", "OAuth: no access token", ok=False, response=said)
        if 400 <= status < 500 and status != 429:
            code = str(answer.get("error", "oauth"))[:50]
            raise Unauthorized(f"the provider gives no access token: {said}", code=code, action=SIGN_IN_AGAIN)
        raise Transient(f"the provider gives no access token for now: {said}", code="oauth")

    def _key(self) -> AESGCM:
        return AESGCM(hmac.new(self._context.secret, b"mail oauth", sha256).digest())

    def _origin(self) -> str:
        """Tells whether the settings still hold the token that the kept one came from."""
        return hmac.new(self._context.secret, self._settings.oauth_refresh_token.encode(), sha256).hexdigest()

    async def _load(self) -> None:
        if self._loaded:
            return
        state = await self._context.sink.load(STATE)
        self._loaded = True
        if state.get("origin") != self._origin():
            return
        try:
            sealed = base64.b64decode(state["token"])
            self._refresh = self._key().decrypt(sealed[:12], sealed[12:], b"refresh").decode()
        except (KeyError, ValueError, InvalidTag):
            self._context.log.warning("mail.oauth.kept_token_unreadable")

    async def _keep(self) -> None:
        nonce = os.urandom(12)
        sealed = nonce + self._key().encrypt(nonce, self._refresh.encode(), b"refresh")
        try:
            await self._context.sink.save(STATE, {"origin": self._origin(), "token": base64.b64encode(sealed).decode()})
        except Fenced:  # another node polls, and keeps its own; ours stays good in memory
            self._context.log.info("mail.oauth.kept_by_another_node")


def _seconds(value: object, otherwise: int) -> int:
    try:
        return max(0, min(int(str(value)), 10**9)) if value is not None else otherwise
    except ValueError:
        return otherwise


def _json(body: bytes) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}
