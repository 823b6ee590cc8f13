"""XOAUTH2 at Dovecot and at an SMTP server, with tokens from an OAuth provider on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from connectors.mail import SPEC, MailSettings
from connectors.mail.oauth import TokenSource
from gateway.errors import Fenced, Transient, Unauthorized
from tests.conformance.sink import Surroundings, opened
from tests.connectors.mail.live import answer, eventually, mail, settings, watching
from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.oauth import OAuthProvider
from tests.servers.smtp import FaultySmtp

REFRESH, SECRET = "refresh-0f1e2d", "client-secret-9a8b"


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    server = start_dovecot()
    yield server
    server.oauth.status, server.oauth.extra = 200, {}
    server.oauth.refresh.clear()
    server.oauth.tokens.clear()
    server.oauth.requests.clear()


@pytest.fixture
def smtp() -> Iterator[FaultySmtp]:
    server = FaultySmtp(auth=True)
    yield server
    server.stop()


def values(dovecot: Dovecot, user: str, **changes: Any) -> dict[str, Any]:
    dovecot.oauth.refresh[REFRESH] = user
    return {
        **settings(dovecot, user),
        "imap_auth": "xoauth2",
        "imap_password": "",
        "oauth_client_id": "client",
        "oauth_client_secret": SECRET,
        "oauth_refresh_token": REFRESH,
        "oauth_token_url": dovecot.oauth.token_url,
        "oauth_scope": "mail",
        **changes,
    }


def secret_free(provider: OAuthProvider, text: str) -> bool:
    return not any(secret in text for secret in (REFRESH, SECRET, *provider.tokens))


async def test_mail_comes_in_with_a_token(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    dovecot.append(user, [mail(1)])
    async with watching(values(dovecot, user), around) as (connector, _):
        await around.sink.until_accepted(1)
        assert [result.ok for result in await connector.check()][:2] == [True, True]
    (request,) = dovecot.oauth.requests  # the token is kept while it is good
    assert request["grant_type"] == "refresh_token"
    assert request["client_id"] == "client"
    assert request["scope"] == "mail"
    assert secret_free(dovecot.oauth, around.said())


async def test_a_token_revoked_before_its_time_is_renewed(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    async with watching(values(dovecot, user), around) as (_, run):
        await eventually(lambda: around.health.state == "ok")
        dovecot.oauth.tokens.clear()
        await eventually(lambda: dovecot.kill_sessions(user))
        dovecot.append(user, [mail(1)])
        await around.sink.until_accepted(1)
        assert not run.ended.is_set()
    assert len(dovecot.oauth.requests) == 2


async def test_an_expired_permission_asks_to_sign_in_again(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    config = values(dovecot, user)
    dovecot.oauth.refresh.clear()
    async with watching(config, around) as (connector, run):
        async with asyncio.timeout(5):
            await run.ended.wait()
        results = await connector.check()
    assert isinstance(run.error, Unauthorized)
    assert "invalid_grant" in around.health.reason
    assert "Sign in at the provider again" in around.health.action
    assert not results[0].ok
    assert secret_free(dovecot.oauth, around.said() + repr(run.error) + repr(results))


async def test_a_token_that_the_server_refuses(dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers with a challenge first; without an answer to that, the sign-in would hang."""
    user, around = dovecot.user(), Surroundings()
    config = values(dovecot, user)
    dovecot.oauth.refresh[REFRESH] = "somebody-else@example.org"
    dovecot.oauth.tokens = NoTokens()
    async with watching(config, around) as (_, run):
        async with asyncio.timeout(5):
            await run.ended.wait()
    assert isinstance(run.error, Unauthorized)
    assert "401" in around.health.reason
    assert "refresh token" in around.health.action
    dovecot.oauth.tokens = {}


class NoTokens(dict[str, str]):
    def __setitem__(self, key: str, value: str) -> None:
        pass


