"""The outbox at work, on a real store."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.connector import Capabilities, Outgoing, Sent
from gateway.errors import (
    Clash,
    Fenced,
    NotFound,
    Permanent,
    RateLimited,
    SendError,
    Transient,
    Unauthorized,
    Unknown,
)
from gateway.model.access import SYSTEM
from gateway.model.event import Event
from gateway.model.message import Attachment, Author, Lane
from gateway.service.outbox.entry import SHARDS
from gateway.service.outbox.ledger import Ledger
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, DELIVERIES, IDENTITIES
from tests.outbox.stage import PLAIN, START, Scripted, Stage, sending, stage


async def test_a_reply_is_sent_and_shown(tmp_path: Path) -> None:
    connector = Scripted()
    async with stage(tmp_path, connector) as at, sending(at.outbox()) as outbox:
        head = await at.store.head()
        reply = await at.reply(await at.conversation())
        outbox.notify(at.inbox.id)
        done = await at.until_status(reply.id, "sent")
        assert (done.attempts, done.provider_id, done.next_at) == (1, f"p-{reply.id}", None)
        message = await at.message(reply.id)
        assert message.delivery is not None
        assert message.delivery.status == "sent"
        assert message.sent_at == done.sent_at
        async with asyncio.timeout(5):
            async for items in at.store.follow(head):
                event = items[-1].event
                break
        assert (event.type, event.message_id, event.queue_id, event.assignee_id, event.data["status"]) == (
            "delivery.updated",
            reply.id,
            "queue-1",
            "agent-1",
            "sent",
        )


@pytest.mark.parametrize("seed", range(3))
async def test_conversations_keep_their_order_whatever_fails(tmp_path: Path, store_url: str, seed: int) -> None:
    chance = random.Random(seed)

    async def sometimes(message: Outgoing) -> Sent | SendError:
        await asyncio.sleep(chance.random() * 0.004)
        roll = chance.random()
        if roll < 0.25:
            return Transient("refused")
        if roll < 0.3:
            return RateLimited("slow down", retry_after=0.01)
        return Sent()

    connector = Scripted(sometimes)
    async with stage(tmp_path, connector, url=store_url) as at, sending(at.outbox()) as outbox:
        conversations = [await at.conversation() for _ in range(6)]
        expected = defaultdict(list)
        lanes: tuple[Lane, ...] = ("answer", "bulk")
        for _ in range(48):
            conversation = chance.choice(conversations)
            lane = chance.choice(lanes)
            expected[conversation.id].append((await at.reply(conversation, lane=lane)).id)
            outbox.notify(at.inbox.id)
            if chance.random() < 0.3:
                at.clock.advance(3)

        async def all_sent() -> bool:
            at.clock.advance(5)
            outbox.notify(at.inbox.id)
            return await at.store.count(DELIVERIES, {"status": "sent"}) == 48

        await at.until(all_sent)
        got = defaultdict(list)
        conversation_of = {id: conversation for conversation, ids in expected.items() for id in ids}
        for id in connector.accepted:
            got[conversation_of[id]].append(id)
        assert got == expected
        if store_url.startswith("sqlite"):  # a commit to a cluster takes longer than these sends
            assert connector.most_together > 1


async def test_a_failed_message_does_not_hold_back_the_next(tmp_path: Path) -> None:
    async def first_fails(message: Outgoing) -> Sent | SendError:
        return {"permanent": Permanent("no"), "unknown": Unknown("cut")}.get(message.text) or Sent()

    async with stage(tmp_path, Scripted(first_fails)) as at, sending(at.outbox()):
        conversation = await at.conversation()
        dead = await at.reply(conversation, "permanent")
        unknown = await at.reply(conversation, "unknown")
        last = await at.reply(conversation, "fine")
        await at.until_status(last.id, "sent")
        assert (await at.delivery(dead.id)).dead
        assert (await at.delivery(unknown.id)).status == "unknown"
        shown = (await at.message(dead.id)).delivery
        assert shown is not None
        assert shown.error == "no"


async def test_answers_go_before_bulk(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def waits(message: Outgoing) -> Sent | SendError:
        await gate.wait()
        return Sent()

    connector = Scripted(waits)
    async with stage(tmp_path, connector) as at, sending(at.outbox(concurrency=1)) as outbox:
        for _ in range(100):
            await at.reply(await at.conversation(), "bulk", lane="bulk")
        outbox.notify(at.inbox.id)
        await at.until(lambda: _true(bool(connector.sends)))
        await at.reply(await at.conversation(), "answer")
        outbox.notify(at.inbox.id)
        gate.set()
        await at.until(lambda: _true(len(connector.sends) > 2))
        assert [message.text for message in connector.sends[:3]] == ["bulk", "answer", "bulk"]


async def _true(value: bool) -> bool:
    return value


async def test_two_nodes_never_send_the_same_entry(tmp_path: Path, store_url: str) -> None:
    async def takes_time(message: Outgoing) -> Sent | SendError:
        await asyncio.sleep(0.002)
        return Sent()

    connector = Scripted(takes_time)
    async with stage(tmp_path, connector, url=store_url) as at:
        conversations = [await at.conversation() for _ in range(10)]
        ids = [(await at.reply(conversation)).id for _ in range(8) for conversation in conversations]
        async with sending(at.outbox("b")) as second:
            async with sending(at.outbox("a")) as first:
                for _ in range(20):
                    first.notify(at.inbox.id)
                    second.notify(at.inbox.id)
                    await asyncio.sleep(0.005)
            # the one that was drained gave its shards back: the other goes on
            await at.until(lambda: _all_sent(at, len(ids)))
        assert Counter(connector.accepted) == Counter(ids)


async def _all_sent(at: Stage, count: int) -> bool:
    return await at.store.count(DELIVERIES, {"status": "sent"}) == count


async def test_a_node_that_was_paused_past_its_lease_cannot_begin_a_send(tmp_path: Path, store_url: str) -> None:
    async with stage(tmp_path, url=store_url) as at:
        reply = await at.reply(await at.conversation())
        name = f"outbox:{reply.shard}"
        [lease] = (await at.store.acquire([name], "paused", 30)).values()
        await at.store.release([lease])
        assert await at.store.acquire([name], "quick", 30)
        with pytest.raises(Fenced):
            await Ledger(at.store, at.clock).claim(reply, lease)
        assert (await at.delivery(reply.id)).status == "queued"


async def test_what_a_dead_node_was_sending_is_unknown_until_it_is_known(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def hangs(message: Outgoing) -> Sent | SendError:
        await gate.wait()
        return Sent(provider_id="p-1")

    async with stage(tmp_path, Scripted(hangs)) as at:
        conversation = await at.conversation()
        reply = await at.reply(conversation)
        async with sending(at.outbox("a")):
            await at.until_status(reply.id, "sending")
            # node a is thought dead: its leases pass to b, while its send still hangs
            first = await at.delivery(reply.id)
            names = [f"outbox:{shard}" for shard in range(SHARDS)]
            at.clock.advance(60)
            taken = await at.store.acquire(names, "b", 60)
            assert taken[f"outbox:{first.shard}"].token > first.lease_token
            await at.store.release(list(taken.values()))
            async with sending(at.outbox("c")):
                unknown = await at.until_status(reply.id, "unknown")
                assert unknown.error == "the gateway stopped while it was being sent"
                gate.set()
                settled = await at.until_status(reply.id, "sent")
                assert settled.provider_id == "p-1"


async def test_an_interrupted_send_is_repeated_where_that_is_harmless(tmp_path: Path) -> None:
    connector = Scripted()
    capabilities = Capabilities(idempotent_send=True)
    async with stage(tmp_path, connector, capabilities) as at:
        reply = await at.reply(await at.conversation())
        await _leave_in_sending(at, reply.id)
        async with sending(at.outbox()) as outbox:
            await at.until_status(reply.id, "queued", "sent")
            at.clock.advance(10)
            outbox.notify(at.inbox.id)
            await at.until_status(reply.id, "sent")
        assert [(message.id, message.attempt) for message in connector.sends] == [(reply.id, 2)]


async def test_an_interrupted_send_is_looked_up_where_that_is_possible(tmp_path: Path) -> None:
    connector = Scripted()
    async with stage(tmp_path, connector, Capabilities(lookup=True)) as at:
        conversation = await at.conversation()
        found, missing = await at.reply(conversation, "found"), await at.reply(conversation, "missing")
        connector.has = lambda message: Sent(provider_id="p") if message.text == "found" else None
        for reply in (found, missing):
            await _leave_in_sending(at, reply.id)
        async with sending(at.outbox()) as outbox:

            async def settled() -> bool:
                at.clock.advance(5)
                outbox.notify(at.inbox.id)
                return await _all_sent(at, 2)

            await at.until(settled)
        assert [message.id for message in connector.sends] == [missing.id]
        assert Counter(connector.lookups)[missing.id] == 3


async def _leave_in_sending(at: Stage, id: str) -> None:
    batch = Batch()
    batch.put(DELIVERIES, replace(await at.delivery(id), status="sending", attempts=1, next_at=None, lease_token=0))
    await at.store.commit(batch)


async def test_refused_credentials_stop_the_inbox_until_it_is_mended(tmp_path: Path) -> None:
    async def refuses(message: Outgoing) -> Sent | SendError:
        return Unauthorized("password refused")

    connector = Scripted(refuses)
    async with stage(tmp_path, connector) as at, sending(at.outbox(concurrency=1)) as outbox:
        replies = [await at.reply(await at.conversation()) for _ in range(5)]
        outbox.notify(at.inbox.id)
        await at.until(lambda: _true(bool(at.refusals)))
        for _ in range(5):
            outbox.notify(at.inbox.id)
            await asyncio.sleep(0.02)
        assert len(connector.sends) == 1
        assert at.refusals == ["password refused"]
        at.scripted = Scripted()
        outbox.notify(at.inbox.id)
        for reply in replies:
            await at.until_status(reply.id, "sent")


async def test_what_waits_too_long_for_a_stopped_inbox_is_a_dead_letter(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox()) as outbox:
        at.scripted = None
        reply = await at.reply(await at.conversation())
        outbox.notify(at.inbox.id)
        await asyncio.sleep(0.1)
        assert (await at.delivery(reply.id)).status == "queued"
        at.clock.advance(25 * 3600)
        outbox.notify(at.inbox.id)
        dead = await at.until_status(reply.id, "failed")
        assert dead.dead


async def test_replies_of_a_deleted_inbox_are_given_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox()) as outbox:
        at.scripted = None
        reply = await at.reply(await at.conversation())
        at.known.clear()
        outbox.notify(at.inbox.id)
        assert (await at.until_status(reply.id, "failed")).error == "the inbox was deleted"


async def test_a_provider_that_asks_to_wait_gets_its_rest(tmp_path: Path) -> None:
    async def once_limited(message: Outgoing) -> Sent | SendError:
        return RateLimited("slow down", retry_after=0.4) if len(connector.sends) == 1 else Sent()

    connector = Scripted(once_limited)
    async with stage(tmp_path, connector) as at, sending(at.outbox(concurrency=1)) as outbox:
        await at.reply(await at.conversation())
        other = await at.reply(await at.conversation())
        began = asyncio.get_running_loop().time()
        outbox.notify(at.inbox.id)
        await at.until_status(other.id, "sent")
        assert asyncio.get_running_loop().time() - began >= 0.4


async def test_the_channel_s_rate_is_kept(tmp_path: Path) -> None:
    connector = Scripted()
    async with stage(tmp_path, connector, Capabilities(rate_per_second=50)) as at, sending(at.outbox()) as outbox:
        began = asyncio.get_running_loop().time()
        for _ in range(20):
            await at.reply(await at.conversation())
        outbox.notify(at.inbox.id)
        await at.until(lambda: _all_sent(at, 20))
        assert asyncio.get_running_loop().time() - began >= 19 / 50


async def test_a_hanging_connector_is_cut_off(tmp_path: Path) -> None:
    async def hangs(message: Outgoing) -> Sent | SendError:
        await asyncio.sleep(60)
        return Sent()

    async with stage(tmp_path, Scripted(hangs)) as at, sending(at.outbox(send_seconds=0.05)) as outbox:
        reply = await at.reply(await at.conversation())
        outbox.notify(at.inbox.id)
        unknown = await at.until_status(reply.id, "unknown")
        assert unknown.error == "no answer within 0.05 s"


async def test_a_broken_connector_leaves_the_message_unknown_and_the_outbox_alive(tmp_path: Path) -> None:
    async def breaks(message: Outgoing) -> Sent | SendError:
        if message.text == "bad":
            raise ZeroDivisionError
        return Sent()

    async with stage(tmp_path, Scripted(breaks)) as at, sending(at.outbox()) as outbox:
        bad = await at.reply(await at.conversation(), "bad")
        good = await at.reply(await at.conversation(), "good")
        outbox.notify(at.inbox.id)
        assert "ZeroDivisionError" in str((await at.until_status(bad.id, "unknown")).error)
        await at.until_status(good.id, "sent")


async def test_another_node_s_reply_is_found_without_being_told(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox()):
        await asyncio.sleep(0.05)
        reply = await at.reply(await at.conversation())
        await at.until_status(reply.id, "sent")


async def test_another_node_s_reply_is_sent_at_once_when_the_feed_tells_of_it(tmp_path: Path) -> None:
    async with stage(tmp_path) as at, sending(at.outbox(sweep_seconds=60)) as outbox:
        await asyncio.sleep(0.1)
        reply = await at.reply(await at.conversation())
        for direction in ("in", "out"):
            await asyncio.sleep(0.05)
            assert (await at.delivery(reply.id)).status == "queued"
            outbox.heard(Event(type="message.created", at=START, inbox_id=at.inbox.id, data={"direction": direction}))
        await at.until_status(reply.id, "sent")


async def test_a_dead_letter_is_sent_again_by_a_person(tmp_path: Path) -> None:
    async def fails_once(message: Outgoing) -> Sent | SendError:
        return Permanent("mailbox full") if len(connector.sends) == 1 else Sent()

    connector = Scripted(fails_once)
    async with stage(tmp_path, connector) as at, sending(at.outbox()) as outbox:
        reply = await at.reply(await at.conversation())
        outbox.notify(at.inbox.id)
        await at.until_status(reply.id, "failed")
        assert (await outbox.retry(reply.id, SYSTEM)).status == "queued"
        await at.until_status(reply.id, "sent")
        with pytest.raises(Clash, match="sent already"):
            await outbox.retry(reply.id, SYSTEM)
        with pytest.raises(NotFound):
            await outbox.retry("none", SYSTEM)


async def test_an_agent_settles_an_unknown_delivery(tmp_path: Path) -> None:
    async def cut(message: Outgoing) -> Sent | SendError:
        return Unknown("the line broke")

    async with stage(tmp_path, Scripted(cut)) as at, sending(at.outbox()) as outbox:
        first, second = [await at.reply(await at.conversation()) for _ in range(2)]
        outbox.notify(at.inbox.id)
        for reply in (first, second):
            await at.until_status(reply.id, "unknown")
        assert (await outbox.settle(first.id, "sent", SYSTEM)).status == "sent"
        discarded = await outbox.settle(second.id, "discard", SYSTEM)
        assert (discarded.status, discarded.error) == ("failed", "discarded by Omnigate")
        shown = (await at.message(second.id)).delivery
        assert shown is not None
        assert shown.status == "failed"


async def test_drain_waits_for_what_is_under_way_and_begins_nothing(tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def waits(message: Outgoing) -> Sent | SendError:
        await gate.wait()
        return Sent()

    connector = Scripted(waits)
    async with stage(tmp_path, connector) as at, asyncio.TaskGroup() as group:
        outbox = at.outbox(concurrency=1)
        task = group.create_task(outbox.run())
        first, second = [await at.reply(await at.conversation()) for _ in range(2)]
        await at.until(lambda: _true(bool(connector.sends)))
        assert not await outbox.drain(0.05)
        gate.set()
        assert await outbox.drain(5)
        await task
        assert (await at.delivery(first.id)).status == "sent"
        assert (await at.delivery(second.id)).status == "queued"
        # the leases were given back: another can begin at once
        assert len(await at.store.acquire([f"outbox:{n}" for n in range(SHARDS)], "other", 5)) == SHARDS


async def test_what_the_connector_is_given(tmp_path: Path) -> None:
    connector = Scripted()
    async with stage(tmp_path, connector) as at, sending(at.outbox()):
        conversation = await at.conversation(subject="Refund")
        await at.inbound(conversation, "first", meta={"message_id": "<1>"}, external_id="e-1")
        for number in range(2, 30):
            await at.inbound(conversation, str(number), meta={"message_id": f"<{number}>"}, external_id=f"e-{number}")
        last = await at.inbound(conversation, "last", meta={"message_id": "<99>"}, external_id="e-99", subject="退款")
        sha256 = await at.store.blobs.put(b"bytes")
        file = Attachment(id="a", name="a.txt", type="text/plain", size=5, sha256=sha256)
        reply = await at.reply(
            conversation, "hi", attachments=(file,), subject="Refund", author=Author(kind="bot", name="Bot")
        )
        await at.until_status(reply.id, "sent")
        identity = await at.store.get(IDENTITIES, conversation.identity_id)
        [sent] = connector.sends
        assert identity is not None
        assert (sent.address, sent.recipient_name, sent.text) == (identity.address, "Customer", "hi")
        assert (sent.author_name, sent.automatic, sent.attempt) == ("Bot", True, 1)
        assert sent.subject is None  # the channel answers the customer's subject
        assert sent.reply_to == {
            "message_id": "<99>",
            "external_id": "e-99",
            "subject": "退款",
            "text": "last",
            "sent_at": last.created_at,
        }
        ids = [meta["message_id"] for meta in sent.thread_meta]
        assert (ids[0], ids[-1], len(ids)) == ("<1>", "<99>", 20)
        assert [file.data for file in sent.files] == [b"bytes"]


async def test_an_answer_goes_to_whom_it_was_written_to(tmp_path: Path) -> None:
    """Somebody else writes in the conversation before it is sent: a colleague, or who was sent a copy."""
    connector = Scripted()
    async with stage(tmp_path, connector) as at:
        conversation, other = await at.conversation(), await at.conversation()
        await at.inbound(conversation, "mine", meta={"message_id": "<1>"}, external_id="e-1")
        reply = await at.reply(conversation, "yours")
        await at.inbound(conversation, "theirs", meta={"message_id": "<2>"}, external_id="e-2")
        batch = Batch()
        batch.put(CONVERSATIONS, replace(conversation, identity_id=other.identity_id))
        await at.store.commit(batch)
        async with sending(at.outbox()):
            await at.until_status(reply.id, "sent")
        identity = await at.store.get(IDENTITIES, conversation.identity_id)
        [sent] = connector.sends
        assert identity is not None
        assert (sent.address, sent.reply_to["message_id"]) == (identity.address, "<1>")
        assert [meta["message_id"] for meta in sent.thread_meta] == ["<1>"]


async def test_a_lost_attachment_fails_the_message_with_its_name(tmp_path: Path) -> None:
    async with stage(tmp_path, Scripted(), PLAIN) as at, sending(at.outbox()):
        file = Attachment(id="a", name="bill.pdf", type="application/pdf", size=5, sha256="0" * 64)
        reply = await at.reply(await at.conversation(), attachments=(file,))
        failed = await at.until_status(reply.id, "failed")
        assert "bill.pdf" in str(failed.error)
