"""Rules over the API: check, publish, versions, roll back."""

from __future__ import annotations

import asyncio

import pytest

from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

YAML = {"Content-Type": "application/yaml"}


def rules(queue: str, word: str = "zebra") -> str:
    return f"""
rules:
  - id: by-word
    when: {{text: {{contains: {word}}}}}
    then: {{queue: {queue}}}
    tests:
      - given: {{text: my {word} is lost}}
        expect: {{queue: {queue}}}
"""


async def test_check_names_the_place(house: House) -> None:
    good = await house.post("/rules/check", data=rules("support").encode(), headers=YAML)
    assert good.expect(200)["ok"] is True, good.raw
    assert good.json["rules"] == 1
    answer = await house.post("/rules/check", data=rules("nowhere").encode(), headers=YAML)
    checked = answer.expect(200)
    assert checked["ok"] is False
    problem = checked["problems"][0]
    assert (problem["file"], problem["rule"]) == ("rules.yaml", "by-word")
    assert problem["line"] > 1
    assert problem["column"] > 1
    assert "nowhere" in problem["message"]
    failing = rules("support").replace("expect: {queue: support}", "expect: {queue: bot}")
    assert (await house.post("/rules/check", data=failing.encode(), headers=YAML)).expect(200)["ok"] is False
    (await house.post("/rules/check", data=b"\xff", headers=YAML)).problem(400)
    (await house.post("/rules/check", {"files": []})).problem(422)
    (await house.post("/rules/check", data=b"a: " + b"x" * 2_000_000, headers=YAML)).problem(413)


async def test_publish_and_see_the_next_message_routed(house: House) -> None:
    before = (await house.get("/rules")).expect(200)
    queue = await house.queue()
    word = house.name("word").replace("-", "")
    inbox = await house.app_inbox()
    based = {"note": "by word", "based_on": str(before["version"])}
    ordered = [{"name": "00-word.yaml", "text": rules(queue["name"], word)}, *before["files"]]
    made = (await house.post("/rules/publish", {"files": ordered}, params=based)).expect(201)
    assert made["version"] == before["version"] + 1
    assert made["live"] is True
    written = await house.write(inbox, f"where is my {word}?")
    one = f"/conversations/{written['conversation_id']}"
    assert (await house.get(one)).expect(200)["queue"] == queue["name"]
    (decision,) = [d for d in (await house.get(f"{one}/routing")).expect(200)["items"] if d["kind"] == "route"]
    assert decision["matched"] == ["by-word"]
    assert decision["rules_version"] == made["version"]

    # What the rules name can neither be renamed nor deleted under them.
    answer = await house.patch(f"/queues/{queue['id']}", {"name": house.name("renamed")})
    assert "published rules" in answer.problem(409)["detail"]
    (await house.patch(one, {"status": "resolved"})).expect(200)
    assert "published rules" in (await house.delete(f"/queues/{queue['id']}")).problem(409)["detail"]

    stale = await house.post("/rules/publish", {"files": before["files"]}, params=based)
    assert "published meanwhile" in stale.problem(409)["detail"]
    back = (await house.post("/rules/rollback", {"version": before["version"], "note": "no"})).expect(201)
    assert back["files"] == before["files"]
    assert back["rolled_back_to"] == before["version"]
    versions = (await house.get("/rules/versions?limit=2")).expect(200)
    assert [version["version"] for version in versions["items"]] == [back["version"], made["version"]]
    assert [version["live"] for version in versions["items"]] == [True, False]
    kept = (await house.get(f"/rules/versions/{made['version']}")).expect(200)
    assert kept["files"] == ordered
    # The old decision is still explained by the set it was made with.
    (decision,) = [d for d in (await house.get(f"{one}/routing")).expect(200)["items"] if d["kind"] == "route"]
    assert [rule["rule"] for rule in decision["rules"] if rule["result"] == "matched"] == ["by-word"]
    assert (await house.delete(f"/queues/{queue['id']}")).status == 204
    # Its rules no longer fit the configuration.
    (await house.post("/rules/rollback", {"version": made["version"]})).problem(422)
    (await house.post("/rules/rollback", {"version": 9999})).problem(404)
    for number in ("9999", "x", "-1", "1.5", "999999999999999999999"):
        (await house.get(f"/rules/versions/{number}")).problem(404)


async def test_rules_with_problems_are_refused_with_all_of_them(house: House) -> None:
    before = (await house.get("/rules")).expect(200)["version"]
    text = rules("nowhere") + rules("nothing").replace("rules:\n", "").replace("by-word", "other")
    answer = await house.post("/rules/publish", data=text.encode(), headers=YAML)
    errors = answer.problem(422)["errors"]
    assert any("nowhere" in error["message"] for error in errors)
    assert any("nothing" in error["message"] for error in errors)
    assert all(error["path"].startswith("rules.yaml:") for error in errors)
    assert (await house.get("/rules")).expect(200)["version"] == before


async def test_two_admins_publish_at_once(house: House) -> None:
    live = (await house.get("/rules")).expect(200)
    body, based = {"files": live["files"]}, {"based_on": str(live["version"])}
    answers = await asyncio.gather(*(house.post("/rules/publish", body, params=based) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    versions = (await house.get("/rules/versions?limit=200")).expect(200)["items"]
    numbers = [version["version"] for version in versions]
    assert numbers == list(range(len(numbers), 0, -1))


async def test_one_text_can_be_sent_as_json(house: House) -> None:
    text = "rules: [{id: all, when: {always: true}, then: {queue: support}}]"
    assert (await house.post("/rules/check", {"text": text})).expect(200)["ok"] is True
    both = {"text": text, "files": [{"name": "a.yaml", "text": text}]}
    for body in ({}, both):
        assert (await house.post("/rules/check", body)).problem(422)["errors"][0]["path"] == "files"
