"""Whatever is sent, what is wrong comes back as a problem document that names the field."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateway.web import decode
from tests.api.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"{", 400),
        (b"nul", 400),
        (b'{"name": "\xff"}', 400),
        (b'{"name": "\xed\xa0\x80"}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"name": "a\x00b"}', 400),
        (b'{"name": "a\\u0000b"}', 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"[" * 100_000, 422),
        (b'{"name": "x", "hours": ' + b"[" * 100_000, 422),
        (b'{"name": "x", "priority": ' + b"9" * 5000 + b"}", 422),
        (b'{"name": "x", "priority": 99999999999999999999}', 422),
        (b'{"name": "x", "priority": 1.5}', 422),
        (b'{"name": "x", "priority": NaN}', 400),
    ],
)
async def test_bodies_that_cannot_be_read(house: House, data: bytes, status: int) -> None:
    (await house.post("/queues", data=data, headers=JSON)).problem(status)


async def test_free_json_is_bounded(house: House) -> None:
    deep: Any = {}
    for _ in range(20):
        deep = {"a": deep}
    for attributes in ({"n": 2**70}, {"a\x00": 1}, {"$where": 1}, {"": 1}, deep, {"long": "x" * 20_000}):
        answer = await house.post("/contacts", {"attributes": attributes})
        answer.problem(422)
        assert next(iter(answer.paths())).startswith("attributes")
    raw = b'{"attributes": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}"
    assert (await house.post("/contacts", data=raw, headers=JSON)).problem(400)


async def test_all_wrong_fields_are_named_at_once(house: House) -> None:
    body = {"name": 5, "strategy": "luck", "hours": [{"days": "all"}], "colour": "red", "agent_ids": [3]}
    answer = await house.post("/queues", body)
    answer.problem(422)
    assert answer.paths() == {"name", "strategy", "hours[0].days", "colour", "agent_ids[0]"}
    inner = await house.post("/inboxes/x/messages", {"sender": {"id": "", "nme": "x"}})
    inner.problem(422)
    assert inner.paths() == {"external_id", "sender.id", "sender.nme"}


async def test_query_parameters_are_checked(house: House) -> None:
    for query, path in (
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("limt=3", "limt"),
        ("limit=3&limit=4", "limit"),
        ("cursor=nonsense", "cursor"),
        ("status=open,odd", "status"),
        ("sort=subject", "sort"),
        ("queue=no-such-queue", "queue"),
        ("assignee=no-such-agent", "assignee"),
        ("inbox=no-such-inbox", "inbox"),
    ):
        answer = await house.get(f"/conversations?{query}")
        answer.problem(422)
        assert answer.paths() == {path}, query


async def test_wrong_addresses_and_methods(house: House) -> None:
    (await house.get("/nothing")).problem(404)
    (await house.get("~/nothing")).problem(404)
    (await house.get("/queues/%00")).problem(404)
    (await house.get("/queues/%ff")).problem(404)
    answer = await house.delete("/queues")
    answer.problem(405)
    assert answer.headers["Allow"] == "GET, POST"
    (await house.call("TRACE", "/queues")).problem(405)


async def test_wrong_media_types(house: House) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        (await house.post("/queues", data=b'{"name": "x"}', headers={"Content-Type": kind})).problem(415)
    name = {"name": house.name("charset")}
    headers = {"Content-Type": "application/json; charset=utf-8"}
    (await house.post("/tags", data=msgspec.json.encode(name), headers=headers)).expect(201)


async def test_large_bodies_are_refused(house: House) -> None:
    large = b'{"name": "' + b"x" * 1_000_000 + b'"}'
    (await house.post("/queues", data=large, headers=JSON)).problem(413)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
    token = house.tokens["admin"].encode()
    writer.write(
        b"POST /api/v1/queues HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n"
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for _ in range(12):  # without a length: refused once the limit is passed
        writer.write(b"%x\r\n" % 100_000 + b"x" * 100_000 + b"\r\n")
        await writer.drain()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 413")
    writer.close()
    await writer.wait_closed()


async def test_answers_are_data_and_nothing_else(house: House) -> None:
    for answer in (await house.get("/queues"), await house.get("/nothing"), await house.get("~/healthz")):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert (await house.get("/queues")).headers["Cache-Control"] == "no-store"


async def test_a_body_that_does_not_come(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "READ_SECONDS", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
    token = house.tokens["admin"].encode()
    writer.write(
        b"POST /api/v1/tags HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + b"\r\n"
        b'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"name": '
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 408")
    writer.close()
    await writer.wait_closed()
