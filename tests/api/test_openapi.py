"""The OpenAPI document is true: schemathesis makes calls from it and holds the answers against it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
import schemathesis
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from gateway.service.passwords import Passwords
from gateway.web.app import ROUTES
from gateway.web.decode import SHAPE
from gateway.web.openapi import document
from gateway.web.route import PREFIX
from tests.api.conftest import House, open_house

EXAMPLES = 5
"""Calls made up per operation and way of making them up."""

STREAMS = ["/events", "/events/socket"]
"""Never end; tests/feed is about them."""


def test_every_route_is_described() -> None:
    described = document(ROUTES)
    for route in ROUTES:
        operation = described["paths"][PREFIX + route.path][route.method.lower()]
        assert operation["summary"]
        assert str(route.status) in operation["responses"]
    assert msgspec.json.decode(msgspec.json.encode(described)) == described
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.asyncio(loop_scope="session")
async def test_it_is_served_to_anyone(house: House) -> None:
    served = (await house.get("/openapi.json", token=None)).expect(200)
    assert served == document(ROUTES)
    assert served["openapi"] == "3.1.0"


class Served:
    """A gateway on a thread with a loop of its own: schemathesis blocks while it calls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.url = self.token = ""
        self.session = requests.Session()

    def __enter__(self) -> Served:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.close()
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()

    async def _run(self) -> None:
        async with open_house(self._folder) as house:
            self.url, self.token = house.url, house.tokens["admin"]
            quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # a hundred agents are made
            house.gateway.services.access.passwords = Passwords(quick)
            self._ready.set()
            await self._stop.wait()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as server:
        yield server


schema = schemathesis.openapi.from_dict(document(ROUTES)).exclude(path=[PREFIX + path for path in STREAMS])


REFERENCES_ALL_LEAD_SOMEWHERE: Any = schemathesis.checks.CHECKS.get_one("positive_data_acceptance")


def shape_is_taken(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """What fits the schema is not refused for its shape. (It may be for what it means: an id that leads nowhere, a
    cursor of another list. So schemathesis' own check of this is left out.)"""
    fits = case.meta is not None and case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE
    if not fits or response.status_code not in (400, 422):
        return
    problem = response.json()
    # JSON Schema counts 5.0 among the integers; nobody who means one writes it so.
    odd = [error for error in problem["errors"] if "expected int" not in error["message"]]
    assert problem["title"] != SHAPE or not odd, problem


@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
def test_what_it_says_is_so(served: Served, case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(
        base_url=served.url,
        session=served.session,
        headers={"Authorization": f"Bearer {served.token}"},
        additional_checks=[shape_is_taken],
        excluded_checks=[REFERENCES_ALL_LEAD_SOMEWHERE],
    )
