"""What of a folder is taken in. Pure: the state kept between runs, and what is left to do.

UIDs rise in a folder (RFC 3501, 2.3.1.1), yet some servers show a higher one before a lower. So besides the highest
UID the cursor knows which of those shortly below it are settled, and looks there again at every sync. When the
server declares its UIDs void (another UIDVALIDITY), everything is looked at anew; what is known already is dropped by
the gateway as a repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

WINDOW = 500
"""How far below the highest UID a late one is still found."""


class FolderCursor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    uidvalidity: int
    last: int = 0
    """The highest UID that is settled (taken in, or gone, or older than `started`)."""
    base: int = 0
    """UIDs up to this one were there before the inbox was set up, and are left alone."""
    settled: str = ""
    """UIDs in (last - WINDOW, last], as ranges: `7:9,12`."""
    started: datetime | None = None
    """What came before is left alone, also when the UIDs changed; None: all is taken in."""
    filtered: bool = False
    """The UIDs changed since `started`: dates tell what is older."""
    taken: int = 0
    """Messages taken in from this folder, ever."""

    @property
    def floor(self) -> int:
        """UIDs up to this one need no look."""
        return max(self.base, self.last - WINDOW)

    def pending(self, uids: Iterable[int]) -> list[int]:
        """Those that are not settled, in order."""
        floor, settled = self.floor, set(from_ranges(self.settled))
        return sorted({uid for uid in uids if uid > floor and uid not in settled})

    def settle(self, uids: Sequence[int], taken: int) -> FolderCursor:
        """The cursor after these were dealt with, `taken` of them taken in. In rising order from batch to batch."""
        last = max([self.last, *uids])
        known = {uid for uid in [*from_ranges(self.settled), *uids] if uid > last - WINDOW}
        return msgspec.structs.replace(self, last=last, settled=to_ranges(known), taken=self.taken + taken)


def begin(uidvalidity: int, uidnext: int, started: datetime | None) -> FolderCursor:
    """For a folder that was never looked at. `started`: leave alone what is there by now."""
    before = uidnext - 1 if started is not None else 0
    return FolderCursor(uidvalidity=uidvalidity, last=before, base=before, started=started)


def renew(cursor: FolderCursor, uidvalidity: int) -> FolderCursor:
    """After the server gave new UIDs to all: look at everything again."""
    return FolderCursor(
        uidvalidity=uidvalidity, started=cursor.started, filtered=cursor.started is not None, taken=cursor.taken
    )


def widen(cursor: FolderCursor) -> FolderCursor:
    """After an admin asked for older mail, too: look at everything again."""
    return FolderCursor(uidvalidity=cursor.uidvalidity, taken=cursor.taken)


def to_ranges(uids: Iterable[int]) -> str:
    """Numbers as an IMAP sequence set, `7:9,12`."""
    runs: list[list[int]] = []
    for uid in sorted(set(uids)):
        if runs and runs[-1][1] == uid - 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in runs)


def from_ranges(text: str) -> list[int]:
    """The numbers of a sequence set made by `to_ranges`."""
    uids: list[int] = []
    for run in text.split(",") if text else ():
        low, _, high = run.partition(":")
        uids.extend(range(int(low), int(high or low) + 1))
    return uids


def batches(sizes: Sequence[tuple[int, int]], *, count: int, size: int) -> Iterable[list[int]]:
    """Splits (UID, bytes) pairs into batches of at most `count` UIDs and `size` bytes; a larger one stands alone."""
    batch: list[int] = []
    total = 0
    for uid, length in sizes:
        if batch and (len(batch) >= count or total + length > size):
            yield batch
            batch, total = [], 0
        batch.append(uid)
        total += length
    if batch:
        yield batch
