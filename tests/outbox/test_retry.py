"""The retry policy: what becomes of a delivery after each outcome."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.connector import Capabilities, Sent
from gateway.errors import Permanent, RateLimited, SendError, Transient, Unauthorized, Unknown
from gateway.model.message import Delivery
from gateway.service.outbox.entry import holds_back
from gateway.service.outbox.retry import LONGEST_DELAY, LOOKUPS, after_attempt, after_lookup, backoff, lookup_again

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = Capabilities()
IDEMPOTENT = Capabilities(idempotent_send=True)
LOOKUP = Capabilities(lookup=True)


def half() -> float:
    return 0.5


def sending(attempts: int = 1, deadline: datetime = NOW + timedelta(hours=24)) -> Delivery:
    return Delivery(
        id="d",
        inbox_id="i",
        conversation_id="c",
        shard=0,
        status="sending",
        attempts=attempts,
        deadline=deadline,
        created_at=NOW,
    )


def test_sent() -> None:
    done = after_attempt(sending(), Sent(provider_id="p"), PLAIN, NOW, half)
    assert (done.status, done.provider_id, done.sent_at, done.next_at) == ("sent", "p", NOW, None)


def test_sent_and_delivered_at_once() -> None:
    done = after_attempt(sending(), Sent(delivered=True), PLAIN, NOW, half)
    assert (done.status, done.delivered_at) == ("delivered", NOW)


def test_a_transient_fault_is_tried_again_later_and_says_why() -> None:
    again = after_attempt(sending(), Transient("connection refused"), PLAIN, NOW, half)
    assert again.status == "queued"
    assert again.next_at is not None
    assert again.next_at > NOW
    assert again.error == "connection refused"


@given(st.integers(1, 60), st.floats(0, 1, exclude_max=True))
def test_delays_grow_to_a_limit_and_are_jittered(attempt: int, number: float) -> None:
    delay = backoff(attempt, lambda: number).total_seconds()
    assert 1.0 <= delay <= LONGEST_DELAY
    if attempt > 1:
        longest_before = backoff(attempt - 1, lambda: 1.0).total_seconds()
        assert delay >= min(longest_before, LONGEST_DELAY / 2)


@given(st.floats(0, 7200))
def test_the_provider_s_waiting_time_is_honoured(seconds: float) -> None:
    again = after_attempt(sending(), RateLimited("slow down", retry_after=seconds), PLAIN, NOW, half)
    assert again.next_at is not None
    assert again.next_at >= NOW + timedelta(seconds=seconds)


def test_a_permanent_fault_is_a_dead_letter() -> None:
    dead = after_attempt(sending(), Permanent("no such user", code="404"), IDEMPOTENT, NOW, half)
    assert (dead.status, dead.dead, dead.next_at, dead.error, dead.error_code) == (
        "failed",
        True,
        None,
        "no such user",
        "404",
    )


def test_refused_credentials_keep_the_entry_due() -> None:
    waiting = after_attempt(sending(), Unauthorized("password refused"), PLAIN, NOW, half)
    assert (waiting.status, waiting.next_at) == ("queued", NOW)


@pytest.mark.parametrize(
    "error", [Transient("down"), RateLimited("slow", retry_after=60), Unauthorized("no"), Unknown("cut")]
)
def test_after_the_deadline_it_is_a_dead_letter(error: SendError) -> None:
    late = sending(deadline=NOW)
    dead = after_attempt(late, error, IDEMPOTENT, NOW, half)
    assert (dead.status, dead.dead, dead.next_at) == ("failed", True, None)
    assert error.reason in (dead.error or "")


def test_unknown_waits_for_the_agent_and_holds_nothing_back() -> None:
    unknown = after_attempt(sending(), Unknown("the line broke"), PLAIN, NOW, half)
    assert (unknown.status, unknown.next_at, unknown.error) == ("unknown", None, "the line broke")
    assert not holds_back(unknown)


def test_unknown_is_tried_again_where_a_repeat_is_harmless() -> None:
    assert after_attempt(sending(), Unknown("the line broke"), IDEMPOTENT, NOW, half).status == "queued"


def test_unknown_is_looked_up_where_the_channel_can() -> None:
    unknown = after_attempt(sending(), Unknown("the line broke"), LOOKUP, NOW, half)
    assert unknown.status == "unknown"
    assert unknown.next_at is not None
    assert holds_back(unknown)
    assert after_lookup(unknown, Sent(provider_id="p"), NOW, half).status == "sent"


def test_the_provider_s_no_is_believed_only_after_a_while() -> None:
    unknown = after_attempt(sending(), Unknown("the line broke"), LOOKUP, NOW, half)
    now, waited = NOW, timedelta()
    while unknown.status == "unknown":
        assert unknown.next_at is not None
        waited += unknown.next_at - now
        now = unknown.next_at
        unknown = after_lookup(unknown, None, now, lambda: 0.0)
    assert unknown.status == "queued"
    assert waited >= timedelta(seconds=25)


def test_looking_up_ends_with_the_agent() -> None:
    unknown = after_attempt(sending(), Unknown("the line broke"), LOOKUP, NOW, half)
    asked = 0
    while unknown.next_at is not None:
        unknown = lookup_again(unknown, unknown.next_at, half)
        asked += 1
    assert asked == LOOKUPS
    assert unknown.status == "unknown"
    assert not holds_back(unknown)


def test_not_found_after_the_deadline_is_a_dead_letter() -> None:
    unknown = replace(sending(), status="unknown", lookups=5, deadline=NOW - timedelta(seconds=1))
    assert after_lookup(unknown, None, NOW, half).dead


@given(
    st.sampled_from(
        [
            Transient("t"),
            RateLimited("r", retry_after=5),
            Permanent("p"),
            Unauthorized("u"),
            Unknown("x"),
            SendError("s"),
        ]
    ),
    st.sampled_from([PLAIN, IDEMPOTENT, LOOKUP]),
    st.integers(1, 30),
    st.floats(-100, 100_000),
)
def test_no_outcome_leaves_it_in_sending(
    error: SendError, capabilities: Capabilities, attempts: int, seconds: float
) -> None:
    before = sending(attempts, NOW + timedelta(seconds=seconds))
    done = after_attempt(before, error, capabilities, NOW, half)
    assert done.status in ("queued", "failed", "unknown")
    assert (done.next_at is not None) == holds_back(done)
