"""Work that one node does: leases, the search index, housekeeping."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from structlog.testing import capture_logs

from gateway.errors import Conflict, Fenced
from gateway.model.access import IdempotencyRecord, LoginThrottle, Session
from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation, SlaClock
from gateway.model.document import IdSource, SystemClock
from gateway.model.event import Event, WebhookDelivery
from gateway.model.message import Attachment, Author, Message
from gateway.service.feed import Feed
from gateway.service.housekeeping import Housekeeping
from gateway.service.indexer import CHECKPOINT, Indexer, search_text
from gateway.service.leased import run_leased
from gateway.store.batch import Batch, Lease
from gateway.store.collection import (
    CHECKPOINTS,
    CONTACTS,
    CONVERSATIONS,
    IDEMPOTENCY,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    THROTTLES,
    WEBHOOK_DELIVERIES,
    Checkpoint,
)
from gateway.store.sqlite.store import SqliteStore

CLOCK = SystemClock()
IDS = IdSource(CLOCK)


async def until(done: Callable[[], Awaitable[Any]], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not await done():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def working(work: Any) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()


# leases


async def test_one_works_at_a_time_and_another_takes_over(store: SqliteStore) -> None:
    held: list[str] = []
    most = 0

    def work(node: str) -> Callable[[Lease], Awaitable[None]]:
        async def run(lease: Lease) -> None:
            nonlocal most
            held.append(node)
            most = max(most, len(held))
            try:
                await asyncio.sleep(60)
            finally:
                held.remove(node)

        return run

    async def someone() -> bool:
        return len(held) == 1

    async with asyncio.TaskGroup() as group:
        tasks = {
            node: group.create_task(run_leased(store, "job", node, work(node), ttl=0.3)) for node in ("a", "b", "c")
        }
        for left in (2, 1, 0):
            await until(someone)
            await asyncio.sleep(0.4)  # longer than the lease: it is renewed
            assert len(held) == 1
            tasks.pop(held[0]).cancel()
            assert len(tasks) == left
    assert most == 1


async def test_work_ends_when_the_lease_is_lost(store: SqliteStore) -> None:
    seen: list[Lease] = []
    ended = asyncio.Event()

    async def work(lease: Lease) -> None:
        seen.append(lease)
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with capture_logs() as logs:
        async with working(run_leased(store, "job", "a", work, ttl=0.4)):

            async def begun() -> bool:
                return bool(seen)

            await until(begun)
            await store.release(seen)  # as if it had run out while the node was paused
            assert (await store.acquire(["job"], "b", 5))["job"].token > seen[0].token
            async with asyncio.timeout(2):
                await ended.wait()
            batch = Batch()
            batch.insert(CHECKPOINTS, Checkpoint(id="x", cursor="x"))
            batch.fence(seen[0])
            with pytest.raises(Fenced):
                await store.commit(batch)
            await asyncio.sleep(0.05)
    assert "lease.lost" in [line["event"] for line in logs]


async def test_work_that_fails_is_taken_up_again(store: SqliteStore) -> None:
    tries = 0
    done = asyncio.Event()

    async def work(lease: Lease) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError("a bug")
        done.set()
        await asyncio.sleep(60)

    with capture_logs() as logs:
        async with working(run_leased(store, "job", "a", work)), asyncio.timeout(5):
            await done.wait()
    assert [line["event"] for line in logs] == ["lease.failed"] * 2


# the search index


def a_message(text: str, **fields: Any) -> Message:
    fields = {"author": Author(kind="contact", name="Anna"), "direction": "in", **fields}
    return Message(id=IDS(), inbox_id="i", conversation_id="c", text=text, created_at=CLOCK.now(), **fields)


def a_conversation(id: str = "c", **fields: Any) -> Conversation:
    now = CLOCK.now()
    fields = {"last_message_at": now, **fields}
    return Conversation(
        id=id,
        inbox_id="i",
        channel="api",
        contact_id="p",
        identity_id="d",
        queue_id="q",
        created_at=now,
        updated_at=now,
        **fields,
    )


def a_contact() -> Contact:
    return Contact(id="p", name="Anna 安娜", email="anna@example.org", created_at=CLOCK.now(), updated_at=CLOCK.now())


async def say(store: SqliteStore, *messages: Message) -> None:
    batch = Batch()
    if await store.get(CONVERSATIONS, "c") is None:
        batch.insert(CONVERSATIONS, a_conversation())
        batch.insert(CONTACTS, a_contact())
        batch.insert(
            IDENTITIES, Identity(id="d", contact_id="p", namespace="n", address="user-77", created_at=CLOCK.now())
        )
    for message in messages:
        batch.insert(MESSAGES, message)
        batch.emit(Event(type="message.created", at=message.created_at, conversation_id="c", message_id=message.id))
    await store.commit(batch)


def finding(store: SqliteStore, query: str, count: int) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return len(await store.search(query, limit=200)) == count

    return found


async def test_messages_are_found_by_their_words_files_and_people(store: SqliteStore, feed: Feed) -> None:
    file = Attachment(id="a", name="invoice-4711.pdf", type="application/pdf", size=1, sha256="ab" * 32)
    async with working(Indexer(store, feed, CLOCK, "one").run()):
        await say(store, a_message("where is my 退款 refund", subject="Complaint", attachments=(file,)))
        for query in ("refund", "退款", "complaint", "4711", "安娜", "anna@example.org", "user-77", "ab" * 32):
            await until(finding(store, query, 1))


def test_what_must_not_be_found_is_not_indexed() -> None:
    card = a_message("pay 4111111111111111 now", masked_text="pay ************1111 now")
    assert "4111111111111111" not in search_text(card, None, None, None)
    assert "pay" in search_text(card, None, None, None)
    assert search_text(a_message("resolved by x", direction="event"), a_contact(), None, None) == ""


async def test_an_edit_changes_what_a_message_is_found_by(store: SqliteStore, feed: Feed) -> None:
    async with working(Indexer(store, feed, CLOCK, "one").run()):
        message = a_message("apples")
        await say(store, message)
        await until(finding(store, "apples", 1))
        stored = await store.get(MESSAGES, message.id)
        assert stored is not None
        batch = Batch()
        batch.put(MESSAGES, Message(**{**_fields(stored), "text": "pears"}))
        batch.emit(Event(type="message.updated", at=CLOCK.now(), conversation_id="c", message_id=message.id))
        await store.commit(batch)
        await until(finding(store, "pears", 1))
        assert await finding(store, "apples", 0)()


def _fields(document: Any) -> dict[str, Any]:
    return {name: getattr(document, name) for name in document.__struct_fields__}


async def test_the_index_is_complete_over_restarts(store: SqliteStore, feed: Feed) -> None:
    """On a store that had messages before, and stopped wherever it is."""
    await say(store, *(a_message(f"first word{number}") for number in range(30)))
    for _ in range(5):
        async with working(Indexer(store, feed, CLOCK, "one").run()):
            await say(store, *(a_message("second") for _ in range(10)))
            await asyncio.sleep(0.005)
    async with working(Indexer(store, feed, CLOCK, "one").run()):
        await until(finding(store, "first", 30))
        await until(finding(store, "second", 50))


async def test_the_index_is_complete_after_a_gap_in_the_feed(store: SqliteStore, feed: Feed) -> None:
    async with working(Indexer(store, feed, CLOCK, "one").run()):
        await say(store, a_message("first"))
        await until(finding(store, "first", 1))

        async def saved() -> bool:
            return await store.get(CHECKPOINTS, CHECKPOINT) is not None

        await until(saved)
    for _ in range(20):  # more than the ring has
        await say(store, a_message("missed"))
    await store.trim(CLOCK.now() + timedelta(days=1))
    async with working(Indexer(store, feed, CLOCK, "one").run()):
        await until(finding(store, "missed", 20))
        await say(store, a_message("afterwards"))
        await until(finding(store, "afterwards", 1))


async def test_it_gives_way_to_intake_but_not_for_ever(store: SqliteStore, feed: Feed) -> None:
    async with working(Indexer(store, feed, CLOCK, "one", busy=lambda: True).run()):
        for number in range(20):
            await say(store, a_message(f"busy {number}"))
        await until(finding(store, "busy", 20))


# housekeeping


@pytest.fixture
async def lease(store: SqliteStore) -> Lease:
    return (await store.acquire(["housekeeping"], "one", 60))["housekeeping"]


def chore(house: Housekeeping, name: str) -> Any:
    return next(chore.run for chore in house.chores if chore.name == name)


async def no_one_wakes(now: datetime) -> int:
    return 0


async def test_old_things_go_and_others_stay(store: SqliteStore, lease: Lease) -> None:
    house = Housekeeping(store, CLOCK, "one", wake_snoozed=no_one_wakes, event_days=7)
    now = CLOCK.now()

    def ago(**span: float) -> datetime:
        return now - timedelta(**span)

    batch = Batch()
    for number in range(450):
        batch.insert(THROTTLES, LoginThrottle(id=f"old{number}", at=ago(days=2)))
    batch.insert(THROTTLES, LoginThrottle(id="new", at=ago(hours=23)))
    for id, end in (("old", ago(seconds=1)), ("new", now + timedelta(hours=1))):
        batch.insert(SESSIONS, Session(id=id, agent_id="a", csrf="", created_at=now, expires_at=end, last_seen_at=now))
    for id, at in (("old", ago(hours=25)), ("new", ago(hours=23))):
        batch.insert(IDEMPOTENCY, IdempotencyRecord(id=id, fingerprint="", status=201, body="", at=at))
    deliveries: list[tuple[str, Literal["queued", "sent", "failed"], datetime]] = [
        ("old-sent", "sent", ago(days=4)),
        ("new-sent", "sent", ago(days=2)),
        ("new-failed", "failed", ago(days=20)),
        ("old-failed", "failed", ago(days=31)),
        ("new-queued", "queued", ago(days=1)),
        ("old-queued", "queued", ago(days=31)),
    ]
    for id, status, at in deliveries:
        delivery = WebhookDelivery(
            id=id, webhook_id="w", event_type="t", cursor="1", payload="", status=status, created_at=at
        )
        batch.insert(WEBHOOK_DELIVERIES, delivery)
    for days in (8, 6):
        batch.emit(Event(type="a.b", at=ago(days=days)))
    await store.commit(batch)
    for name, count in (("throttles", 450), ("sessions", 1), ("idempotency", 1), ("webhooks", 3), ("events", 1)):
        assert await chore(house, name)(now, lease) == count, name
        assert await chore(house, name)(now, lease) == 0, name
    for collection in (THROTTLES, SESSIONS, IDEMPOTENCY, WEBHOOK_DELIVERIES):
        page: Any = await store.find(collection)
        assert all(document.id.startswith("new") for document in page.items)


async def test_a_document_in_use_keeps_no_other_from_going(store: SqliteStore, lease: Lease) -> None:
    house = Housekeeping(store, CLOCK, "one", wake_snoozed=no_one_wakes)
    batch = Batch()
    for number in range(5):
        batch.insert(THROTTLES, LoginThrottle(id=f"t{number}", at=CLOCK.now() - timedelta(days=2)))
    await store.commit(batch)
    commit, first = store.commit, True

    async def someone_is_faster(batch: Batch) -> str:
        nonlocal first
        if first:
            first = False
            raise Conflict("throttles", "t2")
        return await commit(batch)

    store.commit = someone_is_faster  # type: ignore[method-assign]
    assert await chore(house, "throttles")(CLOCK.now(), lease) == 5


async def test_missed_targets_are_marked_once(store: SqliteStore, feed: Feed, lease: Lease) -> None:
    house = Housekeeping(store, CLOCK, "one", wake_snoozed=no_one_wakes)
    now = CLOCK.now()
    late, soon = now - timedelta(minutes=1), now + timedelta(minutes=1)
    batch = Batch()
    for number in range(250):
        clock = SlaClock(policy_id="p", first_response_due=late if number % 50 == 0 else soon)
        status = ("open", "pending", "snoozed")[number % 3]
        batch.insert(CONVERSATIONS, a_conversation(f"c{number}", sla=clock, status=status))
    batch.insert(CONVERSATIONS, a_conversation("done", sla=SlaClock(policy_id="p"), status="resolved"))
    batch.insert(CONVERSATIONS, a_conversation("none"))
    await store.commit(batch)
    async with feed.subscribe() as reader:
        assert await chore(house, "sla")(now, lease) == 5
        assert await chore(house, "sla")(now, lease) == 0
        told = await reader.next()
        while len(told) < 5:
            told += await reader.next()
    assert {entry.event.type for entry in told} == {"sla.breached"}
    assert {entry.event.conversation_id for entry in told} == {"c0", "c50", "c100", "c150", "c200"}
    assert told[0].event.data == {"policy_id": "p", "targets": ["first_response"]}
    stored = await store.get(CONVERSATIONS, "c50")
    assert stored is not None
    assert stored.sla is not None
    assert stored.sla.breached == ("first_response",)


async def test_chores_are_done_in_turn_and_one_that_fails_stops_no_other(tmp_path: Path, store: SqliteStore) -> None:
    woken: list[datetime] = []

    async def wake(now: datetime) -> int:
        woken.append(now)
        if len(woken) == 1:
            raise ValueError("a bug")
        return 0

    house = Housekeeping(store, CLOCK, "one", wake_snoozed=wake)
    house.chores = tuple(type(one)(one.name, one.every / 100, one.run) for one in house.chores)
    batch = Batch()
    batch.insert(THROTTLES, LoginThrottle(id="old", at=CLOCK.now() - timedelta(days=2)))
    await store.commit(batch)
    with capture_logs() as logs:
        async with working(house.run()):

            async def done() -> bool:
                return len(woken) > 2 and await store.count(THROTTLES) == 0

            await until(done)
    assert {"housekeeping.failed", "housekeeping.done"} <= {line["event"] for line in logs}
