"""Passwords: Argon2id (RFC 9106), off the loop, a few at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import Overloaded, Problem, Refused

R = TypeVar("R")

MIN_LENGTH = 10
MAX_LENGTH = 200
AT_ONCE = 2
"""Each check takes 64 MiB and most of a core."""
WAITING = 64


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to keep; raises Refused for a password that is too weak to keep."""
        check_strength(password)
        return await self._work(self._hasher.hash, password)

    async def verify(self, known: str | None, password: str) -> bool:
        """Whether the password is the one behind the hash. With no hash (no such account) it takes as long as with
        one, so that the time tells nothing."""
        if self._decoy is None:
            self._decoy = await self._work(self._hasher.hash, secrets.token_urlsafe(16))
        right = await self._work(self._matches, known or self._decoy, password)
        return right and bool(known)

    def _matches(self, known: str, password: str) -> bool:
        try:
            return self._hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _work(self, work: Callable[..., R], *args: str) -> R:
        if self._waiting >= WAITING:
            raise Overloaded("the queue of password checks", 2)
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(work, *args)
        finally:
            self._waiting -= 1


def check_strength(password: str, path: str = "password") -> None:
    """Raises Refused unless the password has a usable length (NIST SP 800-63B, 5.1.1.2: no rules on
    composition)."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Refused(Problem(path, f"must have {MIN_LENGTH} to {MAX_LENGTH} characters"))
