"""The smaller lists: SLA policies, canned replies, tags."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.errors import Clash
from gateway.model.access import Actor
from gateway.model.document import Ids
from gateway.model.team import CannedReply, SlaPolicy, Tag
from gateway.service.change import Changes
from gateway.service.rules import Rules, exchanged, without
from gateway.store.batch import Batch
from gateway.store.collection import CANNED, CONVERSATIONS, SLA_POLICIES, TAGS
from gateway.store.contract import Not


class ListConfig:
    def __init__(self, changes: Changes, ids: Ids, rules: Rules) -> None:
        self._changes = changes
        self._ids = ids
        self._rules = rules

    async def create_policy(self, actor: Actor, fields: Mapping[str, Any]) -> SlaPolicy:
        policy = SlaPolicy(id=self._ids(), **fields)
        return await self._changes.create(actor, "sla_policy", SLA_POLICIES, policy, detail=fields)

    async def update_policy(self, actor: Actor, id: str, fields: Mapping[str, Any]) -> SlaPolicy:
        async def decide(before: SlaPolicy, batch: Batch) -> SlaPolicy:
            after = replace(before, **fields)
            if after.name != before.name:
                await self._rules.keep_whole(
                    lambda known: dataclasses.replace(known, sla_policies=exchanged(known.sla_policies, after)), "name"
                )
            return after

        return await self._changes.update(actor, "sla_policy", SLA_POLICIES, id, decide)

    async def delete_policy(self, actor: Actor, id: str) -> None:
        """Raises Clash while a queue or a rule uses it."""

        async def unused(policy: SlaPolicy, batch: Batch) -> None:
            for queue in self._changes.directory.queues.values():
                if queue.sla_policy_id == id:
                    raise Clash(f"the queue {queue.name} uses this policy")
            await self._rules.keep_whole(
                lambda known: dataclasses.replace(known, sla_policies=without(known.sla_policies, id))
            )

        await self._changes.delete(
            actor, "sla_policy", SLA_POLICIES, id, unused, detail=lambda policy: {"name": policy.name}
        )

    async def create_canned(self, actor: Actor, fields: Mapping[str, Any]) -> CannedReply:
        canned = CannedReply(id=self._ids(), **fields)
        return await self._changes.create(actor, "canned", CANNED, canned, detail={"shortcut": canned.shortcut})

    async def update_canned(self, actor: Actor, id: str, fields: Mapping[str, Any]) -> CannedReply:
        return await self._changes.update(actor, "canned", CANNED, id, lambda b, _: replace(b, **fields))

    async def delete_canned(self, actor: Actor, id: str) -> None:
        await self._changes.delete(actor, "canned", CANNED, id, detail=lambda canned: {"shortcut": canned.shortcut})

    async def create_tag(self, actor: Actor, fields: Mapping[str, Any]) -> Tag:
        return await self._changes.create(actor, "tag", TAGS, Tag(id=self._ids(), **fields), detail=fields)

    async def update_tag(self, actor: Actor, id: str, fields: Mapping[str, Any]) -> Tag:
        """Conversations carry tags by name: one in use keeps its name."""

        async def decide(before: Tag, batch: Batch) -> Tag:
            after = replace(before, **fields)
            if after.name != before.name:
                await self._unused_tag(before, batch)
            return after

        return await self._changes.update(actor, "tag", TAGS, id, decide)

    async def delete_tag(self, actor: Actor, id: str) -> None:
        """Removes it from the list that is offered; conversations that carry it keep it."""
        await self._changes.delete(actor, "tag", TAGS, id, detail=lambda tag: {"name": tag.name})

    async def _unused_tag(self, tag: Tag, batch: Batch) -> None:
        held = await self._changes.store.count(CONVERSATIONS, {"tags": tag.name, "status": Not("resolved")}, limit=1000)
        if held:
            raise Clash(f"{held} conversations that are not resolved carry this tag", "name")
