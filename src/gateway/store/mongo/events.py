"""Events as they are stored: one document for those of a commit that have the same time and follow one another, so that
a commit of many messages costs few inserts, and a reader few decodes.

{_id, n: ordinal of the first in the commit, count, at, events: JSON text of a list}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from gateway.errors import Problem, Refused
from gateway.model.event import Event
from gateway.store.mongo.driver import Raw
from gateway.store.mongo.position import MAX

MOST_BYTES = 4 * 1024 * 1024
"""Text in one document, unless a single event has more."""

LONGEST = 15 * 1024 * 1024

_decoder = msgspec.json.Decoder(list[Event])


@dataclass(frozen=True, slots=True)
class Line:
    """An event, encoded."""

    at: datetime
    text: bytes


def to_line(event: Event) -> Line:
    """Raises Refused for what cannot be stored."""
    try:
        text = msgspec.json.encode(event)
    except UnicodeError as error:
        raise Refused(Problem("", f"the store cannot keep this: {error}")) from error
    if len(text) > LONGEST:
        raise Refused(Problem("", f"an event of {len(text)} bytes is more than the store keeps"))
    return Line(event.at, text)


def event_rows(lines: Sequence[Line], mark: str) -> list[Raw]:
    """The documents for a commit's events; `mark` is unique to it. Raises Refused if there are too many."""
    if len(lines) >= MAX:
        raise Refused(Problem("", f"{len(lines)} events are more than one commit holds"))
    return [
        {
            "_id": f"{mark}-{first:06x}",
            "n": first,
            "count": len(piece),
            "at": piece[0].at,
            "events": (b"[" + b",".join(line.text for line in piece) + b"]").decode(),
        }
        for first, piece in _pieces(lines)
    ]


def _pieces(lines: Sequence[Line]) -> Iterator[tuple[int, list[Line]]]:
    first, piece, size = 0, list[Line](), 0
    for number, line in enumerate(lines):
        if piece and (line.at != piece[0].at or size + len(line.text) > MOST_BYTES):
            yield first, piece
            first, piece, size = number, [], 0
        piece.append(line)
        size += len(line.text)
    if piece:
        yield first, piece


def events_of(row: Raw) -> list[tuple[int, Event]]:
    """(ordinal in the commit, event), in order."""
    return list(enumerate(_decoder.decode(row["events"]), row["n"]))
