"""Decisions: why a conversation is where it is, kept for good."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from gateway.model.document import Document, Value


class Candidate(Value, frozen=True, kw_only=True, omit_defaults=True):
    """An agent that was considered. `reason` says why (not): `chosen`, `offline`, `full 5/5`, `lacks skill tax` …"""

    agent_id: str
    name: str = ""
    chosen: bool = False
    reason: str


class Decision(Document, frozen=True, kw_only=True, omit_defaults=True):
    """One decision about a conversation.

    kind: `route` (rules ran) · `assign` (an agent was chosen, or none could be) · `manual` (a person moved it) ·
    `handover` (a bot gave it up) · `error` (deciding failed; the conversation went to the fallback queue).

    `outcomes` has one small number per rule of rule-set `rules_version`: gateway.routing.explain turns it, with the
    rule set, into each rule's outcome and the condition that failed. Kept so because it costs a byte or two per rule
    instead of an object.
    """

    conversation_id: str
    message_id: str | None = None
    at: datetime
    kind: Literal["route", "assign", "manual", "handover", "error"]
    rules_version: int | None = None
    outcomes: bytes = b""
    matched: tuple[str, ...] = ()
    """Ids of the rules that matched, in order."""
    facts: dict[str, Any] = {}
    """The values the conditions looked at (texts shortened)."""
    actions: tuple[dict[str, Any], ...] = ()
    queue_id: str | None = None
    queue_reason: str = ""
    """`rule billing`, `no rule matched: default queue`, `queue vip is closed: overflow to night` …"""
    candidates: tuple[Candidate, ...] = ()
    assignee_id: str | None = None
    by: str = ""
    error: str | None = None


class RuleSetVersion(Document, frozen=True, kw_only=True, omit_defaults=True):
    """A published rule set; never changed. id: `{number:08d}`. `files`: (name, YAML text), in file-name order."""

    number: int
    files: tuple[tuple[str, str], ...]
    published_at: datetime
    published_by: str
    note: str = ""
    rolled_back_to: int | None = None


class RulePointer(Document, frozen=True, kw_only=True, omit_defaults=True):
    """Which rule set is live (id `live`); its version check keeps two admins from publishing over each other."""

    number: int
