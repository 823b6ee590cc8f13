"""Outgoing webhooks: what is asked for arrives, signed, at least once, whatever happens in between."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from gateway.errors import Clash, NotFound
from gateway.model.event import Event, Webhook, WebhookDelivery
from gateway.service import webhook_sender
from gateway.service.feed import Feed
from gateway.service.webhook_sender import MAX_ATTEMPTS, Attempt, after_attempt
from gateway.service.webhook_signature import headers, new_secret, verify
from gateway.service.webhooks import wants
from gateway.store.batch import Batch
from gateway.store.collection import WEBHOOK_DELIVERIES, WEBHOOKS
from tests.webhooks.conftest import House

AT = datetime(2026, 1, 1, tzinfo=UTC)


def kinds(house: House) -> list[str]:
    return [json.loads(body)["type"] for _, body in house.receiver.got]


# pure


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The example of the specification's reference libraries."""
    signed = headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(max_size=50), st.integers(0, 2**31), st.integers(-1000, 1000))
def test_a_receiver_can_verify(body: bytes, at: int, drift: int) -> None:
    secret, old = new_secret(), new_secret()
    signed = headers("id", at, body, [secret, old])
    assert verify(signed, body, secret, at + drift) == (abs(drift) <= 300)
    assert verify(signed, body, old, at)
    assert not verify(signed, body + b"x", secret, at)
    assert not verify(signed, body, new_secret(), at)
    assert not verify({**signed, "webhook-id": "other"}, body, secret, at)


def test_which_events_a_webhook_asks_for() -> None:
    def asked(kind: str, *types: str) -> bool:
        return wants(Webhook(id="w", url="", secret="", types=types, created_at=AT), Event(type=kind, at=AT))

    assert asked("message.created")
    assert asked("message.created", "message.created")
    assert asked("message.created", "queue.updated", "message.*")
    assert not asked("message.created", "message.updated", "messages.*", "conversation.*")
    webhook = Webhook(id="w", url="", secret="", created_at=AT)
    assert not wants(webhook, Event(type="a.b", at=AT - timedelta(seconds=1)))


@given(st.lists(st.sampled_from([None, 500, 404, 429]), min_size=MAX_ATTEMPTS, max_size=MAX_ATTEMPTS), st.floats(0, 1))
def test_a_delivery_is_tried_for_a_day_with_growing_pauses(answers: list[int | None], rand: float) -> None:
    delivery = WebhookDelivery(id="w/1", webhook_id="w", event_type="t", cursor="1", payload="", created_at=AT)
    now, pauses = AT, []
    for status in answers[:-1]:
        delivery = after_attempt(delivery, Attempt(False, status), now, rand)
        assert delivery.status == "queued"
        assert delivery.next_at is not None
        pauses.append((delivery.next_at - now).total_seconds())
        now = delivery.next_at
    assert pauses == sorted(pauses)
    assert timedelta(hours=16) < now - AT < timedelta(hours=32)
    delivery = after_attempt(delivery, Attempt(False, answers[-1]), now, rand)
    assert (delivery.status, delivery.attempts, delivery.next_at) == ("failed", MAX_ATTEMPTS, None)


def test_retry_after_is_honoured() -> None:
    delivery = WebhookDelivery(id="w/1", webhook_id="w", event_type="t", cursor="1", payload="", created_at=AT)
    tried = after_attempt(delivery, Attempt(False, 429, retry_after=900), AT, 0.5)
    assert tried.next_at == AT + timedelta(seconds=900)


# running


async def test_events_arrive_signed_and_only_those_asked_for(house: House) -> None:
    async with house.running():
        _, secret = await house.add(types=("message.*",))
        await house.emit("message.created", conversation_id="c", data={"preview": "你好"})
        await house.emit("conversation.updated", "message.updated")
        await house.until(lambda: len(house.receiver.got) == 2)
    assert sorted(kinds(house)) == ["message.created", "message.updated"]
    for sent, body in house.receiver.got:
        assert verify(sent, body, secret, house.clock.now().timestamp())
        assert sent["content-type"] == "application/json"
    first = json.loads(min(house.receiver.got, key=lambda call: json.loads(call[1])["cursor"])[1])
    assert first["data"] == {"preview": "你好"}
    assert first["conversation_id"] == "c"


