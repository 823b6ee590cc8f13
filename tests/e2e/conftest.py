from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.desk import Desk
from tests.e2e.post import Post
from tests.e2e.program import Program
from tests.servers import mongod
from tests.servers.dovecot import start_dovecot
from tests.servers.mongod_fixture import mongodb_server, mongodb_url
from tests.servers.postfix import start_postfix

__all__ = ["mongodb_server", "mongodb_url"]

STORES = [pytest.param(name, marks=pytest.mark.xdist_group(f"e2e-{name}")) for name in ("sqlite", "mongo")]


@pytest.fixture(scope="session")
def post() -> Post:
    dovecot = start_dovecot()
    return Post(dovecot, start_postfix())


@pytest.fixture(scope="session", params=STORES)
def desk(request: pytest.FixtureRequest, post: Post, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A gateway that runs for all tests, on each store."""
    url = ""
    if request.param == "mongo":
        server = request.getfixturevalue("mongodb_server")
        name = mongod.fresh_name()
        url = mongod.database_url(server, name)
    program = Program(tmp_path_factory.mktemp(request.param), url)
    try:
        program.start()
        found = Desk(program, post)
        found.prepare()
        yield found
        program.stop()
    finally:
        if program.running:
            program.kill()
        if url:
            mongod.drop(server, name)
