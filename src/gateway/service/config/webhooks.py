"""Outgoing webhooks: where events are sent to, signed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from gateway.model.access import Actor
from gateway.model.document import Ids
from gateway.model.event import Webhook
from gateway.service.change import Changes
from gateway.service.rules import Rules, without
from gateway.service.seal import Seal
from gateway.service.webhook_sender import secret_context
from gateway.service.webhook_signature import new_secret
from gateway.store.batch import Batch
from gateway.store.collection import WEBHOOKS

THING = "webhook"
CHANGE_OVER = timedelta(days=1)
"""How long the old secret signs beside a new one."""


class WebhookConfig:
    def __init__(self, changes: Changes, ids: Ids, seal: Seal, rules: Rules) -> None:
        self._changes = changes
        self._ids = ids
        self._seal = seal
        self._rules = rules

    async def create(self, actor: Actor, fields: Mapping[str, Any]) -> tuple[Webhook, str]:
        """The webhook and its signing secret, which is shown once."""
        id, secret = self._ids(), new_secret()
        webhook = Webhook(
            id=id,
            secret=self._seal.seal(secret, secret_context(id)),
            created_at=self._changes.clock.now(),
            **fields,
        )
        return await self._changes.create(actor, THING, WEBHOOKS, webhook, detail=fields), secret

    async def update(self, actor: Actor, id: str, fields: Mapping[str, Any]) -> Webhook:
        """Switching one on again forgets that it was failing."""

        def decide(before: Webhook, batch: Batch) -> Webhook:
            after = replace(before, **fields)
            return replace(after, failing_since=None) if after.enabled and not before.enabled else after

        return await self._changes.update(actor, THING, WEBHOOKS, id, decide)

    async def rotate(self, actor: Actor, id: str) -> tuple[Webhook, str]:
        """A new signing secret; for a day the old one signs beside it."""
        secret = new_secret()

        def decide(before: Webhook, batch: Batch) -> Webhook:
            return replace(
                before,
                secret=self._seal.seal(secret, secret_context(id)),
                previous_secret=before.secret,
                previous_until=self._changes.clock.now() + CHANGE_OVER,
            )

        hide = ("secret", "previous_secret")
        changed = await self._changes.update(actor, THING, WEBHOOKS, id, decide, hide=hide, verb="rotate")
        return changed, secret

    async def delete(self, actor: Actor, id: str) -> None:
        """Raises Clash while a rule calls it."""

        async def unused(webhook: Webhook, batch: Batch) -> None:
            await self._rules.keep_whole(lambda known: dataclasses.replace(known, webhooks=without(known.webhooks, id)))

        await self._changes.delete(actor, THING, WEBHOOKS, id, unused, detail=lambda webhook: {"url": webhook.url})
