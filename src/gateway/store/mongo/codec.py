"""Documents as BSON.

A stored document has the fields of its Struct under their names, `_id` for `id`, and can be read with any MongoDB tool.
Two things differ:

- Fields that `find` may ask for are always written, also where they have their default (left out otherwise), except a
  None under a unique key: those indexes hold only documents that have all their fields.
- Free-form objects (`dict[str, …]`, Any) are JSON text: their keys may hold dots, dollars and NUL, and their numbers
  may be beyond 64 bits, none of which BSON keeps well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, Generic, TypeVar, cast

import bson
import msgspec
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from msgspec.inspect import (
    AnyType,
    DictType,
    Field,
    ListType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

from gateway.errors import Problem, Refused
from gateway.model.document import Document
from gateway.store.collection import Collection
from gateway.store.mongo.driver import CODEC, Raw

D = TypeVar("D", bound=Document)

MAX_BYTES = 16 * 1024 * 1024 - 64 * 1024
"""What MongoDB takes in one document, less room for what a transaction adds."""

_Change = Callable[[Any], Any]


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _from_json(value: Any) -> Any:
    return msgspec.json.decode(value)


def _change_of(kind: Type, leaf: _Change) -> _Change | None:
    """What must be done to a value of this type so that `leaf` meets every free-form object in it; None: nothing."""
    if isinstance(kind, DictType | AnyType):
        return leaf
    if isinstance(kind, TupleType):
        return leaf if any(_change_of(part, leaf) for part in kind.item_types) else None
    if isinstance(kind, StructType):
        return _struct_change(kind.fields, leaf)
    if isinstance(kind, ListType | VarTupleType):
        inner = _change_of(kind.item_type, leaf)
        if inner is None:
            return None
        return (lambda values: [inner(value) for value in values]) if inner is not leaf else leaf
    if isinstance(kind, UnionType):
        changes = [change for part in kind.types if (change := _change_of(part, leaf)) is not None]
        if not changes:
            return None
        if len(changes) > 1:  # which one it is cannot be told from the value
            raise TypeError(f"a field may be one kind of object or None, not {kind}")
        change = changes[0]
        return lambda value: None if value is None else change(value)
    return None


def _struct_change(fields: tuple[Field, ...], leaf: _Change) -> _Change | None:
    changes = [(field.encode_name, change) for field in fields if (change := _change_of(field.type, leaf)) is not None]
    if not changes:
        return None

    def change_struct(value: dict[str, Any]) -> dict[str, Any]:
        for name, change in changes:
            if name in value:
                value[name] = change(value[name])
        return value

    return change_struct


def to_bson(body: Mapping[str, Any]) -> RawBSONDocument:
    """Raises Refused for what BSON cannot hold, and for more than MongoDB takes."""
    try:
        data = bson.encode(body, codec_options=CODEC)
    except (BSONError, OverflowError, UnicodeError) as error:
        raise Refused(Problem("", f"the store cannot keep this: {error}")) from error
    if len(data) > MAX_BYTES:
        raise Refused(Problem("", f"{len(data)} bytes are more than the store keeps in one document ({MAX_BYTES})"))
    return RawBSONDocument(data)


class Codec(Generic[D]):
    """Turns the documents of one collection into BSON and back."""

    def __init__(self, collection: Collection[D]) -> None:
        info = type_info(collection.type)
        if not isinstance(info, StructType):
            raise TypeError(f"{collection.name}: {collection.type} is no Struct")
        self._type = collection.type
        self._written = tuple(dict.fromkeys(name for name in (*collection.fields, *collection.many) if name != "id"))
        defaults = {field.name: field.default for field in info.fields}
        keys = {name for unique in collection.unique for name in unique.fields}
        self._left_out = tuple(name for name in keys if defaults.get(name, ...) is None)
        self._freeze = _struct_change(info.fields, _to_json)
        self._thaw = _struct_change(info.fields, _from_json)

    def encode(self, doc: D) -> RawBSONDocument:
        """Raises Refused for what BSON cannot hold, and for more than 16 MB."""
        body: dict[str, Any] = {"_id": doc.id}
        try:
            body.update(msgspec.to_builtins(doc, builtin_types=(datetime, bytes)))
            if self._freeze is not None:
                self._freeze(body)
        except UnicodeError as error:
            raise Refused(Problem("", f"the store cannot keep this: {error}")) from error
        del body["id"]
        for name in self._written:
            if name not in body:
                body[name] = getattr(doc, name)
        for name in self._left_out:
            if body[name] is None:
                del body[name]
        return to_bson(body)

    def decode(self, body: Raw) -> D:
        """A document as the driver read it (it is used up)."""
        body["id"] = body.pop("_id")
        if self._thaw is not None:
            self._thaw(body)
        return msgspec.convert(body, self._type)


@cache
def _codec(collection: Collection[Any]) -> Codec[Any]:
    return Codec(collection)


def codec(collection: Collection[D]) -> Codec[D]:
    """The codec of the collection, made once."""
    return cast("Codec[D]", _codec(collection))
