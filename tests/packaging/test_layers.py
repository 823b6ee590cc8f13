"""The import contracts do fail when a layer is broken: each is tried on a copy of the source with one bad import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BROKEN = (
    ("src/gateway/model/inbox.py", "import gateway.service.directory", "Imports point down"),
    ("src/gateway/routing/facts.py", "import gateway.store.contract", "Deciding is pure"),
    ("connectors/api/outbound.py", "import connectors.mail", "Connectors do not know one another"),
    ("connectors/api/outbound.py", "import gateway.store.contract", "A connector knows the contract"),
    ("src/gateway/newcomer.py", "", "Imports point down"),
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("file", "statement", "contract"), BROKEN)
def test_a_broken_layer_is_found(file: str, statement: str, contract: str, tmp_path: Path) -> None:
    for name in ("src", "connectors"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    target = tmp_path / file
    text = target.read_text() if target.exists() else '"""A module without a layer."""\n'
    target.write_text(f"{text}\n{statement}\n")
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'src'}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode != 0
    broken = [line for line in done.stdout.splitlines() if line.endswith("BROKEN")] or [done.stdout + done.stderr]
    assert any(contract in line for line in broken), done.stdout
