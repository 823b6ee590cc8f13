"""Opening hours as minutes of a week."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.model.team import Hours

DAY = 24 * 60
WEEK = 7 * DAY
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Spans = tuple[tuple[int, int], ...]
"""(from, to) in minutes since Monday 00:00, to exclusive, none crossing the end of the week."""

_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})", re.ASCII)


@lru_cache(maxsize=256)
def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone. Raises ValueError for a name that is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone; write it like Asia/Shanghai or UTC") from None


def clock_minutes(text: str) -> int:
    """Minutes since midnight of "HH:MM", up to "24:00". Raises ValueError."""
    found = _CLOCK.fullmatch(text.strip())
    if found is not None:
        minutes = int(found[1]) * 60 + int(found[2])
        if int(found[2]) < 60 and minutes <= DAY:
            return minutes
    raise ValueError(f"{text!r} is not a time of day; write it like 09:00")


def day_numbers(text: str) -> tuple[int, ...]:
    """Weekday numbers (0 Monday) of "mon", "mon-fri", "sat,sun", "daily". Raises ValueError."""
    days: list[int] = []
    for part in text.lower().split(","):
        first, dash, last = part.strip().partition("-")
        if part.strip() in ("daily", "all"):
            days.extend(range(7))
            continue
        low, high = _day(first), _day(last) if dash else _day(first)
        days.extend((low + step) % 7 for step in range((high - low) % 7 + 1))
    return tuple(dict.fromkeys(days))


def _day(text: str) -> int:
    short = text.strip()[:3]
    if short not in WEEKDAYS or not text.strip().isalpha():
        raise ValueError(f"{text.strip()!r} is not a day; days are {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(short)


def spans_of(days: Sequence[int], opens: int, closes: int) -> Spans:
    """Open from `opens` to `closes` (minutes) on each day; over midnight where `closes` is not after `opens`."""
    found: list[tuple[int, int]] = []
    length = (closes - opens) if closes > opens else (closes - opens + DAY)
    for day in days:
        start = day * DAY + opens
        end = start + length
        found.append((start, min(end, WEEK)))
        if end > WEEK:
            found.append((0, end - WEEK))
    return tuple(sorted(found))


def parse_hours(text: str) -> Spans:
    """Spans of "mon-fri 09:00-18:00", several parted by ";" ; "22:00-06:00" runs over midnight, no day means daily.

    Raises ValueError that says what is wrong.
    """
    found: list[tuple[int, int]] = []
    for part in text.split(";"):
        words = part.split()
        if not words:
            raise ValueError('opening hours are written like "mon-fri 09:00-18:00"')
        opens, dash, closes = words[-1].partition("-")
        if not dash:
            raise ValueError(f'{part.strip()!r} has no times; write it like "mon-fri 09:00-18:00"')
        days = day_numbers("".join(words[:-1])) if len(words) > 1 else tuple(range(7))
        found.extend(spans_of(days, clock_minutes(opens), clock_minutes(closes)))
    return tuple(sorted(found))


def week_minute(local: datetime) -> int:
    return local.weekday() * DAY + local.hour * 60 + local.minute


def in_spans(spans: Spans, local: datetime) -> bool:
    """Whether the local time lies in one of the spans."""
    minute = week_minute(local)
    return any(start <= minute < end for start, end in spans)


def in_hours(hours: Sequence[Hours], local: datetime) -> bool:
    """Whether the local time lies within a queue's opening hours."""
    return in_spans(_queue_spans(tuple(hours)), local)


@lru_cache(maxsize=256)
def _queue_spans(hours: tuple[Hours, ...]) -> Spans:
    found: list[tuple[int, int]] = []
    for entry in hours:
        found.extend(spans_of(entry.days, clock_minutes(entry.open), clock_minutes(entry.close)))
    return tuple(sorted(found))
