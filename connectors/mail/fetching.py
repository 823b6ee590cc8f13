"""Brings a folder's new mails over the line, in batches, and lets none stop the others.

What cannot be fetched whole is fetched in part, what cannot be fetched at all is handed on as a place without a
source: nothing is left out silently, and no mail is tried for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

from connectors.mail.cursor import FolderCursor, batches, to_ranges
from connectors.mail.imap import LineLost, Refusal, Session, Size

MAX_UIDS = 50
MAX_BYTES = 8 * 1024 * 1024
"""Of a batch; a larger mail is fetched alone."""
SIZES = 250
"""UIDs whose sizes are asked for at once; below cursor.WINDOW."""
HEAD_BYTES = 256 * 1024
"""Of a mail that is too large: its beginning."""
WHOLE_TRIES = 2
HEAD_TRIES = 2
"""After so many broken lines over one mail: only its headers; after that: without."""


class Fetched(NamedTuple):
    """A mail as far as it could be had. `whole`: `source` is all of it; None: nothing could be had."""

    uid: int
    source: bytes | None
    whole: bool
    size: int
    received: datetime | None


class Batch(NamedTuple):
    """Mails, and all UIDs that are settled once these are taken in (some may be gone, or too old)."""

    mails: list[Fetched]
    uids: list[int]


class Fetcher:
    """Remembers over reconnections which mails made trouble."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._tries: dict[tuple[str, int], int] = {}

    async def batches(
        self, session: Session, folder: str, cursor: FolderCursor, uids: Sequence[int]
    ) -> AsyncIterator[Batch]:
        """The mails of these UIDs in order. The folder is open. Raises LineLost."""
        for start in range(0, len(uids), SIZES):
            chunk = uids[start : start + SIZES]
            sizes = {size.uid: size for size in await session.sizes(chunk)}
            missing = [uid for uid in chunk if uid not in sizes]
            if missing:  # gone by now, or the server cannot read them: those are tried one by one
                for uid in await self._present(session, missing):
                    sizes[uid] = Size(uid, self._max_bytes, None)
            wanted = [size for uid, size in sorted(sizes.items()) if not _too_old(size, cursor)]
            dropped = sorted(set(chunk) - {size.uid for size in wanted})
            plan = [(size.uid, size.size if (folder, size.uid) not in self._tries else MAX_BYTES) for size in wanted]
            if dropped:
                yield Batch([], dropped)
            for batch in batches(plan, count=MAX_UIDS, size=MAX_BYTES):
                yield Batch(await self._fetch(session, folder, [sizes[uid] for uid in batch]), batch)

    async def _present(self, session: Session, uids: Sequence[int]) -> list[int]:
        asked = set(uids)
        return [uid for uid in await session.search(f"UID {to_ranges(uids)}") if uid in asked]

    async def _fetch(self, session: Session, folder: str, sizes: Sequence[Size]) -> list[Fetched]:
        if len(sizes) == 1:
            return await self._alone(session, folder, sizes[0])
        uids = [size.uid for size in sizes]
        try:
            sources = await session.sources(uids)
        except Refusal:
            sources = {}
        except LineLost:
            self._tries.update({(folder, uid): self._tries.get((folder, uid), 0) for uid in uids})
            raise
        left = (
            await self._present(session, [uid for uid in uids if uid not in sources])
            if len(sources) < len(uids)
            else []
        )
        found: list[Fetched] = []
        for size in sizes:
            if size.uid in sources:
                source = sources[size.uid]
                found.append(Fetched(size.uid, source, True, len(source), size.received))
            elif size.uid in left:
                found += await self._alone(session, folder, size)
        return found

    async def _alone(self, session: Session, folder: str, size: Size) -> list[Fetched]:
        """One mail, as much of it as can be had; empty if it is gone."""
        key = (folder, size.uid)
        tries = self._tries.get(key, 0)
        ways: list[tuple[str, str, bool]] = []
        if tries < WHOLE_TRIES:
            too_large = size.size > self._max_bytes
            ways.append(("", f"<0.{HEAD_BYTES}>", False) if too_large else ("", "", True))
        if tries < WHOLE_TRIES + HEAD_TRIES:
            ways.append(("HEADER", "", False))
        self._tries[key] = tries + 1  # counts if the line breaks over it
        for section, part, whole in ways:
            try:
                source = (await session.sources([size.uid], section, part)).get(size.uid)
            except Refusal:
                continue
            if source is not None:
                del self._tries[key]
                return [Fetched(size.uid, source, whole, len(source) if whole else size.size, size.received)]
        gone = not await self._present(session, [size.uid])
        del self._tries[key]
        return [] if gone else [Fetched(size.uid, None, False, size.size, size.received)]


def _too_old(size: Size, cursor: FolderCursor) -> bool:
    return (
        cursor.filtered
        and cursor.started is not None
        and size.received is not None
        and size.received < cursor.started.replace(microsecond=0)
    )
