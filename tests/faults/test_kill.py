"""Killed at each step under load: what was acknowledged is there once, and each answer leaves at least once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from .program import World, world

# What happens while the gateway and the inbox are first made does not count here: hence the higher numbers.
POINTS = (
    "store.blob.before:3",
    "store.blob.after:3",
    "intake.prepare.after:25",
    "intake.commit.before:6",
    "intake.commit.after:6",
    "store.commit.before:35",
    "store.commit.middle:35",
    "store.commit.after:35",
    "outbox.claim.before:4",
    "outbox.claim.after:4",
    "outbox.send.before:4",
    "outbox.send.after:4",
    "outbox.record.after:4",
)
MESSAGES = 60
REPLIES = 14
WORKERS = 8


# A killed client's transaction and leases hold others up for seconds on MongoDB: there, the points that matter most.
ON_MONGODB = ("intake.commit.before:6", "intake.commit.after:6", "store.commit.middle:35", "outbox.send.after:4")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", POINTS)
async def test_killed_at(point: str, tmp_path: Path) -> None:
    await killed(point, "", tmp_path)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("point", ON_MONGODB)
async def test_killed_at_on_mongodb(point: str, mongodb_url: str, tmp_path: Path) -> None:
    await killed(point, mongodb_url, tmp_path)


async def killed(point: str, store: str, tmp_path: Path) -> None:
    async with world(tmp_path, store, point) as it:
        await load(it)
        assert it.program.kills == 1, "the fault point was not reached"
        await settled(it)
        await everything_is_there_once(it)
        assert await it.program.stop() == 0


async def load(it: World) -> None:
    """Customers write, agents answer, both at once, until all is acknowledged."""
    numbers = iter(range(MESSAGES))

    async def customers() -> None:
        for number in numbers:
            await it.write(number)

    async def agent() -> None:
        for number in range(REPLIES):
            while not it.accepted:
                await asyncio.sleep(0.01)
            conversations = [one async for one in it.each(f"/conversations?inbox={it.inbox}")]
            await it.answer(conversations[number % len(conversations)]["id"], number)

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(customers())
        group.create_task(agent())


async def settled(it: World) -> None:
    """Wait until nothing is on its way any more."""
    async with asyncio.timeout(45):
        while True:
            states = Counter(
                message["delivery"]["status"] for message in await it.messages() if message["direction"] == "out"
            )
            if not states.keys() & {"queued", "sending"} and sum(states.values()) >= REPLIES:
                return
            await asyncio.sleep(0.1)


async def everything_is_there_once(it: World) -> None:
    messages = await it.messages()
    came_in = {message["external_id"]: message for message in messages if message["direction"] == "in"}
    assert len([message for message in messages if message["direction"] == "in"]) == len(came_in) == MESSAGES
    assert {external_id: message["id"] for external_id, message in came_in.items()} == it.accepted
    by_customer: dict[int, set[str]] = {}
    for number in range(MESSAGES):
        message = came_in[f"m{number}"]
        assert message["text"] == f"text {number}"
        by_customer.setdefault(number % 7, set()).add(message["conversation_id"])
        assert len(message["attachments"]) == (1 if number % 5 == 0 else 0)
    assert all(len(conversations) == 1 for conversations in by_customer.values()), "one customer, one conversation"
    answers = {message["id"]: message for message in messages if message["direction"] == "out"}
    assert {id: message["text"] for id, message in answers.items()} == it.replied
    for id, message in answers.items():
        status = message["delivery"]["status"]
        # The app's inbox can be asked again safely, by its idempotency key: so each answer ends as sent.
        assert status in ("sent", "delivered"), f"{message['text']} is {status}"
        assert it.reached[id] >= 1, f"{message['text']} never reached the app"
