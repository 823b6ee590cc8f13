"""`omnigate serve` in a process of its own, and its API as a client calls it: again after a broken line."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

PASSWORD = "correct horse battery staple"
STARTS_WITHIN = 40.0

T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = 20) -> T:
    """What `look` returns as soon as that is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


class Program:
    """One node. `environment` goes on top of the usual settings."""

    def __init__(self, folder: Path, store: str, **environment: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.url = ""
        self._token = ""
        self._environment = {
            "OMNIGATE_DATA": str(folder / "data"),
            "OMNIGATE_STORE": store,
            "OMNIGATE_ADMIN_PASSWORD": PASSWORD,
            "OMNIGATE_LISTEN": "127.0.0.1:0",
            "OMNIGATE_LOG_LEVEL": "warning",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str | None = None) -> None:
        """Start it; `fault`: where it kills itself (see gateway.faults)."""
        run_file = self.folder / "data" / "run.json"
        run_file.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMNIGATE_")}
        environment |= self._environment | ({"OMNIGATE_FAULT": fault} if fault else {})
        with (self.folder / "gateway.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve"], env=environment, stdout=output, stderr=output
            )
        until(lambda: run_file.exists() or not self.running, "the gateway is up", STARTS_WITHIN)
        assert self.running, self.log()
        self.url = json.loads(run_file.read_text())["url"] + "/api/v1"
        if not self._token:  # one session for the whole test: who is signed in stays so over a restart
            self._token = self.call("POST", "/session", {"email": "admin@localhost", "password": PASSWORD})["token"]

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def connections(self, port: int) -> int:
        """How many connections the process has to that port."""
        assert self._process is not None
        process = Path(f"/proc/{self._process.pid}")
        sockets = set()
        for entry in (process / "fd").iterdir():
            with suppress(FileNotFoundError):
                sockets.add(os.readlink(entry))
        lines = [line.split() for line in (process / "net" / "tcp").read_text().splitlines()[1:]]
        return sum(line[2].endswith(f":{port:04X}") and f"socket:[{line[9]}]" in sockets for line in lines)

    def kill(self) -> None:
        """SIGKILL, as a power cut."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def died(self) -> None:
        """Wait until it has killed itself at its fault point."""
        assert self._process is not None
        assert self._process.wait(20) == -9, self.log()

    def stop(self) -> None:
        """SIGTERM; it drains and ends well."""
        if self._process is None or not self.running:
            return
        self._process.terminate()
        try:
            code = self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, self.log()

    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()[-4000:]

    def call(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """One call, decoded; sent again where the line broke or the gateway was busy, under the same key."""
        content = self.get(method, path, body, key=key)
        return json.loads(content) if content else None

    def get(self, method: str, path: str, body: Any = None, *, key: str = "") -> bytes:
        """The answer's bytes."""
        end = time.monotonic() + 20
        while True:
            headers = {"Content-Type": "application/json"}
            if self._token:
                headers["Authorization"] = f"Bearer {self._token}"
            if key:
                headers["Idempotency-Key"] = key
            request = urllib.request.Request(
                self.url.removesuffix("/api/v1") + path if path.startswith("/api/") else self.url + path,
                data=None if body is None else json.dumps(body).encode(),
                method=method,
                headers=headers,
            )
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    content: bytes = answer.read()
                    return content
            except urllib.error.HTTPError as error:
                said = error.read().decode()
                error.close()
                if error.code != 503 and not (key and error.code == 409):
                    pytest.fail(f"{method} {path}: {error.code} {said}\n{self.log()}")
            except (OSError, http.client.HTTPException) as error:
                if not self.running:
                    raise Gone(f"{method} {path}: {error}\n{self.log()}") from None
            assert time.monotonic() < end, f"{method} {path} is not answered"
            time.sleep(0.1)

    def each(self, path: str) -> Iterator[dict[str, Any]]:
        """All items of a list."""
        cursor = ""
        while True:
            mark = "&" if "?" in path else "?"
            page = self.call("GET", f"{path}{mark}limit=200" + (f"&cursor={cursor}" if cursor else ""))
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return


class Gone(Exception):
    """The gateway died before it answered; the call may have been carried out."""
