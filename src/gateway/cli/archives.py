"""`omnigate backup`, `restore` and `copy`."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from gateway.cli.options import add_settings, settings
from gateway.errors import Problem, Refused
from gateway.model.document import SystemClock
from gateway.settings import Settings
from gateway.store.contract import Store
from gateway.store.open import open_store


def add(commands: Any) -> None:
    backup = commands.add_parser(
        "backup",
        help="write everything to one file, also while the gateway runs",
        epilog="example: omnigate backup --to omnigate-2026-11-22.zip. The key of the secrets (secret.key in the data "
        "folder) is not in it: keep it apart.",
    )
    backup.add_argument("--to", required=True, type=Path, metavar="FILE")
    backup.set_defaults(run=_runs(_backup))
    restore = commands.add_parser(
        "restore",
        help="load a backup into an empty store",
        epilog="example: omnigate restore omnigate-2026-11-22.zip --data /var/lib/omnigate-new",
    )
    restore.add_argument("file", type=Path)
    restore.set_defaults(run=_runs(_restore))
    copy = commands.add_parser(
        "copy",
        help="copy one store into another, empty one (to another engine, for example)",
        epilog="example: omnigate copy --to mongodb://db1,db2,db3/omnigate?replicaSet=rs0",
    )
    copy.add_argument("--to", required=True, metavar="URL")
    copy.set_defaults(run=_runs(_copy))
    for command in (backup, restore, copy):
        add_settings(command, "store", "data", "mongo_driver")


def _runs(work: Callable[[argparse.Namespace, Settings], Coroutine[Any, Any, dict[str, int]]]) -> Any:
    def run(arguments: argparse.Namespace) -> int:
        counts = asyncio.run(work(arguments, settings(arguments)))
        print(", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing")
        return 0

    return run


async def _backup(arguments: argparse.Namespace, chosen: Settings) -> dict[str, int]:
    from gateway.service.archive import dump

    with tempfile.TemporaryDirectory() as folder:
        store = await asyncio.to_thread(_source, chosen, Path(folder))
        await store.open()
        try:
            return await dump(store, arguments.to, SystemClock())
        finally:
            await store.close()


def _source(chosen: Settings, folder: Path) -> Store:
    """The store to read; of SQLite a consistent copy, since the gateway may be running on the original."""
    url = chosen.store_url
    if not url.startswith("sqlite:///"):
        return open_store(url, chosen.data_dir, SystemClock(), mongo_driver=chosen.mongo_driver)
    path = chosen.data_dir / url.removeprefix("sqlite:///")
    if not path.exists():
        raise Refused(Problem("--store", f"there is no {path}"))
    copied = folder / "omnigate.db"
    source, target = sqlite3.connect(f"file:{path}?mode=ro", uri=True), sqlite3.connect(copied)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    blobs = chosen.data_dir / "blobs"
    if blobs.exists():
        (folder / "blobs").symlink_to(blobs.resolve(), target_is_directory=True)
    return open_store(f"sqlite:///{copied}", folder, SystemClock())


async def _restore(arguments: argparse.Namespace, chosen: Settings) -> dict[str, int]:
    from gateway.service.archive import restore

    if not arguments.file.exists():
        raise Refused(Problem(str(arguments.file), "there is no such file"))
    store = open_store(chosen.store_url, chosen.data_dir, SystemClock(), mongo_driver=chosen.mongo_driver)
    await store.open()
    try:
        return await restore(store, arguments.file)
    finally:
        await store.close()


async def _copy(arguments: argparse.Namespace, chosen: Settings) -> dict[str, int]:
    from gateway.service.archive import copy

    with tempfile.TemporaryDirectory() as folder:
        source = await asyncio.to_thread(_source, chosen, Path(folder))
        target = open_store(arguments.to, chosen.data_dir, SystemClock(), mongo_driver=chosen.mongo_driver)
        await source.open()
        try:
            await target.open()
            try:
                return await copy(source, target)
            finally:
                await target.close()
        finally:
            await source.close()
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
