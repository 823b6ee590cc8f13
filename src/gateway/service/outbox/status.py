"""What receipts do to a delivery: forward only, and the same in whatever order they come.

    rank 0  queued
         1  sending
         2  unknown, or given up by us (failed and dead): we do not know better
         3  sent
         4  delivered
         5  failed, as the provider reports it (a bounce; also after `delivered`, for a mail server accepts first)
         6  read (proof against any bounce)

A receipt raises the rank or leaves it: the result is the highest reported, so order does not matter. Receipts that
tell nothing (`queued`, `sending`, `unknown`) change nothing. Times are filled in also by receipts that come late.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from gateway.connector import StatusUpdate
from gateway.model.message import Delivery, DeliveryStatus, DeliveryView

_RANK: dict[DeliveryStatus, int] = {
    "queued": 0,
    "sending": 1,
    "unknown": 2,
    "sent": 3,
    "delivered": 4,
    "failed": 5,
    "read": 6,
}
_GIVEN_UP = 2
_NO_REASON = "the provider reports that it could not be delivered"


def rank(delivery: Delivery) -> int:
    """Where the delivery stands in the order above."""
    if delivery.status == "failed" and delivery.dead:
        return _GIVEN_UP
    return _RANK[delivery.status]


def advance(delivery: Delivery, update: StatusUpdate, now: datetime) -> Delivery | None:
    """The delivery after the receipt; None where it changes nothing."""
    status = update.status
    if status in ("queued", "sending", "unknown"):
        return None
    changed = _with_times(delivery, update, now)
    if update.provider_id is not None and changed.provider_id is None:
        changed = replace(changed, provider_id=update.provider_id)
    reason = update.reason or _NO_REASON
    if _RANK[status] > rank(delivery):
        failed = status == "failed"
        changed = replace(
            changed,
            status=status,
            next_at=None,
            dead=False,
            error=reason if failed else None,
            error_code=update.code if failed else "",
        )
    elif status == delivery.status == "failed" and (update.code, reason) > (
        delivery.error_code,
        delivery.error or "",
    ):
        # Two bounces for one message: which one is shown must not hang on their order.
        changed = replace(changed, error=reason, error_code=update.code)
    return None if changed == delivery else changed


def view(delivery: Delivery) -> DeliveryView:
    """The delivery as shown with its message."""
    return DeliveryView(status=delivery.status, error=delivery.error, attempts=delivery.attempts)


def _with_times(delivery: Delivery, update: StatusUpdate, now: datetime) -> Delivery:
    at = update.at or now
    match update.status:
        case "sent":
            return replace(delivery, sent_at=_earlier(delivery.sent_at, at))
        case "delivered":
            return replace(delivery, delivered_at=_earlier(delivery.delivered_at, at))
        case "read":
            return replace(delivery, read_at=_earlier(delivery.read_at, at))
        case _:
            return delivery


def _earlier(known: datetime | None, at: datetime) -> datetime:
    return at if known is None else min(known, at)
