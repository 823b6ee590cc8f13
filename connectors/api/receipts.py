"""Receipts that an app posts to `/hooks/{inbox}/receipts`. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from gateway.connector import StatusUpdate

MOST = 1000

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an answer: `delivery_id` is the `id` it was posted or polled with."""

    delivery_id: Id | None = None
    provider_id: Id | None = None
    """Or the app's own id, if it gave one in its answer to the callback."""
    status: Literal["delivered", "read", "failed"]
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Receipts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    receipts: Annotated[tuple[Receipt, ...], msgspec.Meta(max_length=MOST)]


def parse(body: bytes) -> list[StatusUpdate]:
    """One receipt, or `{"receipts": […]}`; raises ValueError saying what is wrong."""
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if "receipts" in fields:
        receipts = msgspec.json.decode(body, type=Receipts).receipts
    else:
        receipts = (msgspec.json.decode(body, type=Receipt),)
    for receipt in receipts:
        if (receipt.delivery_id is None) == (receipt.provider_id is None):
            raise ValueError("a receipt has either delivery_id or provider_id")
    return [
        StatusUpdate(
            status=receipt.status,
            delivery_id=receipt.delivery_id,
            provider_id=receipt.provider_id,
            reason=receipt.reason,
            at=receipt.at,
        )
        for receipt in receipts
    ]
