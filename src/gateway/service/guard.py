"""The SSRF guard: which addresses the gateway may call when the URL was given by someone outside.

The address is judged after name resolution and once more when the socket is made, so a name that resolves differently
the second time (DNS rebinding) gains nothing: what is connected to is what was checked.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.errors import Problem, Refused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IANA's IPv4 and IPv6 special-purpose address registries; where a block has a reachable part, the block is refused as a
# whole. Python's own `is_global` is not used: it calls multicast, NAT64 and (in 3.11.7) 6to4 addresses global.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local, cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_UNICAST_6 = IPv6Network("2000::/3")  # all that IANA has given out as global unicast
_NOT_PUBLIC_6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking …
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to an IPv4 address through anybody's relay
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: a network with DNS64 shows every IPv4 host so

HTTP_PORTS = frozenset({80, 443})


def embedded(address: Address) -> Address:
    """The IPv4 address that an IPv4-mapped or NAT64 address stands for; any other address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether the address is a host on the public Internet: not ours, not a neighbour's, not a group, not reserved."""
    address = embedded(address)
    if isinstance(address, IPv4Address):
        return not any(address in block for block in _NOT_PUBLIC_4)
    return address.scope_id is None and address in _UNICAST_6 and not any(address in block for block in _NOT_PUBLIC_6)


class Guard:
    """What may be called. `allow`: networks (CIDR) permitted although they are not public, for intranets and tests;
    `ports`: those permitted on public addresses (allowed networks may be called on any port)."""

    def __init__(self, *, allow: Iterable[str] = (), ports: Iterable[int] = HTTP_PORTS) -> None:
        self._allow: tuple[Network, ...] = tuple(ip_network(network) for network in allow)
        self._ports = frozenset(ports)

    def _allowed(self, address: Address) -> bool:
        return any(candidate in network for candidate in {address, embedded(address)} for network in self._allow)

    def permits(self, address: Address, port: int) -> bool:
        """Whether a connection to this address and port may be made."""
        return self._allowed(address) or (is_public(address) and port in self._ports)

    def check_url(self, text: str) -> URL:
        """The URL, if it is one that may be called as far as its text tells. Raises Refused."""
        try:
            url = URL(text)
            host, port = url.host, url.port
        except ValueError as error:
            raise _refused("is not a URL") from error
        if url.scheme not in ("http", "https"):
            raise _refused("must begin with http:// or https://")
        if not host or port is None:
            raise _refused("has no host")
        if url.user is not None or url.password is not None:
            raise _refused("must not carry a user name or password")
        literal = _literal(host)
        if literal is None:
            # A name may still lead to an allowed network, which is known once it is resolved.
            if port not in self._ports and not self._allow:
                raise _refused(f"port {port} is not permitted")
        elif not self.permits(literal, port):
            raise _refused("leads to an address that is not public")
        return url

    def connector(self, *, limit: int = 20) -> aiohttp.TCPConnector:
        """For a ClientSession whose every connection passes the guard (give it `trust_env=False`, or a proxy from the
        environment would connect in its place). Blocked addresses raise Refused, or OSError if reached otherwise."""
        return aiohttp.TCPConnector(
            resolver=_GuardedResolver(self),
            use_dns_cache=False,
            limit=limit,
            socket_factory=self._socket,
        )

    def _socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        family, kind, protocol, _, target = info
        if not self.permits(ip_address(str(target[0])), int(str(target[1]))):
            raise PermissionError("the address is not public")
        return socket.socket(family, kind, protocol)


class _GuardedResolver(AbstractResolver):
    """Resolves names, and refuses one of which any address is not permitted: a public name has no private address."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not all(self._guard.permits(ip_address(result["host"]), port) for result in found):
            raise _refused("leads to an address that is not public, or a port that is not permitted")
        return found

    async def close(self) -> None:
        await self._inner.close()


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _refused(message: str) -> Refused:
    return Refused(Problem("url", message), title="this address may not be called")
