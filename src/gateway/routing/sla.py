"""Response-time targets: when each falls due, and which were missed. Seconds run round the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from gateway.model.conversation import Conversation, SlaClock
from gateway.model.team import SlaPolicy

Target = Literal["first_response", "next_response", "resolution"]
TARGETS: tuple[Target, ...] = ("first_response", "next_response", "resolution")


def start(policy: SlaPolicy, conversation: Conversation, now: datetime) -> SlaClock:
    """The clock of a conversation the policy begins to hold for; also where a rule or person changes the policy.

    The first response and the resolution are reckoned from the conversation's beginning, the next response from when
    the customer's wait began. Targets already met, or of a resolved conversation, do not run; misses stay on record.
    """
    resolved = conversation.status == "resolved"
    answered = conversation.first_response_at is not None
    waiting = conversation.waiting_since
    return SlaClock(
        policy_id=policy.id,
        first_response_due=None
        if answered or resolved
        else _after(conversation.created_at, policy.first_response_seconds),
        next_response_due=_after(waiting, policy.next_response_seconds)
        if answered and waiting is not None and not resolved
        else None,
        resolution_due=None if resolved else _after(conversation.created_at, policy.resolution_seconds),
        breached=mark_breached(conversation.sla, now).breached if conversation.sla else (),
    )


def on_message(
    policy: SlaPolicy, clock: SlaClock, conversation: Conversation, direction: Literal["in", "out"], now: datetime
) -> SlaClock:
    """The clock after a message; `conversation` as it was before it.

    From the customer: the wait for the next response begins, if the first was given and no wait runs yet. From us: the
    first and next responses are met. Automatic answers of rules are no response: do not report them.
    """
    clock = mark_breached(clock, now)
    if direction == "out":
        return msgspec.structs.replace(clock, first_response_due=None, next_response_due=None)
    if conversation.first_response_at is None or clock.next_response_due is not None:
        return clock
    return msgspec.structs.replace(clock, next_response_due=_after(now, policy.next_response_seconds))


def on_resolved(clock: SlaClock, now: datetime) -> SlaClock:
    """Resolved: nothing is due any more; what was late is on record."""
    clock = mark_breached(clock, now)
    return msgspec.structs.replace(clock, first_response_due=None, next_response_due=None, resolution_due=None)


def on_reopened(policy: SlaPolicy, clock: SlaClock, conversation: Conversation, now: datetime) -> SlaClock:
    """A resolved conversation came back: the resolution is due anew, and so is the answer the customer waits for."""
    if conversation.first_response_at is None:
        first, following = _after(now, policy.first_response_seconds), None
    else:
        first, following = None, _after(now, policy.next_response_seconds)
    return msgspec.structs.replace(
        clock,
        first_response_due=first,
        next_response_due=following,
        resolution_due=_after(now, policy.resolution_seconds),
    )


def due_at(clock: SlaClock, target: Target) -> datetime | None:
    if target == "first_response":
        return clock.first_response_due
    return clock.next_response_due if target == "next_response" else clock.resolution_due


def next_due(clock: SlaClock, now: datetime) -> datetime | None:
    """The earliest target still ahead: when to look again."""
    ahead = [due for target in TARGETS if (due := due_at(clock, target)) is not None and due > now]
    return min(ahead, default=None)


def overdue(clock: SlaClock, now: datetime) -> tuple[Target, ...]:
    """Targets that are past due and not met."""
    return tuple(target for target in TARGETS if (due := due_at(clock, target)) is not None and due <= now)


def mark_breached(clock: SlaClock, now: datetime) -> SlaClock:
    """The clock with every target past due on record; each is recorded once."""
    new = [target for target in overdue(clock, now) if target not in clock.breached]
    return msgspec.structs.replace(clock, breached=(*clock.breached, *new)) if new else clock


def _after(moment: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else moment + timedelta(seconds=seconds)
