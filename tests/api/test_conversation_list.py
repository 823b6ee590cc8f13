"""The list of conversations: filters, order, pages, words, and what an agent may see of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.conftest import House
from tests.api.test_messages import until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def listed(house: House, token: str = "admin", limit: int = 200, **filters: Any) -> list[str]:
    """Ids over all pages; checks that none comes twice and no page is too long."""
    found: list[str] = []
    params = {"limit": str(limit), **filters}
    while True:
        page = (await house.get("/conversations", token=token, params=params)).expect(200)
        assert len(page["items"]) <= limit
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            assert len(found) == len(set(found))
            return found
        params["cursor"] = page["next"]


async def several(house: House, inbox: tuple[str, str], count: int) -> list[str]:
    return [(await house.write(inbox, f"message {n}", f"customer {n}"))["conversation_id"] for n in range(count)]


async def test_filters(house: House) -> None:
    inbox = await house.app_inbox()
    first, second, third = await several(house, inbox, 3)
    agent, _ = await house.agent()
    queue = await house.queue([agent["id"]])
    tag = house.name("tag")
    (await house.patch(f"/conversations/{first}", {"queue": queue["name"], "tags": [tag]})).expect(200)
    (await house.patch(f"/conversations/{second}", {"status": "resolved"})).expect(200)
    (await house.patch(f"/conversations/{first}", {"assignee": agent["id"]})).expect(200)
    here: dict[str, Any] = {"inbox": inbox[0]}
    assert await listed(house, **here) == [third, second, first]
    assert await listed(house, **here, sort="created_at") == [first, second, third]
    assert await listed(house, **here, status="resolved") == [second]
    assert await listed(house, **here, status="open,pending") == [third, first]
    assert await listed(house, queue=queue["name"]) == await listed(house, queue=queue["id"]) == [first]
    assert await listed(house, tag=tag) == [first]
    assert await listed(house, assignee=agent["id"]) == await listed(house, assignee=agent["email"]) == [first]
    assert await listed(house, **here, assignee="none") == [third, second]
    contact = (await house.get(f"/conversations/{third}")).expect(200)["contact_id"]
    assert await listed(house, contact=contact) == [third]
    await house.write(inbox, "again", "customer 0")
    assert (await listed(house, **here))[0] == first  # newest activity first
    assert await listed(house, **here, limit=1) == await listed(house, **here)


async def test_an_agent_sees_their_queues_and_their_own(house: House) -> None:
    inbox = await house.app_inbox()
    ids = await several(house, inbox, 9)
    agent, token = await house.agent(capacity=10)
    mine = await house.queue([agent["id"]])
    others = await house.queue([house.agents["supervisor"]])
    for number, id in enumerate(ids):
        queue = mine if number % 2 else others
        (await house.patch(f"/conversations/{id}", {"queue": queue["id"]})).expect(200)
    (await house.patch(f"/conversations/{ids[4]}", {"assignee": agent["id"]})).expect(200)
    (await house.patch(f"/conversations/{ids[0]}", {"assignee": agent["id"], "priority": "high"})).expect(200)
    seen = [ids[7], ids[5], ids[4], ids[3], ids[1], ids[0]]
    here: dict[str, Any] = {"inbox": inbox[0]}
    for limit in (1, 2, 3, 5, 200):
        assert await listed(house, token, limit, **here) == seen, limit
    assert await listed(house, token, 2, **here, sort="created_at") == seen[::-1]
    assert await listed(house, token, **here, queue=others["name"]) == [ids[4], ids[0]]
    assert await listed(house, token, **here, queue=mine["name"]) == [ids[7], ids[5], ids[3], ids[1]]
    assert await listed(house, token, **here, assignee="me") == [ids[4], ids[0]]
    assert await listed(house, token, **here, assignee="none") == [ids[7], ids[5], ids[3], ids[1]]
    assert await listed(house, "supervisor", **here) == ids[::-1]
    for number, id in enumerate(ids):
        visible = id in seen
        for path in ("", "/messages", "/routing"):
            assert (await house.get(f"/conversations/{id}{path}", token=token)).status == (200 if visible else 404)
        note = {"kind": "note", "text": "x"}
        written = await house.post(f"/conversations/{id}/messages", note, token=token)
        assert written.status == (201 if visible else 404), number


async def test_words_find_conversations(house: House) -> None:
    inbox = await house.app_inbox()
    agent, token = await house.agent()
    queue = await house.queue([agent["id"]])
    hidden = await house.queue([house.agents["supervisor"]])
    word = house.name("zebra").replace("-", "")
    first = (await house.write(inbox, f"my {word} 退款到账了吗", "customer 1"))["conversation_id"]
    second = (await house.write(inbox, f"{word} again", "customer 2"))["conversation_id"]
    await house.write(inbox, f"and {word}", "customer 1")
    (await house.patch(f"/conversations/{first}", {"queue": queue["id"]})).expect(200)
    (await house.patch(f"/conversations/{second}", {"queue": hidden["id"]})).expect(200)

    async def found() -> Any:
        ids = await listed(house, q=word)
        return ids if ids == [first, second] else None  # the index follows: until it has the newest, too

    await until(found)
    pages, params = [], {"q": word, "limit": "1"}
    while "cursor" not in params or params["cursor"]:  # each once a page, by its newest hit there
        page = (await house.get("/conversations", params=params)).expect(200)
        pages.append([item["id"] for item in page["items"]])
        params["cursor"] = page["next"] or ""
    assert pages[:2] == [[first], [second]]
    assert await listed(house, q=f"{word} 退款") == [first]
    assert await listed(house, token, q=word) == [first]
    assert await listed(house, q=word, queue=hidden["name"]) == [second]
    assert await listed(house, q=word, status="resolved") == []
    (await house.get("/conversations", params={"q": word, "sort": "created_at"})).problem(422)
