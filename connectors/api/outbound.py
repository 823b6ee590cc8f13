"""What is posted to the callback address, and what the app's answers mean. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from gateway.connector import Outgoing, Sent
from gateway.errors import Permanent, RateLimited, SendError, Transient, Unauthorized

DEFAULT_WAIT = 5.0
"""Seconds to wait after a 429 that does not say how long."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an app may say in a 2xx body: its own id of the message, and that the customer has it already."""

    id: str | int | None = None
    status: str | None = None


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    detail: Any = None
    error: Any = None
    message: Any = None


def body_of(message: Outgoing) -> bytes:
    """The JSON body; the same bytes at every attempt."""
    payload: dict[str, Any] = {
        "type": "message",
        "id": message.id,
        "conversation_id": message.conversation_id,
        "to": message.address,
        "text": message.text,
        "html": message.html,
        "subject": message.subject,
        "attachments": [
            {
                "id": file.attachment.id,
                "name": file.attachment.name,
                "type": file.attachment.type,
                "size": file.attachment.size,
                "data": base64.b64encode(file.data).decode(),
            }
            for file in message.files
        ],
        "author": {"name": message.author_name, "automatic": message.automatic},
        "created_at": message.created_at,
    }
    return msgspec.json.encode(payload)


def result_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Sent | SendError:
    """What the app's answer means: to be returned, or raised."""
    if 200 <= status < 300:
        return _accepted(body)
    reason = f"the app answered {status}{_detail(body)}"
    code = str(status)
    wait = retry_after(headers.get("Retry-After", ""), now)
    if status == 429 or (status == 503 and wait is not None):
        return RateLimited(reason, retry_after=DEFAULT_WAIT if wait is None else wait, code=code)
    if status == 401:
        return Unauthorized(f"{reason}: it does not take our signature", code=code)
    if 300 <= status < 400:
        return Transient(f"{reason}: redirects are not followed, set the final address", code=code)
    if status >= 500 or status in (408, 421, 425):
        return Transient(reason, code=code)
    return Permanent(reason, code=code)


def retry_after(value: str, now: datetime) -> float | None:
    """Seconds, from a Retry-After header: seconds or a date (RFC 9110, 10.2.3); None: absent or unreadable."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _accepted(body: bytes) -> Sent:
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Sent()
    return Sent(
        provider_id=str(answer.id)[:500] if answer.id is not None else None, delivered=answer.status == "delivered"
    )


def _detail(body: bytes) -> str:
    """What the app says is wrong, if it says so in JSON; anything else (an error page) helps no agent."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""
    for text in (problem.detail, problem.error, problem.message):
        if isinstance(text, str) and text.strip():
            return f" ({' '.join(text.split())[:200]})"
    return ""
