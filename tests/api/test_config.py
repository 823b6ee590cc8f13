"""Queues, agents, SLA policies, canned replies, tags, tokens, webhooks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import PASSWORD, House

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "body", "change", "unique"),
    [
        ("/queues", {"name": "q", "priority": 3}, {"strategy": "round_robin"}, "name"),
        ("/agents", {"email": "a@example.org", "name": "A"}, {"skills": ["tax", "zh"]}, "email"),
        ("/sla-policies", {"name": "s", "resolution_seconds": 60}, {"resolution_seconds": None}, "name"),
        ("/canned", {"shortcut": "hi", "title": "Hello", "text": "你好"}, {"language": "zh"}, "shortcut"),
        ("/tags", {"name": "t"}, {"color": "#00ff00"}, "name"),
        ("/inboxes", {"kind": "api", "name": "i"}, {"reopen_days": 3}, "name"),
    ],
)
async def test_made_read_changed_deleted(
    house: House, path: str, body: dict[str, Any], change: dict[str, Any], unique: str
) -> None:
    value = f"{house.name('u')}@example.org" if unique == "email" else house.name("u")
    body = {**body, unique: value}
    made = (await house.post(path, body)).expect(201)
    assert {name: made[name] for name in body} == body
    one = f"{path}/{made['id']}"
    read = (await house.get(one)).expect(200)
    assert read.items() <= {**made, **read}.items()
    assert made["id"] in await listed(house, path)

    again = await house.post(path, body)
    again.problem(409)
    assert again.paths() == {unique}

    changed = (await house.patch(one, change)).expect(200)
    assert {name: changed[name] for name in change} == change
    assert (await house.get(one)).expect(200)[unique] == value
    assert (await house.patch(one, change)).expect(200)["version"] == changed["version"]  # nothing to change

    assert (await house.delete(one)).status == 204
    (await house.get(one)).problem(404)
    (await house.patch(one, change)).problem(404)
    (await house.delete(one)).problem(404)
    assert made["id"] not in await listed(house, path)


async def listed(house: House, path: str) -> list[str]:
    """All ids, read in pages of three."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await house.get(path, params={"limit": "3", **cursor})).expect(200)
        assert len(page["items"]) <= 3
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            assert len(set(found)) == len(found)
            return found
        cursor = {"cursor": page["next"]}


async def test_a_version_that_was_changed_meanwhile(house: House) -> None:
    queue = await house.queue()
    one = f"/queues/{queue['id']}"
    match = {"If-Match": f'"{queue["version"]}"'}
    (await house.patch(one, {"priority": 1}, headers=match)).expect(200)
    (await house.patch(one, {"priority": 2}, headers=match)).problem(412)
    (await house.patch(one, {"priority": 2}, headers={"If-Match": '"abc"'})).problem(412)
    (await house.patch(one, {"priority": 2}, headers={"If-Match": "*"})).expect(200)


async def test_queues_refer_to_what_there_is(house: House) -> None:
    body = {
        "name": house.name("queue"),
        "agent_ids": [NOWHERE],
        "fallback_queue_id": NOWHERE,
        "sla_policy_id": NOWHERE,
        "timezone": "Mars/Olympus",
        "hours": [{"days": [7], "open": "9:00", "close": "8:00"}, {"open": "soon"}],
    }
    answer = await house.post("/queues", body)
    answer.problem(422)
    assert answer.paths() == {
        "agent_ids[0]",
        "fallback_queue_id",
        "sla_policy_id",
        "timezone",
        "hours[0].days",
        "hours[0].close",
        "hours[1]",
    }


async def test_fallbacks_make_no_ring(house: House) -> None:
    first = await house.queue()
    second = await house.queue(fallback_queue_id=first["id"])
    answer = await house.patch(f"/queues/{first['id']}", {"fallback_queue_id": second["id"]})
    answer.problem(422)
    assert answer.paths() == {"fallback_queue_id"}


