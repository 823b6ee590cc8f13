"""Inbound: `POST /inboxes/{id}/messages`, every answer durable and routed, against a bare handler in the same run."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from bench.figure import Figure, quantile
from bench.program import Server, bare, gateway, load
from bench.replica import replica_set

SECONDS = 6.0


def measure(full: bool) -> list[Figure]:
    """Rates as shares of the bare handler's, on both stores."""
    seconds = SECONDS * (3 if full else 1)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        fsync_ms = fsync_median(Path(folder))
        figures.append(Figure("fsync of the disk, median", fsync_ms, "ms"))
        figures += on_store(Path(folder) / "sqlite", "", "SQLite", (0.40, 0.25), seconds, fsync_ms)
        with replica_set() as url:
            figures += on_store(Path(folder) / "mongo", url, "MongoDB", (0.20, 0.12), seconds, fsync_ms)
    return figures


def on_store(
    folder: Path, store: str, name: str, wanted: tuple[float, float], seconds: float, fsync_ms: float
) -> list[Figure]:
    """The bare handler and the gateway in turn, twice, since the machine's speed drifts."""
    folder.mkdir()
    open_shares: list[float] = []
    new_shares: list[float] = []
    rates: list[float] = []
    with gateway(folder, store) as server:
        path, token = prepare(server)
        for _ in range(2):
            limit = bare_rate(seconds)
            running = load(server.port, path, token, seconds=seconds)
            fresh = load(server.port, path, token, seconds=seconds, senders=0)
            rates.append(running["rate"])
            open_shares.append(running["rate"] / limit)
            new_shares.append(fresh["rate"] / limit)
        paced = load(server.port, path, token, seconds=seconds, rate=min(rates) / 2)
    return [
        Figure(f"{name}: inbound, 1,000 open conversations", max(rates), "msg/s"),
        Figure(f"{name}: … share of the bare handler", max(open_shares), "×", wanted[0]),
        Figure(f"{name}: a new conversation per message, share", max(new_shares), "×", wanted[1]),
        Figure(f"{name}: p50 at half that rate", paced["p50_ms"], "ms"),
        Figure(f"{name}: p99 at half that rate", paced["p99_ms"], "ms"),
        Figure(f"{name}: … as multiples of a median fsync", paced["p99_ms"] / fsync_ms, "×", 10, at_most=True),
    ]


def bare_rate(seconds: float) -> float:
    with bare() as port:
        return float(load(port, "/api/v1/inboxes/x/messages", seconds=seconds)["rate"])


def prepare(server: Server, rules: int = 100) -> tuple[str, str]:
    """Publish rules and make an inbox; gives the path and token to post with."""
    server.call("POST", "/rules/publish", {"files": [{"name": "bench.yaml", "text": rule_text(rules)}]})
    inbox = server.call("POST", "/inboxes", {"kind": "api", "name": f"bench-{time.time_ns()}"})
    return f"/api/v1/inboxes/{inbox['id']}/messages", inbox["token"]


def rule_text(count: int) -> str:
    """A mixed set: most rules on channel and language, some on words and patterns, none of which the load matches."""
    lines = ["rules:"]
    for number in range(count):
        kinds = (
            f"{{all: [{{channel: mail}}, {{text: {{contains: [word{number:04}]}}}}]}}",
            f"{{all: [{{channel: api}}, {{language: zh}}, {{contact.attributes.tier: tier{number:04}}}]}}",
            f"{{all: [{{channel: api}}, {{text: {{contains: [secret{number:04}]}}}}]}}",
            f"{{all: [{{contact.attributes.plan: plan{number:04}}}, {{text: {{matches: 'x{number:04}y'}}}}]}}",
        )
        lines.append(f"  - {{id: rule-{number}, when: {kinds[number % 4]}, then: {{queue: support, priority: high}}}}")
    return "\n".join(lines)


def fsync_median(folder: Path) -> float:
    """Milliseconds that appending 4 kB and fsync take on this disk."""
    times: list[float] = []
    with (folder / "fsync").open("wb") as file:
        for _ in range(200):
            file.write(os.urandom(4096))
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return quantile(times, 0.5)
