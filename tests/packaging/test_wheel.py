"""The built wheel, installed alone in a fresh environment, runs outside the checkout: nothing is missing from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(400)
def test_the_wheel_runs_by_itself(tmp_path: Path) -> None:
    built = tmp_path / "dist"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(ROOT)],
        check=True,
        timeout=180,
    )
    (wheel,) = built.glob("omnigate-*.whl")
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    subprocess.run(
        [environment / "bin" / "python", "-m", "pip", "install", "--quiet", str(wheel)], check=True, timeout=300
    )
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    program = environment / "bin" / "omnigate"
    kinds = subprocess.run(
        [program, "inbox", "kinds", "--json", "--data", str(outside / "data")],
        cwd=outside,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )
    assert {kind["kind"] for kind in json.loads(kinds.stdout)} >= {"api", "mail"}
    process = subprocess.Popen(
        [program, "serve", "--listen", "127.0.0.1:0", "--data", str(outside / "data2")],
        cwd=outside,
        env=kept,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 60
    while not (outside / "data2" / "run.json").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    versions = subprocess.run(
        [program, "rules", "versions", "--json", "--data", str(outside / "data2")],
        cwd=outside,
        env=kept,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert [version["version"] for version in json.loads(versions.stdout)] == [1], "the sample rules are in the wheel"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
