"""A copy of the store's files while it is in use."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.search import beside


def copy_store(source: Path, target: Path) -> None:
    """Copy the store at `source` and its search index to `target` and beside it, each as of one moment, whether or not
    a process has it open. `target` appears whole or not at all; it must not exist. Blocks. Raises StoreUnavailable.

    The store is copied first: then the copied index has at least what the copied store says was indexed, and
    indexing something again changes nothing.
    """
    if not source.exists():
        raise StoreUnavailable(f"there is no store at {source}")
    for path in (target, beside(target)):
        if path.exists():
            raise StoreUnavailable(f"{path} exists: name a new file for the copy")
    for origin, copy in ((source, target), (beside(source), beside(target))):
        if origin.exists():
            _copy(origin, copy)


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        origin = sqlite3.connect(source, timeout=10)
        copy = sqlite3.connect(partial)
        try:
            origin.execute("PRAGMA query_only = ON")
            origin.backup(copy)  # all pages in one step: one read transaction, so one moment
            copy.execute("PRAGMA journal_mode = DELETE")
        finally:
            copy.close()
            origin.close()
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except (sqlite3.Error, OSError) as error:
        partial.unlink(missing_ok=True)
        raise StoreUnavailable(f"{source} cannot be copied to {target}: {error}") from error
