"""Every route with every role, without a login, and with a token that lacks its scope."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.model.access import SCOPES
from gateway.model.team import ROLE_RANK
from gateway.web.app import ROUTES
from gateway.web.route import Route
from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOWHERE = "00000000-0000-7000-8000-000000000000"
"""No thing has this id: a route that lets its caller in answers 404 or 422, and changes nothing."""


def path_of(route: Route) -> str:
    path = route.path
    for part in ("{id}", "{message_id}", "{attachment_id}"):
        path = path.replace(part, NOWHERE)
    return path


def unfit(route: Route) -> dict[str, Any]:
    """A request that gets past the door, and no further where it could change something."""
    if route.method == "GET":
        return {"params": {"no-such-parameter": "1"}}
    return {"data": b'{"no-such-field": 1}', "headers": {"Content-Type": "application/json"}}


def ids(route: Route) -> str:
    return route.name


@pytest.mark.parametrize("route", ROUTES, ids=ids)
async def test_without_a_login(house: House, route: Route) -> None:
    answer = await house.call(route.method, path_of(route), token=None, **unfit(route))
    if route.rights.role is None:
        assert answer.status == 422
    else:
        answer.problem(401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("route", ROUTES, ids=ids)
@pytest.mark.parametrize("role", ROLE_RANK)
async def test_with_each_role(house: House, route: Route, role: str) -> None:
    if route.rights.role is None:
        return
    answer = await house.call(route.method, path_of(route), token=role, **unfit(route))
    if ROLE_RANK[role] < ROLE_RANK[route.rights.role]:
        answer.problem(403)
    else:
        assert answer.status not in (401, 500), answer.raw
        # Some ask for an agent behind the token, but never for another role or scope.
        assert answer.status != 403 or "this needs" not in answer.json["detail"]


async def test_without_the_scope(house: House) -> None:
    lacking: dict[str, str] = {}
    for scope in SCOPES:
        others = [other for other in SCOPES if other != scope]
        body = {"name": f"lacks {scope}", "role": "admin", "scopes": others}
        lacking[scope] = (await house.post("/tokens", body)).expect(201)["token"]
    for route in ROUTES:
        if route.rights.scope is not None:
            token = lacking[route.rights.scope]
            (await house.call(route.method, path_of(route), token=token, **unfit(route))).problem(403)


async def test_every_route_says_what_it_needs() -> None:
    open_to_all = {route.name for route in ROUTES if route.rights.role is None}
    assert open_to_all == {"POST /session"}
    without_scope = {route.name for route in ROUTES if route.rights.scope is None}
    assert without_scope == {
        "POST /session",
        "GET /session",
        "DELETE /session",
        "PUT /agents/me/password",
        "POST /agents/me/totp",
        "PUT /agents/me/totp",
        "DELETE /agents/me/totp",
    }
    assert {route.rights.scope for route in ROUTES} - {None} <= set(SCOPES)


async def test_a_wrong_token_opens_nothing(house: House) -> None:
    for token in ("ot_wrong", "os_wrong", "oi_wrong", "", "\u00e9"):
        (await house.get("/queues", token=token)).problem(401)
    (await house.get("/queues", token=None, headers={"Authorization": "Basic YTpi"})).problem(401)
    (await house.get("/queues", token=None, headers={"Cookie": "omnigate_session=os_wrong"})).problem(401)


async def test_a_token_reaches_no_further_than_its_agent(house: House) -> None:
    agent, _ = await house.agent("agent")
    body = {"name": house.name("token"), "role": "admin", "agent_id": agent["id"]}
    token = (await house.post("/tokens", body)).expect(201)["token"]
    (await house.get("/audit", token=token)).problem(403)
    (await house.patch(f"/agents/{agent['id']}", {"role": "admin"})).expect(200)
    (await house.get("/audit", token=token)).expect(200)
    (await house.patch(f"/agents/{agent['id']}", {"enabled": False})).expect(200)
    (await house.get("/audit", token=token)).problem(401)
