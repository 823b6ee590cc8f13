"""Sends queued webhook deliveries: bounded, with growing pauses, and so that a dead receiver holds up no other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import aiohttp
import structlog
from msgspec.structs import replace

from gateway.errors import Conflict, Refused
from gateway.model.document import Clock
from gateway.model.event import Event, Webhook, WebhookDelivery
from gateway.service.guard import Guard
from gateway.service.seal import Seal
from gateway.service.webhook_signature import headers
from gateway.store.batch import Batch, Lease
from gateway.store.collection import WEBHOOK_DELIVERIES, WEBHOOKS
from gateway.store.contract import OneOf, Range, Store

log = structlog.get_logger("webhooks")

TIMEOUT = 15.0
"""Seconds for a receiver to answer."""
FIRST_DELAY, LONGEST_DELAY = 5.0, 6 * 3600.0
MAX_ATTEMPTS = 12
"""5 s, 15 s, 45 s, 2 min, 7 min, 20 min, 1 h, 3 h and three times 6 h: a day in all."""
PER_WEBHOOK = 4
"""Calls to one receiver at a time."""
ROUND = 200
POLL = 1.0
RESTS_AFTER = 3
"""Failures in a row after which a receiver is left alone for a while, instead of trying every delivery on it."""
LONGEST_REST = 60.0
ERROR_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one call. `status`: the receiver's, None if none came; `final`: trying again is useless."""

    ok: bool
    status: int | None = None
    error: str = ""
    final: bool = False
    retry_after: float = 0.0


def retry_delay(attempts: int, rand: float) -> timedelta:
    """How long to wait after so many failed attempts; `rand`: 0 up to 1, spreads it by a fifth either way."""
    seconds = min(FIRST_DELAY * 3.0 ** min(attempts - 1, 20), LONGEST_DELAY)
    return timedelta(seconds=seconds * (0.8 + 0.4 * rand))


def after_attempt(delivery: WebhookDelivery, attempt: Attempt, now: datetime, rand: float) -> WebhookDelivery:
    """The delivery after one more attempt."""
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        response_status=attempt.status,
        error=attempt.error[:ERROR_LIMIT] or None,
    )
    if attempt.ok:
        return replace(tried, status="sent", next_at=None, sent_at=now)
    if attempt.final or tried.attempts >= MAX_ATTEMPTS:
        return replace(tried, status="failed", next_at=None)
    wait = max(retry_delay(tried.attempts, rand), timedelta(seconds=min(attempt.retry_after, LONGEST_DELAY)))
    return replace(tried, next_at=now + wait)


class Caller:
    """Makes the calls, signed, behind the SSRF guard. Close it when done."""

    def __init__(self, guard: Guard, seal: Seal, clock: Clock) -> None:
        self._guard = guard
        self._seal = seal
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, webhook: Webhook, id: str, body: bytes) -> Attempt:
        """POST the body once. Redirects are not followed: the receiver's admin gives the right address."""
        now = self._clock.now()
        try:
            url = self._guard.check_url(webhook.url)
            signed = headers(id.replace("/", "_"), int(now.timestamp()), body, self._keys(webhook, now))
            async with self._open().post(
                url, data=body, headers={"Content-Type": "application/json", **signed}, allow_redirects=False
            ) as response:
                if 200 <= response.status < 300:
                    return Attempt(True, response.status)
                return Attempt(
                    False,
                    response.status,
                    f"the receiver answered {response.status}",
                    final=response.status == 410,
                    retry_after=_seconds(response.headers.get("Retry-After", "")),
                )
        except Refused as error:
            return Attempt(False, error=f"{error.title}: {error}", final=True)
        except TimeoutError:
            return Attempt(False, error=f"no answer within {TIMEOUT:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Attempt(False, error=f"the receiver cannot be reached ({type(error).__name__})")

    def _keys(self, webhook: Webhook, now: datetime) -> list[str]:
        keys = [self._seal.open(webhook.secret, secret_context(webhook.id))]
        if webhook.previous_secret and webhook.previous_until and webhook.previous_until > now:
            keys.append(self._seal.open(webhook.previous_secret, secret_context(webhook.id)))
        return keys

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._guard.connector(limit=50),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT),
                headers={"User-Agent": "Omnigate"},
            )
        return self._session


