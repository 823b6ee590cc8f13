"""New outbox entries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from gateway.connector import Capabilities
from gateway.model.conversation import Conversation, ReplyWindow
from gateway.model.message import Author, Message
from gateway.service.outbox.entry import SHARDS, new_delivery, renewed, shard_of
from gateway.service.outbox.retry import given_up

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONVERSATION = Conversation(
    id="c",
    inbox_id="i",
    channel="api",
    contact_id="p",
    identity_id="a",
    queue_id="q",
    created_at=NOW,
    updated_at=NOW,
    last_message_at=NOW,
)
MESSAGE = Message(
    id="m", inbox_id="i", conversation_id="c", direction="out", author=Author(kind="agent"), created_at=NOW
)


def test_the_shard_of_an_inbox_never_changes() -> None:
    # A running cluster of mixed versions must agree: these values are part of the stored form.
    assert [shard_of(f"inbox-{number}") for number in range(4)] == [1, 7, 13, 11]
    assert {shard_of(str(number)) for number in range(1000)} == set(range(SHARDS))


def test_a_new_entry_is_due_at_once_until_the_channel_s_deadline() -> None:
    entry = new_delivery(MESSAGE, CONVERSATION, Capabilities(send_deadline_hours=2), now=NOW)
    assert (entry.id, entry.status, entry.next_at, entry.lane) == ("m", "queued", NOW, "answer")
    assert entry.shard == shard_of("i")
    assert entry.deadline == NOW + timedelta(hours=2)


def test_the_reply_window_ends_earlier() -> None:
    closes_at = NOW + timedelta(minutes=5)
    conversation = replace(CONVERSATION, window=ReplyWindow(closes_at=closes_at))
    assert new_delivery(MESSAGE, conversation, Capabilities(), now=NOW).deadline == closes_at


def test_another_try_starts_afresh() -> None:
    entry = new_delivery(MESSAGE, CONVERSATION, Capabilities(), lane="bulk", now=NOW)
    dead = replace(given_up(entry, "no such user"), attempts=7, provider_id="p", version=3)
    later = NOW + timedelta(days=3)
    again = renewed(dead, CONVERSATION, Capabilities(), later)
    assert again == replace(
        entry, version=3, next_at=later, deadline=later + timedelta(hours=24), created_at=entry.created_at
    )