async def test_failures_are_tried_again_with_the_same_id(house: House) -> None:
    house.receiver.answers = [web.Response(status=500), ConnectionError(), web.Response(status=302)]
    async with house.running() as webhooks:
        webhook, _ = await house.add(types=("a.b",))
        await house.emit("a.b")
        for count in (1, 2, 3, 4):

            def came(count: int = count) -> bool:
                return len(house.receiver.got) == count

            await house.until(came)
            await asyncio.sleep(0.05)
            house.clock.ahead += timedelta(hours=1)
        await house.until(lambda: _sent(house))
        assert len({sent["webhook-id"] for sent, _ in house.receiver.got}) == 1
        page = await webhooks.deliveries(webhook.id, "sent")
        assert [(one.attempts, one.response_status, one.error) for one in page.items] == [(4, 200, None)]
        stored = await house.store.get(WEBHOOKS, webhook.id)
        assert stored is not None
        await house.until(lambda: _is_well(house, webhook.id))


async def _sent(house: House) -> bool:
    return await house.store.count(WEBHOOK_DELIVERIES, {"status": "sent"}) == 1


async def _is_well(house: House, id: str) -> bool:
    stored = await house.store.get(WEBHOOKS, id)
    return stored is not None and stored.failing_since is None


async def test_nothing_is_lost_or_queued_twice_over_restarts(house: House) -> None:
    await house.add(types=("a.b",))
    async with house.running():
        await house.emit("a.b")
        await house.until(lambda: len(house.receiver.got) == 1)
    await house.emit("a.b", "a.b")  # while nobody runs
    for _ in range(4):
        async with house.running():
            await house.emit("a.b")
            await asyncio.sleep(0.02)  # stopped wherever it is
    async with house.running():
        await house.until(lambda: len({sent["webhook-id"] for sent, _ in house.receiver.got}) == 7)
    assert await house.store.count(WEBHOOK_DELIVERIES) == 7


async def test_a_receiver_that_is_gone_is_switched_off(house: House) -> None:
    house.receiver.default = 410
    with capture_logs():
        async with house.running() as webhooks:
            webhook, _ = await house.add(types=("a.b",))
            await house.emit("a.b")

            async def off() -> bool:
                stored = await house.store.get(WEBHOOKS, webhook.id)
                return stored is not None and not stored.enabled and stored.failing_since is not None

            await house.until(off)
            await house.emit("a.b")
            await asyncio.sleep(0.2)
            assert len(house.receiver.got) == 1
            assert len((await webhooks.deliveries(webhook.id, "failed")).items) == 1
            with pytest.raises(Clash):
                await webhooks.replay_failed(webhook.id)


async def test_failed_deliveries_are_listed_and_sent_again(house: House) -> None:
    house.receiver.default = 500
    with capture_logs():
        async with house.running() as webhooks:
            webhook, secret = await house.add(types=("a.b",))
            await house.emit(*["a.b"] * 3)
            house.networks = ()

            async def failed(count: int) -> bool:
                house.clock.ahead += timedelta(hours=7)
                webhooks._sender._rests.clear()
                return len((await webhooks.deliveries(webhook.id, "failed")).items) == count

            await house.until(lambda: failed(3), 20)
            house.receiver.default, house.receiver.got = 200, []
            one = (await webhooks.deliveries(webhook.id, "failed", limit=1)).items[0]
            await webhooks.replay(webhook.id, one.id)
            await house.until(lambda: len(house.receiver.got) == 1)
            sent, body = house.receiver.got[0]
            assert sent["webhook-id"] == one.id.replace("/", "_")
            assert body == one.payload.encode()
            assert verify(sent, body, secret, house.clock.now().timestamp())
            await house.until(lambda: _sent(house))
            assert await webhooks.replay_failed(webhook.id) == 2
            await house.until(lambda: len(house.receiver.got) == 3)
            with pytest.raises(NotFound):
                await webhooks.replay(webhook.id, "nothing")
            with pytest.raises(NotFound):
                await webhooks.deliveries("nothing")


