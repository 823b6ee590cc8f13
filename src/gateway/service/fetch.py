"""Fetching what an address in a message leads to, behind the SSRF guard, within bounds of size, time and hops."""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from gateway.content.files import media_type
from gateway.errors import Permanent, Problem, Refused, Transient
from gateway.service.guard import Guard

MAX_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_CHUNK = 64 * 1024


class Fetcher:
    """`await fetcher(url, max_bytes)` → (bytes, media type by content).

    `timeout`: seconds for the whole fetch, redirects included; `parallel`: how many run at once, the rest wait.
    Close it when done.
    """

    def __init__(self, guard: Guard, *, timeout: float = 30, parallel: int = 8) -> None:
        self._guard = guard
        self._timeout = timeout
        self._slots = asyncio.Semaphore(parallel)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __call__(self, url: str, max_bytes: int) -> tuple[bytes, str]:
        """GET the address. Raises Refused (an address that may not be called, too many redirects, more than
        `max_bytes`), Transient (the line, a time-out, 429 or 5xx: may work later) or Permanent (any other status)."""
        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout):
                    return await self._follow(self._guard.check_url(url), max_bytes)
            except TimeoutError as error:
                raise Transient(f"no full answer within {self._timeout:g} s") from error
            except aiohttp.InvalidURL as error:
                raise Refused(Problem("url", "is not a URL that can be called")) from error
            except (aiohttp.ClientError, OSError) as error:
                raise Transient(f"the address cannot be reached ({type(error).__name__})") from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._guard.connector(),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                # Unpacking would let a small body become a large one.
                headers={"Accept-Encoding": "identity", "User-Agent": "Omnigate"},
            )
        return self._session

    async def _follow(self, url: URL, max_bytes: int) -> tuple[bytes, str]:
        session = self._open()
        for _ in range(MAX_HOPS + 1):
            async with session.get(url, allow_redirects=False) as response:
                target = response.headers.get("Location")
                if response.status in _REDIRECTS and target:
                    # Each hop is checked like the first address: a public page may point inwards.
                    url = self._guard.check_url(str(_join(url, target)))
                    continue
                if response.status == 429 or response.status >= 500:
                    raise Transient(f"the address answered {response.status}", code=str(response.status))
                if response.status != 200:
                    raise Permanent(f"the address answered {response.status}", code=str(response.status))
                data = await _read(response, max_bytes)
                return data, media_type(data, response.headers.get("Content-Type", ""))
        raise Refused(Problem("url", f"redirects more than {MAX_HOPS} times"))


def _join(base: URL, target: str) -> URL:
    try:
        return base.join(URL(target))
    except ValueError as error:
        raise Refused(Problem("url", "redirects to something that is not a URL")) from error


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body, given up as soon as it is known to be too large."""
    too_large = Refused(Problem("url", f"leads to more than {max_bytes} bytes"))
    if (response.content_length or 0) > max_bytes:
        raise too_large
    data = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        data += chunk
        if len(data) > max_bytes:
            raise too_large
    return bytes(data)
