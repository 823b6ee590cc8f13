"""A one-member MongoDB replica set whose data are on the disk, as a server's would be."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.mongod import ReplicaSet


@contextmanager
def replica_set() -> Iterator[str]:
    """Gives a URL with a database name."""
    folder = Path(tempfile.mkdtemp(prefix="og", dir="/var/tmp"))
    try:
        with ReplicaSet(cache_gb=1, _folder=folder) as servers:
            base, _, query = servers.url.partition("?")
            yield f"{base}omnigate?{query}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
