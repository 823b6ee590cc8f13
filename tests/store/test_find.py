"""Listings: every filter and order, page by page, against a model of a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.model.conversation import Conversation
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, MESSAGES
from gateway.store.contract import Not, OneOf, Range, Store, Where
from tests.store.sample import at, conversation, message

TEXTS = ("a", "b", "甲")
STATUSES = ("open", "pending", "snoozed", "resolved")
PRIORITIES = ("low", "normal", "high", "urgent")
TAGS = ("vip", "退款", "x")
MOMENTS = tuple(at(number * 0.001) for number in range(6))

VALUES: dict[str, tuple[Any, ...]] = {
    "inbox_id": TEXTS,
    "contact_id": TEXTS,
    "status": STATUSES,
    "queue_id": TEXTS,
    "assignee_id": (*TEXTS, None),
    "priority": PRIORITIES,
    "last_message_at": MOMENTS,
    "created_at": MOMENTS,
    "queued_at": (*MOMENTS, None),
    "waiting_since": (*MOMENTS, None),
    "snoozed_until": (*MOMENTS, None),
}


def wanted(name: str) -> st.SearchStrategy[Any]:
    values = st.sampled_from((*VALUES[name], None))
    present = st.sampled_from([value for value in VALUES[name] if value is not None])
    return st.one_of(
        values,
        st.lists(values, max_size=4).map(lambda many: OneOf(tuple(many))),
        values.map(Not),
        st.builds(Range, st.none() | present, st.none() | present),
    )


wheres = st.fixed_dictionaries({}, optional={**{name: wanted(name) for name in VALUES}, "tags": st.sampled_from(TAGS)})
# Few conditions at a time, or nothing is ever found.
few_wheres = wheres.map(lambda where: dict(list(where.items())[:3]))
orders = st.builds(lambda sign, name: sign + name, st.sampled_from(["", "-"]), st.sampled_from(["id", *VALUES]))


def holds(value: Any, condition: Any) -> bool:
    match condition:
        case OneOf(values):
            return value in values
        case Not(unwanted):
            return bool(value != unwanted)
        case Range(start, end):
            return value is not None and (start is None or value >= start) and (end is None or value < end)
    return bool(value == condition)


def expected(docs: Iterable[Conversation], where: Where, order: str) -> list[Conversation]:
    hits = [
        doc
        for doc in docs
        if all(
            condition in doc.tags if name == "tags" else holds(getattr(doc, name), condition)
            for name, condition in where.items()
        )
    ]
    name = order.removeprefix("-")

    def place(doc: Conversation) -> tuple[bool, Any, str]:
        value = getattr(doc, name)
        return (value is not None, value if value is not None else 0, doc.id)

    return sorted(hits, key=place, reverse=order.startswith("-"))


async def listed(store: Store, where: Where, order: str, limit: int) -> list[Conversation]:
    """All pages; each but the last must be full."""
    items: list[Conversation] = []
    after: str | None = None
    while True:
        page = await store.find(CONVERSATIONS, where, order=order, after=after, limit=limit)
        items += page.items
        if page.next is None:
            return items
        assert len(page.items) == limit
        after = page.next


async def fill(store: Store, docs: Iterable[Conversation]) -> list[Conversation]:
    batch = Batch()
    stored = [batch.insert(CONVERSATIONS, doc) for doc in docs]
    await store.commit(batch)
    return stored


def population() -> list[Conversation]:
    """90 conversations in which every value meets most others."""
    docs = []
    for number in range(90):
        given = {name: values[(number * step) % len(values)] for step, (name, values) in enumerate(VALUES.items(), 1)}
        given["last_message_at"] = MOMENTS[number % 5]
        docs.append(conversation(tags=TAGS[: number % 4], **given))
    return docs


async def test_any_filter_and_order_gives_what_the_model_gives(store: Store) -> None:
    docs = await fill(store, population())

    async def check(where: dict[str, Any], order: str, limit: int) -> None:
        wanted = expected(docs, where, order)
        assert await listed(store, where, order, limit) == wanted
        assert await store.count(CONVERSATIONS, where) == len(wanted)

    queries: list[tuple[dict[str, Any], str, int]] = []

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(few_wheres, orders, st.sampled_from([1, 7, 100]))
    def collect(where: dict[str, Any], order: str, limit: int) -> None:
        queries.append((where, order, limit))

    collect()
    for where, order, limit in queries:
        await check(where, order, limit if limit > 1 else 5)


LISTS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "-last_message_at"),
    ({"status": "open"}, "-last_message_at"),
    ({"queue_id": OneOf(("a", "甲", "none")), "status": "open"}, "-last_message_at"),
    ({"queue_id": OneOf(("a", "b")), "status": OneOf(("open", "pending"))}, "-last_message_at"),
    ({"queue_id": OneOf(("a", "b")), "assignee_id": None}, "-last_message_at"),
    ({"assignee_id": "b"}, "-last_message_at"),
    ({"assignee_id": OneOf(("b", None)), "status": Not("resolved")}, "last_message_at"),
    ({"inbox_id": "a", "tags": "vip"}, "-last_message_at"),
    ({"tags": "退款"}, "last_message_at"),
    ({"contact_id": "a", "inbox_id": "a"}, "-last_message_at"),
    ({"queue_id": "b", "queued_at": Not(None)}, "queued_at"),
    ({"queue_id": OneOf(("a", "b"))}, "-queued_at"),
    ({"snoozed_until": Range(None, MOMENTS[3])}, "snoozed_until"),
    ({"last_message_at": Range(MOMENTS[1], MOMENTS[3])}, "-last_message_at"),
    ({"queue_id": OneOf(())}, "-last_message_at"),
    ({"status": OneOf(("open", "open", None))}, "id"),
)


async def test_lists_of_the_desk(store: Store) -> None:
    docs = await fill(store, population())
    for where, order in LISTS:
        for limit in (4, 200):
            assert await listed(store, where, order, limit) == expected(docs, where, order), (where, order)


async def test_more_values_than_an_index_is_walked_for(store: Store) -> None:
    docs = await fill(
        store, [conversation(queue_id=f"q{number}", last_message_at=at(-number)) for number in range(160)]
    )
    where = {"queue_id": OneOf(tuple(f"q{number}" for number in range(0, 160, 2)))}
    assert await listed(store, where, "-last_message_at", 50) == expected(docs, where, "-last_message_at")


async def test_a_page_goes_on_where_it_ended_while_others_write(store: Store) -> None:
    docs = await fill(store, [conversation(last_message_at=at(number)) for number in range(10)])
    first = await store.find(CONVERSATIONS, order="-last_message_at", limit=4)
    batch = Batch()
    batch.insert(CONVERSATIONS, conversation(last_message_at=at(99)))
    batch.delete(CONVERSATIONS, first.items[-1])
    await store.commit(batch)
    second = await store.find(CONVERSATIONS, order="-last_message_at", after=first.next, limit=4)
    assert second.items == docs[5:1:-1]


async def test_find_by_a_times_value(store: Store) -> None:
    await fill(store, [conversation(queued_at=at(1)), conversation(queued_at=None)])
    assert await store.count(CONVERSATIONS, {"queued_at": at(1)}) == 1
    assert await store.count(CONVERSATIONS, {"queued_at": OneOf((at(1), at(2)))}) == 1
    assert await store.count(CONVERSATIONS, {"queued_at": Not(at(1))}) == 1
    assert await store.count(CONVERSATIONS, {"queued_at": Range()}) == 1


async def test_many_follow_their_document(store: Store) -> None:
    from msgspec.structs import replace

    doc = (await fill(store, [conversation(tags=("vip", "x"), last_message_at=at(1))]))[0]
    batch = Batch()
    doc = batch.put(CONVERSATIONS, replace(doc, tags=("x", "new"), last_message_at=at(2)))
    await store.commit(batch)
    assert (await store.find(CONVERSATIONS, {"tags": "vip"})).items == []
    assert (await store.find(CONVERSATIONS, {"tags": "new"}, order="-last_message_at")).items == [doc]
    assert (await store.find(CONVERSATIONS, {"tags": "x"}, order="id")).items == [doc]


async def test_messages_of_a_conversation_in_order(store: Store) -> None:
    batch = Batch()
    mine = [batch.insert(MESSAGES, message("mine", text=str(number))) for number in range(7)]
    for _ in range(5):
        batch.insert(MESSAGES, message("others"))
    await store.commit(batch)
    newest = await store.find(MESSAGES, {"conversation_id": "mine"}, order="-id", limit=3)
    assert newest.items == mine[:3:-1]
    rest = await store.find(MESSAGES, {"conversation_id": "mine"}, order="-id", limit=10, after=newest.next)
    assert rest.items == mine[3::-1]
    assert rest.next is None


async def test_an_exact_last_page_has_no_next(store: Store) -> None:
    await fill(store, [conversation() for _ in range(4)])
    assert (await store.find(CONVERSATIONS, limit=4)).next is None
    assert (await store.find(CONVERSATIONS, limit=3)).next is not None


async def test_a_malformed_cursor_is_refused(store: Store) -> None:
    for order in ("id", "-last_message_at", "snoozed_until", "assignee_id"):
        for after in ("", "x", "ÿ", "e30", "!!!!", "W10", "WyJpZCIsMSwyXQ", "a" * 5000):
            with pytest.raises(Refused):
                await store.find(CONVERSATIONS, order=order, after=after)


async def test_a_cursor_of_another_order_is_refused(store: Store) -> None:
    await fill(store, [conversation(last_message_at=at(number)) for number in range(3)])
    page = await store.find(CONVERSATIONS, order="-last_message_at", limit=1)
    assert page.next is not None
    for order in ("last_message_at", "id", "-created_at"):
        with pytest.raises(Refused):
            await store.find(CONVERSATIONS, order=order, after=page.next)


async def test_an_undeclared_field_is_a_mistake(store: Store) -> None:
    with pytest.raises(ValueError, match="subject"):
        await store.find(CONVERSATIONS, {"subject": "x"})
    with pytest.raises(ValueError, match="subject"):
        await store.find(CONVERSATIONS, order="-subject")


def test_the_model_itself() -> None:
    """A model that says yes to everything would prove nothing."""
    docs = [conversation(queued_at=moment) for moment in (at(2), None, at(1))]
    assert [doc.queued_at for doc in expected(docs, {}, "queued_at")] == [None, at(1), at(2)]
    assert [doc.queued_at for doc in expected(docs, {}, "-queued_at")] == [at(2), at(1), None]
    assert expected(docs, {"queued_at": Range(at(2), None)}, "id") == docs[:1]
    assert isinstance(docs[0].queued_at, datetime)
