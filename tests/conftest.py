"""For every test: no blocking call on the loop, no connection that leaves this host, no setting from outside."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from blockbuster import BlockBuster, blockbuster_ctx

sys.path.insert(0, str(Path(__file__).parent.parent))  # `tests.servers` and `bench` are importable

CI = os.environ.get("CI") == "true"

# The usual renderer draws tracebacks with rich, which reads files: a blocking call wherever an error is logged.
structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call of our code inside a running loop raises BlockingError."""
    with blockbuster_ctx(["gateway", "connectors"]) as guard:
        # a MongoDB client, when it is made, looks whether it runs in a container
        guard.functions["os.stat"].can_block_in("pymongo/pool_options.py", "get_container_env_info")
        yield guard


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a unix socket
    host = str(address[0])
    try:
        return ipaddress.ip_address(host.split("%", maxsplit=1)[0]).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True, scope="session")
def stay_on_this_host() -> Iterator[None]:
    """A connection that would leave the host fails the test. Set once, below what guards each test: patched and put
    back in turns, the two would leave layers of each other behind."""
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if not _is_local(address):
            raise AssertionError(f"a test tried to reach {address}")
        return connect_ex(self, address)

    setattr(socket.socket, "connect", guarded_connect)  # noqa: B010 - mypy knows it as a slot
    setattr(socket.socket, "connect_ex", guarded_connect_ex)  # noqa: B010
    yield
    setattr(socket.socket, "connect", connect)  # noqa: B010
    setattr(socket.socket, "connect_ex", connect_ex)  # noqa: B010


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OMNIGATE_") and name != "OMNIGATE_TEST_MONGODB":
            monkeypatch.delenv(name)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI nothing may be skipped."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if CI and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        reporter.write_line("CI=true: a skipped test is a failed run", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
