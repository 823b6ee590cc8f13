"""Types of fields that many bodies and queries share, with the limits that the OpenAPI document states."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.errors import Problem, Refused
from gateway.model.document import to_ms

T = TypeVar("T")

LIMIT = 50
MAX_LIMIT = 200

# JSON Schema patterns are ECMA-262 and Python's at once: no flags, no look-behind. A control character in a name is
# never meant, and MongoDB takes no NUL in keys.
Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Line = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Key = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x20\x7f]+$")]
"""A short word without blanks: a tag, a skill, a scope."""
Id = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f]+$")]
Email = Annotated[str, Meta(min_length=3, max_length=254, pattern=r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+$")]
Url = Annotated[str, Meta(max_length=2000, pattern=r"^https?://[^\x00-\x20\x7f]+$")]
Secret = Annotated[str, Meta(min_length=1, max_length=1000)]
DATE_TIME = (
    r"^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
Moment = Annotated[str, Meta(pattern=DATE_TIME, max_length=40, extra_json_schema={"format": "date-time"})]
"""RFC 3339 with an offset; text, since msgspec's own reading takes more than RFC 3339 does. See `utc`."""
Seconds = Annotated[int, Meta(ge=1, le=10_000_000)]
Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT)]
Cursor = Annotated[str, Meta(max_length=1000, pattern=r"^[!-~]+$")]

Maybe = UnsetType
"""`X | Maybe = UNSET`: a key that may be left out, as in PATCH."""


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's JSON; a key it does not name is refused."""


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request's query; a parameter it does not name is refused."""


class Paging(Query, frozen=True, kw_only=True):
    limit: Limit = LIMIT
    cursor: Cursor | None = None


class View(Struct, frozen=True, kw_only=True):
    """What an answer shows."""


class Listing(Struct, Generic[T], frozen=True, kw_only=True):
    """A page; `next` is the cursor of the one after it."""

    items: list[T]
    next: str | None = None


def utc(moment: str | None, path: str) -> datetime | None:
    """A `Moment` in UTC, to the millisecond, as everything is stored; raises Refused for what is in no calendar."""
    try:
        return to_ms(datetime.fromisoformat(moment.upper())) if moment is not None else None
    except (ValueError, OverflowError):
        raise Refused(Problem(path, "is not in the calendar")) from None


def given(body: Struct) -> dict[str, Any]:
    """The fields of a PATCH that were sent."""
    return {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}


def checked_json(value: Any, path: str, *, max_depth: int = 8, max_bytes: int = 16_000, plain: bool = True) -> Any:
    """Free JSON (attributes) as both stores can keep it; raises Refused for what they cannot, or what is too much.
    `plain`: no key may begin with `$` (settings have {"$secret": true})."""
    if len(msgspec.json.encode(value)) > max_bytes:
        raise Refused(Problem(path, f"is larger than {max_bytes} bytes"))
    problem = _unfit(value, path, max_depth, plain)
    if problem is not None:
        raise Refused(problem)
    return value


def _unfit(value: Any, path: str, depth: int, plain: bool) -> Problem | None:
    if isinstance(value, dict):
        if depth == 0:
            return Problem(path, "is nested too deep")
        for key, item in value.items():
            # BSON: no NUL in keys; a leading `$` means an operator.
            if not key or "\x00" in key or (plain and key.startswith("$")) or len(key) > 200:
                return Problem(path, f"{key[:50]!r} cannot be a key")
            problem = _unfit(item, f"{path}.{key}", depth - 1, plain)
            if problem is not None:
                return problem
    elif isinstance(value, list):
        if depth == 0:
            return Problem(path, "is nested too deep")
        for index, item in enumerate(value):
            problem = _unfit(item, f"{path}[{index}]", depth - 1, plain)
            if problem is not None:
                return problem
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        return Problem(path, "is beyond 64 bits")
    return None
