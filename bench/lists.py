"""Lists, search, start-up and memory over a large store (SQLite); the data are generated here.

By default 20,000 conversations with 200,000 messages; with `--full` 1 million with 10 million.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
import urllib.parse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from bench.figure import Figure, quantile
from bench.program import Server, gateway
from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation
from gateway.model.document import uuid7_at
from gateway.model.message import Author, Message
from gateway.store.batch import Batch
from gateway.store.collection import CONTACTS, CONVERSATIONS, IDENTITIES, INBOXES, MESSAGES, QUEUES
from gateway.store.contract import SearchEntry, Store
from gateway.store.open import open_store

MESSAGES_EACH = 10
PAGE = 200
REQUESTS = 150

ENGLISH = (
    *("refund", "transfer", "card", "limit", "verify", "account", "payment", "declined"),
    *("statement", "exchange", "rate", "order", "fee", "bonus", "wallet"),
)
CHINESE = (
    "退款",
    "转账",
    "银行卡",
    "限额",
    "实名认证",
    "支付失败",
    "账单",
    "密码",
    "汇率",
    "手续费",
    "充值",
    "提现",
    "订单",
)


def measure(full: bool) -> list[Figure]:
    count = 1_000_000 if full else 20_000
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        with gateway(folder):
            pass  # makes queues and inboxes
        started = time.monotonic()
        asyncio.run(fill(folder / "data", count))
        filled = time.monotonic() - started
        started = time.monotonic()
        with gateway(folder) as server:
            up = time.monotonic() - started
            time.sleep(3)
            memory = server.memory_mb()
            figures = [
                Figure("data: conversations", count, "", note=f"made in {filled:.0f} s"),
                Figure("start-up", up, "s", 2.0, at_most=True, note="with the interpreter's own and a sign-in"),
                Figure("memory, idle after start", memory, "MB", 120, at_most=True),
                *timed(server),
                Figure("memory, after the lists and searches", server.memory_mb(), "MB"),
            ]
    return figures


def timed(server: Server) -> list[Figure]:
    """p95 of the lists a desk asks for, and of searches."""
    queues = [queue["id"] for queue in server.call("GET", "/queues?limit=100")["items"]]
    choose = random.Random(3)
    lists = (
        lambda: "/conversations?limit=50",
        lambda: "/conversations?limit=50&status=open",
        lambda: f"/conversations?limit=50&status=open&queue={choose.choice(queues)}",
        lambda: f"/conversations?limit=50&queue={choose.choice(queues)}",
        lambda: "/conversations?limit=50&status=open&assignee=none",
        lambda: f"/conversations?limit=50&tag=t{choose.randrange(20)}",
    )
    words = (
        lambda: choose.choice(ENGLISH),
        lambda: f"{choose.choice(ENGLISH)} {choose.choice(ENGLISH)}",
        lambda: choose.choice(CHINESE),
        lambda: choose.choice(CHINESE)[0],
        lambda: f"{choose.choice(CHINESE)} {choose.choice(ENGLISH)}",
        lambda: f"n{choose.randrange(100_000)}",
    )
    listed = [one_call(server, choose.choice(lists)()) for _ in range(REQUESTS)]
    found = [
        one_call(server, "/conversations?limit=20&q=" + urllib.parse.quote(choose.choice(words)()))
        for _ in range(REQUESTS)
    ]
    return [
        Figure("desk list, p95", quantile(listed, 0.95), "ms", 30, at_most=True),
        Figure("search, p95", quantile(found, 0.95), "ms", 100, at_most=True),
    ]


def one_call(server: Server, path: str) -> float:
    started = time.perf_counter()
    server.call("GET", path)
    return (time.perf_counter() - started) * 1000


async def fill(data: Path, count: int) -> None:
    """Conversations of the past two years, ten messages each, in all queues and states, searchable."""
    clock = _Clock()
    store = open_store(f"sqlite:///{data / 'omnigate.db'}", data, clock)
    await store.open()
    try:
        queues = [queue.id for queue in (await store.find(QUEUES, limit=100)).items]
        inbox = (await store.find(INBOXES, limit=1)).items[0].id
        for start in range(0, count, PAGE):
            await _page(store, range(start, min(count, start + PAGE)), count, queues, inbox)
    finally:
        await store.close()


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)


async def _page(store: Store, numbers: range, count: int, queues: list[str], inbox: str) -> None:
    batch = Batch()
    entries: list[SearchEntry] = []
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=730)
    for number in numbers:
        choose = random.Random(number)
        at = begin + timedelta(days=730) * (number / count)
        ms = int(at.timestamp() * 1000)
        conversation_id = uuid7_at(ms, choose.getrandbits(74))
        contact_id = uuid7_at(ms, choose.getrandbits(74))
        identity_id = uuid7_at(ms, choose.getrandbits(74))
        status = choose.choices(("resolved", "open", "pending", "snoozed"), (90, 6, 3, 1))[0]
        last = at + timedelta(seconds=MESSAGES_EACH * 60)
        batch.load(CONTACTS, Contact(id=contact_id, version=1, name=f"Customer {number}", created_at=at, updated_at=at))
        batch.load(
            IDENTITIES,
            Identity(
                id=identity_id,
                version=1,
                contact_id=contact_id,
                namespace=f"api:{inbox}",
                address=f"customer-{number}",
                created_at=at,
            ),
        )
        conversation = Conversation(
            id=conversation_id,
            version=1,
            inbox_id=inbox,
            channel="api",
            contact_id=contact_id,
            identity_id=identity_id,
            status="open",
            queue_id=choose.choice(queues),
            tags=(f"t{choose.randrange(20)}",),
            created_at=at,
            updated_at=last,
            last_message_at=last,
            queued_at=at if status == "open" else None,
            message_count=MESSAGES_EACH,
        )
        batch.load(CONVERSATIONS, replace(conversation, status=status))
        for turn in range(MESSAGES_EACH):
            message_id = uuid7_at(ms + turn * 60_000, choose.getrandbits(74))
            words = " ".join(choose.choices(ENGLISH, k=6)) if turn % 2 else "".join(choose.choices(CHINESE, k=6))
            text = f"{words} n{choose.randrange(100_000)}"
            moment = at + timedelta(seconds=turn * 60)
            batch.load(
                MESSAGES,
                Message(
                    id=message_id,
                    version=1,
                    inbox_id=inbox,
                    conversation_id=conversation_id,
                    direction="out" if turn % 3 == 2 else "in",
                    author=Author(kind="contact", id=contact_id),
                    text=text,
                    external_id=f"x{number}-{turn}",
                    created_at=moment,
                ),
            )
            entries.append(SearchEntry(message_id, conversation_id, moment, text))
    await store.commit(batch)
    await store.index(entries)