async def test_a_provider_out_of_order_is_tried_again(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    config = values(dovecot, user)
    dovecot.oauth.status = 503
    async with watching(config, around) as (_, run):
        await run.ended.wait()
    assert isinstance(run.error, Transient)
    assert not isinstance(run.error, Unauthorized)


async def test_answers_go_out_with_a_token(dovecot: Dovecot, smtp: FaultySmtp) -> None:
    user, around = dovecot.user(), Surroundings()
    config = values(dovecot, user, smtp_host="localhost", smtp_port=smtp.port, smtp_auth="xoauth2")
    async with opened(SPEC, config, around) as connector:
        with pytest.raises(Unauthorized):
            await connector.send(answer())  # the server knows no token yet; asked for twice
        assert len(dovecot.oauth.requests) == 2
        smtp.tokens |= set(dovecot.oauth.tokens)
        await connector.send(answer())
        results = {result.name: result.ok for result in await connector.check()}
        assert results["SMTP sign-in"]
    assert len(smtp.received) == 1
    assert set(smtp.logins) == {user}
    assert secret_free(dovecot.oauth, around.said())


class Source:
    """A TokenSource with a clock that can be moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


async def test_tokens_are_renewed_early_and_rotated_ones_kept(dovecot: Dovecot) -> None:
    around, clock = Surroundings(), Source()
    config = msgspec.convert(values(dovecot, "a@example.org"), MailSettings)
    provider = dovecot.oauth
    provider.extra = {"refresh_token": "rotated-1", "refresh_token_expires_in": 86400 * 90}
    async with around.context() as given:
        context = copy_with_clock(given, clock)
        source = TokenSource(config, context)
        first = await source.token()
        assert await source.token() == first
        clock.time += timedelta(minutes=56)
        provider.refresh["rotated-1"] = provider.refresh.pop(REFRESH)
        second = await source.token()
        assert second != first
        assert [request["refresh_token"] for request in provider.requests] == [REFRESH, "rotated-1"]
        assert "rotated-1" not in repr(around.sink.saved)  # sealed
        again = TokenSource(config, context)  # a restart
        await again.token()
        assert provider.requests[-1]["refresh_token"] == "rotated-1"
        assert source.warning(clock.time.date()) == ""
        assert "ends on" in source.warning(clock.time.date() + timedelta(days=80))
        provider.refresh = {REFRESH: "a@example.org"}  # the kept one died, that of the settings lives
        await TokenSource(config, context).token()
        assert [request["refresh_token"] for request in provider.requests[-2:]] == ["rotated-1", REFRESH]
        provider.refresh["newer"] = "a@example.org"
        newer = msgspec.structs.replace(config, oauth_refresh_token="newer")  # an admin entered another
        await TokenSource(newer, context).token()
        assert provider.requests[-1]["refresh_token"] == "newer"


async def test_a_kept_token_that_cannot_be_kept_still_works(dovecot: Dovecot) -> None:
    around = Surroundings()
    config = msgspec.convert(values(dovecot, "a@example.org"), MailSettings)
    dovecot.oauth.extra = {"refresh_token": "rotated-1"}

    async def refuse(key: str, data: dict[str, Any]) -> None:
        raise Fenced("inbox")

    async with around.context() as context:
        around.sink.save = refuse  # type: ignore[method-assign]
        assert await TokenSource(config, context).token()


def copy_with_clock(context: Any, clock: Source) -> Any:
    return type(context)(**{name: getattr(context, name) for name in context.__slots__ if name != "clock"}, clock=clock)


async def test_admins_are_warned_before_it_ends(dovecot: Dovecot) -> None:
    user, around = dovecot.user(), Surroundings()
    soon = (datetime.now(UTC).date() + timedelta(days=5)).isoformat()
    async with watching(values(dovecot, user, oauth_expires_on=soon), around) as (connector, _):
        await eventually(lambda: around.health.state == "degraded")
        assert soon in around.health.reason
        assert "refresh token" in around.health.action
        assert not (await connector.check())[-1].ok