async def test_a_queue_in_use_is_not_deleted(house: House) -> None:
    queues = {queue["name"]: queue for queue in (await house.get("/queues?limit=200")).expect(200)["items"]}
    detail = (await house.delete(f"/queues/{queues['support']['id']}")).problem(409)["detail"]
    assert "no rule sends elsewhere" in detail
    first = await house.queue()
    await house.queue(fallback_queue_id=first["id"])
    assert "falls back" in (await house.delete(f"/queues/{first['id']}")).problem(409)["detail"]

    inbox = await house.app_inbox()
    written = await house.write(inbox, "hello")
    queue = await house.queue()
    moved = {"queue": queue["name"]}
    (await house.patch(f"/conversations/{written['conversation_id']}", moved)).expect(200)
    assert "conversations" in (await house.delete(f"/queues/{queue['id']}")).problem(409)["detail"]
    (await house.patch(f"/conversations/{written['conversation_id']}", {"status": "resolved"})).expect(200)
    assert (await house.delete(f"/queues/{queue['id']}")).status == 204
    (await house.get(f"/conversations/{written['conversation_id']}")).expect(200)


async def test_the_last_admin_stays(house: House) -> None:
    admins = [a for a in (await house.get("/agents?limit=200")).expect(200)["items"] if a["role"] == "admin"]
    assert len([admin for admin in admins if admin["enabled"]]) == 1
    one = f"/agents/{admins[0]['id']}"
    for change in ({"role": "agent"}, {"enabled": False}):
        assert "last admin" in (await house.patch(one, change)).problem(409)["detail"]
    assert "last admin" in (await house.delete(one)).problem(409)["detail"]


async def test_a_deleted_agent_is_gone_everywhere(house: House) -> None:
    stays, _ = await house.agent()
    goes, token = await house.agent(password=PASSWORD)
    queue = await house.queue([stays["id"], goes["id"]])
    login = {"email": goes["email"], "password": PASSWORD}
    session = (await house.post("/session", login, token=None)).expect(200)["token"]
    assert (await house.delete(f"/agents/{goes['id']}")).status == 204
    assert (await house.get(f"/queues/{queue['id']}")).expect(200)["agent_ids"] == [stays["id"]]
    (await house.get("/session", token=session)).problem(401)
    (await house.get("/session", token=token)).problem(401)
    assert "nobody else serves" in (await house.delete(f"/agents/{stays['id']}")).problem(409)["detail"]


async def test_presence(house: House) -> None:
    agent, token = await house.agent()
    shown = (await house.put("/agents/me/presence", {"state": "online"}, token=token)).expect(200)
    assert (shown["id"], shown["presence"]) == (agent["id"], "online")
    assert (await house.get("/agents/me", token=token)).expect(200)["presence"] == "online"
    away = await house.put(f"/agents/{agent['id']}/presence", {"state": "offline"}, token="supervisor")
    assert away.expect(200)["presence"] == "offline"
    (await house.put("/agents/me/presence", {"state": "asleep"}, token=token)).problem(422)
    (await house.put("/agents/me/presence", {"state": "online"})).problem(403)  # a token of no agent


async def test_tokens_are_shown_once(house: House) -> None:
    body = {"name": house.name("token"), "role": "supervisor", "scopes": ["rules:read"]}
    made = (await house.post("/tokens", body)).expect(201)
    (await house.get("/rules/versions", token=made["token"])).expect(200)
    shown = (await house.get("/tokens?limit=200")).expect(200)["items"]
    (mine,) = [token for token in shown if token["id"] == made["id"]]
    assert "token" not in mine
    assert (await house.delete(f"/tokens/{made['id']}")).status == 204
    (await house.get("/rules/versions", token=made["token"])).problem(401)


async def test_tokens_are_checked(house: House) -> None:
    body = {"name": "x", "role": "agent", "scopes": ["everything"], "expires_at": "2020-01-01T00:00:00Z"}
    answer = await house.post("/tokens", body)
    answer.problem(422)
    assert answer.paths() == {"scopes", "agent_id", "expires_at"}


async def test_webhooks_show_their_secret_once(house: House) -> None:
    body = {"url": "https://hooks.example.org/a", "types": ["message.*"], "enabled": False}
    made = (await house.post("/webhooks", body)).expect(201)
    one = f"/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    assert "secret" not in (await house.get(one)).expect(200)
    rotated = (await house.post(f"{one}/secret")).expect(200)
    assert rotated["secret"] != made["secret"]
    assert (await house.patch(one, {"types": []})).expect(200)["types"] == []
    assert (await house.get(f"{one}/deliveries")).expect(200) == {"items": [], "next": None}
    (await house.post(f"{one}/replay", {})).problem(409)  # it is switched off
    assert (await house.delete(one)).status == 204
    for url in ("ftp://example.org", "javascript:alert(1)", "https://"):
        (await house.post("/webhooks", {"url": url})).problem(422)
