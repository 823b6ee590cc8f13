"""Attachment bytes in a local folder: `{root}/ab/cd/abcd…`, the file name being the SHA-256 of what is in it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

from gateway import faults
from gateway.errors import StoreUnavailable
from gateway.store.contract import Blobs

_NAME = re.compile(r"[0-9a-f]{64}")
_INCOMING = "incoming"
LEFT_SECONDS = 3600
"""No attachment takes so long to be written."""


def _sync_folder(folder: Path) -> None:
    """Make names in the folder durable (a file's own fsync does not cover its name)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class LocalBlobs(Blobs):
    """Files are written aside, synced and then renamed, so a name always has its whole content. All disk work is done
    in threads. Raises StoreUnavailable where the disk is full or fails."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def open(self) -> None:
        """Make the folder; throw away what a crash left half written, but nothing that may be being written: a backup
        reads the folder of a running gateway."""
        await asyncio.to_thread(self._open)

    async def put(self, data: bytes) -> str:
        return await asyncio.to_thread(self._put, data)

    async def get(self, sha256: str) -> bytes | None:
        if not _NAME.fullmatch(sha256):
            return None
        return await asyncio.to_thread(self._get, sha256)

    async def delete(self, sha256: str) -> None:
        if _NAME.fullmatch(sha256):
            await asyncio.to_thread(self._path(sha256).unlink, missing_ok=True)

    async def names(self) -> AsyncIterator[str]:
        for first in await asyncio.to_thread(self._folders):
            for name in await asyncio.to_thread(self._files, first):
                yield name

    def _path(self, sha256: str) -> Path:
        return self._root / sha256[:2] / sha256[2:4] / sha256

    def _open(self) -> None:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)  # for nobody else's eyes
            incoming = self._root / _INCOMING
            incoming.mkdir(exist_ok=True)
            old = time.time() - LEFT_SECONDS
            for left in incoming.iterdir():
                if left.stat().st_mtime < old:
                    left.unlink(missing_ok=True)
        except OSError as error:
            raise StoreUnavailable(f"{self._root} cannot be used for attachments: {error.strerror}") from error

    def _put(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if path.exists():
            _sync_folder(path.parent)  # another put may have renamed it just now; a folder already synced costs little
            return sha256
        incoming = self._root / _INCOMING / f"{sha256}.{secrets.token_hex(8)}"
        try:
            incoming.parent.mkdir(parents=True, exist_ok=True)
            try:
                with incoming.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                faults.reach("store.blob.before")
                self._make_folder(path.parent)
                incoming.replace(path)
            except BaseException:
                incoming.unlink(missing_ok=True)
                raise
            _sync_folder(path.parent)
        except OSError as error:
            raise StoreUnavailable(f"an attachment cannot be kept in {self._root}: {error.strerror}") from error
        faults.reach("store.blob.after")
        return sha256

    def _make_folder(self, folder: Path) -> None:
        missing = [step for step in (folder.parent, folder) if not step.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for step in missing:
            _sync_folder(step.parent)

    def _get(self, sha256: str) -> bytes | None:
        try:
            return self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(f"an attachment cannot be read from {self._root}: {error.strerror}") from error

    def _folders(self) -> list[Path]:
        return sorted(path for path in self._root.glob("??/??") if path.is_dir())

    @staticmethod
    def _files(folder: Path) -> list[str]:
        return [entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)]
