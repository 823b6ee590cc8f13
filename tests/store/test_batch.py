"""Batches: what they write, and that they write all of it or nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from gateway.errors import Conflict, Duplicate, Refused, StoreError
from gateway.model.message import Attachment, DeliveryView
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, DELIVERIES, MESSAGES, QUEUES
from gateway.store.contract import Store
from tests.store.sample import at, conversation, event, message, new_id, queue


async def test_inserted_is_read_back_whole(store: Store) -> None:
    doc = message(
        text="多谢 \U0001f600 \u0000 \"'\\",
        attachments=(Attachment(id="a", name="报告.pdf", type="application/pdf", size=3, sha256="0" * 64),),
        delivery=DeliveryView(status="queued"),
        meta={"list": [1, 2.5, None, True], "nested": {"键": "值", "a.b": 1, "$c": 2}},
        sent_at=at(0.001),
        external_id="外部-1",
    )
    batch = Batch()
    stored = batch.insert(MESSAGES, doc)
    await store.commit(batch)
    assert stored.version == 1
    assert await store.get(MESSAGES, doc.id) == replace(doc, version=1)
    assert await store.get(MESSAGES, new_id()) is None


async def test_times_keep_their_milliseconds(store: Store) -> None:
    moments = [at(0), at(0.001), at(0.999), at(-86_400 * 365 * 60), at(86_400 * 365 * 70 + 0.123)]
    docs = [conversation(last_message_at=moment, snoozed_until=moment) for moment in moments]
    batch = Batch()
    for doc in docs:
        batch.insert(CONVERSATIONS, doc)
    await store.commit(batch)
    found = await store.find(CONVERSATIONS, order="last_message_at")
    assert [doc.last_message_at for doc in found.items] == sorted(moments)
    for doc in docs:
        hit = await store.find(CONVERSATIONS, {"snoozed_until": doc.snoozed_until})
        assert [found.id for found in hit.items] == [doc.id]


async def test_get_many_gives_those_that_exist(store: Store) -> None:
    batch = Batch()
    docs = [batch.insert(QUEUES, queue(f"q{number}")) for number in range(3)]
    await store.commit(batch)
    ids = [docs[0].id, new_id(), docs[2].id]
    assert await store.get_many(QUEUES, ids) == {docs[0].id: docs[0], docs[2].id: docs[2]}
    assert await store.get_many(QUEUES, []) == {}


async def test_find_keys(store: Store) -> None:
    batch = Batch()
    first = batch.insert(MESSAGES, message(inbox_id="one", external_id="x"))
    second = batch.insert(MESSAGES, message(inbox_id="two", external_id="x"))
    batch.insert(MESSAGES, message(inbox_id="one"))
    await store.commit(batch)
    wanted = [("one", "x"), ("two", "x"), ("one", "y"), ("one", None)]
    found = await store.find_keys(MESSAGES, "external_id", wanted)
    assert found == {("one", "x"): first, ("two", "x"): second}
    assert await store.find_keys(MESSAGES, "external_id", []) == {}


async def test_the_same_id_twice_is_a_duplicate(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("one"))
    await store.commit(batch)
    again = Batch()
    again.insert(QUEUES, replace(doc, name="two"))
    with pytest.raises(Duplicate) as caught:
        await store.commit(again)
    assert (caught.value.collection, caught.value.key) == ("queues", "id")


async def test_a_taken_key_is_a_duplicate_and_nothing_is_written(store: Store) -> None:
    head = await store.head()
    batch = Batch()
    batch.insert(MESSAGES, message(external_id="once"))
    await store.commit(batch)
    again = Batch()
    other = again.insert(QUEUES, queue("written along"))
    again.insert(MESSAGES, message(external_id="once"))
    again.emit(event("never"))
    with pytest.raises(Duplicate) as caught:
        await store.commit(again)
    assert (caught.value.collection, caught.value.key) == ("messages", "external_id")
    assert await store.get(QUEUES, other.id) is None
    last = Batch()
    last.emit(event("after"))
    await store.commit(last)
    async for items in store.follow(head):
        assert [item.event.type for item in items] == ["after"]
        break


async def test_none_is_not_under_a_unique_key(store: Store) -> None:
    batch = Batch()
    for _ in range(3):
        batch.insert(MESSAGES, message(external_id=None))
    await store.commit(batch)
    assert await store.count(MESSAGES) == 3


async def test_a_put_that_takes_anothers_key_is_a_duplicate(store: Store) -> None:
    batch = Batch()
    batch.insert(QUEUES, queue("taken"))
    mine = batch.insert(QUEUES, queue("mine"))
    await store.commit(batch)
    rename = Batch()
    rename.put(QUEUES, replace(mine, name="taken"))
    with pytest.raises(Duplicate) as caught:
        await store.commit(rename)
    assert caught.value.key == "name"
    assert await store.get(QUEUES, mine.id) == mine


async def test_a_key_freed_in_a_batch_can_be_taken_in_it(store: Store) -> None:
    batch = Batch()
    old = batch.insert(QUEUES, queue("name"))
    moved = batch.insert(QUEUES, queue("other"))
    await store.commit(batch)
    swap = Batch()
    new = swap.insert(QUEUES, queue("name"))
    third = swap.insert(QUEUES, queue("other"))
    swap.put(QUEUES, replace(moved, name="elsewhere"))
    swap.delete(QUEUES, old)
    await store.commit(swap)
    found = await store.find_keys(QUEUES, "name", [("name",), ("other",)])
    assert {key: doc.id for key, doc in found.items()} == {("name",): new.id, ("other",): third.id}


async def test_put_raises_the_version_and_an_old_one_conflicts(store: Store) -> None:
    batch = Batch()
    first = batch.insert(QUEUES, queue("q"))
    await store.commit(batch)
    batch = Batch()
    second = batch.put(QUEUES, replace(first, priority=1))
    await store.commit(batch)
    assert second.version == 2
    assert await store.get(QUEUES, first.id) == second
    late = Batch()
    late.put(QUEUES, replace(first, priority=9))
    other = late.insert(QUEUES, queue("along"))
    with pytest.raises(Conflict) as caught:
        await store.commit(late)
    assert (caught.value.collection, caught.value.id) == ("queues", first.id)
    assert await store.get(QUEUES, first.id) == second
    assert await store.get(QUEUES, other.id) is None


async def test_the_conflict_names_the_document(store: Store) -> None:
    batch = Batch()
    docs = [batch.insert(QUEUES, queue(f"q{number}")) for number in range(5)]
    await store.commit(batch)
    batch = Batch()
    batch.put(QUEUES, docs[3])
    await store.commit(batch)
    batch = Batch()
    for doc in docs:
        batch.put(QUEUES, doc)
    with pytest.raises(Conflict) as caught:
        await store.commit(batch)
    assert caught.value.id == docs[3].id


async def test_put_twice_writes_the_last(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("q"))
    await store.commit(batch)
    batch = Batch()
    once = batch.put(QUEUES, replace(doc, priority=1))
    twice = batch.put(QUEUES, replace(once, priority=2))
    await store.commit(batch)
    assert await store.get(QUEUES, doc.id) == twice
    assert twice.priority == 2
    after = Batch()
    after.put(QUEUES, replace(twice, priority=3))
    await store.commit(after)


async def test_insert_and_put_in_one_batch(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("q"))
    last = batch.put(QUEUES, replace(doc, priority=4))
    await store.commit(batch)
    assert await store.get(QUEUES, doc.id) == last
    after = Batch()
    after.put(QUEUES, replace(last, priority=5))
    await store.commit(after)
    again = Batch()
    inserted = again.insert(QUEUES, doc)
    again.put(QUEUES, inserted)
    with pytest.raises(Duplicate):
        await store.commit(again)


async def test_put_of_a_missing_document_conflicts(store: Store) -> None:
    batch = Batch()
    batch.put(QUEUES, replace(queue("ghost"), version=1))
    with pytest.raises(Conflict):
        await store.commit(batch)


async def test_delete(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(CONVERSATIONS, conversation(tags=("vip",)))
    await store.commit(batch)
    old = Batch()
    old.delete(CONVERSATIONS, replace(doc, version=7))
    with pytest.raises(Conflict):
        await store.commit(old)
    batch = Batch()
    batch.delete(CONVERSATIONS, doc)
    await store.commit(batch)
    assert await store.get(CONVERSATIONS, doc.id) is None
    assert (await store.find(CONVERSATIONS, {"tags": "vip"})).items == []
    with pytest.raises(Conflict):
        await store.commit(batch)


async def test_check(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("q"))
    await store.commit(batch)
    absent = new_id()
    fine = Batch()
    fine.check(QUEUES, doc.id, 1)
    fine.check(QUEUES, absent, 0)
    fine.insert(QUEUES, queue("written"))
    await store.commit(fine)
    for id, version in ((doc.id, 2), (doc.id, 0), (absent, 1)):
        wrong = Batch()
        wrong.check(QUEUES, id, version)
        other = wrong.insert(QUEUES, queue("never"))
        with pytest.raises(Conflict) as caught:
            await store.commit(wrong)
        assert caught.value.id == id
        assert await store.get(QUEUES, other.id) is None
    assert await store.get(QUEUES, doc.id) == doc
    assert await store.get(QUEUES, absent) is None


async def test_check_then_put_uses_the_checked_version(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("q"))
    await store.commit(batch)
    batch = Batch()
    batch.check(QUEUES, doc.id, 1)
    changed = batch.put(QUEUES, replace(doc, priority=1))
    await store.commit(batch)
    assert await store.get(QUEUES, doc.id) == changed


async def test_load_writes_whatever_is_there(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(CONVERSATIONS, conversation(tags=("old",)))
    await store.commit(batch)
    restored = replace(doc, version=41, tags=("new",))
    fresh = conversation(version=7)
    for _ in range(2):
        batch = Batch()
        batch.load(CONVERSATIONS, restored)
        batch.load(CONVERSATIONS, fresh)
        await store.commit(batch)
    assert await store.get(CONVERSATIONS, doc.id) == restored
    assert await store.get(CONVERSATIONS, fresh.id) == fresh
    assert (await store.find(CONVERSATIONS, {"tags": "old"})).items == []
    assert (await store.find(CONVERSATIONS, {"tags": "new"})).items == [restored]


async def test_a_batch_of_everything_at_once(store: Store) -> None:
    """More rows of a kind than fit one statement, and every kind of write."""
    batch = Batch()
    docs = [batch.insert(CONVERSATIONS, conversation(tags=(f"t{number % 3}",))) for number in range(203)]
    await store.commit(batch)
    batch = Batch()
    kept = [batch.put(CONVERSATIONS, replace(doc, unread=1, tags=("seen",))) for doc in docs[:150]]
    for doc in docs[150:200]:
        batch.delete(CONVERSATIONS, doc)
    for doc in docs[200:]:
        batch.check(CONVERSATIONS, doc.id, 1)
    for _ in range(101):
        batch.insert(MESSAGES, message())
        batch.emit(event())
    await store.commit(batch)
    assert await store.count(CONVERSATIONS) == 153
    assert await store.count(CONVERSATIONS, {"tags": "seen"}) == 150
    assert await store.count(MESSAGES) == 101
    assert await store.get_many(CONVERSATIONS, [doc.id for doc in kept]) == {doc.id: doc for doc in kept}


async def test_what_cannot_be_kept_is_refused_alone(store: Store) -> None:
    bad = Batch()
    bad.insert(MESSAGES, message(text="half a character: \ud800"))
    good = Batch()
    kept = good.insert(MESSAGES, message(text="whole"))
    results = await asyncio.gather(store.commit(bad), store.commit(good), return_exceptions=True)
    assert isinstance(results[0], Refused)
    assert isinstance(results[1], str)
    assert await store.get(MESSAGES, kept.id) == kept


async def test_of_many_inserts_of_one_key_one_wins(store: Store) -> None:
    async def attempt() -> str:
        batch = Batch()
        doc = batch.insert(MESSAGES, message(external_id="race"))
        try:
            await store.commit(batch)
        except Duplicate as error:
            return f"taken: {error.key}"
        return doc.id

    answers = await asyncio.gather(*(attempt() for _ in range(40)))
    winners = [answer for answer in answers if answer != "taken: external_id"]
    assert len(winners) == 1
    found = await store.find_keys(MESSAGES, "external_id", [("inbox", "race")])
    assert [doc.id for doc in found.values()] == winners


async def test_of_many_changes_of_one_version_one_wins(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("q"))
    await store.commit(batch)

    async def attempt(number: int) -> bool:
        batch = Batch()
        batch.put(QUEUES, replace(doc, priority=number))
        try:
            await store.commit(batch)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(attempt(number) for number in range(30)))) == 1
    stored = await store.get(QUEUES, doc.id)
    assert stored is not None
    assert stored.version == 2


async def test_no_update_is_lost_when_conflicts_are_tried_again(store: Store) -> None:
    batch = Batch()
    doc = batch.insert(QUEUES, queue("counter"))
    await store.commit(batch)

    async def add_one() -> None:
        while True:
            current = await store.get(QUEUES, doc.id)
            assert current is not None
            batch = Batch()
            batch.put(QUEUES, replace(current, priority=current.priority + 1))
            try:
                await store.commit(batch)
            except Conflict:
                continue
            return

    await asyncio.gather(*(add_one() for _ in range(12)))
    stored = await store.get(QUEUES, doc.id)
    assert stored is not None
    assert (stored.priority, stored.version) == (12, 13)


async def test_a_batch_that_fails_hurts_no_other(store: Store) -> None:
    """Good and bad ones committed at the same moment share a transaction, and nothing else."""
    batch = Batch()
    batch.insert(QUEUES, queue("taken"))
    stale = batch.insert(QUEUES, queue("stale"))
    await store.commit(batch)
    batch = Batch()
    batch.put(QUEUES, stale)
    await store.commit(batch)
    head = await store.head()

    def bad(number: int) -> Batch:
        batch = Batch()
        batch.insert(MESSAGES, message(text="bad"))
        if number % 2:
            batch.insert(QUEUES, queue("taken"))
        else:
            batch.put(QUEUES, stale)
        batch.emit(event("bad"))
        return batch

    good = []
    commits = []
    for number in range(30):
        batch = Batch()
        good.append(batch.insert(MESSAGES, message(text="good")))
        batch.emit(event("good", message_id=good[-1].id))
        commits.append(store.commit(batch))
        commits.append(store.commit(bad(number)))
    results = await asyncio.gather(*commits, return_exceptions=True)
    assert all(isinstance(result, str) for result in results[::2])
    assert all(isinstance(result, StoreError) for result in results[1::2])
    assert {type(result) for result in results[1::2]} == {Conflict, Duplicate}
    assert await store.get_many(MESSAGES, [doc.id for doc in good]) == {doc.id: doc for doc in good}
    assert await store.count(MESSAGES) == 30
    seen: list[str | None] = []
    async for items in store.follow(head):
        assert {item.event.type for item in items} == {"good"}
        seen += [item.event.message_id for item in items]
        if len(seen) == 30:
            break
    assert sorted(id for id in seen if id) == sorted(doc.id for doc in good)


async def test_reads_after_a_commit_see_it(store: Store) -> None:
    for number in range(20):
        batch = Batch()
        doc = batch.insert(QUEUES, queue(f"q{number}"))
        await store.commit(batch)
        assert await store.get(QUEUES, doc.id) == doc
        assert (await store.find_keys(QUEUES, "name", [(doc.name,)])) == {(doc.name,): doc}


async def test_flags_and_numbers_are_found(store: Store) -> None:
    from gateway.model.message import Delivery

    batch = Batch()
    for number in range(6):
        batch.insert(
            DELIVERIES,
            Delivery(
                id=new_id(),
                inbox_id="inbox",
                conversation_id="c",
                shard=number % 3,
                dead=number % 2 == 0,
                next_at=at(number) if number else None,
                deadline=at(0) + timedelta(days=1),
                created_at=at(number),
            ),
        )
    await store.commit(batch)
    assert await store.count(DELIVERIES, {"dead": True}) == 3
    assert await store.count(DELIVERIES, {"shard": 2, "dead": False}) == 1
    assert await store.count(DELIVERIES, {"next_at": None}) == 1


async def test_count_stops_at_its_limit(store: Store) -> None:
    batch = Batch()
    for _ in range(12):
        batch.insert(MESSAGES, message())
    await store.commit(batch)
    assert await store.count(MESSAGES, limit=10) == 10
    assert await store.count(MESSAGES, {"conversation_id": "conversation"}) == 12


async def test_ping(store: Store) -> None:
    await store.ping()


async def test_what_a_batch_adds_or_changes_it_can_also_delete(store: Store) -> None:
    kept = queue("kept")
    first = Batch()
    stored = first.insert(QUEUES, kept)
    await store.commit(first)
    second = Batch()
    second.delete(QUEUES, second.put(QUEUES, stored))
    second.delete(QUEUES, second.insert(QUEUES, queue("never")))
    await store.commit(second)
    assert (await store.find(QUEUES)).items == []
