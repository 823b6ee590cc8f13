"""Contacts: the people who write, and the addresses they write from."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value

Verification = Literal["none", "asserted", "verified"]
"""none: the channel proves nothing (a mail's From) · asserted: a trusted app says so · verified: proven to us."""


class Evidence(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Why two contacts are one, or how an address was proven."""

    kind: str
    detail: str = ""
    by: str = ""
    at: datetime


class Contact(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A person. After a merge the loser stays, with `merged_into` set, so that old links still lead somewhere."""

    name: str = ""
    email: str | None = None
    phone: str | None = None
    language: str | None = None
    attributes: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    merged_into: str | None = None
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = None


class Identity(Document, frozen=True, kw_only=True, omit_defaults=True):
    """An address on a channel. (`namespace`, `address`) is unique.

    namespace: `email` and `phone` are shared by all inboxes; other channels use `{kind}:{inbox_id}`, because their ids
    mean nothing outside the account.
    """

    contact_id: str
    namespace: str
    address: str
    name: str = ""
    verification: Verification = "none"
    evidence: tuple[Evidence, ...] = ()
    created_at: datetime


class Merge(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A merge that can be undone: which identities and conversations moved from `loser_id` to `winner_id`."""

    winner_id: str
    loser_id: str
    identity_ids: tuple[str, ...] = ()
    conversation_ids: tuple[str, ...] = ()
    winner_before: Contact
    loser_before: Contact
    evidence: Evidence
    undone_at: datetime | None = None
