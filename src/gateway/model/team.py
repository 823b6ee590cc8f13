"""The people who answer: agents, the queues they serve, and how loaded they are."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from gateway.model.document import Document, Value

Role = Literal["agent", "supervisor", "admin"]
ROLE_RANK: dict[str, int] = {"agent": 0, "supervisor": 1, "admin": 2}
Presence = Literal["online", "away", "offline"]
Strategy = Literal["longest_idle", "least_busy", "round_robin"]


class Hours(Value, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Opening hours. `days`: 0 Monday … 6 Sunday; `open`, `close`: "HH:MM" local time, close after open or "24:00"."""

    days: tuple[int, ...] = (0, 1, 2, 3, 4)
    open: str = "09:00"
    close: str = "18:00"


class Queue(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Where conversations wait. A bot queue hands over to `fallback_queue_id` until its bot can answer."""

    name: str
    """Unique; rules name queues by it."""
    type: Literal["human", "bot"] = "human"
    strategy: Strategy = "longest_idle"
    skills: tuple[str, ...] = ()
    priority: int = 0
    """Between queues an agent serves, the higher is emptied first."""
    ageing_seconds: int = 600
    """A conversation that waited this long counts one priority step higher (per multiple of it)."""
    agent_ids: tuple[str, ...] = ()
    """Who serves it; empty: every agent."""
    fallback_queue_id: str | None = None
    timezone: str = "UTC"
    hours: tuple[Hours, ...] = ()
    """Empty: always open."""
    sla_policy_id: str | None = None
    bot_id: str | None = None
    sample: bool = False


class Agent(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A person with a login. `capacity`: total load points; `weights`: points a conversation of a channel takes (1)."""

    email: str
    """Unique, lower case."""
    name: str
    role: Role = "agent"
    password_hash: str = ""
    totp_secret: str | None = None
    """Sealed (see gateway.service.seal)."""
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    capacity: int = 5
    weights: dict[str, int] = {}
    enabled: bool = True
    created_at: datetime
    sample: bool = False


class Hold(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A conversation an agent holds, and the load points it takes."""

    conversation_id: str
    points: int = 1


class AgentState(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Presence and load of the agent with the same id.

    Every change of a conversation's assignee writes this document in the same batch, checked by version: that is what
    keeps agents within capacity and conversations with one owner, with any number of nodes.
    """

    presence: Presence = "offline"
    presence_at: datetime | None = None
    held: tuple[Hold, ...] = ()
    last_assigned_at: datetime | None = None
    assigned_count: int = 0


class SlaPolicy(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Targets in seconds; None: no target."""

    name: str
    first_response_seconds: int | None = None
    next_response_seconds: int | None = None
    resolution_seconds: int | None = None


class CannedReply(Document, frozen=True, kw_only=True, omit_defaults=True):
    shortcut: str
    title: str
    text: str
    language: str | None = None


class Tag(Document, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    color: str = ""
    description: str = ""
