"""The in-app channel: signatures, what answers mean, receipts, the body of a callback."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.api import SPEC, ApiSettings, outbound, receipts, signature
from gateway.connector import Outgoing, OutgoingFile, Sent, WebhookRequest
from gateway.errors import Permanent, RateLimited, SendError, Transient, Unauthorized
from gateway.model.message import Attachment
from tests.conformance.sink import Surroundings, opened

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "callback-secret-0123456789"
MESSAGE = Outgoing(
    id="d-1",
    conversation_id="c-1",
    address="user-7",
    text="您好",
    html="<b>您好</b>",
    files=(
        OutgoingFile(
            attachment=Attachment(id="a", name="账单.pdf", type="application/pdf", size=3, sha256="x"), data=b"pdf"
        ),
    ),
    author_name="Agent",
    created_at=NOW,
)


@given(st.text(min_size=1), st.binary(), st.integers(0, 10**10))
def test_what_is_signed_is_verified(secret: str, body: bytes, at: int) -> None:
    assert signature.verify(secret, body, signature.sign(secret, body, at), at) is None


@pytest.mark.parametrize(
    ("header", "now", "wrong"),
    [
        ("", 1000, "no Omnigate-Signature"),
        ("t=1000", 1000, "no Omnigate-Signature"),
        ("v1=abc", 1000, "no Omnigate-Signature"),
        ("t=²,v1=abc", 1000, "no Omnigate-Signature"),
        ("t=1000,v1=" + "0" * 64, 1000, "does not fit"),
        ("t=1000,v1=é", 1000, "does not fit"),
        (signature.sign(SECRET, b"other", 1000), 1000, "does not fit"),
        (signature.sign("another secret", b"body", 1000), 1000, "does not fit"),
        (signature.sign(SECRET, b"body", 1000).replace("t=1000", "t=1001"), 1000, "does not fit"),
        (signature.sign(SECRET, b"body", 1000), 1000 + signature.TOLERANCE + 1, "clock"),
        (signature.sign(SECRET, b"body", 1000), 1000 - signature.TOLERANCE - 1, "clock"),
    ],
)
def test_wrong_signatures(header: str, now: float, wrong: str) -> None:
    assert wrong in (signature.verify(SECRET, b"body", header, now) or "")


def test_two_signatures_while_a_secret_is_changed() -> None:
    right = signature.sign(SECRET, b"body", 1000)
    assert signature.verify(SECRET, b"body", f"{right},v1={'0' * 64}", 1000) is None


def test_the_body_is_what_the_readme_says_and_the_same_each_time() -> None:
    body = outbound.body_of(MESSAGE)
    assert outbound.body_of(msgspec.structs.replace(MESSAGE, attempt=5)) == body
    assert json.loads(body) == {
        "type": "message",
        "id": "d-1",
        "conversation_id": "c-1",
        "to": "user-7",
        "text": "您好",
        "html": "<b>您好</b>",
        "subject": None,
        "attachments": [
            {
                "id": "a",
                "name": "账单.pdf",
                "type": "application/pdf",
                "size": 3,
                "data": base64.b64encode(b"pdf").decode(),
            }
        ],
        "author": {"name": "Agent", "automatic": False},
        "created_at": "2026-03-01T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, b"", Sent()),
        (204, b"", Sent()),
        (200, b"ok", Sent()),
        (200, b"\xff", Sent()),
        (201, b'{"id": 17}', Sent(provider_id="17")),
        (201, b'{"id": "x", "status": "delivered", "more": []}', Sent(provider_id="x", delivered=True)),
    ],
)
def test_accepted(status: int, body: bytes, result: Sent) -> None:
    assert outbound.result_of(status, {}, body, NOW) == result


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (301, {}, Transient, None),
        (400, {}, Permanent, None),
        (401, {}, Unauthorized, None),
        (403, {}, Permanent, None),
        (404, {}, Permanent, None),
        (408, {}, Transient, None),
        (410, {}, Permanent, None),
        (429, {}, RateLimited, 5),
        (429, {"Retry-After": "12"}, RateLimited, 12),
        (429, {"Retry-After": "soon"}, RateLimited, 5),
        (503, {"Retry-After": format_datetime(datetime(2026, 3, 1, 12, 1, tzinfo=UTC), usegmt=True)}, RateLimited, 60),
        (503, {}, Transient, None),
        (500, {}, Transient, None),
    ],
)
def test_refused(status: int, headers: dict[str, str], kind: type[SendError], wait: float | None) -> None:
    result = outbound.result_of(status, headers, b'{"detail": "a  b"}', NOW)
    assert type(result) is kind
    assert isinstance(result, SendError)
    assert result.reason.startswith(f"the app answered {status} (a b)")
    assert getattr(result, "retry_after", None) == wait


@given(st.binary(max_size=200), st.integers(100, 599))
def test_no_answer_is_too_odd(body: bytes, status: int) -> None:
    outbound.result_of(status, {"Retry-After": body.decode("latin-1")}, body, NOW)


async def test_without_an_address_answers_wait_to_be_polled() -> None:
    async with opened(SPEC, {}, Surroundings()) as connector:
        assert await connector.send(MESSAGE) == Sent()
        assert [result.ok for result in await connector.check()] == [True]


async def test_no_text_of_the_customer_s_is_in_the_channel_log() -> None:
    around = Surroundings()
    settings = {"callback_url": "http://127.0.0.1:9/", "callback_secret": SECRET}
    async with opened(SPEC, settings, around) as connector:
        with pytest.raises(Transient):
            await connector.send(MESSAGE)
    assert around.channel_log.entries
    assert "您好" not in around.said()


async def test_a_check_asks_for_a_secret() -> None:
    async with opened(SPEC, {"callback_url": "http://127.0.0.1:9/"}, Surroundings()) as connector:
        assert [(result.name, result.ok) for result in await connector.check()] == [
            ("callback address", False),
            ("callback secret", False),
        ]


async def post(settings: dict[str, Any], around: Surroundings, body: bytes, **changes: Any) -> int:
    request = {
        "method": "POST",
        "path": "/receipts",
        "query": {},
        "headers": {"omnigate-signature": signature.sign(SECRET, body, int(time.time()))},
        "body": body,
        "remote": "127.0.0.1",
        "url": "http://127.0.0.1/hooks/i/receipts",
        **changes,
    }
    async with opened(SPEC, settings, around) as connector:
        return (await connector.webhook(WebhookRequest(**request))).status


async def test_receipts_are_handed_on() -> None:
    around = Surroundings()
    settings = {"callback_secret": SECRET}
    assert await post(settings, around, b'{"delivery_id": "d-1", "status": "read"}') == 200
    failed = {"provider_id": "p", "status": "failed", "reason": "left"}
    many = json.dumps({"receipts": [failed, {"delivery_id": "d", "status": "delivered"}]}).encode()
    assert await post(settings, around, many) == 200
    assert [(update.delivery_id, update.provider_id, update.status) for update in around.sink.updates] == [
        ("d-1", None, "read"),
        (None, "p", "failed"),
        ("d", None, "delivered"),
    ]


@pytest.mark.parametrize(
    ("settings", "body", "changes", "status"),
    [
        ({}, b"{}", {}, 403),
        ({"callback_secret": SECRET}, b'{"delivery_id": "d", "status": "read"}', {"headers": {}}, 401),
        ({"callback_secret": "another-secret-0123"}, b'{"delivery_id": "d", "status": "read"}', {}, 401),
        ({"callback_secret": SECRET}, b"", {}, 422),
        ({"callback_secret": SECRET}, b"[]", {}, 422),
        ({"callback_secret": SECRET}, b'{"delivery_id": "d"}', {}, 422),
        ({"callback_secret": SECRET}, b'{"status": "read"}', {}, 422),
        ({"callback_secret": SECRET}, b'{"delivery_id": "d", "provider_id": "p", "status": "read"}', {}, 422),
        ({"callback_secret": SECRET}, b'{"delivery_id": "d", "status": "queued"}', {}, 422),
        ({"callback_secret": SECRET}, b'{"delivery_id": "d", "status": "read", "x": 1}', {}, 422),
        ({"callback_secret": SECRET}, b"\xff\xfe", {}, 422),
        ({"callback_secret": SECRET}, b"{}", {"path": "/other"}, 404),
        ({"callback_secret": SECRET}, b"{}", {"method": "GET"}, 405),
    ],
)
async def test_bad_receipts(settings: dict[str, Any], body: bytes, changes: dict[str, Any], status: int) -> None:
    around = Surroundings()
    assert await post(settings, around, body, **changes) == status
    assert around.sink.updates == []


@given(st.binary(max_size=300))
def test_no_receipt_is_too_odd(body: bytes) -> None:
    with contextlib.suppress(ValueError, msgspec.MsgspecError):
        receipts.parse(body)


def test_defaults_are_for_polling() -> None:
    assert ApiSettings().callback_url is None
