"""Programs under measurement, each in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "benchmark-" + secrets.token_urlsafe(9)


@dataclass(slots=True)
class Server:
    """A running gateway: its port, its admin's token, its process."""

    port: int
    token: str
    process: subprocess.Popen[str]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One API call, decoded."""
        return call(self.port, method, path, body, self.token)

    def memory_mb(self) -> float:
        """Resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return float("nan")


def call(port: int, method: str, path: str, body: Any = None, token: str = "") -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            content = answer.read()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from None
    return json.loads(content) if content else None


@contextmanager
def gateway(folder: Path, store: str = "", **environment: str) -> Iterator[Server]:
    """`omnigate serve` on an own data folder."""
    port_file = folder / "data" / "run.json"
    port_file.unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "serve", "--listen", "127.0.0.1:0", "--log-level", "warning"],
        env={
            **os.environ,
            "OMNIGATE_DATA": str(folder / "data"),
            "OMNIGATE_STORE": store,
            "OMNIGATE_ADMIN_PASSWORD": PASSWORD,
            **environment,
        },
        stderr=(folder / "gateway.log").open("a"),
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the gateway did not start:\n{(folder / 'gateway.log').read_text()[-2000:]}")
            time.sleep(0.02)
        port = int(json.loads(port_file.read_text())["url"].rpartition(":")[2])
        signed_in = call(port, "POST", "/session", {"email": "admin@localhost", "password": PASSWORD})
        yield Server(port, signed_in["token"], process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def bare() -> Iterator[int]:
    """The bare handler; gives its port."""
    process = subprocess.Popen([sys.executable, "-m", "bench.bare"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def load(port: int, path: str, token: str = "none", **plan: Any) -> dict[str, Any]:
    """Drive a server from a process of its own; see bench.load for the plan and the result."""
    full = {
        "port": port,
        "path": path,
        "token": token,
        "connections": 64,
        "size": 1000,
        "senders": 1000,
        "warm": 1.0,
        "seconds": 5.0,
        "run": secrets.token_hex(4),
        **plan,
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(full),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout)
    refused = {status: count for status, count in result["statuses"].items() if status != "201"}
    if refused:
        raise RuntimeError(f"answers other than 201: {refused}")
    return result
