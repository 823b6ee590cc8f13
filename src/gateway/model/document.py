"""What all stored values share, and the two sources of non-determinism: time and ids."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a document; unknown keys are refused where it is read from outside."""


class Document(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored value. `version` counts its writes; a writer must have seen the one it replaces."""

    id: str
    version: int = 0


class Clock(Protocol):
    """Where services get the time from, so that tests choose it."""

    def now(self) -> datetime:
        """UTC, millisecond precision."""
        ...


Ids = Callable[[], str]
"""Makes a new time-ordered id (see `uuid7`)."""


def to_ms(moment: datetime) -> datetime:
    """The moment in UTC, cut to milliseconds."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        moment = datetime.now(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def uuid7_at(unix_ms: int, random: int) -> str:
    """A UUIDv7 (RFC 9562, 5.7) from milliseconds since 1970 and 74 random bits."""
    value = (unix_ms & 0xFFFFFFFFFFFF) << 80
    value |= 0x7 << 76
    value |= (random >> 62 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random & 0x3FFFFFFFFFFFFFFF
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class IdSource:
    """UUIDv7s that rise strictly within the process, also within one millisecond (RFC 9562, 6.2, method 1)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ms = 0
        self._count = 0
        self._pool = b""

    def __call__(self) -> str:
        ms = int(self._clock.now().timestamp() * 1000)
        if ms <= self._ms:
            self._count += 1
            if self._count > 0xFFF:  # the counter is spent: borrow the next millisecond
                self._ms += 1
                self._count = 0
        else:
            self._ms = ms
            self._count = 0
        if not self._pool:
            self._pool = secrets.token_bytes(8 * 256)  # one call of the system for many ids
        drawn, self._pool = self._pool[:8], self._pool[8:]
        return uuid7_at(self._ms, self._count << 62 | int.from_bytes(drawn, "big") >> 2)


def token(size: int = 32) -> str:
    """An unguessable URL-safe text made of `size` random bytes."""
    return secrets.token_urlsafe(size)
