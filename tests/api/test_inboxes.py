"""Inboxes: settings checked by the channel's own type, secrets write-only, tokens, checks, logs."""

from __future__ import annotations

import msgspec
import pytest

from gateway.store.collection import INBOXES
from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "a secret of sixteen and more"


async def test_channels_say_what_they_need(house: House) -> None:
    found = (await house.get("/channels", token="agent")).expect(200)
    kinds = {kind["kind"]: kind for kind in found["items"]}
    assert {"api", "mail"} <= kinds.keys()
    assert found["broken"] == {}
    schema = kinds["api"]["settings_schema"]
    assert schema["properties"]["callback_secret"]["writeOnly"] is True
    assert schema["additionalProperties"] is False
    assert kinds["api"]["capabilities"]["attachments"] is True
    assert "password" in " ".join(kinds["mail"]["secrets"])


async def test_secrets_are_sealed_and_never_shown(house: House) -> None:
    settings = {"callback_url": "https://app.example.org/in", "callback_secret": SECRET}
    body = {"kind": "api", "name": house.name("app"), "settings": settings, "enabled": False}
    made = await house.post("/inboxes", body)
    one = f"/inboxes/{made.expect(201)['id']}"
    hidden = {"callback_url": "https://app.example.org/in", "callback_secret": {"$secret": True}}
    assert made.json["settings"] == hidden
    assert (await house.get(one)).expect(200)["settings"] == hidden
    assert (await house.get(one, token="supervisor")).expect(200)["settings"] == {}

    stored = await house.gateway.services.store.get(INBOXES, made.json["id"])
    assert stored is not None
    assert SECRET not in msgspec.json.encode(stored).decode()
    audit = (await house.get("/audit?limit=200")).raw.decode()
    assert SECRET not in audit
    assert made.json["token"] not in audit


async def test_a_secret_stays_until_it_is_changed(house: House) -> None:
    inboxes = house.gateway.services.config.inboxes
    body = {"kind": "api", "name": house.name("app"), "settings": {"callback_secret": SECRET}, "enabled": False}
    id = (await house.post("/inboxes", body)).expect(201)["id"]
    one = f"/inboxes/{id}"

    async def secret() -> str | None:
        known = house.gateway.services.directory.inboxes[id]
        found: str | None = inboxes.opened("api", {}, known).callback_secret
        return found

    await house.patch(one, {"settings": {"timeout_seconds": 5}})
    assert await secret() == SECRET
    kept = await house.patch(one, {"settings": {"callback_secret": {"$secret": True}, "timeout_seconds": 6}})
    assert kept.expect(200)["settings"]["timeout_seconds"] == 6
    assert await secret() == SECRET
    await house.patch(one, {"settings": {"callback_secret": SECRET * 2}})
    assert await secret() == SECRET * 2
    gone = (await house.patch(one, {"settings": {"callback_secret": None}})).expect(200)
    assert "callback_secret" not in gone["settings"]
    answer = await house.patch(one, {"settings": {"callback_secret": {"$secret": True}}})
    answer.problem(422)
    assert answer.paths() == {"settings.callback_secret"}


async def test_wrong_settings_are_named_one_by_one(house: House) -> None:
    settings = {"callback_url": 5, "timeout_seconds": 1000, "colour": "red"}
    answer = await house.post("/inboxes", {"kind": "api", "name": house.name("app"), "settings": settings})
    answer.problem(422)
    assert answer.paths() == {"settings.callback_url", "settings.timeout_seconds", "settings.colour"}
    between = {"callback_url": "ftp://x", "callback_secret": "short"}
    answer = await house.post("/inboxes", {"kind": "api", "name": house.name("app"), "settings": between})
    answer.problem(422)
    assert answer.paths() == {"settings.callback_url", "settings.callback_secret"}
    answer = await house.post("/inboxes", {"kind": "carrier_pigeon", "name": house.name("app")})
    answer.problem(422)
    assert answer.paths() == {"kind"}
    (await house.post("/inboxes", {"kind": "../mail", "name": house.name("app")})).problem(422)


async def test_an_inbox_token_opens_its_inbox_only(house: House) -> None:
    id, token = await house.app_inbox()
    other, other_token = await house.app_inbox()
    body = {"external_id": "1", "sender": {"id": "c"}, "text": "hi"}
    (await house.post(f"/inboxes/{id}/messages", body, token=token)).expect(201)
    (await house.get(f"/inboxes/{id}/outbound", token=token)).expect(200)
    (await house.post(f"/inboxes/{id}/messages", body, token=other_token)).problem(401)
    (await house.get(f"/inboxes/{other}/outbound", token=token)).problem(401)
    for path in ("/conversations", f"/inboxes/{id}", "/session"):
        (await house.get(path, token=token)).problem(401)

    fresh = (await house.post(f"/inboxes/{id}/token")).expect(200)["token"]
    (await house.post(f"/inboxes/{id}/messages", body, token=token)).problem(401)
    (await house.post(f"/inboxes/{id}/messages", body, token=fresh)).expect(201)
    assert fresh not in (await house.get(f"/inboxes/{id}")).raw.decode()


async def test_only_an_app_has_a_token(house: House) -> None:
    settings = {"address": "help@example.org", "imap_host": "127.0.0.1", "smtp_host": "127.0.0.1"}
    settings |= {"imap_password": "p", "smtp_password": "p"}
    body = {"kind": "mail", "name": house.name("mail"), "settings": settings, "enabled": False}
    made = (await house.post("/inboxes", body)).expect(201)
    assert made["token"] is None
    assert made["health"]["state"] == "disabled"
    (await house.post(f"/inboxes/{made['id']}/token")).problem(403)
    message = {"external_id": "1", "sender": {"id": "c"}, "text": "hi"}
    (await house.post(f"/inboxes/{made['id']}/messages", message)).problem(409)


async def test_check_and_log(house: House) -> None:
    id, _ = await house.app_inbox()
    result = (await house.post(f"/inboxes/{id}/check")).expect(200)
    assert result["ok"] is True
    assert result["checks"]
    wrong = {"kind": "api", "settings": {"callback_url": "http://127.0.0.1:9/"}}
    result = (await house.post("/inboxes/check", wrong)).expect(200)
    assert result["ok"] is False
    assert any(check["action"] for check in result["checks"])
    assert (await house.get(f"/inboxes/{id}/log")).expect(200)["next"] is None
    assert (await house.post(f"/inboxes/{id}/poll")).status == 204


async def test_an_inbox_with_conversations_is_not_deleted(house: House) -> None:
    inbox = await house.app_inbox()
    await house.write(inbox, "hello")
    assert "disable it" in (await house.delete(f"/inboxes/{inbox[0]}")).problem(409)["detail"]
    (await house.patch(f"/inboxes/{inbox[0]}", {"enabled": False})).expect(200)
    body = {"external_id": "later", "sender": {"id": "c"}, "text": "hi"}
    (await house.post(f"/inboxes/{inbox[0]}/messages", body, token=inbox[1])).problem(409)


async def test_hooks_reach_the_connector(house: House) -> None:
    id, _ = await house.app_inbox()
    answer = await house.post(f"~/hooks/{id}/receipts", {"receipts": []}, token=None)
    assert answer.status == 403  # the connector's own answer: no secret is set
    assert "callback_secret" in answer.json["detail"]
    assert (await house.get(f"~/hooks/{id}", token=None)).status == 404
    assert (await house.post("~/hooks/nowhere/x", {}, token=None)).status == 404
    large = await house.post(f"~/hooks/{id}/receipts", data=b"x" * 5_000_001, token=None)
    assert large.status == 413
