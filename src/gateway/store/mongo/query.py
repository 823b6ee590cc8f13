"""Filters, orders and page cursors as MongoDB wants them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from gateway.errors import Problem, Refused
from gateway.store.collection import Collection, Unique
from gateway.store.contract import Not, OneOf, Range, Where
from gateway.store.mongo.driver import Raw

_Cursor = tuple[str, Any, str]


def _field(collection: Collection[Any], name: str) -> str:
    if name == "id":
        return "_id"
    if name not in collection.fields and name not in collection.many:
        raise ValueError(f"{collection.name} cannot be found by {name}: it is not declared in gateway.store.collection")
    return name


def _condition(wanted: Any) -> Any:
    if isinstance(wanted, OneOf):
        return {"$in": list(wanted.values)}
    if isinstance(wanted, Not):
        return {"$ne": wanted.value}
    if isinstance(wanted, Range):
        sides = {"$gte": wanted.start, "$lt": wanted.end}
        return {name: side for name, side in sides.items() if side is not None} or {"$ne": None}
    return {"$eq": wanted}


def filter_of(collection: Collection[Any], where: Where | None) -> Raw:
    """MongoDB's null stands for a missing field too, and so does None here."""
    return {_field(collection, name): _condition(wanted) for name, wanted in (where or {}).items()}


class Order:
    """The order of one field, ties by id."""

    def __init__(self, collection: Collection[Any], order: str) -> None:
        self._text = order
        self.name = order.removeprefix("-")
        self._field = _field(collection, self.name)
        self._falling = order.startswith("-")

    def sort(self) -> list[tuple[str, int]]:
        direction = -1 if self._falling else 1
        return [("_id", direction)] if self._field == "_id" else [(self._field, direction), ("_id", direction)]

    def cursor(self, doc: Any) -> str:
        """Text that says: behind this document."""
        packed = msgspec.msgpack.encode((self._text, getattr(doc, self.name), doc.id))
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def behind(self, query: Raw, after: str) -> list[Raw]:
        """Queries that give, one after the other, what comes behind the cursor. Each is one range of the order, so that
        MongoDB can walk an index along it (and several in step, where the query allows several values).

        Raises Refused for a cursor that is none, or is of another order."""
        value, id = self._read(after)
        beyond = "$lt" if self._falling else "$gt"
        if self._field == "_id":
            return [{"$and": [query, {"_id": {beyond: id}}]}]
        if value is None:
            tie = {self._field: None, "_id": {beyond: id}}
            return [
                {"$and": [query, part]} for part in ([tie] if self._falling else [tie, {self._field: {"$ne": None}}])
            ]
        rest = {self._field: {beyond + "e": value}, "$or": [{self._field: {beyond: value}}, {"_id": {beyond: id}}]}
        # those without the field come last when falling
        return [{"$and": [query, part]} for part in ([rest, {self._field: None}] if self._falling else [rest])]

    def _read(self, after: str) -> tuple[Any, str]:
        try:
            packed = base64.urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4))
            text, value, id = msgspec.msgpack.decode(packed, type=_Cursor)
        except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
            raise Refused(Problem("after", "this is not a cursor of this list")) from error
        if not isinstance(value, str | int | float | datetime | None):
            raise Refused(Problem("after", "this is not a cursor of this list"))
        if text != self._text:
            raise Refused(Problem("after", "this cursor is of a list in another order"))
        return value, id


def unique_named(collection: Collection[Any], key: str) -> Unique:
    for unique in collection.unique:
        if unique.name == key:
            return unique
    raise ValueError(f"{collection.name} has no unique key {key}")


def keys_filter(unique: Unique, values: Sequence[tuple[Any, ...]]) -> Raw | None:
    """Documents with one of the keys; None: no value can be under the key. Values that share all but the last part
    become one condition."""
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for value in values:
        if len(value) != len(unique.fields):
            raise ValueError(f"the key {unique.name} has {len(unique.fields)} parts, not {len(value)}")
        if None not in value:
            groups.setdefault(value[:-1], []).append(value[-1])
    *leading, last = unique.fields
    branches: list[Raw] = [
        {**dict(zip(leading, shared, strict=True)), last: {"$in": lasts}} for shared, lasts in groups.items()
    ]
    if not branches:
        return None
    return branches[0] if len(branches) == 1 else {"$or": branches}
