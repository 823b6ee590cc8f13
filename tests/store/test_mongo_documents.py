"""MongoDB: what a document looks like in there, and what walks which index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.errors import Refused
from gateway.model.contact import Contact, Evidence, Merge
from gateway.model.decision import Decision
from gateway.model.document import Document, SystemClock
from gateway.model.inbox import ConnectorState, Health, InboxHealth
from gateway.model.team import Agent
from gateway.store.batch import Batch
from gateway.store.collection import (
    AGENTS,
    COLLECTIONS,
    CONNECTOR_STATES,
    CONTACTS,
    CONVERSATIONS,
    DECISIONS,
    INBOX_HEALTH,
    MERGES,
    MESSAGES,
    QUEUES,
    Collection,
)
from gateway.store.contract import Not, OneOf, Range
from gateway.store.mongo.codec import codec
from gateway.store.mongo.driver import CODEC
from gateway.store.mongo.events import event_rows, events_of, to_line
from gateway.store.mongo.position import Position
from gateway.store.mongo.query import Order, filter_of, keys_filter
from gateway.store.mongo.store import MongoStore
from tests.servers import mongod
from tests.store.sample import START, at, conversation, event, message, new_id, queue

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["a.b", "$set", "", "a\0b", "_id", "version", "文", "."]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=4
)
OBJECTS = st.dictionaries(KEYS, JSON.filter(lambda value: "\\ud" not in ascii(value)), max_size=4)


def through_bson(collection: Collection[Any], doc: Document) -> Any:
    return codec(collection).decode(bson.decode(codec(collection).encode(doc).raw, CODEC))


@given(OBJECTS)
def test_free_form_objects_come_back(value: dict[str, Any]) -> None:
    contact = Contact(id="c", attributes=value, created_at=START, updated_at=START)
    merge = Merge(
        id="m",
        winner_id="c",
        loser_id="d",
        winner_before=contact,
        loser_before=replace(contact, id="d"),
        evidence=Evidence(kind="agent", at=START),
    )
    decision = Decision(
        id="x", conversation_id="c", at=START, kind="route", outcomes=b"\0\xff", facts=value, actions=(value, {})
    )
    for collection, doc in (
        (CONTACTS, contact),
        (MERGES, merge),
        (DECISIONS, decision),
        (INBOX_HEALTH, InboxHealth(id="i", health=Health(details=value))),
        (CONNECTOR_STATES, ConnectorState(id="i/k", inbox_id="i", data=value)),
        (AGENTS, Agent(id="a", email="a@example.org", name="A", weights={"a.b$": 2}, created_at=START)),
    ):
        assert through_bson(collection, doc) == doc


@given(OBJECTS)
def test_no_key_of_a_stored_document_is_free_form(value: dict[str, Any]) -> None:
    contact = Contact(id="c", attributes={"deep": [value]}, created_at=START, updated_at=START)
    assert isinstance(bson.decode(codec(CONTACTS).encode(contact).raw)["attributes"], str)


@pytest.mark.parametrize("collection", COLLECTIONS, ids=lambda collection: str(collection.name))
def test_every_collection_has_a_codec(collection: Collection[Any]) -> None:
    codec(collection)


def test_what_find_asks_for_is_written_and_what_is_unique_only_if_present() -> None:
    stored = bson.decode(codec(CONVERSATIONS).encode(conversation()).raw)
    assert stored["status"] == "open"
    assert stored["assignee_id"] is None
    assert stored["tags"] == []
    assert "external_id" not in bson.decode(codec(MESSAGES).encode(message()).raw)
    assert bson.decode(codec(MESSAGES).encode(message(external_id="e")).raw)["external_id"] == "e"


def test_events_of_one_time_share_a_document() -> None:
    given = [event("a"), event("b"), event("c", at(1)), event("d", at(1)), event("e", at(2))]
    rows = event_rows([to_line(one) for one in given], "mark")
    assert [(row["n"], row["count"], row["at"]) for row in rows] == [(0, 2, at(0)), (2, 2, at(1)), (4, 1, at(2))]
    assert [pair for row in rows for pair in events_of(row)] == list(enumerate(given))
    assert len({row["_id"] for row in rows}) == 3


def test_many_large_events_are_spread_over_documents() -> None:
    rows = event_rows([to_line(event(data={"text": "x" * 1_500_000})) for _ in range(5)], "mark")
    assert [row["count"] for row in rows] == [2, 2, 1]


@given(*[st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 0xFFFFFF))] * 2)
def test_places_sort_as_text(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    a, b = Position(*one), Position(*other)
    assert (a < b) == (str(a) < str(b))
    assert Position.parse(str(a)) == a


@pytest.fixture
async def store(mongodb_server: str) -> AsyncIterator[MongoStore]:
    name = mongod.fresh_name()
    opened = MongoStore(mongod.database_url(mongodb_server, name), SystemClock())
    await opened.open()
    yield opened
    await opened._parts.client.drop_database(name)
    await opened.close()


async def test_a_document_that_is_too_large_is_refused_and_hurts_no_other(store: MongoStore) -> None:
    batch, other = Batch(), Batch()
    batch.insert(MESSAGES, message(text="x" * 17_000_000))
    good = other.insert(QUEUES, queue("good"))
    with pytest.raises(Refused, match="bytes are more than the store keeps"):
        await store.commit(batch)
    await store.commit(other)
    assert await store.get(QUEUES, good.id) == good


async def test_what_bson_cannot_hold_is_refused(store: MongoStore) -> None:
    for bad in (message(text="\ud800"), message(meta={"k": "\ud800"})):
        batch = Batch()
        batch.insert(MESSAGES, bad)
        with pytest.raises(Refused, match="the store cannot keep this"):
            await store.commit(batch)
    batch = Batch()
    batch.emit(event(data={"k": "\ud800"}))
    with pytest.raises(Refused, match="the store cannot keep this"):
        await store.commit(batch)


async def test_a_batch_larger_than_a_document(store: MongoStore) -> None:
    batch = Batch()
    docs = [batch.insert(MESSAGES, message(text="x" * 7_000_000)) for _ in range(3)]
    batch.emit(event(data={"text": "y" * 5_000_000}))
    head = await store.head()
    await store.commit(batch)
    assert (await store.get_many(MESSAGES, [doc.id for doc in docs])).keys() == {doc.id for doc in docs}
    items = await anext(store.follow(head))
    while not items:
        items = await anext(store.follow(head))
    assert len(items[0].event.data["text"]) == 5_000_000


def stages(plan: dict[str, Any]) -> set[str]:
    found = {str(plan["stage"])}
    for child in [plan[key] for key in ("inputStage",) if key in plan] + plan.get("inputStages", []):
        found |= stages(child)
    return found


async def plan_of(store: MongoStore, collection: Collection[Any], query: dict[str, Any], sort: Any) -> set[str]:
    find = {"find": collection.name, "filter": query, "sort": dict(sort), "limit": 21}
    told = await store._parts.database.command({"explain": find, "verbosity": "queryPlanner"})
    plan = told["queryPlanner"]["winningPlan"]
    return stages(plan.get("queryPlan", plan))


async def test_lists_and_keys_walk_an_index(store: MongoStore) -> None:
    """No scan of the collection, no sorting of what was found: on the first page and on those behind it."""
    batch = Batch()
    for number in range(600):
        status = ("open", "resolved", "pending")[number % 3]
        more: dict[str, Any] = {"assignee_id": f"a{number % 5}", "snoozed_until": at(number) if number % 2 else None}
        batch.insert(
            CONVERSATIONS,
            conversation(status=status, queue_id=f"q{number % 4}", last_message_at=at(number // 3), **more),
        )
        batch.insert(MESSAGES, message(f"c{number % 9}", external_id=f"e{number}" if number % 2 else None))
    await store.commit(batch)
    two = OneOf(("q1", "q2"))
    lists: tuple[tuple[Collection[Any], dict[str, Any], str], ...] = (
        (CONVERSATIONS, {}, "-last_message_at"),
        (CONVERSATIONS, {"status": "open"}, "-last_message_at"),
        (CONVERSATIONS, {"queue_id": two, "status": OneOf(("open", "pending"))}, "-last_message_at"),
        (CONVERSATIONS, {"assignee_id": "a1", "status": "open"}, "last_message_at"),
        (CONVERSATIONS, {"snoozed_until": Range(None, at(300))}, "snoozed_until"),
        (CONVERSATIONS, {"snoozed_until": Not(None)}, "-snoozed_until"),
        (MESSAGES, {"conversation_id": "c1"}, "-id"),
    )
    for collection, where, order in lists:
        by = Order(collection, order)
        query = filter_of(collection, where)
        page = await store.find(collection, where, order=order, limit=20)
        assert page.next is not None
        for part in [query, *by.behind(query, page.next)]:
            plan = await plan_of(store, collection, part, by.sort())
            assert "IXSCAN" in plan, (where, order, plan)
            assert not plan & {"SORT", "COLLSCAN"}, (where, order, plan)
    keys = keys_filter(MESSAGES.unique[0], [("inbox", "e1"), ("inbox", "e3"), ("other", "e5"), ("inbox", None)])
    assert keys is not None
    assert "COLLSCAN" not in await plan_of(store, MESSAGES, keys, [])


async def test_what_is_checked_is_read_back_as_it_was(store: MongoStore) -> None:
    """A check writes to the document, but not to what is read."""
    batch = Batch()
    doc = batch.insert(QUEUES, queue(f"q-{new_id()}"))
    await store.commit(batch)
    for _ in range(2):
        check = Batch()
        check.check(QUEUES, doc.id, 1)
        check.check(QUEUES, "absent", 0)
        await store.commit(check)
    assert await store.get(QUEUES, doc.id) == doc
    assert await store.get(QUEUES, "absent") is None
