"""How commands reach the gateway: the one that runs on this data folder, or one started for the command alone.

A running gateway leaves `run.json` in its data folder, readable only by its user: its address and a token for the
command line. OMNIGATE_URL and OMNIGATE_TOKEN lead to any other gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from gateway.cli.options import settings
from gateway.errors import Denied, GatewayError, Problem, Refused

TIMEOUT = aiohttp.ClientTimeout(total=120)


class Api:
    """Calls of /api/v1 with the errors of its problem documents."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The decoded answer; raises Refused for 400, 404, 409 and 422, Denied for 401 and 403, GatewayError else."""
        content = await self.download(method, path, body, **query)
        return json.loads(content) if content else None

    async def download(self, method: str, path: str, body: Any = None, **query: Any) -> bytes:
        """The answer as it came; raises as `call` does."""
        wanted = {key: str(value) for key, value in query.items() if value is not None}
        async with self._session.request(method, f"{self._base}/api/v1{path}", json=body, params=wanted) as answer:
            content = await answer.read()
            if answer.status < 300:
                return content
            raise _error(answer.status, content)

    async def each(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """All items of a list, page after page."""
        cursor: str | None = None
        while True:
            page = await self.call("GET", path, cursor=cursor, limit=200, **query)
            for item in page["items"]:
                yield item
            cursor = page["next"]
            if cursor is None:
                return


def _error(status: int, content: bytes) -> GatewayError:
    try:
        problem = json.loads(content)
        detail = problem.get("detail") or problem.get("title") or f"status {status}"
        errors = [Problem(error["path"], error["message"]) for error in problem.get("errors", [])]
    except (ValueError, KeyError, AttributeError):
        detail, errors = f"the gateway answered with status {status}", []
    if status in (401, 403):
        return Denied(detail)
    if status in (400, 404, 409, 413, 422):
        return Refused(*(errors or [Problem("", detail)]), title=detail)
    return GatewayError(detail)


@asynccontextmanager
async def connect(arguments: argparse.Namespace) -> AsyncIterator[Api]:
    """A way to the gateway the arguments mean."""
    url, token = os.environ.get("OMNIGATE_URL"), os.environ.get("OMNIGATE_TOKEN")
    if url and token:
        async with _session(token) as session:
            yield Api(session, url.rstrip("/"))
        return
    chosen = settings(arguments)
    running = await asyncio.to_thread(_read_run_file, chosen.data_dir)
    if running is not None and await _answers(running["url"]):
        async with _session(running["token"]) as session:
            yield Api(session, running["url"])
        return
    from gateway.app import Gateway
    from gateway.service.log import configure

    configure("error", "console")
    alone = settings(arguments, listen="127.0.0.1:0")
    async with Gateway(alone, connectors=False) as gateway, _session(gateway.local_token) as session:
        yield Api(session, gateway.address)


def _session(token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT)


def _read_run_file(data: Path) -> dict[str, str] | None:
    try:
        found = json.loads((data / "run.json").read_text("utf-8"))
        return {"url": str(found["url"]), "token": str(found["token"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _answers(url: str) -> bool:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session,
            session.get(f"{url}/healthz") as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def with_api(work: Callable[[argparse.Namespace, Api], Awaitable[int]]) -> Callable[[argparse.Namespace], int]:
    """Makes a command's `run` of a coroutine that needs the gateway."""

    def run(arguments: argparse.Namespace) -> int:
        async def connected() -> int:
            try:
                async with connect(arguments) as api:
                    return await work(arguments, api)
            except (aiohttp.ClientError, TimeoutError) as error:
                raise GatewayError(f"the gateway cannot be reached: {error}") from None

        return asyncio.run(connected())

    return run
