"""What happens beside intake while it decides: others wait for room, a contact moves, a queue closes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.connector import Inbound, Sender, Threading
from gateway.model.contact import Contact
from gateway.model.team import Hours
from gateway.store.batch import Batch
from gateway.store.collection import CONTACTS, CONVERSATIONS, IDENTITIES

from .conftest import Desk


async def test_who_waits_for_room_gets_it_although_the_queue_was_not_full_to_the_last_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk.intake, "_max_pending", 4)
    gate = asyncio.Event()
    commit = desk.store.commit

    async def held_up(batch: Any) -> str:
        await gate.wait()
        return await commit(batch)

    monkeypatch.setattr(desk.store, "commit", held_up)

    def some(prefix: str) -> list[Inbound]:
        return [Inbound(external_id=f"{prefix}{n}", sender=Sender(address=f"{prefix}{n}"), text="x") for n in range(3)]

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(desk.intake.accept(desk.inbox, some("a")))
        while desk.intake.pending < 3:
            await asyncio.sleep(0)
        second = group.create_task(desk.intake.accept(desk.inbox, some("b")))
        await asyncio.sleep(0.01)
        assert desk.intake.pending == 3, "three more are one too many"
        gate.set()
    assert len(first.result()) == len(second.result()) == 3


async def test_a_new_thread_goes_to_whom_the_address_belongs_now(desk: Desk) -> None:
    async def write(key: str) -> str:
        inbound = Inbound(
            external_id=key, sender=Sender(address="anna"), text="hello", thread=Threading(own_key=key, subject=key)
        )
        (accepted,) = await desk.intake.accept(desk.inbox, [inbound])
        return accepted.conversation_id

    await write("first")
    (identity,) = (await desk.store.find(IDENTITIES)).items
    # Another node merges the contact; this one has not heard of it yet.
    batch = Batch()
    batch.insert(CONTACTS, Contact(id="winner", created_at=identity.created_at, updated_at=identity.created_at))
    batch.put(IDENTITIES, replace(identity, contact_id="winner"))
    await desk.store.commit(batch)
    found = await desk.store.get(CONVERSATIONS, await write("second"))
    assert found is not None
    assert found.contact_id == "winner"


async def test_a_rule_for_running_conversations_takes_none_from_its_owner_after_hours(desk: Desk) -> None:
    night = await desk.add_queue("night")
    hours = (Hours(days=(0,), open="08:00", close="10:00"),)
    await desk.add_queue("day", hours=hours, timezone="UTC", fallback_queue_id=night.id)
    await desk.online(await desk.add_agent("kim"))
    await desk.rules(
        "rules: [{id: all, when: {always: true}, then: {queue: day}},"
        " {id: more, on: [message], when: {always: true}, then: {tags: {add: [more]}}}]"
    )
    said = await desk.say("hello")
    desk.clock.pass_by(hours=3)
    await desk.say("are you still there?")
    found = await desk.store.get(CONVERSATIONS, said.conversation_id)
    assert found is not None
    assert (found.queue_id, found.assignee_id, found.tags) == ("q-day", "kim", ("more",))


async def test_those_behind_many_who_wait_for_another_skill_get_their_turn(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.service.dispatch.HEADS", 3)
    await desk.rules(
        "rules: [{id: deep, when: {text: {contains: [chargeback]}}, then: {queue: support, skills: [chargebacks]}}]"
    )
    for number in range(7):
        await desk.say("chargeback!", f"early{number}")
    last = await desk.say("hello", "late")
    await desk.online(await desk.add_agent("kim"))
    found = await desk.store.get(CONVERSATIONS, last.conversation_id)
    assert found is not None
    assert found.assignee_id == "kim"
