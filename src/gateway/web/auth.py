"""Who makes a request, and whether they may: bearer tokens, the session cookie with its CSRF defence, inbox tokens."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from gateway.errors import Denied
from gateway.model.access import Actor, Session
from gateway.model.inbox import Inbox
from gateway.model.team import ROLE_RANK, Role
from gateway.service.access import INBOX_PREFIX, token_hash
from gateway.service.services import Services
from gateway.settings import Settings
from gateway.web.problem import HttpProblem

COOKIE = "omnigate_session"
CSRF_HEADER = "X-CSRF-Token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
NOBODY = Actor(kind="system", id="anonymous", name="")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; `session` where it is by a login."""

    actor: Actor
    session: Session | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a route asks of its caller; see `gateway.web.route.route`."""

    role: Role | None
    scope: str | None
    inbox_token: bool = False
    reads_caller: bool = False


class Gate:
    """Lets a request through to a route, or raises what answers 401 or 403."""

    def __init__(self, services: Services) -> None:
        self._access = services.access
        self._directory = services.directory
        self._settings = services.settings
        self._proxies = networks(services.settings.trusted_proxies)

    async def admit(self, request: web.Request, rights: Rights) -> Caller:
        """The caller, if the route is open to them."""
        if rights.role is None and not rights.reads_caller:
            return Caller(NOBODY)
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is not None and rights.inbox_token:
            inbox_caller = self._by_inbox_token(request, header)
            if inbox_caller is not None:
                return inbox_caller
        caller = await self.identify(request)
        if caller is None:
            if rights.role is None:
                return Caller(NOBODY)
            raise unauthenticated()
        check_rights(caller.actor, rights)
        return caller

    async def identify(self, request: web.Request) -> Caller | None:
        """Who the request is from, by its bearer token, else its cookie; None if neither opens anything. Call it again
        on a connection that stays open, to see whether it still is allowed. Raises Denied for a forged cross-site
        request."""
        address = self.address(request)
        header = request.headers.get(hdrs.AUTHORIZATION)
        if header is not None:
            clear = bearer(header)
            known = await self._access.authenticate(clear, address) if clear else None
            return Caller(known.actor, known.session) if known is not None else None
        clear = request.cookies.get(COOKIE, "")
        known = await self._access.authenticate(clear, address) if clear else None
        if known is None or known.session is None:
            return None
        self._not_forged(request, known.session)
        return Caller(known.actor, known.session)

    def address(self, request: web.Request) -> str:
        """The client's address; X-Forwarded-For is believed from trusted proxies only, nearest first."""
        return forwarded_address(request.remote or "", request.headers.get(hdrs.X_FORWARDED_FOR, ""), self._proxies)

    def _by_inbox_token(self, request: web.Request, header: str) -> Caller | None:
        clear = bearer(header)
        if not clear.startswith(INBOX_PREFIX):
            return None
        inbox: Inbox | None = self._directory.inboxes.get(request.match_info["id"])
        known = inbox.token_hash if inbox is not None else None
        if inbox is None or known is None or not hmac.compare_digest(known, token_hash(clear)):
            raise unauthenticated()
        return Caller(Actor(kind="token", id=f"inbox:{inbox.id}", name=inbox.name, role="agent"))

    def _not_forged(self, request: web.Request, session: Session) -> None:
        """A browser sends the cookie along whichever page asks, so a change must prove that our page asked: by the
        session's CSRF token, and by the Origin where the browser names one. A WebSocket is a GET that no CORS rule
        guards: there the Origin alone says it (RFC 6455, 10.2)."""
        socket = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        if request.method in SAFE and not socket:
            return
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and not self._own_origin(request, origin):
            raise Denied("the request comes from another site")
        if socket:
            if origin is None:
                raise Denied("a WebSocket opened with the session cookie must name its Origin")
            return
        sent = request.headers.get(CSRF_HEADER, "")
        if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), session.csrf.encode()):
            raise Denied(f"the session cookie needs the header {CSRF_HEADER} with the session's `csrf` value")

    def _own_origin(self, request: web.Request, origin: str) -> bool:
        public = self._settings.public_url
        if public and origin == origin_of(public):
            return True
        return urlsplit(origin).netloc == request.host


def check_rights(actor: Actor, rights: Rights) -> None:
    """Raises Denied where the role or the token's scopes do not reach."""
    if rights.role is not None and ROLE_RANK[actor.role] < ROLE_RANK[rights.role]:
        raise Denied(f"this needs the role {rights.role}")
    if rights.scope is not None and actor.scopes and rights.scope not in actor.scopes:
        raise Denied(f"this needs a token with the scope {rights.scope}")


def bearer(header: str) -> str:
    """The token of an Authorization header (RFC 6750, 2.1); empty for another scheme."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def unauthenticated() -> HttpProblem:
    return HttpProblem(
        401, "send a valid token as `Authorization: Bearer …`, or log in", headers={"WWW-Authenticate": "Bearer"}
    )


def is_https(request: web.Request, settings: Settings) -> bool:
    """Whether the client speaks TLS to us or to the proxy before us."""
    return settings.public_url.startswith("https://") or request.secure


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def forwarded_address(peer: str, forwarded: str, proxies: tuple[Network, ...]) -> str:
    """The last address that a trusted proxy reports and that is not itself a trusted proxy."""
    if not proxies or not forwarded or not _within(peer, proxies):
        return peer
    found = peer
    for text in reversed(forwarded.split(",")):
        hop = text.strip()
        try:
            found = str(ipaddress.ip_address(hop))
        except ValueError:  # what stands here was not written by a proxy of ours
            return found
        if not _within(found, proxies):
            return found
    return found


@lru_cache(maxsize=4096)
def _within(address: str, proxies: tuple[Network, ...]) -> bool:
    try:
        parsed: Any = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in proxies)
