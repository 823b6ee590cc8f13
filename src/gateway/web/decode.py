"""From the bytes of a request to checked values; what is wrong is said field by field."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec
from aiohttp import web

from gateway.errors import Problem
from gateway.service.shape import as_problem, problems_in
from gateway.web.problem import HttpProblem, bad

T = TypeVar("T")

READ_SECONDS = 30
SHAPE = "the input is not of the described shape"


async def read_body(request: web.Request, limit: int) -> bytes:
    """The body; refuses one of more than `limit` bytes as soon as that is known, and one that takes too long to come,
    so that slow senders hold no place."""
    length = request.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    content = request.content
    if content.is_eof():  # it has arrived in whole, as short bodies have: nothing to wait for
        raw = content.read_nowait()
        if len(raw) > limit:
            raise too_large(limit)
        return raw
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            while chunk := await content.readany():
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        raise HttpProblem(408, f"the body did not arrive within {READ_SECONDS} seconds") from None
    return b"".join(chunks)


def too_large(limit: int) -> HttpProblem:
    return HttpProblem(413, f"the body may have {limit} bytes")


class BodyDecoder(Generic[T]):
    """Decodes JSON straight into a Struct; only when that fails is the body looked at field by field."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode

    def __call__(self, raw: bytes) -> T:
        try:
            return self._decode(raw)
        except msgspec.ValidationError as error:
            raise invalid(problems_of(raw, self._kind, error)) from None
        except RecursionError:
            raise bad(400, "the JSON is nested too deep") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = "UTF-8" if isinstance(error, UnicodeDecodeError) else "JSON"
            raise bad(400, f"the body is not {what}: {error}", title=f"not {what}") from None


def invalid(problems: list[Problem]) -> HttpProblem:
    detail = "; ".join(f"{path}: {message}" if path else message for path, message in problems)
    return bad(422, detail, *problems, title=SHAPE)


def decode_query(query: Mapping[str, str], kind: type[T]) -> T:
    """The query as a Struct. A parameter given twice is refused."""
    values: dict[str, str] = {}
    problems = []
    for key, value in query.items():
        if key in values:
            problems.append(Problem(key, "is given twice"))
        values[key] = value
    try:
        converted = msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        problems += problems_in(values, kind, strict=False) or [as_problem(error)]
    else:
        # msgspec takes the text `null` for None; a parameter is left out for that.
        problems += [Problem(key, "needs a value") for key in values if getattr(converted, key) is None]
    if problems:
        raise invalid(problems)
    return converted


def problems_of(raw: bytes, kind: Any, error: msgspec.ValidationError) -> list[Problem]:
    """All that is wrong with the body, as far as it can be said cheaply; at least the first error."""
    try:
        data = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return [as_problem(error)]
    return problems_in(data, kind) or [as_problem(error)]
