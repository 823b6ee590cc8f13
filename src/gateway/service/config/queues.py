"""Queues: made, changed, and removed once nothing refers to them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.errors import Clash, Problem, Refused
from gateway.model.access import Actor
from gateway.model.document import Ids
from gateway.model.team import Queue
from gateway.routing.hours import clock_minutes, zone_named
from gateway.service.change import Changes
from gateway.service.rules import Rules, exchanged, without
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, QUEUES
from gateway.store.contract import Not

THING = "queue"


class QueueConfig:
    def __init__(self, changes: Changes, ids: Ids, rules: Rules) -> None:
        self._changes = changes
        self._ids = ids
        self._rules = rules
        self._directory = changes.directory

    async def create(self, actor: Actor, fields: Mapping[str, Any]) -> Queue:
        """Raises Refused for references that lead nowhere, Clash for a taken name."""
        queue = Queue(id=self._ids(), **fields)
        await self._check(queue)
        return await self._changes.create(actor, THING, QUEUES, queue, detail={"name": queue.name})

    async def update(self, actor: Actor, id: str, fields: Mapping[str, Any], expect: int | None = None) -> Queue:
        """Raises Clash also for renaming a queue that the published rules name."""

        async def decide(before: Queue, batch: Batch) -> Queue:
            after = replace(before, **fields)
            await self._check(after)
            if (after.name, after.type) != (before.name, before.type):
                await self._rules.keep_whole(
                    lambda known: dataclasses.replace(known, queues=exchanged(known.queues, after)), "name"
                )
            return after

        return await self._changes.update(actor, THING, QUEUES, id, decide, expect=expect)

    async def delete(self, actor: Actor, id: str) -> None:
        """Raises Clash while conversations, other queues or the published rules need it."""
        await self._changes.delete(actor, THING, QUEUES, id, self._unused, detail=lambda queue: {"name": queue.name})

    async def _unused(self, queue: Queue, batch: Batch) -> None:
        if queue.id == self._directory.default_queue.id:
            raise Clash("conversations that no rule sends elsewhere go to this queue")
        for other in self._directory.queues.values():
            if other.fallback_queue_id == queue.id:
                raise Clash(f"the queue {other.name} falls back to this queue")
        await self._rules.keep_whole(lambda known: dataclasses.replace(known, queues=without(known.queues, queue.id)))
        held = await self._changes.store.count(
            CONVERSATIONS, {"queue_id": queue.id, "status": Not("resolved")}, limit=1000
        )
        if held:
            raise Clash(f"{held} conversations that are not resolved are in this queue; transfer them first")

    async def _check(self, queue: Queue) -> None:
        problems: list[Problem] = []
        for index, agent_id in enumerate(queue.agent_ids):
            if agent_id not in self._directory.agents:
                problems.append(Problem(f"agent_ids[{index}]", "there is no such agent"))
        if queue.sla_policy_id is not None and queue.sla_policy_id not in self._directory.sla_policies:
            problems.append(Problem("sla_policy_id", "there is no such SLA policy"))
        try:
            await asyncio.to_thread(zone_named, queue.timezone)  # reads a file
        except ValueError as error:
            problems.append(Problem("timezone", str(error)))
        problems += hours_problems(queue)
        problems += self._fallback_problems(queue)
        if problems:
            raise Refused(*problems)

    def _fallback_problems(self, queue: Queue) -> list[Problem]:
        seen = {queue.id}
        step = queue.fallback_queue_id
        while step is not None:
            if step in seen:
                return [Problem("fallback_queue_id", "leads back to this queue")]
            seen.add(step)
            found = self._directory.queues.get(step)
            if found is None:
                return [Problem("fallback_queue_id", "there is no such queue")]
            step = found.fallback_queue_id
        return []


def hours_problems(queue: Queue) -> list[Problem]:
    """What is wrong with the opening hours."""
    problems = []
    for index, hours in enumerate(queue.hours):
        path = f"hours[{index}]"
        if not hours.days or any(not 0 <= day <= 6 for day in hours.days):
            problems.append(Problem(f"{path}.days", "days are 0 (Monday) to 6 (Sunday), at least one"))
        try:
            if clock_minutes(hours.open) >= clock_minutes(hours.close):
                problems.append(Problem(f"{path}.close", "must be after open"))
        except ValueError as error:
            problems.append(Problem(path, str(error)))
    return problems
