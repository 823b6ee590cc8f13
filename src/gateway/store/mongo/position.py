"""Places in the feed, as text.

All events of a commit have the commit's cluster time (unique to it in the replica set's log), and each its ordinal in
the commit. A place is both in hexadecimal of fixed width, so it sorts as text; the ordinal MAX stands for the end of
the commit. MongoDB's resume tokens are not used: they are ten times as long, and say no more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bson.timestamp import Timestamp

from gateway.errors import Problem, Refused

MAX = 0xFFFFFF

_FORM = re.compile(r"[0-9a-f]{22}")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Behind event `ordinal` of the commit at (`time`, `inc`)."""

    time: int
    inc: int
    ordinal: int = MAX

    @classmethod
    def at(cls, moment: Timestamp, ordinal: int = MAX) -> Position:
        return cls(moment.time, moment.inc, ordinal)

    @classmethod
    def parse(cls, cursor: str) -> Position:
        """Raises Refused."""
        if not _FORM.fullmatch(cursor):
            raise Refused(Problem("after", "this is not a cursor of this feed"))
        return cls(int(cursor[:8], 16), int(cursor[8:16], 16), int(cursor[16:], 16))

    @property
    def timestamp(self) -> Timestamp:
        return Timestamp(self.time, self.inc)

    def __str__(self) -> str:
        return f"{self.time:08x}{self.inc:08x}{self.ordinal:06x}"
