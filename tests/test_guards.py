"""The guards that every test runs under do guard, and leave nothing behind."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_connection_to_another_host_fails() -> None:
    with socket.socket() as outside, pytest.raises(AssertionError, match="tried to reach"):
        outside.connect(("192.0.2.1", 80))


@pytest.mark.parametrize("round", range(3))
def test_the_guards_do_not_pile_up(round: int) -> None:
    depth, layer = 0, getattr(socket.socket.connect, "__closure__", None)
    while layer is not None and depth < 20:
        inner = [cell.cell_contents for cell in layer if callable(cell.cell_contents)]
        layer = getattr(inner[0], "__closure__", None) if inner else None
        depth += 1
    assert depth <= 3, f"layer upon layer in round {round}"


@pytest.mark.timeout(60)
def test_blocking_the_loop_fails_a_test(tmp_path: Path) -> None:
    """Our own code that sleeps on the loop: seen failing in a run of its own."""
    (tmp_path / "gateway_sleeps.py").write_text("import time\n\n\ndef nap() -> None:\n    time.sleep(0.01)\n")
    (tmp_path / "test_it.py").write_text(
        "from blockbuster import blockbuster_ctx\n"
        "import gateway_sleeps, pytest\n"
        "async def test_nap():\n"
        "    with blockbuster_ctx(['gateway_sleeps']):\n"
        "        gateway_sleeps.nap()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", "-o", "asyncio_mode=auto", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "BlockingError" in done.stdout
