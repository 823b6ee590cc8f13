"""What the rules say about one message."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.model.conversation import Priority


class RuleReply(msgspec.Struct, frozen=True, kw_only=True):
    """An automatic answer, placeholders filled in. Author: kind `rule`, id `rule`."""

    rule: str
    text: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The matched rules' actions, merged: of single values (queue, priority …) the first matching rule's counts, lists
    add up without repeats."""

    rules_version: int
    outcomes: bytes
    """One byte per rule, in order; see gateway.routing.explain. For Decision.outcomes."""
    matched: tuple[str, ...] = ()
    actions: tuple[dict[str, Any], ...] = ()
    """For Decision.actions: `{"rule": id, …}` per matched rule, as written. Shared: do not change."""
    queue: str | None = None
    """The queue's name. None: no rule says: the default queue for new and reopened conversations (the set's own default
    is filled in already), no change for a running one."""
    queue_reason: str = ""
    """`rule billing`, `no rule matched: default queue` …; for Decision.queue_reason."""
    bot: str | None = None
    """Set where the queue was named by a `bot` action."""
    assign: str | None = None
    """The preferred agent's e-mail address or id."""
    priority: Priority | None = None
    tags_add: tuple[str, ...] = ()
    tags_remove: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    sla: str | None = None
    """The policy's name or id."""
    language: str | None = None
    replies: tuple[RuleReply, ...] = ()
    """Empty for bounces and automatic mail, whatever the rules say: robots are not answered."""
    close: bool = False
    open_case: str | None = None
    """The kind of case to open."""
    notify: tuple[str, ...] = ()
    """E-mail addresses or ids of agents, or a role (`supervisors`, `admins`)."""
    webhooks: tuple[str, ...] = ()
    """Ids of webhooks to call."""
    errors: tuple[tuple[str, str], ...] = ()
    """(rule id, what went wrong) of rules that failed to evaluate and so did not match. If any: store the decision as
    kind `error` with these texts."""
