"""Logging in and out, the cookie and its CSRF defence, throttling, one-time codes."""

from __future__ import annotations

import pytest

from tests.api.conftest import ADMIN, PASSWORD, House

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_login_answers_a_token_and_a_cookie(house: House) -> None:
    answer = await house.post("/session", {"email": ADMIN.upper(), "password": PASSWORD}, token=None)
    made = answer.expect(200)
    assert made["agent"]["email"] == ADMIN
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    me = (await house.get("/session", token=made["token"])).expect(200)
    assert (me["kind"], me["role"], me["csrf"]) == ("agent", "admin", made["csrf"])
