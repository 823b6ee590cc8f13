"""Which queue a conversation really goes to: opening hours, and bot queues that hand over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from gateway.model.team import Queue
from gateway.routing.hours import in_hours, zone_named

_LADDER = 20
"""Fallbacks followed at most."""


def is_open(queue: Queue, now: datetime) -> bool:
    """Whether `now` is within the queue's opening hours, in its own time zone; without hours it is always open."""
    if not queue.hours:
        return True
    return in_hours(queue.hours, now.astimezone(zone_named(queue.timezone)))


def resolve_queue(
    queue: Queue, queues: Mapping[str, Queue], now: datetime, default: Queue | None = None
) -> tuple[Queue, str]:
    """Where a conversation meant for `queue` goes, and why it goes elsewhere ("" if it does not).

    A bot queue hands over to its fallback at once, since no bot can answer yet, and to `default` where it has none; a
    closed one goes to its fallback if it has one, else it waits there until opening. `queues` is by id. Fallbacks that
    lead in a circle end at the first human queue of the circle, else at `default`.
    """
    reasons: list[str] = []
    seen: list[Queue] = []
    current = queue
    while True:
        if any(current.id == earlier.id for earlier in seen) or len(seen) > _LADDER:
            current = next((one for one in seen if one.type == "human"), default or queue)
            reasons.append(f"the fallbacks lead in a circle: {current.name} keeps it")
            break
        seen.append(current)
        target = queues.get(current.fallback_queue_id) if current.fallback_queue_id else None
        if current.type == "bot":
            target = target or (default if default is not None and default.id != current.id else None)
            why = f"the bot {current.name} cannot answer yet"
        elif not is_open(current, now):
            why = f"queue {current.name} is closed"
        else:
            break
        if target is None:
            if current.type == "bot":
                reasons.append(f"{why}, and it has no fallback queue")
            break
        reasons.append(f"{why}: goes to {target.name}")
        current = target
    return current, "; ".join(reasons)
