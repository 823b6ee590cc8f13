"""Cost per message as the store grows: inbound CPU of the gateway per message at 10 k, 100 k and (`--full`) 1 M."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from bench.figure import Figure
from bench.inbound import prepare
from bench.lists import MESSAGES_EACH, fill
from bench.program import gateway, load

SECONDS = 5.0


def measure(full: bool) -> list[Figure]:
    sizes = (10_000, 100_000, 1_000_000) if full else (10_000, 100_000, 300_000)
    costs: list[float] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        for size in sizes:
            folder = Path(name) / str(size)
            folder.mkdir()
            with gateway(folder):
                pass
            asyncio.run(fill(folder / "data", size // MESSAGES_EACH))
            with gateway(folder) as server:
                path, token = prepare(server)
                load(server.port, path, token, seconds=2.0)  # the first messages of each customer
                before = cpu_seconds(server.process.pid)
                result = load(server.port, path, token, seconds=SECONDS, warm=0.0)
                costs.append((cpu_seconds(server.process.pid) - before) / sum(result["statuses"].values()) * 1e6)
    figures = [
        Figure(f"CPU per message with {size:,} messages stored", cost, "µs")
        for size, cost in zip(sizes, costs, strict=True)
    ]
    return [*figures, Figure("… largest to smallest store", costs[-1] / costs[0], "×", 1.3, at_most=True)]


def cpu_seconds(pid: int) -> float:
    """User and system time of the process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
