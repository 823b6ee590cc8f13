"""From an app's customer to an agent and back, over the API alone."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.model.message import Author, Message
from gateway.web.resources.conversation_views import message_view
from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARD = "4111 1111 1111 1111"


async def until(read: Callable[[], Awaitable[Any]]) -> Any:
    """What `read` gives once it is true; for what follows a commit a moment later."""
    async with asyncio.timeout(10):
        while not (found := await read()):
            await asyncio.sleep(0.02)
    return found


async def test_there_and_back(house: House) -> None:
    inbox = await house.app_inbox()
    sender = {"id": "c-7", "name": "李雷", "email": "lilei@example.org", "attributes": {"vip": True}}
    body = {"external_id": "m-1", "sender": sender, "text": "我的退款呢?", "sent_at": "2026-01-02T03:04:05+08:00"}
    first = (await house.post(f"/inboxes/{inbox[0]}/messages", body, token=inbox[1])).expect(201)
    assert first["duplicate"] is False
    again = (await house.post(f"/inboxes/{inbox[0]}/messages", body, token=inbox[1])).expect(201)
    assert again == {**first, "duplicate": True}

    one = f"/conversations/{first['conversation_id']}"
    answer = await house.get(one)
    shown = answer.expect(200)
    assert answer.headers["ETag"] == f'"{shown["version"]}"'
    assert (shown["status"], shown["channel"], shown["inbox_id"]) == ("open", "api", inbox[0])
    assert (shown["contact_name"], shown["unread"], shown["message_count"]) == ("李雷", 1, 1)
    assert shown["queue"]
    contact = (await house.get(f"/contacts/{shown['contact_id']}")).expect(200)
    assert (contact["email"], contact["attributes"]) == ("lilei@example.org", {"vip": True})
    assert {identity["verification"] for identity in contact["identities"]} == {"asserted"}

    (message,) = (await house.get(f"{one}/messages")).expect(200)["items"]
    assert (message["id"], message["direction"], message["external_id"]) == (first["message_id"], "in", "m-1")
    assert message["text"] == "我的退款呢?"
    assert message["author"]["kind"] == "contact"
    assert message["sent_at"] == "2026-01-01T19:04:05Z"

    reply = {"kind": "reply", "text": "在路上", "attachments": [{"name": "回单.txt", "data": b64("paid")}]}
    made = (await house.post(f"{one}/messages", reply)).expect(201)
    assert made["direction"] == "out"
    assert made["delivery"]["status"] == "queued"
    (await house.post(f"{one}/messages", {"kind": "note", "text": "asked the bank"})).expect(201)

    async def fetched() -> Any:
        return (await house.get(f"/inboxes/{inbox[0]}/outbound", token=inbox[1])).expect(200)["items"]

    (outgoing,) = await until(fetched)
    assert (outgoing["id"], outgoing["to"], outgoing["text"]) == (made["id"], "c-7", "在路上")
    assert outgoing["attachments"][0]["data"] == b64("paid")
    after = {"after": outgoing["cursor"]}
    assert (await house.get(f"/inboxes/{inbox[0]}/outbound", token=inbox[1], params=after)).expect(200)["items"] == []
    delivery = (await house.get(f"/deliveries/{made['id']}")).expect(200)
    assert delivery["status"] == "delivered"

    newest = (await house.get(f"{one}/messages?order=newest&limit=2")).expect(200)
    assert [item["direction"] for item in newest["items"]] == ["note", "out"]
    behind = {"order": "newest", "limit": "2", "cursor": newest["next"]}
    rest = (await house.get(f"{one}/messages", params=behind)).expect(200)
    assert [item["direction"] for item in rest["items"]] == ["in"]
    oldest = (await house.get(f"{one}/messages")).expect(200)["items"]
    assert [item["direction"] for item in oldest] == ["in", "out", "note"]
    answered = (await house.get(one)).expect(200)
    assert (answered["unread"], answered["waiting_since"]) == (0, None)

    (file,) = next(item for item in oldest if item["direction"] == "out")["attachments"]
    assert (file["name"], file["type"], file["size"]) == ("回单.txt", "text/plain", 4)
    served = await house.get(file["url"].removeprefix("/api/v1"))
    assert served.raw == b"paid"


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_attachments_come_in(house: House) -> None:
    inbox = await house.app_inbox()
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 100).decode()
    files = [{"name": "../../shot.exe", "type": "text/html", "data": png}]
    made = await house.write(inbox, "", attachments=files)
    (message,) = (await house.get(f"/conversations/{made['conversation_id']}/messages")).expect(200)["items"]
    (file,) = message["attachments"]
    assert file["type"] == "image/png"
    assert "/" not in file["name"]
    for wrong in (
        {"name": "x"},
        {"name": "x", "data": "", "url": "https://example.org/x"},
        {"name": "x", "data": "%%"},
    ):
        body = {"external_id": house.name("m"), "sender": {"id": "c"}, "attachments": [wrong]}
        (await house.post(f"/inboxes/{inbox[0]}/messages", body, token=inbox[1])).problem(422)
    empty = {"external_id": house.name("m"), "sender": {"id": "c"}}
    answer = await house.post(f"/inboxes/{inbox[0]}/messages", empty, token=inbox[1])
    answer.problem(422)
    assert answer.paths() == {"text"}


async def test_card_numbers_are_masked_until_revealed(house: House) -> None:
    inbox = await house.app_inbox()
    made = await house.write(inbox, f"my card is {CARD}")
    one = f"/conversations/{made['conversation_id']}"
    everywhere = (await house.get(one)).raw + (await house.get(f"{one}/messages")).raw
    everywhere += (await house.get("/conversations", params={"inbox": inbox[0]})).raw
    everywhere += (await house.get(f"{one}/routing")).raw
    assert CARD.encode() not in everywhere
    assert (await house.get(f"{one}/messages")).json["items"][0]["masked"] is True
    reveal = f"{one}/messages/{made['message_id']}/reveal"
    (await house.post(reveal, token="agent")).problem(403)
    assert CARD in (await house.post(reveal, token="supervisor")).expect(200)["text"]
    entries = (await house.get("/audit", params={"target": made["message_id"]})).expect(200)["items"]
    assert [(entry["action"], entry["actor_name"]) for entry in entries] == [
        ("message.reveal", entries[0]["actor_name"])
    ]


async def test_the_decision_explains_itself(house: House) -> None:
    inbox = await house.app_inbox()
    made = await house.write(inbox, "how do I change my phone number?")
    page = (await house.get(f"/conversations/{made['conversation_id']}/routing")).expect(200)
    decision = page["items"][-1]
    assert decision["kind"] == "route"
    assert decision["queue"]
    assert decision["queue_reason"]
    assert decision["message_id"] == made["message_id"]
    live = (await house.get("/rules")).expect(200)
    assert decision["rules_version"] == live["version"]
    assert decision["rules"]
    assert all(rule["text"] for rule in decision["rules"])


async def test_claim_release_transfer(house: House) -> None:
    agent, token = await house.agent()
    other, other_token = await house.agent(capacity=0)
    queue = await house.queue([agent["id"], other["id"]])
    inbox = await house.app_inbox()
    made = await house.write(inbox, "hello")
    one = f"/conversations/{made['conversation_id']}"
    elsewhere = await house.queue([house.agents["supervisor"]])
    (await house.post(f"{one}/transfer", {"queue": elsewhere["id"]})).expect(200)
    (await house.get(one, token=token)).problem(404)  # not in a queue of theirs
    (await house.post(f"{one}/claim", token=token)).problem(404)
    moved = (await house.post(f"{one}/transfer", {"queue": queue["name"], "note": "yours"})).expect(200)
    assert (moved["queue_id"], moved["assignee"]) == (queue["id"], None)

    claimed = (await house.post(f"{one}/claim", token=token)).expect(200)
    assert (claimed["assignee"], claimed["assignee_name"]) == (agent["id"], agent["name"])
    assert "has this conversation" in (await house.post(f"{one}/claim", token=other_token)).problem(409)["detail"]
    assert (await house.post(f"{one}/release", token=other_token)).status == 409
    full = await house.post(f"{one}/transfer", {"agent": other["email"]}, token=token)
    assert "full" in full.problem(409)["detail"]
    released = (await house.post(f"{one}/release", token=token)).expect(200)
    assert released["assignee"] is None
    (await house.post(f"{one}/transfer", {}, token=token)).problem(422)
    (await house.post(f"{one}/transfer", {"queue": "nowhere"}, token=token)).problem(422)
    reasons = [item["queue_reason"] for item in (await house.get(f"{one}/routing")).expect(200)["items"]]
    assert any("claimed" in reason for reason in reasons)


async def test_changes_to_a_conversation(house: House) -> None:
    inbox = await house.app_inbox()
    one = f"/conversations/{(await house.write(inbox, 'hello'))['conversation_id']}"
    before = (await house.get(one)).expect(200)
    change = {"priority": "high", "tags": ["退款", "vip"], "subject": "Refund", "language": "zh", "unread": 0}
    after = (await house.patch(one, {**change, "version": before["version"]})).expect(200)
    assert {name: after[name] for name in change} == change
    (await house.patch(one, {"priority": "low", "version": before["version"]})).problem(409)
    stale = {"If-Match": f'"{before["version"]}"'}
    (await house.patch(one, {"priority": "low"}, headers=stale)).problem(412)
    current = {"If-Match": f'"{after["version"]}"'}
    (await house.patch(one, {"priority": "low"}, headers=current)).expect(200)

    answer = await house.patch(one, {"status": "snoozed"})
    answer.problem(422)
    assert answer.paths() == {"snoozed_until"}
    until_then = {"status": "snoozed", "snoozed_until": "2099-01-01T00:00:00Z"}
    assert (await house.patch(one, until_then)).expect(200)["status"] == "snoozed"
    done = (await house.patch(one, {"status": "resolved"})).expect(200)
    assert done["resolved_at"] is not None
    (await house.patch(one, {"status": "closed"})).problem(422)
    (await house.patch(one, {"id": "x"})).problem(422)


async def test_deliveries_in_trouble(house: House) -> None:
    settings = {"callback_url": "http://127.0.0.1:9/"}  # nobody listens there
    body = {"kind": "api", "name": house.name("app"), "settings": settings}
    inbox = (await house.post("/inboxes", body)).expect(201)
    made = await house.write((inbox["id"], inbox["token"]), "hello")
    reply = (await house.post(f"/conversations/{made['conversation_id']}/messages", {"text": "hi"})).expect(201)
    one = f"/deliveries/{reply['id']}"

    async def tried() -> Any:
        return (await house.get(one)).expect(200)["attempts"]

    await until(tried)
    failing = (await house.get(f"/inboxes/{inbox['id']}/deliveries?dead=false")).expect(200)["items"]
    assert [delivery["id"] for delivery in failing] == [reply["id"]]
    (await house.post(f"{one}/resolve", {"outcome": "perhaps"})).problem(422)

    async def discarded() -> bool:
        return (await house.post(f"{one}/resolve", {"outcome": "discard"})).status == 200  # 409 in mid-attempt

    await until(discarded)
    assert (await house.get(one)).expect(200)["status"] == "failed"
    (_, message) = (await house.get(f"/conversations/{made['conversation_id']}/messages")).expect(200)["items"]
    assert message["delivery"]["status"] == "failed"
    (await house.post(f"{one}/retry")).expect(200)
    actions = [e["action"] for e in (await house.get("/audit", params={"target": reply["id"]})).expect(200)["items"]]
    assert actions == ["delivery.retry", "delivery.resolve"]
    (await house.post("/deliveries/nowhere/retry")).problem(404)


async def test_html_with_card_numbers_is_held_back() -> None:
    message = Message(
        id="m",
        inbox_id="i",
        conversation_id="c",
        direction="in",
        author=Author(kind="contact"),
        text=CARD,
        visible_text=f"see {CARD}",
        html=f"<p>4111 1111 <b>1111</b> 1111</p><p>{CARD}</p>",
        masked_text="4111 **** **** 1111",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    shown = message_view(message)
    assert (shown.text, shown.html, shown.masked) == ("4111 **** **** 1111", None, True)
    assert shown.visible_text is not None
    assert CARD not in shown.visible_text
    harmless = message_view(replace(message, masked_text=None, visible_text=None))
    assert (harmless.html, harmless.masked) == (message.html, False)


async def test_idempotency_keys_of_apps(house: House) -> None:
    inbox = await house.app_inbox()
    body = {"external_id": "1", "sender": {"id": "c"}, "text": "hi"}
    headers = {"Idempotency-Key": house.name("key")}
    path = f"/inboxes/{inbox[0]}/messages"
    first = await house.post(path, body, token=inbox[1], headers=headers)
    assert (await house.post(path, body, token=inbox[1], headers=headers)).raw == first.raw
    assert first.expect(201)["duplicate"] is False
    (await house.post(path, {**body, "text": "else"}, token=inbox[1], headers=headers)).problem(422)
