"""The audit log: every change is in it, no secret is, and a change of the log shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.errors import Duplicate
from gateway.model.access import SYSTEM, AuditEntry
from gateway.model.document import SystemClock
from gateway.model.team import Tag
from gateway.service.audit import Audit, entry_hash
from gateway.store.batch import Batch
from gateway.store.collection import AUDIT, TAGS
from gateway.store.contract import Store
from gateway.store.open import open_store
from tests.api.conftest import PASSWORD, House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_changes_are_kept_with_before_and_after(house: House) -> None:
    queue = await house.queue()
    (await house.patch(f"/queues/{queue['id']}", {"priority": 7})).expect(200)
    await house.delete(f"/queues/{queue['id']}")
    entries = (await house.get("/audit", params={"target": queue["id"]})).expect(200)["items"]
    assert [entry["action"] for entry in entries] == ["queue.delete", "queue.update", "queue.create"]
    assert entries[1]["detail"] == {"priority": [0, 7]}
    assert all(entry["actor"].startswith("token:") and entry["address"] == "127.0.0.1" for entry in entries)
    one_action = (await house.get("/audit", params={"target": queue["id"], "action": "queue.update"})).expect(200)
    assert len(one_action["items"]) == 1
    none = await house.get("/audit", params={"target": queue["id"], "until": "2020-01-01T00:00:00+08:00"})
    assert none.expect(200)["items"] == []


async def test_logins_and_passwords(house: House) -> None:
    agent, _ = await house.agent(password=PASSWORD)
    await house.post("/session", {"email": agent["email"], "password": "wrong"}, token=None)
    login = (await house.post("/session", {"email": agent["email"], "password": PASSWORD}, token=None)).expect(200)
    (await house.patch(f"/agents/{agent['id']}", {"password": "yet another one"})).expect(200)
    answer = await house.get("/audit", params={"target": agent["id"]})
    actions = [entry["action"] for entry in answer.expect(200)["items"]]
    assert actions == ["agent.update", "session.start", "session.refused", "agent.create"]
    everything = (await house.get("/audit?limit=200")).raw.decode()
    for secret in (PASSWORD, "yet another one", "argon2", login["token"], login["csrf"]):
        assert secret not in everything
    assert (await house.get("/audit", params={"actor": agent["id"]})).expect(200)["items"]
    # The first admin was made by the gateway itself.
    made = (await house.get("/audit", params={"actor": "system", "action": "agent.create"})).expect(200)["items"]
    assert len(made) == 1


async def test_the_chain_holds(house: House) -> None:
    checked = (await house.get("/audit/verify")).expect(200)
    assert checked["ok"] is True
    assert checked["entries"] > 10


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Store]:
    store = open_store(f"sqlite:///{folder}/audit.db", folder, SystemClock())
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_writers_on_two_nodes_make_one_chain(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        nodes = [Audit(store, SystemClock()) for _ in range(3)]
        await asyncio.gather(*(nodes[n % 3].commit(Batch(), SYSTEM, f"thing.{n}") for n in range(30)))
        checked = await nodes[0].verify()
        assert (checked.ok, checked.entries) == (True, 30)


@pytest.mark.parametrize("harm", ["changed", "removed", "forged"])
async def test_harm_to_the_log_shows(tmp_path: Path, harm: str) -> None:
    async with opened(tmp_path) as store:
        audit = Audit(store, SystemClock())
        for number in range(5):
            await audit.commit(Batch(), SYSTEM, "thing.made", str(number), {"number": number})
        known: list[AuditEntry] = (await store.find(AUDIT, order="seq")).items
        batch = Batch()
        if harm == "changed":
            batch.put(AUDIT, replace(known[2], actor="somebody else"))
        elif harm == "removed":
            batch.delete(AUDIT, known[2])
        else:  # with a hash that fits its own content
            other = replace(known[2], actor="somebody else")
            batch.put(AUDIT, replace(other, hash=entry_hash(other)))
        await store.commit(batch)
        checked = await audit.verify()
        assert not checked.ok
        assert checked.broken_at == (4 if harm == "forged" else 3)


async def test_an_entry_is_never_there_without_its_change(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        audit = Audit(store, SystemClock())
        first, second = Batch(), Batch()
        first.insert(TAGS, Tag(id="one", name="same"))
        second.insert(TAGS, Tag(id="two", name="same"))
        await audit.commit(first, SYSTEM, "tag.create", "one")
        with pytest.raises(Duplicate, match=TAGS.name):
            await audit.commit(second, SYSTEM, "tag.create", "two")
        assert (await audit.verify()).entries == 1
        await audit.commit(Batch(), SYSTEM, "thing.made")
        assert (await audit.verify()).ok
