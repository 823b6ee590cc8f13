"""Alive, ready, figures; and addresses behind a proxy."""

from __future__ import annotations

import pytest

from gateway.web.auth import forwarded_address, networks
from tests.api.conftest import House, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_alive_and_ready(house: House) -> None:
    assert (await house.get("~/healthz", token=None)).expect(200) == {"status": "alive"}
    assert (await house.get("~/readyz", token=None)).expect(200) == {"status": "ready"}


async def test_not_ready_without_a_store(new_house: Opener) -> None:
    async with new_house() as house:
        store = house.gateway.services.store
        await store.close()
        (await house.get("~/healthz", token=None)).expect(200)
        answer = await house.get("~/readyz", token=None)
        answer.problem(503)
        assert int(answer.headers["Retry-After"]) >= 1
        other = await house.get("/audit")
        other.problem(503)
        assert int(other.headers["Retry-After"]) >= 1
        await store.open()
        (await house.get("~/readyz", token=None)).expect(200)


async def test_figures(house: House) -> None:
    await house.get("/queues")
    text = (await house.get("~/metrics", token=None)).raw.decode()
    assert 'omnigate_http_requests_total{route="/api/v1/queues",status="200"}' in text
    assert "omnigate_intake_pending 0.0" in text
    assert 'omnigate_inboxes{enabled="true",kind="api"}' in text


async def test_figures_are_for_this_host_and_admins(new_house: Opener) -> None:
    async with new_house(trusted_proxies=("127.0.0.0/8",)) as house:
        away = {"X-Forwarded-For": "203.0.113.9"}
        (await house.get("~/metrics", token=None, headers=away)).problem(401)
        (await house.get("~/metrics", token="supervisor", headers=away)).problem(401)
        assert (await house.get("~/metrics", headers=away)).status == 200
        (await house.post("/tags", {"name": "x"}, headers=away)).expect(201)
        (entry, *_) = (await house.get("/audit")).expect(200)["items"]
        assert entry["address"] == "203.0.113.9"


async def test_the_public_address_is_used(new_house: Opener) -> None:
    async with new_house(public_url="https://support.example.org/") as house:
        (inbox,) = (await house.get("/inboxes")).expect(200)["items"]
        assert inbox["webhook_url"] == f"https://support.example.org/hooks/{inbox['id']}"
        answer = await house.get("/queues")
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        login = {"email": "admin@example.org", "password": "correct horse battery"}
        answer = await house.post("/session", login, token=None)
        assert "; Secure" in answer.headers["Set-Cookie"]
        cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0], "X-CSRF-Token": answer.json["csrf"]}
        own = {**cookie, "Origin": "https://support.example.org"}
        (await house.post("/tags", {"name": "x"}, token=None, headers=own)).expect(201)
        other = {**cookie, "Origin": "https://evil.example.org"}
        (await house.post("/tags", {"name": "y"}, token=None, headers=other)).problem(403)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # not a proxy of ours: what it says is not believed
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"),  # what is further left anyone can write
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, garbage", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
    ],
)
async def test_forwarded_addresses(peer: str, forwarded: str, address: str) -> None:
    assert forwarded_address(peer, forwarded, networks(["10.0.0.0/8"])) == address
