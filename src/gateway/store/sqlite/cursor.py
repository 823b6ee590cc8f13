"""The opaque cursors of listings: the order, and where the last page ended."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from gateway.errors import Problem, Refused
from gateway.store.sqlite.layout import Field, Kind

_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.INTEGER: (int,),
    Kind.REAL: (int, float),
    Kind.TIME: (int,),
}


def encode(order: str, value: Any, id: str) -> str:
    """The cursor behind the document with this column value and id."""
    return base64.urlsafe_b64encode(msgspec.json.encode((order, value, id))).decode().rstrip("=")


def decode(field: Field, order: str, cursor: str) -> tuple[Any, str]:
    """(column value, id). Raises Refused for what `encode` did not make for this order of this field."""
    refused = Refused(Problem("after", "this cursor does not belong to this list"))
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        given, value, id = msgspec.json.decode(
            base64.b64decode(padded, b"-_", validate=True), type=tuple[str, Any, str]
        )
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise refused from error
    if given != order or not (value is None or isinstance(value, _TYPES[field.kind])):
        raise refused
    return value, id
