"""Logging in and out, the cookie and its CSRF defence, throttling, one-time codes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
import pytest

from gateway.model.document import to_ms
from gateway.store.collection import SESSIONS, THROTTLES
from tests.api.conftest import ADMIN, PASSWORD, House, Opener

pytestmark = pytest.mark.asyncio(loop_scope="session")

OTHER = "another good password"


async def log_in(house: House, email: str = ADMIN, password: str = PASSWORD, **more: str) -> tuple[str, str]:
    """(session token, CSRF token)."""
    made = (await house.post("/session", {"email": email, "password": password, **more}, token=None)).expect(200)
    return made["token"], made["csrf"]


async def test_login_answers_a_token_and_a_cookie(house: House) -> None:
    answer = await house.post("/session", {"email": ADMIN.upper(), "password": PASSWORD}, token=None)
    made = answer.expect(200)
    assert made["agent"]["email"] == ADMIN
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    me = (await house.get("/session", token=made["token"])).expect(200)
    assert (me["kind"], me["role"], me["csrf"]) == ("agent", "admin", made["csrf"])
    by_cookie = await house.get("/session", token=None, headers={"Cookie": cookie.partition(";")[0]})
    assert by_cookie.expect(200)["id"] == me["id"]


async def test_the_store_keeps_no_token(house: House) -> None:
    token, _ = await log_in(house)
    page = await house.gateway.services.store.find(SESSIONS, limit=200)
    assert token not in "".join(session.id for session in page.items)


async def test_logout_ends_the_session(house: House) -> None:
    token, _ = await log_in(house)
    answer = await house.delete("/session", token=token)
    assert answer.status == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    (await house.get("/session", token=token)).problem(401)


async def test_a_change_by_cookie_needs_the_csrf_token(house: House) -> None:
    token, csrf = await log_in(house)
    cookie = {"Cookie": f"omnigate_session={token}"}
    body = {"name": house.name("tag")}

    async def change(**headers: str) -> int:
        sent = {**cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return (await house.post("/tags", {"name": house.name("tag")}, token=None, headers=sent)).status

    assert (await house.post("/tags", body, token=None, headers=cookie)).problem(403)
    assert await change(X_CSRF_Token="wrong") == 403
    assert await change(X_CSRF_Token=csrf) == 201
    assert await change(X_CSRF_Token=csrf, Origin="https://evil.example.org") == 403
    assert await change(X_CSRF_Token=csrf, Origin=house.url) == 201
    assert await change(X_CSRF_Token=csrf, Origin="null") == 403


async def test_a_socket_by_cookie_needs_the_own_origin(house: House) -> None:
    token, _ = await log_in(house)
    for origin, status in ((None, 403), ("https://evil.example.org", 403), (house.url, 101)):
        headers = {"Cookie": f"omnigate_session={token}"}
        if origin is not None:
            headers["Origin"] = origin
        try:
            async with house.http.ws_connect(f"{house.url}/api/v1/events/socket", headers=headers) as socket:
                assert (await socket.receive_json())["type"] == "ready"
                found = 101
        except Exception as error:  # aiohttp's, with the refusal's status
            found = getattr(error, "status", 0)
        assert found == status, origin


async def test_login_from_a_form_of_another_site_is_refused(house: House) -> None:
    data = b'{"email": "x", "password": "y"}'
    answer = await house.post("/session", data=data, token=None, headers={"Content-Type": "text/plain"})
    answer.problem(415)


async def test_failures_throttle_the_account(new_house: Opener) -> None:
    async with new_house() as house:
        wrong = {"email": ADMIN, "password": "wrong"}
        statuses = [(await house.post("/session", wrong, token=None)).status for _ in range(6)]
        assert statuses == [401, 401, 401, 401, 401, 429]
        answer = await house.post("/session", {"email": ADMIN, "password": PASSWORD}, token=None)
        answer.problem(429)  # also with the right password, or guessing would go on behind the refusal
        assert int(answer.headers["Retry-After"]) >= 1
        # Another account from the same address is not concerned yet.
        (await house.post("/session", {"email": "else@example.org", "password": "x"}, token=None)).problem(401)
        store = house.gateway.services.store
        assert all(ADMIN not in known.id for known in (await store.find(THROTTLES)).items)
        refused = (await house.get("/audit", params={"action": "session.refused"})).expect(200)["items"]
        assert {entry["actor"] for entry in refused} == {refused[-1]["actor"], "unknown"}


async def test_attempts_made_at_once_are_all_counted(new_house: Opener) -> None:
    import asyncio

    async with new_house() as house:
        wrong = {"email": ADMIN, "password": "wrong"}
        answers = await asyncio.gather(*(house.post("/session", wrong, token=None) for _ in range(12)))
        assert [answer.status for answer in answers].count(401) <= 5


async def test_one_time_codes(house: House) -> None:
    agent, _ = await house.agent(password=PASSWORD)
    token, _ = await log_in(house, agent["email"])
    offer = (await house.post("/agents/me/totp", token=token)).expect(200)
    assert offer["uri"].startswith("otpauth://totp/")
    code = pyotp.TOTP(offer["secret"])
    now = datetime.now(UTC)
    proof = {"password": PASSWORD, "secret": offer["secret"], "otp": code.at(now)}
    (await house.put("/agents/me/totp", {**proof, "otp": "000000"}, token=token)).problem(422)
    (await house.put("/agents/me/totp", {**proof, "password": "wrong wrong"}, token=token)).problem(403)
    assert (await house.put("/agents/me/totp", proof, token=token)).status == 204

    login = {"email": agent["email"], "password": PASSWORD}
    missing = await house.post("/session", login, token=None)
    missing.problem(401)
    assert missing.paths() == {"otp"}
    (await house.post("/session", {**login, "otp": code.at(now)}, token=None)).problem(401)  # used already
    later = code.at(now + timedelta(seconds=30))
    (await house.post("/session", {**login, "otp": later}, token=None)).expect(200)
    (await house.post("/session", {**login, "otp": later}, token=None)).problem(401)
    stored = house.gateway.services.directory.agents[agent["id"]].totp_secret
    assert stored is not None
    assert offer["secret"] not in stored

    (await house.patch(f"/agents/{agent['id']}", {"totp": False})).expect(200)
    (await house.post("/session", login, token=None)).expect(200)


async def test_who_has_only_the_password_cannot_try_codes_without_end(new_house: Opener) -> None:
    async with new_house() as house:
        agent, _ = await house.agent(password=PASSWORD)
        token, _ = await log_in(house, agent["email"])
        secret = (await house.post("/agents/me/totp", token=token)).expect(200)["secret"]
        proof = {"password": PASSWORD, "secret": secret, "otp": pyotp.TOTP(secret).at(datetime.now(UTC))}
        assert (await house.put("/agents/me/totp", proof, token=token)).status == 204
        login = {"email": agent["email"], "password": PASSWORD}
        statuses = []
        for _ in range(6):
            statuses.append((await house.post("/session", {**login, "otp": "000000"}, token=None)).status)
            statuses.append((await house.post("/session", login, token=None)).status)
        assert 429 in statuses, "being asked for the code takes no failure back"


async def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    agent, _ = await house.agent(password=PASSWORD)
    first, _ = await log_in(house, agent["email"])
    second, _ = await log_in(house, agent["email"])
    (await house.put("/agents/me/password", {"current": "wrong wrong", "new": OTHER}, token=second)).problem(403)
    (await house.put("/agents/me/password", {"current": PASSWORD, "new": "short"}, token=second)).problem(422)
    body = {"current": PASSWORD, "new": OTHER}
    assert (await house.put("/agents/me/password", body, token=second)).status == 204
    (await house.get("/session", token=first)).problem(401)
    (await house.get("/session", token=second)).expect(200)
    (await house.patch(f"/agents/{agent['id']}", {"password": PASSWORD})).expect(200)
    (await house.get("/session", token=second)).problem(401)
    (await house.post("/session", {"email": agent["email"], "password": OTHER}, token=None)).problem(401)


async def test_a_token_changes_no_password(house: House) -> None:
    _, token = await house.agent(password=PASSWORD)
    body = {"current": PASSWORD, "new": OTHER}
    (await house.put("/agents/me/password", body, token=token)).problem(403)


async def test_a_disabled_agent_is_out_at_once(house: House) -> None:
    agent, _ = await house.agent(password=PASSWORD)
    token, _ = await log_in(house, agent["email"])
    (await house.get("/session", token=token)).expect(200)
    (await house.patch(f"/agents/{agent['id']}", {"enabled": False})).expect(200)
    (await house.get("/session", token=token)).problem(401)
    (await house.post("/session", {"email": agent["email"], "password": PASSWORD}, token=None)).problem(401)


class MovedClock:
    """The machine's time, moved."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return to_ms(datetime.now(UTC) + self.ahead)


async def test_sessions_slide_and_end(new_house: Opener) -> None:
    clock = MovedClock()
    async with new_house(clock=clock, session_hours=2) as house:
        token, _ = await log_in(house)
        for _ in range(3):  # in use, it outlives its two hours
            clock.ahead += timedelta(minutes=90)
            (await house.get("/session", token=token)).expect(200)
        clock.ahead += timedelta(hours=2, seconds=1)
        (await house.get("/session", token=token)).problem(401)