class Sender:
    """Works through what is queued, under a lease: `run` for as long as it is held."""

    def __init__(self, store: Store, clock: Clock, caller: Caller) -> None:
        self._store = store
        self._clock = clock
        self._caller = caller
        self._wake = asyncio.Event()
        self._busy: set[str] = set()
        self._failures: dict[str, int] = {}
        self._rests: dict[str, float] = {}

    def wake(self) -> None:
        """There is something new to send."""
        self._wake.set()

    async def run(self, lease: Lease) -> None:
        self._busy.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                hooks = {hook.id: hook for hook in await enabled_webhooks(self._store)}
                now = asyncio.get_running_loop().time()
                idle = tuple(id for id in hooks if id not in self._busy and self._rests.get(id, 0) <= now)
                for hook_id, due in (await self._due(idle)).items():
                    self._busy.add(hook_id)
                    group.create_task(self._drain(hooks[hook_id], due, lease))
                try:
                    async with asyncio.timeout(POLL):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def _due(self, hook_ids: tuple[str, ...]) -> dict[str, list[WebhookDelivery]]:
        if not hook_ids:
            return {}
        page = await self._store.find(
            WEBHOOK_DELIVERIES,
            {
                "webhook_id": OneOf(hook_ids),
                "status": "queued",
                "next_at": Range(end=self._clock.now() + timedelta(milliseconds=1)),
            },
            order="next_at",
            limit=ROUND,
        )
        due: dict[str, list[WebhookDelivery]] = {}
        for delivery in page.items:
            due.setdefault(delivery.webhook_id, []).append(delivery)
        return due

    async def _drain(self, hook: Webhook, due: Sequence[WebhookDelivery], lease: Lease) -> None:
        queue = list(reversed(due))

        async def work() -> None:
            while queue and self._rests.get(hook.id, 0) <= asyncio.get_running_loop().time():
                await self._one(hook, queue.pop(), lease)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(PER_WEBHOOK, len(due))):
                    group.create_task(work())
        finally:
            self._busy.discard(hook.id)
            self._wake.set()

    async def _one(self, hook: Webhook, delivery: WebhookDelivery, lease: Lease) -> None:
        attempt = await self._caller.call(hook, delivery.id, delivery.payload.encode())
        now = self._clock.now()
        batch = Batch()
        batch.fence(lease)
        batch.put(WEBHOOK_DELIVERIES, after_attempt(delivery, attempt, now, random.random()))
        try:
            await self._store.commit(batch)
        except Conflict:
            return  # somebody replayed or removed it meanwhile
        if attempt.ok:
            self._failures.pop(hook.id, None)
            if hook.failing_since is not None:
                await change_webhook(self._store, hook.id, now, failing=False)
            return
        failures = self._failures[hook.id] = self._failures.get(hook.id, 0) + 1
        if failures >= RESTS_AFTER:
            rest = min(2.0 ** (failures - RESTS_AFTER), LONGEST_REST)
            self._rests[hook.id] = asyncio.get_running_loop().time() + rest
        if attempt.status == 410:
            self._rests[hook.id] = asyncio.get_running_loop().time() + LONGEST_REST
            await change_webhook(self._store, hook.id, now, failing=True, disable="the receiver answered 410 Gone")
        elif hook.failing_since is None:
            await change_webhook(self._store, hook.id, now, failing=True)


async def enabled_webhooks(store: Store) -> list[Webhook]:
    """All that are on; there are few."""
    found: list[Webhook] = []
    after: str | None = None
    while True:
        page = await store.find(WEBHOOKS, {"enabled": True}, after=after, limit=200)
        found += page.items
        after = page.next
        if after is None:
            return found


async def change_webhook(store: Store, id: str, now: datetime, *, failing: bool, disable: str = "") -> None:
    """Note on the webhook that it fails, works again, or is switched off for the reason given."""
    for _ in range(5):
        hook = await store.get(WEBHOOKS, id)
        if hook is None:
            return
        changed = replace(hook, failing_since=(hook.failing_since or now) if failing else None)
        if disable:
            changed = replace(changed, enabled=False)
        if changed == hook:
            return
        batch = Batch()
        batch.put(WEBHOOKS, changed)
        data = {"id": id, "enabled": changed.enabled, "failing_since": changed.failing_since}
        if disable:
            data["reason"] = disable
        batch.emit(Event(type="webhook.updated", at=now, audience="admins", data=data))
        try:
            await store.commit(batch)
        except Conflict:
            continue
        log.warning("webhook.changed", webhook=id, failing=failing, disabled=disable)
        return


def secret_context(webhook_id: str) -> str:
    """What a webhook's secret is sealed for."""
    return f"webhook/{webhook_id}/secret"


def _seconds(retry_after: str) -> float:
    return float(retry_after) if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 9 else 0.0
