"""Receipts move a delivery forward only, and their order does not matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.connector import StatusUpdate
from gateway.model.message import Delivery, DeliveryStatus
from gateway.service.outbox.status import advance, rank, view

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUSES: tuple[DeliveryStatus, ...] = ("queued", "sending", "sent", "delivered", "read", "failed", "unknown")


def delivery(status: DeliveryStatus = "sent", *, dead: bool = False) -> Delivery:
    return Delivery(
        id="d",
        inbox_id="i",
        conversation_id="c",
        shard=0,
        status=status,
        dead=dead,
        next_at=NOW if status == "queued" else None,
        deadline=NOW + timedelta(hours=24),
        created_at=NOW,
    )


def after(start: Delivery, updates: tuple[StatusUpdate, ...] | list[StatusUpdate]) -> Delivery:
    return reduce(lambda known, update: advance(known, update, NOW) or known, updates, start)


updates = st.builds(
    StatusUpdate,
    status=st.sampled_from(STATUSES),
    provider_id=st.sampled_from([None, "p"]),
    reason=st.sampled_from(["", "no such mailbox", "mailbox full"]),
    code=st.sampled_from(["", "5.1.1", "5.2.2"]),
    at=st.integers(0, 3).map(lambda seconds: NOW + timedelta(seconds=seconds)),
)
starts = st.builds(delivery, st.sampled_from(STATUSES), dead=st.just(False)) | st.just(delivery("failed", dead=True))


@given(starts, st.lists(updates, max_size=5))
def test_any_order_of_receipts_ends_the_same(start: Delivery, given_updates: list[StatusUpdate]) -> None:
    ends = {repr(after(start, order)) for order in permutations(given_updates)}
    assert len(ends) == 1


@given(starts, st.lists(updates, max_size=6))
def test_a_receipt_never_moves_it_back(start: Delivery, given_updates: list[StatusUpdate]) -> None:
    known = start
    for update in given_updates:
        changed = advance(known, update, NOW)
        if changed is None:
            continue
        assert changed != known
        assert rank(changed) >= rank(known)
        known = changed


@given(starts, st.lists(updates, max_size=4))
def test_receipts_that_come_again_change_nothing(start: Delivery, given_updates: list[StatusUpdate]) -> None:
    end = after(start, given_updates)
    assert after(end, given_updates) == end


@pytest.mark.parametrize(
    ("before", "receipt", "then"),
    [
        ("sent", "delivered", "delivered"),
        ("delivered", "sent", "delivered"),
        ("delivered", "failed", "failed"),
        ("failed", "delivered", "failed"),
        ("failed", "read", "read"),
        ("read", "failed", "read"),
        ("unknown", "delivered", "delivered"),
        ("unknown", "failed", "failed"),
        ("sending", "delivered", "delivered"),
        ("queued", "sent", "sent"),
        ("sent", "queued", "sent"),
        ("sent", "unknown", "sent"),
    ],
)
def test_transitions(before: DeliveryStatus, receipt: DeliveryStatus, then: DeliveryStatus) -> None:
    assert after(delivery(before), (StatusUpdate(status=receipt),)).status == then


def test_what_we_gave_up_is_settled_by_a_receipt() -> None:
    given_up = replace(delivery("failed", dead=True), error="not sent in time")
    settled = after(given_up, (StatusUpdate(status="delivered"),))
    assert (settled.status, settled.dead, settled.error) == ("delivered", False, None)


def test_nothing_stays_due_after_a_receipt() -> None:
    assert after(delivery("queued"), (StatusUpdate(status="delivered"),)).next_at is None


def test_a_bounce_says_why() -> None:
    failed = after(delivery("delivered"), (StatusUpdate(status="failed", reason="no such mailbox", code="5.1.1"),))
    assert view(failed).error == "no such mailbox"
    assert failed.error_code == "5.1.1"
