"""What becomes of a delivery after an attempt: the one place where retrying is decided. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec.structs import replace

from gateway.connector import Capabilities, Sent
from gateway.errors import Permanent, RateLimited, SendError, Transient, Unauthorized, Unknown
from gateway.model.message import Delivery

FIRST_DELAY = 2.0
LONGEST_DELAY = 900.0
LOOKUP_DELAY = 5.0
LOOKUPS = 8
"""How often an unknown delivery is looked up before the agent is asked: with doubling delays, some 20 minutes."""
SETTLED = 2
"""A provider may not list at once what it accepted: its `no` is believed after this many others, half a minute on."""

Rand = Callable[[], float]
"""A number from 0 up to 1."""


def backoff(attempt: int, rand: Rand) -> timedelta:
    """How long to wait after this attempt (1, 2, …): 2 s doubling up to 15 minutes, of which a random half to all."""
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(max(attempt, 1) - 1, 20))
    return timedelta(seconds=delay * (0.5 + 0.5 * rand()))


def after_attempt(
    delivery: Delivery, outcome: Sent | SendError, capabilities: Capabilities, now: datetime, rand: Rand
) -> Delivery:
    """The delivery (in `sending`, the attempt counted) after the attempt's outcome.

    - Sent: `sent`, or `delivered` where the provider says so.
    - Transient: queued again with growing, jittered delays; RateLimited: after `retry_after` at the earliest.
    - Unauthorized: queued and due; the inbox is stopped, and the entry goes out once an admin has mended it.
    - Permanent, or the next try would come after the deadline: failed and dead.
    - Unknown: tried again where a repeat cannot reach the customer twice, else looked up where the channel can,
      else `unknown` with nothing due: the agent decides.
    """
    match outcome:
        case Sent():
            return sent(delivery, outcome, now)
        case RateLimited(retry_after=seconds):
            wait = timedelta(seconds=max(0.0, seconds) + rand())
            return _again(delivery, outcome, now + wait)
        case Unauthorized():
            return _again(delivery, outcome, now)
        case Transient():
            return _again(delivery, outcome, now + backoff(delivery.attempts, rand))
        case Permanent():
            return given_up(delivery, outcome.reason, outcome.code)
        case Unknown() | SendError():
            return uncertain(delivery, outcome, capabilities, now, rand)


def sent(delivery: Delivery, outcome: Sent, now: datetime) -> Delivery:
    """Accepted by the provider."""
    return replace(
        delivery,
        status="delivered" if outcome.delivered else "sent",
        next_at=None,
        provider_id=outcome.provider_id or delivery.provider_id,
        error=None,
        error_code="",
        dead=False,
        sent_at=delivery.sent_at or now,
        delivered_at=(delivery.delivered_at or now) if outcome.delivered else delivery.delivered_at,
    )


def given_up(delivery: Delivery, reason: str, code: str = "") -> Delivery:
    """Failed for good; an admin or agent may try it again."""
    return replace(delivery, status="failed", dead=True, next_at=None, error=reason, error_code=code)


def uncertain(delivery: Delivery, error: SendError, capabilities: Capabilities, now: datetime, rand: Rand) -> Delivery:
    """Whether the provider has it is not known: after a broken line, or a node that died while sending."""
    if capabilities.idempotent_send:
        return _again(delivery, error, now + backoff(delivery.attempts, rand))
    due = now + timedelta(seconds=LOOKUP_DELAY) if capabilities.lookup else None
    return replace(delivery, status="unknown", next_at=due, lookups=0, error=error.reason, error_code=error.code)


def after_lookup(delivery: Delivery, found: Sent | None, now: datetime, rand: Rand) -> Delivery:
    """The unknown delivery after the provider was asked for it.

    A `no` soon after the attempt is asked again, for the provider may still be at it; later it puts the entry back in
    the queue, if there is still time.
    """
    if found is not None:
        return sent(delivery, found, now)
    if delivery.lookups < SETTLED:
        return lookup_again(delivery, now, rand)
    if now >= delivery.deadline:
        return given_up(delivery, "the provider does not have it, and its deadline has passed")
    return replace(delivery, status="queued", next_at=now, error=None, error_code="")


def lookup_again(delivery: Delivery, now: datetime, rand: Rand) -> Delivery:
    """Asking did not settle it: once more later, or the agent decides."""
    lookups = delivery.lookups + 1
    if lookups >= LOOKUPS:
        return replace(delivery, lookups=lookups, next_at=None)
    delay = LOOKUP_DELAY * 2.0 ** min(lookups, 20) * (0.75 + 0.5 * rand())
    return replace(delivery, lookups=lookups, next_at=now + timedelta(seconds=delay))


def _again(delivery: Delivery, error: SendError, at: datetime) -> Delivery:
    if at >= delivery.deadline:
        return given_up(delivery, f"not sent before its deadline: {error.reason}", error.code)
    return replace(delivery, status="queued", next_at=at, error=error.reason, error_code=error.code)
