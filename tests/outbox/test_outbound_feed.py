"""Answers for an app that polls: all, once asked for, in order, and marked as taken only when they are."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from msgspec.structs import replace

from connectors.api import SPEC
from gateway.connector import Sent
from gateway.errors import Refused
from gateway.model.message import Attachment, Author, Delivery
from gateway.service.outbox import outbound_feed
from gateway.service.outbox.outbound_feed import list_outbound
from gateway.service.outbox.retry import sent
from gateway.store.batch import Batch
from gateway.store.collection import DELIVERIES, IDENTITIES
from tests.outbox.stage import Stage, stage


async def taken(at: Stage, after: str | None = None, limit: int = 50) -> list[str]:
    return [item.text for item in (await list_outbound(at.store, at.clock, at.inbox.id, after, limit)).items]


async def make_ready(at: Stage, *replies: Delivery) -> None:
    for reply in replies:
        batch = Batch()
        batch.put(DELIVERIES, sent(await at.delivery(reply.id), Sent(), at.clock.now()))
        await at.store.commit(batch)


async def test_an_app_polls_through_all_answers(tmp_path: Path) -> None:
    async with stage(tmp_path, None, SPEC.capabilities) as at:
        conversation = await at.conversation()
        replies = [await at.reply(conversation, str(number)) for number in range(7)]
        assert await taken(at) == [], "what the outbox has not passed yet is not to be had"
        await make_ready(at, *replies)
        got: list[str] = []
        after: str | None = None
        while True:
            page = await list_outbound(at.store, at.clock, at.inbox.id, after, 3)
            if not page.items:
                break
            got += [item.text for item in page.items]
            after = page.items[-1].cursor
            assert (page.next == after) == (len(got) < 7)
        assert got == [str(number) for number in range(7)]
        assert {(await at.delivery(reply.id)).status for reply in replies} == {"delivered"}
        shown = (await at.message(replies[0].id)).delivery
        assert shown is not None
        assert shown.status == "delivered"
        assert await taken(at, after) == []


async def test_what_was_handed_out_but_not_acknowledged_comes_again(tmp_path: Path) -> None:
    async with stage(tmp_path, None, SPEC.capabilities) as at:
        replies = [await at.reply(await at.conversation(), str(number)) for number in range(3)]
        await make_ready(at, *replies)
        assert await taken(at) == ["0", "1", "2"]
        assert await taken(at) == ["0", "1", "2"]
        assert (await at.delivery(replies[1].id)).status == "sent"
        assert await taken(at, replies[0].id) == ["1", "2"]
        assert [(await at.delivery(reply.id)).status for reply in replies] == ["delivered", "sent", "sent"]


async def test_an_answer_that_was_late_is_not_skipped(tmp_path: Path) -> None:
    async with stage(tmp_path, None, SPEC.capabilities) as at:
        early, late, last = [await at.reply(await at.conversation(), name) for name in ("early", "late", "last")]
        await make_ready(at, early, last)
        page = await list_outbound(at.store, at.clock, at.inbox.id, None, 50)
        assert [item.text for item in page.items] == ["early", "last"]
        await make_ready(at, late)
        page = await list_outbound(at.store, at.clock, at.inbox.id, last.id, 50)
        assert [item.text for item in page.items] == ["late"]
        assert (await at.delivery(late.id)).status == "sent", "it was only just handed out"
        assert page.items[0].cursor == last.id, "the cursor does not go back"
        assert await taken(at, page.items[0].cursor) == []
        assert (await at.delivery(late.id)).status == "delivered"


async def test_what_an_item_has(tmp_path: Path) -> None:
    async with stage(tmp_path, None, SPEC.capabilities) as at:
        conversation = await at.conversation()
        sha256 = await at.store.blobs.put(b"bytes")
        file = Attachment(id="a", name="a.txt", type="text/plain", size=5, sha256=sha256)
        reply = await at.reply(conversation, "hi", attachments=(file,), author=Author(kind="rule", name="Welcome"))
        await make_ready(at, reply)
        [item] = (await list_outbound(at.store, at.clock, at.inbox.id, None)).items
        identity = await at.store.get(IDENTITIES, conversation.identity_id)
        assert identity is not None
        assert (item.to, item.conversation_id, item.cursor) == (identity.address, conversation.id, reply.id)
        assert (item.author.name, item.author.automatic) == ("Welcome", True)
        assert [base64.b64decode(known.data) for known in item.attachments] == [b"bytes"]


async def test_a_page_does_not_grow_with_its_attachments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound_feed, "BYTES", 10)
    async with stage(tmp_path, None, SPEC.capabilities) as at:
        sha256 = await at.store.blobs.put(b"eight by")
        file = Attachment(id="a", name="a.txt", type="text/plain", size=8, sha256=sha256)
        huge = replace(file, size=80)
        replies = [await at.reply(await at.conversation(), str(number), attachments=(file,)) for number in range(2)] + [
            await at.reply(await at.conversation(), "2", attachments=(huge,))
        ]
        await make_ready(at, *replies)
        page = await list_outbound(at.store, at.clock, at.inbox.id, None)
        assert ([item.text for item in page.items], page.next) == (["0"], replies[0].id)
        assert await taken(at, replies[0].id) == ["1"]
        assert await taken(at, replies[1].id) == ["2"]


async def test_a_cursor_of_another_inbox_is_refused(tmp_path: Path) -> None:
    async with stage(tmp_path, None, SPEC.capabilities) as at:
        reply = await at.reply(await at.conversation())
        with pytest.raises(Refused, match="after"):
            await list_outbound(at.store, at.clock, "another inbox", reply.id)
        with pytest.raises(Refused, match="after"):
            await list_outbound(at.store, at.clock, at.inbox.id, "nonsense")
