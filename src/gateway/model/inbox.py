"""Inboxes: one configured account of a channel each, and how well they do."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value

HealthState = Literal["starting", "ok", "degraded", "failing", "disabled"]


class Health(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How a connector does. `reason` says what is wrong, `action` what the admin can do."""

    state: HealthState = "starting"
    reason: str = ""
    action: str = ""
    since: datetime | None = None
    restarts: int = 0
    details: dict[str, Any] = {}


class Inbox(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One account of a channel. `settings` hold secrets sealed, as {"$sealed": "…"} (see gateway.service.seal)."""

    kind: str
    name: str
    settings: dict[str, Any] = {}
    enabled: bool = True
    token_hash: str | None = None
    """SHA-256 (hex) of the token an app posts messages with (kind `api`)."""
    reopen_days: int = 14
    """A message to a conversation resolved longer ago than this starts a new one."""
    created_at: datetime


class InboxHealth(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Health of the inbox with the same id; apart from it, so that a flapping line does not touch its settings."""

    health: Health
    node: str = ""


class ConnectorState(Document, frozen=True, kw_only=True, omit_defaults=True):
    """What a connector keeps between runs (an IMAP cursor, a Telegram offset). id: `{inbox_id}/{key}`."""

    inbox_id: str
    data: dict[str, Any] = {}


class ChannelLogEntry(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One exchange with a provider, secrets redacted, bodies shortened; the log is bounded per inbox."""

    inbox_id: str
    at: datetime
    direction: Literal["in", "out"]
    summary: str
    ok: bool = True
    request: str = ""
    response: str = ""
    elapsed_ms: float = 0
