"""Receipts against the store: by our id or the provider's, early, late, twice, and for other inboxes' messages."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from gateway.connector import Capabilities, Outgoing, Sent, StatusUpdate
from gateway.errors import SendError
from gateway.service.outbox import receipts
from gateway.store.batch import Batch
from gateway.store.collection import CONNECTOR_STATES, CONVERSATIONS
from tests.outbox.stage import Scripted, sending, stage


async def test_by_the_provider_s_id_and_by_ours(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox()):
        first, second = [await at.reply(await at.conversation()) for _ in range(2)]
        for reply in (first, second):
            await at.until_status(reply.id, "sent")
        updates = [
            StatusUpdate(status="read", provider_id=f"p-{first.id}"),
            StatusUpdate(status="delivered", provider_id=f"p-{first.id}"),
            StatusUpdate(status="failed", delivery_id=second.id, reason="no such user"),
        ]
        assert await receipts.apply(at.store, at.clock, at.inbox.id, updates) == 2
        assert await receipts.apply(at.store, at.clock, at.inbox.id, updates) == 0
        read = await at.delivery(first.id)
        assert read.status == "read"
        assert read.delivered_at is not None
        shown = (await at.message(second.id)).delivery
        assert shown is not None
        assert (shown.status, shown.error) == ("failed", "no such user")


async def test_another_inbox_s_messages_are_out_of_reach(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox()):
        reply = await at.reply(await at.conversation())
        await at.until_status(reply.id, "sent")
        strangers = [
            StatusUpdate(status="read", delivery_id=reply.id),
            StatusUpdate(status="read", provider_id=f"p-{reply.id}"),
            StatusUpdate(status="read", delivery_id="none"),
            StatusUpdate(status="read"),
        ]
        assert await receipts.apply(at.store, at.clock, "another inbox", strangers) == 0
        assert (await at.delivery(reply.id)).status == "sent"


async def test_a_receipt_that_comes_before_the_provider_answered(tmp_path: Path) -> None:
    async def receipt_first(message: Outgoing) -> Sent | SendError:
        await receipts.apply(
            at.store, at.clock, at.inbox.id, [StatusUpdate(status="delivered", provider_id=f"p-{message.id}")]
        )
        return Sent(provider_id=f"p-{message.id}")

    capabilities = Capabilities(receipts=("delivered",))
    async with stage(tmp_path, Scripted(receipt_first), capabilities) as at, sending(at.outbox()):
        reply = await at.reply(await at.conversation())
        await at.until_status(reply.id, "delivered")

        async def used_up() -> bool:
            kept = await at.store.get(CONNECTOR_STATES, f"{at.inbox.id}/~receipts")
            return kept is not None and kept.data == {"early": []}

        await at.until(used_up)  # a commit of its own, after the one that shows the status


async def test_a_receipt_by_our_id_during_the_send_wins_over_the_outcome(tmp_path: Path) -> None:
    async def receipt_first(message: Outgoing) -> Sent | SendError:
        await receipts.apply(at.store, at.clock, at.inbox.id, [StatusUpdate(status="read", delivery_id=message.id)])
        return Sent(provider_id="p")

    async with stage(tmp_path, Scripted(receipt_first)) as at, sending(at.outbox()):
        reply = await at.reply(await at.conversation())
        await at.until_status(reply.id, "read")

        async def noted() -> bool:
            return (await at.delivery(reply.id)).provider_id == "p"

        await at.until(noted)
        assert (await at.delivery(reply.id)).status == "read"


async def test_receipts_and_other_writers_do_not_lose_each_other_s_changes(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox()):
        conversation = await at.conversation()
        replies = [await at.reply(conversation) for _ in range(10)]
        await at.until_status(replies[-1].id, "sent")
        updates = [
            StatusUpdate(status=status, delivery_id=reply.id) for reply in replies for status in ("delivered", "read")
        ]

        async def touch() -> None:
            for number in range(10):
                batch = Batch()
                known = await at.store.get(CONVERSATIONS, conversation.id)
                assert known is not None
                batch.put(CONVERSATIONS, replace(known, unread=number))
                await at.store.commit(batch)

        async with asyncio.TaskGroup() as group:
            group.create_task(touch())
            for start in range(0, 20, 5):
                group.create_task(receipts.apply(at.store, at.clock, at.inbox.id, updates[start : start + 5]))
        assert {(await at.delivery(reply.id)).status for reply in replies} == {"read"}
