"""Problem documents (RFC 9457): every error the API answers, made in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web

from gateway.errors import (
    Clash,
    Conflict,
    CursorGone,
    Denied,
    Duplicate,
    Fenced,
    GatewayError,
    NotFound,
    NotSignedIn,
    Overloaded,
    Problem,
    RateLimited,
    Refused,
    SendError,
    StoreUnavailable,
    Throttled,
)

log = structlog.get_logger("web")

MEDIA_TYPE = "application/problem+json"


class FieldProblem(msgspec.Struct, frozen=True, kw_only=True):
    """`path`: the field, in JSON path notation without the leading `$.`; empty: the whole body."""

    path: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class HttpProblem(Exception):
    """An answer other than success, decided in the web layer."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        title: str = "",
        errors: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.title = title
        self.errors = errors
        self.headers = headers or {}


def bad(status: int, detail: str, *errors: tuple[str, str], title: str = "") -> HttpProblem:
    """A refusal that names fields."""
    return HttpProblem(status, detail, errors=errors, title=title)


def wait(status: int, detail: str, seconds: float) -> HttpProblem:
    """A refusal that says when to come again (429, 503, 409)."""
    return HttpProblem(status, detail, headers={"Retry-After": retry_after(seconds)})


def retry_after(seconds: float) -> str:
    """Retry-After's whole seconds (RFC 9110, 10.2.3), at least one."""
    return str(max(1, math.ceil(seconds)))


def problem_response(problem: HttpProblem) -> web.Response:
    document = ProblemDocument(
        title=problem.title or HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        errors=[FieldProblem(path=path, message=message) for path, message in problem.errors],
    )
    return web.Response(
        status=problem.status,
        body=msgspec.json.encode(document),
        headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", **problem.headers},
    )


def to_problem(error: Exception, *, if_match: bool = False) -> HttpProblem:
    """The answer to an error. `if_match`: the client named the version it had seen, so a conflict is 412."""
    match error:
        case HttpProblem():
            return error
        case GatewayError():
            return _gateway_problem(error, if_match)
        case TimeoutError():
            return wait(503, "the answer took too long", 5)
        case web.HTTPException():
            return _aiohttp_problem(error)
        case _:
            log.exception("web.unexpected", error=type(error).__name__)
            return HttpProblem(500, "an error on our side; it has been logged")


def _gateway_problem(error: GatewayError, if_match: bool) -> HttpProblem:
    match error:
        case Refused():
            detail = "; ".join(f"{path}: {message}" if path else message for path, message in error.problems)
            return HttpProblem(422, detail or error.title, title=error.title, errors=error.problems)
        case NotFound():
            return HttpProblem(404, str(error))
        case Denied():
            return HttpProblem(403, str(error))
        case NotSignedIn():
            errors = [(error.path, str(error))] if error.path else ()
            return HttpProblem(401, str(error), errors=errors, headers={"WWW-Authenticate": "Bearer"})
        case Throttled():
            return wait(429, str(error), error.retry_after)
        case Clash() if if_match and error.path == "version":
            return HttpProblem(412, str(error))
        case Clash():
            return HttpProblem(409, str(error), errors=[(error.path, str(error))] if error.path else ())
        case Duplicate():
            return HttpProblem(409, f"{error.key} is taken", errors=[Problem(error.key, "is taken")])
        case Conflict():
            if if_match:
                return HttpProblem(412, "it was changed since the version you named; read it again")
            return wait(409, "it was changed by someone else at the same moment; try again", 1)
        case Overloaded():
            return wait(503, str(error), error.retry_after)
        case StoreUnavailable() | Fenced():
            return wait(503, "the store cannot answer now", 2)
        case CursorGone():
            return HttpProblem(410, "the feed no longer reaches back to this cursor; reload, then follow from the head")
        case RateLimited():
            return wait(503, error.reason, error.retry_after)
        case SendError():
            return HttpProblem(502, error.reason)
        case _:
            log.exception("web.unexpected", error=type(error).__name__)
            return HttpProblem(500, "an error on our side; it has been logged")


def _aiohttp_problem(error: web.HTTPException) -> HttpProblem:
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return HttpProblem(405, f"use {allowed}", headers={"Allow": allowed})
        case web.HTTPNotFound():
            return HttpProblem(404, "there is nothing at this address")
        case web.HTTPRequestEntityTooLarge():
            return HttpProblem(413, "the body is too large")
        case _:
            return HttpProblem(error.status, error.reason)
