"""Pages of what is in memory, and of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.model.document import Document
from gateway.store.contract import Page
from gateway.web.fields import Listing, Paging

D = TypeVar("D", bound=Document)
V = TypeVar("V")


def listed(items: Sequence[D], paging: Paging, view: Callable[[D], V]) -> Listing[V]:
    """A page of documents in the order of their ids; the cursor is the last one's id."""
    start = paging.cursor or ""
    rest = [item for item in items if item.id > start]
    page = rest[: paging.limit]
    return Listing(items=[view(item) for item in page], next=page[-1].id if len(rest) > len(page) else None)


def paged(page: Page[D], view: Callable[[D], V]) -> Listing[V]:
    """A page of the store, shown."""
    return Listing(items=[view(item) for item in page.items], next=page.next)
