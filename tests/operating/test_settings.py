"""Settings: three sources, the later wins, and each wrong value is named with where it came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Refused
from gateway.settings import from_sources


def refused(options: dict[str, Any], environ: dict[str, str], config: Path | None = None) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        from_sources(options, environ, config)
    return [(path, message) for path, message in caught.value.problems]


def test_the_later_source_wins(tmp_path: Path) -> None:
    file = tmp_path / "omnigate.toml"
    file.write_text('listen = "127.0.0.1:1"\nlog_level = "error"\nnode = "file"\n')
    environ = {"OMNIGATE_LOG_LEVEL": "debug", "OMNIGATE_NODE": "environment", "PATH": "/bin"}
    chosen = from_sources({"node": "option", "data": None}, environ, file)
    assert (chosen.listen, chosen.log_level, chosen.node) == ("127.0.0.1:1", "debug", "option")


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "omnigate.toml"
    file.write_text('node = "file"\n')
    assert from_sources({}, {"OMNIGATE_CONFIG": str(file)}).node == "file"


def test_lists_and_numbers_are_read_from_text() -> None:
    environ = {"OMNIGATE_ALLOW_NETWORKS": "10.0.0.0/8, 127.0.0.0/8", "OMNIGATE_INTAKE_PENDING": "12"}
    chosen = from_sources({}, environ)
    assert chosen.allow_networks == ("10.0.0.0/8", "127.0.0.0/8")
    assert chosen.intake_pending == 12


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OMNIGATE_STORE", "postgres://x", "expected sqlite:///path or mongodb://"),
        ("OMNIGATE_LISTEN", "8080", "expected HOST:PORT"),
        ("OMNIGATE_LISTEN", "127.0.0.1:99999", "expected HOST:PORT"),
        ("OMNIGATE_PUBLIC_URL", "support.example.org", "expected an address like"),
        ("OMNIGATE_ALLOW_NETWORKS", "10.0.0.0/99", "10.0.0.0/99"),
        ("OMNIGATE_INTAKE_PENDING", "many", "expected `int`"),
        ("OMNIGATE_INTAKE_PENDING", "0", "expected `int` >= 1"),
        ("OMNIGATE_LOG_LEVEL", "loud", "invalid enum value"),
        ("OMNIGATE_LISTNE", "x", "did you mean listen?"),
    ],
)
def test_each_wrong_value_is_named(name: str, value: str, says: str) -> None:
    ((path, message),) = refused({}, {name: value})
    assert path == name
    assert says in message


def test_all_wrong_values_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "omnigate.toml"
    file.write_text('log_levle = "debug"\nbody_bytes = "large"\n')
    problems = refused({"listen": "nowhere"}, {"OMNIGATE_STORE": "x"}, file)
    assert {path for path, _ in problems} == {
        f"{file}: log_levle",
        f"{file}: body_bytes",
        "OMNIGATE_STORE",
        "--listen",
    }


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in refused({}, {}, tmp_path / "missing.toml")[0][1]
    broken = tmp_path / "broken.toml"
    broken.write_text("listen = ")
    assert "is not TOML" in refused({}, {}, broken)[0][1]
