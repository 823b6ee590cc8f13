"""Idempotency-Key: the same POST again gets the same answer and makes nothing twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.errors import StoreUnavailable
from gateway.model.access import Actor
from gateway.store.batch import Batch
from gateway.store.collection import DELIVERIES, IDEMPOTENCY
from gateway.web.idempotency import UNDER_WAY, Claim, Idempotency
from gateway.web.problem import HttpProblem
from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOMEBODY = Actor(kind="token", id="somebody")


def keyed(house: House) -> dict[str, str]:
    return {"Idempotency-Key": house.name("key")}


async def test_the_same_answer(house: House) -> None:
    headers, body = keyed(house), {"name": house.name("tag")}
    first = await house.post("/tags", body, headers=headers)
    again = await house.post("/tags", body, headers=headers)
    assert (first.expect(201), first.raw) == (again.expect(201), again.raw)
    (await house.post("/tags", {"name": house.name("tag")}, headers=headers)).problem(422)
    # The key is the caller's own, and belongs to the call.
    (await house.post("/tags", body, headers=headers, token="supervisor")).problem(409)  # the name, not the key
    (await house.post("/canned", {"shortcut": "x"}, headers=headers)).problem(422)
    (await house.post("/tags", body, headers={"Idempotency-Key": "x" * 256})).problem(422)


async def test_a_refusal_leaves_the_key_free(house: House) -> None:
    headers = keyed(house)
    (await house.post("/queues", {"name": "x", "timezone": "Nowhere"}, headers=headers)).problem(422)
    (await house.post("/queues", {"name": house.name("queue")}, headers=headers)).expect(201)


async def test_an_answer_with_a_secret_is_kept_sealed(house: House) -> None:
    headers, body = keyed(house), {"name": house.name("token"), "role": "admin"}
    token = (await house.post("/tokens", body, headers=headers)).expect(201)["token"]
    assert (await house.post("/tokens", body, headers=headers)).expect(201)["token"] == token
    records = (await house.gateway.services.store.find(IDEMPOTENCY, limit=200)).items
    assert records
    assert token not in "".join(record.body for record in records)


async def test_many_at_once_make_one(house: House) -> None:
    inbox = await house.app_inbox()
    made = await house.write(inbox, "hello")
    path, headers = f"/conversations/{made['conversation_id']}/messages", keyed(house)
    answers = await asyncio.gather(*(house.post(path, {"text": "hi"}, headers=headers) for _ in range(8)))
    statuses = {answer.status for answer in answers}
    assert statuses <= {201, 409}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status == 409)
    messages = (await house.get(path)).expect(200)["items"]
    assert [message["direction"] for message in messages] == ["in", "out"]
    assert (await house.post(path, {"text": "hi"}, headers=headers)).expect(201)["id"] == messages[1]["id"]


async def cut_off(house: House, idempotency: Idempotency, claim: Claim) -> None:
    """As if the process had been killed in the middle, a while ago."""
    known = await house.gateway.services.store.get(IDEMPOTENCY, claim.record.id)
    assert known is not None
    batch = Batch()
    batch.put(IDEMPOTENCY, replace(known, at=known.at - UNDER_WAY - timedelta(seconds=1)))
    await house.gateway.services.store.commit(batch)


@pytest.fixture
def idempotency(house: House) -> Idempotency:
    services = house.gateway.services
    return Idempotency(services.store, services.clock, services.ids, services.seal)


async def test_a_call_that_was_cut_off(house: House, idempotency: Idempotency) -> None:
    async def begin(*, resumable: bool) -> Any:
        return await idempotency.begin(SOMEBODY, "POST /x", key, b"{}", resumable=resumable)

    key = house.name("key")
    claim = await begin(resumable=True)
    with pytest.raises(HttpProblem, match="under way"):
        await begin(resumable=True)
    await cut_off(house, idempotency, claim)
    with pytest.raises(HttpProblem, match="look whether it took effect"):
        await begin(resumable=False)
    again = await begin(resumable=True)
    assert again.reserved_id == claim.reserved_id


@pytest.mark.parametrize("kind", ["reply", "note"])
async def test_what_was_cut_off_after_its_commit_is_not_written_twice(
    house: House, idempotency: Idempotency, kind: str
) -> None:
    inbox = await house.app_inbox()
    made = await house.write(inbox, "hello")
    path, headers = f"/api/v1/conversations/{made['conversation_id']}/messages", keyed(house)
    services = house.gateway.services
    body = f'{{"kind":"{kind}","text":"hi"}}'.encode()
    credential = await services.access.authenticate(house.tokens["admin"])
    assert credential is not None
    key = headers["Idempotency-Key"]
    claim = await idempotency.begin(credential.actor, f"POST {path}", key, body, resumable=True)
    assert isinstance(claim, Claim)
    write = services.conversations.reply if kind == "reply" else services.conversations.note
    sent = await write(made["conversation_id"], credential.actor, "hi", message_id=claim.reserved_id)
    await cut_off(house, idempotency, claim)
    short = path.removeprefix("/api/v1")
    again = await house.post(short, {"kind": kind, "text": "hi"}, headers=headers)
    assert again.expect(201)["id"] == sent.id
    assert len((await house.get(short)).expect(200)["items"]) == 2


async def test_a_store_that_does_not_answer_may_have_kept_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reserved id must stay: with another one, a repeat would be a second answer."""
    inbox = await house.app_inbox()
    made = await house.write(inbox, "hello")
    path, headers, services = f"/conversations/{made['conversation_id']}/messages", keyed(house), house.gateway.services
    commit = services.store.commit

    async def answer_lost(batch: Batch) -> str:
        cursor = await commit(batch)
        if any(write.collection is DELIVERIES for write in batch):
            raise StoreUnavailable("the line broke")
        return cursor

    monkeypatch.setattr(services.store, "commit", answer_lost)
    (await house.post(path, {"text": "hi"}, headers=headers)).problem(503)
    monkeypatch.undo()
    assert (await house.post(path, {"text": "hi"}, headers=headers)).status == 409  # as long as it may be under way
    monkeypatch.setattr("gateway.web.idempotency.RESUMABLE_AFTER", timedelta(0))
    (await house.post(path, {"text": "hi"}, headers=headers)).expect(201)
    assert len((await house.get(path)).expect(200)["items"]) == 2
