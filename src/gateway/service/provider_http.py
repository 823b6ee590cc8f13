"""The HTTP session that all connectors share, for addresses that an admin has set."""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp

from gateway.service.guard import Guard

PRIVATE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")
"""Where a house's own servers are. An app's callback address, set by an admin, mostly leads there; what never may be
called, unless it is allowed by name, is the link-local network with the cloud's metadata."""
CONNECTIONS = 200
TIMEOUT = 60.0


def provider_session(allow: Iterable[str] = ()) -> aiohttp.ClientSession:
    """A session for public and private addresses on any port, and the networks (CIDR) in `allow`. Keeps no cookies,
    takes no proxy from the environment. Make it inside the loop; the caller closes it."""
    guard = Guard(allow=(*PRIVATE, *allow), ports=range(1, 65536))
    return aiohttp.ClientSession(
        connector=guard.connector(limit=CONNECTIONS),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        headers={"User-Agent": "Omnigate"},
        trust_env=False,
    )
