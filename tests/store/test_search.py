"""Search: Chinese and English, newest first."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.store.contract import SearchEntry, SearchHit, Store
from tests.store.conftest import Place
from tests.store.sample import START, new_id

Index = Callable[..., Awaitable[list[str]]]


@pytest.fixture
async def index(store: Store) -> AsyncIterator[Index]:
    """Indexes texts, oldest first; returns their message ids. What it indexed is forgotten after the test."""
    made: list[str] = []

    async def put(*texts: str) -> list[str]:
        ids = [new_id() for _ in texts]
        made.extend(ids)
        await store.index([SearchEntry(id, f"c-{id}", START, text) for id, text in zip(ids, texts, strict=True)])
        return ids

    yield put
    await store.unindex(made)


async def found(store: Store, query: str, after: str | None = None) -> list[str]:
    return [hit.message_id for hit in await store.search(query, after=after)]


TEXTS = (
    "我要退款，订单号是１２３ＡＢ，很急。",  # 0
    "請問我的訂單什麼時候退還？",  # 1
    "Refund please: order 123AB is late, I'd like my money back",  # 2
    "Der Straßenname ist falsch, café au lait",  # 3
    "退货，然后付款。号码订的",  # 4
)


FOUND: tuple[tuple[str, set[int]], ...] = (
    ("退", {0, 1, 4}),  # one character
    ("号", {0, 4}),
    ("退款", {0}),  # two
    ("订单", {0, 1}),
    ("订单号", {0}),  # three
    ("我要退款", {0}),  # more
    ("订单号是", {0}),
    ("退款号", set()),
    ("訂單", {0, 1}),  # traditional finds simplified
    ("訂單號", {0}),
    ("请问我的订单", {1}),  # simplified finds traditional
    ("退還", {1}),
    ("退还", {1}),
    ("什么时候", {1}),
    ("123ab", {0, 2}),  # width and case
    ("１２３ＡＢ", {0, 2}),
    ("REFUND", {2}),
    ("refund order", {2}),  # several terms, in any order
    ("order refund 123AB", {2}),
    ("refund 退款", set()),
    ("订单 退款", {0}),
    ("退款 订单", {0}),
    ("订单，１２３ab", {0}),
    ("退 号", {0, 4}),
    ("ref", set()),  # whole words only
    ("strassenname", {3}),
    ("CAFÉ", {3}),
    ("cafe", {3}),
    ("late,", {2}),
    ("money-back", {2}),
    ("nowhere", set()),
    ("订购", set()),
    ("", set()),
    ("  \t", set()),
    ("？！…—", set()),
    ("\"'*()^:-", set()),
)


async def test_what_is_found(store: Store, index: Index) -> None:
    ids = await index(*TEXTS)
    for query, hits in FOUND:
        assert set(await found(store, query)) == {ids[number] for number in hits}, query


async def test_a_query_has_no_syntax(store: Store, index: Index) -> None:
    ids = await index(*TEXTS, "terms refund NEAR a b or not ref where gt 1 nowhere late")
    for query in (
        "NEAR(a b)",
        "terms:refund",
        "refund OR nowhere",
        "refund NOT late",
        'a" b',
        "ref*",
        "$where",
        "{$gt: 1}",
    ):
        assert await found(store, query) == [ids[-1]], query


async def test_newest_first_and_paged(store: Store, index: Index) -> None:
    ids = await index(*(f"page 翻页 {number}" for number in range(25)))
    newest = ids[::-1]
    for query in ("page", "翻页", "翻", "page 翻页"):
        first = await store.search(query, limit=10)
        assert [hit.message_id for hit in first] == newest[:10]
        second = await store.search(query, limit=10, after=first[-1].message_id)
        assert [hit.message_id for hit in second] == newest[10:20]
        last = await store.search(query, limit=10, after=second[-1].message_id)
        assert [hit.message_id for hit in last] == newest[20:]
        assert await store.search(query, limit=10, after=last[-1].message_id) == []


async def test_the_order_is_the_messages_not_the_indexings(store: Store) -> None:
    ids = [new_id() for _ in range(6)]
    try:
        for id in (ids[3], ids[0], ids[5], ids[1], ids[4], ids[2]):
            await store.index([SearchEntry(id, "c", START, "reihenfolge 顺序")])
        assert await found(store, "reihenfolge") == ids[::-1]
        assert await found(store, "顺序", after=ids[3]) == [ids[2], ids[1], ids[0]]
    finally:
        await store.unindex(ids)


async def test_ids_of_one_millisecond_on_several_nodes(store: Store) -> None:
    """Ids that agree in their time and counter are still all found, each once, page by page."""
    ids = [f"0199a000-0000-7001-8000-{number:012x}" for number in range(12)]
    try:
        await store.index([SearchEntry(id, "c", START, "gleichzeitig") for id in ids])
        seen: list[str] = []
        after = None
        while hits := await store.search("gleichzeitig", limit=5, after=after):
            seen += [hit.message_id for hit in hits]
            after = seen[-1]
        assert sorted(seen) == ids
    finally:
        await store.unindex(ids)


async def test_hits_name_their_conversation(store: Store, index: Index) -> None:
    (id,) = await index("hit me")
    assert await store.search("hit") == [SearchHit(id, f"c-{id}")]


async def test_indexing_again_replaces(store: Store, index: Index) -> None:
    ids = await index("alt 旧文字", "stays alt 旧文字")
    await store.index([SearchEntry(ids[0], "c", START, "neu 新文字")])
    assert await found(store, "alt") == [ids[1]]
    assert await found(store, "旧") == [ids[1]]
    assert await found(store, "neu") == [ids[0]]
    assert await found(store, "新文字") == [ids[0]]
    await store.index([SearchEntry(ids[0], "c", START, "alt 旧文字")])
    assert await found(store, "旧文字") == ids[::-1]
    assert await found(store, "neu") == []


async def test_the_same_message_twice_in_one_call(store: Store, index: Index) -> None:
    (id,) = await index("eins")
    await store.index([SearchEntry(id, "c", START, "zwei"), SearchEntry(id, "c", START, "drei")])
    assert await found(store, "drei") == [id]
    assert await found(store, "zwei") == []


async def test_unindexed_is_not_found(store: Store, index: Index) -> None:
    ids = await index("forget 忘记", "forget 忘记")
    await store.unindex([ids[0], new_id()])
    assert await found(store, "forget") == [ids[1]]
    assert await found(store, "忘") == [ids[1]]
    await store.unindex([])
    await store.index([])


async def test_the_index_is_kept(place: Place) -> None:
    id = new_id()
    store = place.store()
    await store.open()
    await store.index([SearchEntry(id, "c", START, "dauerhaft 持久")])
    await store.close()
    store = place.store()
    await store.open()
    try:
        assert await found(store, "持久") == [id]
        await store.unindex([id])
        assert await found(store, "持久") == []
    finally:
        await store.close()


async def test_odd_texts_are_indexed(store: Store, index: Index) -> None:
    ids = await index(
        "", "\x00\x01 nul", "x" * 70 + " lang", "😀 emoji 表情", "w" * 300_000, "zeile\nneu\ttab", "\ud800 half"
    )
    assert await found(store, "nul") == [ids[1]]
    assert await found(store, "x" * 70) == [ids[2]]
    assert await found(store, "表情 emoji") == [ids[3]]
    assert await found(store, "neu tab") == [ids[5]]
