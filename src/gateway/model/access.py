"""Who may do what: sessions, API tokens, the audit log, idempotency keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value
from gateway.model.team import Role

SCOPES: tuple[str, ...] = (
    "conversations:read",
    "conversations:write",
    "contacts:read",
    "contacts:write",
    "events:read",
    "reports:read",
    "rules:read",
    "rules:write",
    "config:read",
    "config:write",
)
"""What an API token may be limited to; no scopes: all that its role may."""


class Actor(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Who does something: an agent (by session or by a token of theirs), a script's token, or the gateway itself."""

    kind: Literal["agent", "token", "system"]
    id: str
    name: str = ""
    role: Role = "agent"
    scopes: tuple[str, ...] = ()
    """Empty: all that the role may."""
    agent_id: str | None = None
    """The agent behind it, if there is one: only they can claim, be present, or write as an agent."""
    address: str = ""


SYSTEM = Actor(kind="system", id="system", name="Omnigate", role="admin")


class Session(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A login. id: SHA-256 (hex) of the token, so that a stolen store opens no door."""

    agent_id: str
    csrf: str
    created_at: datetime
    expires_at: datetime
    last_seen_at: datetime
    address: str = ""
    user_agent: str = ""


class ApiToken(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A token for scripts. `token_hash`: SHA-256 (hex), unique."""

    name: str
    token_hash: str
    role: Role
    scopes: tuple[str, ...] = ()
    agent_id: str | None = None
    created_at: datetime
    expires_at: datetime | None = None


class LoginThrottle(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Failed logins of an address or account. id: `{kind}/{value}`."""

    failures: int = 0
    blocked_until: datetime | None = None
    at: datetime


class AuditEntry(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One change by a person or token. `hash` = SHA-256 over `previous` and the entry, so that a gap shows."""

    at: datetime
    actor: str
    actor_name: str = ""
    action: str
    """`{thing}.{verb}`, for example `inbox.update`."""
    target: str = ""
    address: str = ""
    detail: dict[str, Any] = {}
    """Changed fields, before and after; never a secret."""
    seq: int = 0
    previous: str = ""
    hash: str = ""


class IdempotencyRecord(Document, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a POST with an Idempotency-Key. id: SHA-256 of actor, route and key."""

    fingerprint: str
    """SHA-256 of the body: the same key with another body is an error."""
    status: int
    body: str
    at: datetime
