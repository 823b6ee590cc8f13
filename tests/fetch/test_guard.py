"""Which addresses the gateway may call."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.service.guard import Guard, embedded, is_public

INSIDE = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.0.9",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "192.0.0.8",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.251",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", INSIDE)
def test_addresses_that_are_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_that_are_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_ipv4_reached_through_ipv6_is_judged_as_itself(address: IPv4Address) -> None:
    mapped = IPv6Address(0xFFFF << 32 | int(address))
    nat64 = IPv6Address(int(IPv6Address("64:ff9b::")) | int(address))
    assert embedded(mapped) == embedded(nat64) == address
    assert is_public(mapped) == is_public(nat64) == is_public(address)
    for relayed in (IPv6Address(0x2002 << 112 | int(address) << 80), IPv6Address(int(address))):
        assert not is_public(relayed)


@given(st.ip_addresses())
def test_nothing_that_python_knows_to_be_special_is_public(address: IPv4Address | IPv6Address) -> None:
    plain = embedded(address)
    special = plain.is_private or plain.is_multicast or plain.is_reserved or plain.is_loopback or plain.is_link_local
    assert not (special and is_public(address))


@given(st.ip_addresses(v=6))
def test_public_ipv6_is_global_unicast(address: IPv6Address) -> None:
    if is_public(address) and embedded(address) is address:
        assert int(address) >> 125 == 0b001


@given(st.ip_addresses(v=4), st.integers(1, 65535))
def test_an_allowed_network_may_be_called_on_any_port(address: IPv4Address, port: int) -> None:
    guard = Guard(allow=[f"{address}/32"])
    assert guard.permits(address, port)
    assert Guard().permits(address, port) == (is_public(address) and port in (80, 443))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a",
        "file:///etc/passwd",
        "gopher://example.org:80/",
        "//example.org/",
        "example.org",
        "",
        "http://",
        "http://user:secret@example.org/",
        "http://user@example.org/",
        "http://example.org:22/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://169.254.169.254/",
        "http://1.1.1.1:8080/",
        "http://example.org:99999/",
        "http://[::1/",
    ],
)
def test_urls_that_may_not_be_called(url: str) -> None:
    with pytest.raises(Refused):
        Guard().check_url(url)


def test_urls_that_may_be_called() -> None:
    assert str(Guard().check_url("https://example.org/a?b=c")) == "https://example.org/a?b=c"
    assert Guard(ports=[8443]).check_url("https://example.org:8443/").port == 8443
    assert Guard(allow=["10.0.0.0/8"]).check_url("http://10.1.1.1:9000/").port == 9000


@given(st.text())
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        Guard().check_url(text)
        Guard().check_url("http://" + text)
    except Refused:
        pass


async def test_the_connection_itself_is_guarded() -> None:
    """Also where nobody checked the URL: by name it is refused when resolved, by number when the socket is made."""
    calls: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        calls.append(request.path)
        return web.Response(text="secret")

    app = web.Application()
    app.router.add_get("/", inside)
    async with TestServer(app) as server, aiohttp.ClientSession(connector=Guard().connector()) as session:
        with pytest.raises(Refused):
            await session.get(f"http://localhost:{server.port}/")
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"http://127.0.0.1:{server.port}/")
    assert calls == []
