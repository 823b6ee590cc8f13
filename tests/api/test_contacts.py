"""Contacts over the API."""

from __future__ import annotations

import asyncio
import io
import zipfile

import msgspec
import pytest

from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_made_found_changed(house: House) -> None:
    email = f"{house.name('Zhang')}@example.org"
    body = {"name": "张伟", "email": email, "phone": "+86 10 1234", "attributes": {"level": 3}, "tags": ["vip"]}
    made = (await house.post("/contacts", body, token="agent")).expect(201)
    assert made["email"] == email.lower()
    one = f"/contacts/{made['id']}"
    assert [c["id"] for c in (await house.get("/contacts", params={"email": email})).expect(200)["items"]] == [
        made["id"]
    ]
    found = (await house.get("/contacts", params={"q": email})).expect(200)["items"]
    assert made["id"] in [contact["id"] for contact in found]
    assert (await house.get("/contacts?limit=1")).expect(200)["items"][0]["id"] == made["id"]
    changed = (await house.patch(one, {"phone": None, "attributes": {}}, token="agent")).expect(200)
    assert (changed["phone"], changed["attributes"], changed["name"]) == (None, {}, "张伟")
    match = {"If-Match": f'"{made["version"]}"'}
    (await house.patch(one, {"name": "x"}, headers=match)).problem(412)
    (await house.patch(one, {"email": "not an address"})).problem(422)
    (await house.get("/contacts/nowhere")).problem(404)


async def test_words_of_others_conversations_lead_to_nobody(house: House) -> None:
    inbox, word = await house.app_inbox(), house.name("saxifrage")
    someone, _ = await house.agent()
    queue = await house.queue([someone["id"]])
    made = await house.write(inbox, word, house.name("customer"))
    one = f"/conversations/{made['conversation_id']}"
    contact = (await house.get(one)).expect(200)["contact_id"]

    async def found(token: str) -> bool:
        items = (await house.get("/contacts", params={"q": word}, token=token)).expect(200)["items"]
        return contact in [known["id"] for known in items]

    async with asyncio.timeout(20):
        while not await found("agent"):  # indexed a moment later
            await asyncio.sleep(0.05)
    (await house.patch(one, {"queue": queue["id"]})).expect(200)
    assert not await found("agent")
    assert await found("supervisor")


async def test_merge_and_unmerge(house: House) -> None:
    inbox = await house.app_inbox()
    ids = []
    for sender in ("one", "two"):
        made = await house.write(inbox, "hello", sender)
        ids.append((await house.get(f"/conversations/{made['conversation_id']}")).expect(200)["contact_id"])
    winner, loser = ids
    body = {"loser_id": loser, "reason": "same passport"}
    (await house.post(f"/contacts/{winner}/merge", body, token="agent")).problem(403)
    (await house.post(f"/contacts/{winner}/merge", {"loser_id": loser, "reason": ""})).problem(422)
    merged = (await house.post(f"/contacts/{winner}/merge", body, token="supervisor")).expect(200)
    assert merged["evidence"]["detail"] == "same passport"
    shown = (await house.get(f"/contacts/{winner}")).expect(200)
    assert {identity["address"] for identity in shown["identities"]} == {"one", "two"}
    assert (await house.get(f"/contacts/{loser}")).expect(200)["merged_into"] == winner
    undone = (await house.post(f"/contacts/{winner}/unmerge", {"merge_id": merged["id"]})).expect(200)
    assert undone["undone_at"] is not None
    assert (await house.get(f"/contacts/{loser}")).expect(200)["merged_into"] is None
    (await house.post(f"/contacts/{winner}/unmerge", {"merge_id": "nowhere"})).problem(404)


async def test_export_and_erase(house: House) -> None:
    inbox = await house.app_inbox()
    made = await house.write(inbox, "my secret story", "somebody", attachments=[{"name": "a.txt", "data": "aGk="}])
    one = f"/conversations/{made['conversation_id']}"
    contact = (await house.get(one)).expect(200)["contact_id"]
    answer = await house.post(f"/contacts/{contact}/export")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.raw)) as archive:
        about = msgspec.json.decode(archive.read("contact.json"))
        assert about["contact"]["id"] == contact
        assert "my secret story" in archive.read(f"conversations/{made['conversation_id']}/messages.jsonl").decode()
    erased = (await house.post(f"/contacts/{contact}/erase")).expect(200)
    assert erased["erased_at"] is not None
    assert "my secret story" not in (await house.get(f"{one}/messages")).raw.decode()
    (await house.post("/contacts/nowhere/export")).problem(404)
    (await house.post(f"/contacts/{contact}/erase", token="supervisor")).problem(403)
