"""Logging in and out, and what concerns one's own account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from aiohttp import hdrs, web
from msgspec import Meta

from gateway.errors import Denied
from gateway.model.access import Session
from gateway.model.team import Agent, Role
from gateway.web.auth import COOKIE, is_https
from gateway.web.fields import Body, Secret, View
from gateway.web.resources.agents import AgentView, agent_view
from gateway.web.route import Answer, Call, route

Otp = Annotated[str, Meta(pattern=r"^[0-9]{6}$")]
Password = Annotated[str, Meta(min_length=1, max_length=200)]
"""As typed; only `Passwords` judges how long a new one must be."""


class Login(Body, frozen=True, kw_only=True):
    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Password
    otp: Otp | None = None


class LoggedIn(View, frozen=True, kw_only=True):
    """`token`: for `Authorization: Bearer`; browsers have the cookie, and send `csrf` with every change."""

    token: str
    csrf: str
    expires_at: datetime
    agent: AgentView


class WhoAmI(View, frozen=True, kw_only=True):
    kind: str
    id: str
    name: str
    role: Role
    scopes: list[str]
    agent: AgentView | None
    csrf: str | None
    expires_at: datetime | None


class NewPassword(Body, frozen=True, kw_only=True):
    current: Password
    new: Annotated[str, Meta(min_length=10, max_length=200)]


class CodeOffer(View, frozen=True, kw_only=True):
    """`uri`: what an authenticator program reads as a QR code. Nothing is switched on yet."""

    secret: str
    uri: str


class CodeProof(Body, frozen=True, kw_only=True):
    password: Password
    secret: Secret
    otp: Otp


class PasswordProof(Body, frozen=True, kw_only=True):
    password: Password


async def log_in(call: Call[Login, None]) -> Answer[LoggedIn]:
    signed = await call.services.access.sign_in(
        call.body.email,
        call.body.password,
        call.body.otp,
        address=call.gate.address(call.request),
        user_agent=call.request.headers.get(hdrs.USER_AGENT, ""),
    )
    shown = LoggedIn(
        token=signed.token,
        csrf=signed.session.csrf,
        expires_at=signed.session.expires_at,
        agent=agent_view(call.services, signed.agent),
    )
    return Answer(shown, headers={hdrs.SET_COOKIE: cookie(call, signed.token)})


async def who_am_i(call: Call[None, None]) -> WhoAmI:
    actor, session = call.actor, call.session
    agent: Agent | None = call.services.directory.agents.get(actor.agent_id or "")
    return WhoAmI(
        kind=actor.kind,
        id=actor.id,
        name=actor.name,
        role=actor.role,
        scopes=list(actor.scopes),
        agent=agent_view(call.services, agent) if agent is not None else None,
        csrf=session.csrf if session is not None else None,
        expires_at=session.expires_at if session is not None else None,
    )


async def log_out(call: Call[None, None]) -> web.Response:
    if call.session is not None:
        await call.services.access.sign_out(call.session, call.actor)
    return web.Response(status=204, headers={hdrs.SET_COOKIE: cookie(call, ""), hdrs.CACHE_CONTROL: "no-store"})


async def change_password(call: Call[NewPassword, None]) -> None:
    await call.services.access.change_password(call.actor, own(call), call.body.current, call.body.new)


async def offer_code(call: Call[None, None]) -> CodeOffer:
    own(call)
    secret, uri = call.services.access.offer_code(call.actor)
    return CodeOffer(secret=secret, uri=uri)


async def enable_code(call: Call[CodeProof, None]) -> None:
    own(call)
    await call.services.access.enable_code(call.actor, call.body.password, call.body.secret, call.body.otp)


async def disable_code(call: Call[PasswordProof, None]) -> None:
    own(call)
    await call.services.access.disable_code(call.actor, call.body.password)


def own(call: Call[Any, Any]) -> Session:
    """The login; raises Denied for a token, which must not change its owner's way in."""
    if call.session is None:
        raise Denied("only the person themselves can do this, logged in")
    return call.session


def cookie(call: Call[Any, Any], token: str) -> str:
    """The Set-Cookie text; Lax, so that a link in a mail leads into the desk, while changes need the CSRF token."""
    secure = "; Secure" if is_https(call.request, call.services.settings) else ""
    age = "" if token else "; Max-Age=0"
    return f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"


ROUTES = [
    route(
        "POST",
        "/session",
        log_in,
        body=Login,
        response=LoggedIn,
        role=None,
        scope=None,
        tag="session",
        summary="Log in",
        description="Too many failures: 429 with Retry-After. With a second factor switched on, `otp` is asked for by "
        "a 401 that names it.",
    ),
    route("GET", "/session", who_am_i, response=WhoAmI, role="agent", scope=None, tag="session", summary="Who am I"),
    route("DELETE", "/session", log_out, role="agent", scope=None, tag="session", summary="Log out"),
    route(
        "PUT",
        "/agents/me/password",
        change_password,
        body=NewPassword,
        role="agent",
        scope=None,
        tag="session",
        summary="Change one's own password; all one's other sessions end",
    ),
    route(
        "POST",
        "/agents/me/totp",
        offer_code,
        response=CodeOffer,
        role="agent",
        scope=None,
        tag="session",
        summary="Offer a secret for one-time codes",
    ),
    route(
        "PUT",
        "/agents/me/totp",
        enable_code,
        body=CodeProof,
        role="agent",
        scope=None,
        tag="session",
        summary="Switch one-time codes on, proving that the secret arrived",
    ),
    route(
        "DELETE",
        "/agents/me/totp",
        disable_code,
        body=PasswordProof,
        role="agent",
        scope=None,
        tag="session",
        summary="Switch one-time codes off",
    ),
]