async def test_private_addresses_are_called_only_where_that_is_allowed(house: House) -> None:
    house.networks = ()
    with capture_logs():
        async with house.running() as webhooks:
            webhook, _ = await house.add(types=("a.b",))
            await house.emit("a.b")

            async def failed() -> bool:
                return bool((await webhooks.deliveries(webhook.id, "failed")).items)

            await house.until(failed)
            assert "not public" in (await webhooks.ping(webhook.id)).error
    assert house.receiver.got == []


async def test_ping_tells_what_came_of_it(house: House) -> None:
    async with house.running() as webhooks:
        webhook, secret = await house.add(types=("a.b",))
        assert (await webhooks.ping(webhook.id)).ok
        sent, body = house.receiver.got[0]
        assert json.loads(body)["type"] == "ping"
        assert verify(sent, body, secret, house.clock.now().timestamp())
        house.receiver.default = 401
        attempt = await webhooks.ping(webhook.id)
        assert (attempt.ok, attempt.status) == (False, 401)


async def test_both_secrets_sign_while_one_is_changed(house: House) -> None:
    async with house.running() as webhooks:
        webhook, old = await house.add(types=("a.b",))
        new = new_secret()
        context = webhook_sender.secret_context(webhook.id)
        batch = Batch()
        batch.put(
            WEBHOOKS,
            Webhook(
                id=webhook.id,
                version=webhook.version,
                url=webhook.url,
                created_at=webhook.created_at,
                secret=house.seal.seal(new, context),
                previous_secret=webhook.secret,
                previous_until=house.clock.now() + timedelta(days=1),
            ),
        )
        await house.store.commit(batch)
        await webhooks.ping(webhook.id)
        house.clock.ahead = timedelta(days=2)
        await webhooks.ping(webhook.id)
        both, later = house.receiver.got
        now = house.clock.now().timestamp()
        assert verify(*both, new, now - 2 * 86400)
        assert verify(*both, old, now - 2 * 86400)
        assert verify(*later, new, now)
        assert not verify(*later, old, now)


async def test_a_slow_receiver_holds_up_no_other_and_is_not_overrun(house: House) -> None:
    slow = house.receiver
    slow.delay = 0.1
    async with house.running():
        await house.add(types=("a.slow",))
        await house.add(types=("a.quick",), url=slow.url.replace("/events", "/quick"))
        await house.emit(*["a.slow"] * 30)
        await house.emit("a.quick")
        await house.until(lambda: "a.quick" in kinds(house))
        assert len(slow.got) < 25
        await house.until(lambda: len(slow.got) == 31)
        assert slow.most <= 2 * webhook_sender.PER_WEBHOOK


async def test_after_a_gap_in_the_feed_receivers_are_told_to_reload(house: House) -> None:
    await house.add(types=("a.b",))
    async with house.running():
        await house.emit("a.b")
        await house.until(lambda: len(house.receiver.got) == 1)
    await house.emit("a.b", "a.b", "a.b")
    await house.store.trim(house.clock.now() + timedelta(days=1))
    house.feed = Feed(house.store, house.clock)  # as after a restart: its ring has nothing of before
    async with asyncio.TaskGroup() as group:
        task = group.create_task(house.feed.run())
        with capture_logs():
            async with house.running():
                await house.until(lambda: "reload" in kinds(house))
                await house.emit("a.b")
                await house.until(lambda: kinds(house).count("a.b") == 2)
        house.feed.close()
        task.cancel()
