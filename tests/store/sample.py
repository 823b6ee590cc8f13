"""Documents for store tests: complete, and different from one another only in what a test is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.model.conversation import Conversation
from gateway.model.document import IdSource, SystemClock
from gateway.model.event import Event
from gateway.model.message import Author, Message
from gateway.model.team import Queue

new_id = IdSource(SystemClock())

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """A moment so many seconds after the samples' start."""
    return START + timedelta(seconds=seconds)


def queue(name: str, **more: Any) -> Queue:
    return Queue(id=new_id(), name=name, **more)


def conversation(**more: Any) -> Conversation:
    given = {
        "inbox_id": "inbox",
        "channel": "api",
        "contact_id": "contact",
        "identity_id": "identity",
        "queue_id": "support",
        "created_at": START,
        "updated_at": START,
        "last_message_at": START,
    }
    return Conversation(**{"id": new_id(), **given, **more})


def message(conversation_id: str = "conversation", **more: Any) -> Message:
    given = {
        "inbox_id": "inbox",
        "conversation_id": conversation_id,
        "direction": "in",
        "author": Author(kind="contact", id="contact"),
        "text": "hello",
        "created_at": START,
    }
    return Message(**{"id": new_id(), **given, **more})


def event(type: str = "test.happened", moment: datetime = START, **more: Any) -> Event:
    return Event(type=type, at=moment, **more)
