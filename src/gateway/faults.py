"""Fault points: named places where a test can have the process killed, as a power cut would.

`reach(name)` does nothing unless the environment variable OMNIGATE_FAULT names that point when the process starts;
then the process gets SIGKILL there. `OMNIGATE_FAULT=store.commit.before` kills at the first time,
`OMNIGATE_FAULT=store.commit.before:3` at the third. Nothing else is ever done here, so the calls may stay in the code
that runs live.

Names are `{part}.{step}.{when}`, lower case; `when` is `before`, `middle` or `after` the step becomes durable or
visible to others. A point is named where it is reached, and listed here:

    store.commit.before    the batch is written, the commit is not
    store.commit.middle    documents are written, events are not (inside the transaction)
    store.commit.after     committed, nobody was told
    store.blob.before      bytes are in a temporary file, not under their name
    store.blob.after       bytes are kept, nobody was told
    intake.{step}.{when}   see gateway.service.intake
    outbox.{step}.{when}   see gateway.service.outbox
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "OMNIGATE_FAULT"


class _Armed:
    """The one point at which this process is to die, and how many times it may still pass it."""

    def __init__(self, setting: str) -> None:
        name, _, nth = setting.partition(":")
        self.name = name
        self._left = int(nth or 1)
        self._lock = threading.Lock()

    def passes(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


_armed = _Armed(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def reach(name: str) -> None:
    """The point `name` is reached; does not return if the process is to die here."""
    if _armed is not None and _armed.name == name:
        _armed.passes()
