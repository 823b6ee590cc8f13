"""What a call of the API is: a `Route` says its types, who may make it and how it answers; a `Call` is one being made.

Routes are values in explicit lists. From the same list come the handlers (`gateway.web.endpoint`), the OpenAPI document
(`gateway.web.openapi`) and the test that walks every route with every role.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from aiohttp import hdrs, web
from msgspec import Struct

from gateway.model.access import Actor, Session
from gateway.model.team import Role
from gateway.service.services import Services
from gateway.web.auth import Gate, Rights
from gateway.web.problem import HttpProblem

B = TypeVar("B")
Q = TypeVar("Q")
R = TypeVar("R")

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

PREFIX = "/api/v1"


@dataclass(slots=True)
class Call(Generic[B, Q]):
    """One call: who makes it, and what was sent, checked."""

    request: web.Request
    services: Services
    actor: Actor
    session: Session | None
    """The login it is made by, if by one."""
    gate: Gate
    body: B
    query: Q
    reserved_id: str | None = None
    """The id to give to what is created, so that a repeat with the same Idempotency-Key cannot create it twice."""

    @property
    def id(self) -> str:
        """The path's `{id}`."""
        return self.request.match_info["id"]

    def public_url(self) -> str:
        """The address we are reached at, without a slash at its end."""
        configured = self.services.settings.public_url
        return configured.rstrip("/") if configured else f"{self.request.scheme}://{self.request.host}"

    def expected_version(self) -> int | None:
        """The version of If-Match (as ETag gave it); None without one. Raises a 412 for what is no version of ours."""
        header = self.request.headers.get(hdrs.IF_MATCH)
        if header is None or header.strip() == "*":
            return None
        text = header.strip().strip('"')
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise HttpProblem(412, "If-Match must be the ETag of an earlier answer")
        return int(text)


@dataclass(slots=True)
class Answer(Generic[R]):
    """A result with another status or headers than the route's own."""

    value: R
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """See `route`."""

    method: Method
    path: str
    handler: Handler
    summary: str
    tag: str
    rights: Rights
    body: Any
    query: type[Struct] | None
    response: Any
    status: int
    creates: bool
    resumes: bool
    secret_answer: bool
    from_text: Callable[[str], Any] | None
    max_body: int | None
    timeout: float | None
    media_type: str
    description: str

    @property
    def name(self) -> str:
        """`GET /queues/{id}`."""
        return f"{self.method} {self.path}"


def route(
    method: Method,
    path: str,
    handler: Callable[[Call[B, Q]], Awaitable[R | Answer[R] | web.StreamResponse]],
    *,
    summary: str,
    tag: str,
    role: Role | None,
    scope: str | None,
    body: type[B] | None = None,
    query: type[Q] | None = None,
    response: type[R] | None = None,
    status: int = 200,
    inbox_token: bool = False,
    reads_caller: bool = False,
    creates: bool = False,
    resumes: bool = False,
    secret_answer: bool = False,
    from_text: Callable[[str], B] | None = None,
    max_body: int | None = None,
    timeout: float | None = 60,
    media_type: str = "application/json",
    description: str = "",
) -> Route:
    """A call of the API.

    path: under /api/v1, with `{name}` parts · role: the least role that may call (None: anyone, without a login) ·
    scope: what a scoped token must have (None: any token will do) · body, query: Structs that refuse unknown keys ·
    response: what is answered with `status` (None: no content, 204 unless `media_type` says the handler answers
    itself) · inbox_token: the token of the inbox in the path also opens it · reads_caller: open to anyone, yet who it
    is matters · creates: honours Idempotency-Key · resumes: the handler uses `reserved_id`, so a call that
    was cut off can be made again ·
    secret_answer: the answer holds a secret, so what is kept for a repeat is sealed · from_text: makes the body of a
    request that is not JSON but plain text or YAML · max_body: bytes (None: the setting) · timeout: seconds in all
    (None: a stream).
    """
    return Route(
        method=method,
        path=path,
        handler=handler,
        summary=summary,
        tag=tag,
        rights=Rights(role=role, scope=scope, inbox_token=inbox_token, reads_caller=reads_caller),
        body=body,
        query=query,  # type: ignore[arg-type]
        response=response,
        status=204 if response is None and media_type == "application/json" else status,
        creates=creates,
        resumes=resumes,
        secret_answer=secret_answer,
        from_text=from_text,
        max_body=max_body,
        timeout=timeout,
        media_type=media_type,
        description=description,
    )
