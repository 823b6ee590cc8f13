"""Agents: people with a login."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from gateway.errors import Clash, Denied
from gateway.model.access import Actor
from gateway.model.document import Ids
from gateway.model.team import Agent
from gateway.service.access import Access
from gateway.service.change import Changes, config_changed
from gateway.service.rules import Rules, exchanged, without
from gateway.store.batch import Batch
from gateway.store.collection import AGENT_STATES, AGENTS, API_TOKENS, QUEUES

THING = "agent"


class AgentConfig:
    def __init__(self, changes: Changes, ids: Ids, access: Access, rules: Rules) -> None:
        self._changes = changes
        self._ids = ids
        self._access = access
        self._rules = rules
        self._directory = changes.directory

    async def create(self, actor: Actor, fields: Mapping[str, Any], password: str | None) -> Agent:
        """An agent without a password cannot log in until one is set."""
        hashed = await self._access.passwords.hash(password) if password is not None else ""
        agent = Agent(id=self._ids(), created_at=self._changes.clock.now(), password_hash=hashed, **tidy(fields))
        detail = {"email": agent.email, "role": agent.role}
        return await self._changes.create(actor, THING, AGENTS, agent, detail=detail)

    async def update(
        self,
        actor: Actor,
        id: str,
        fields: Mapping[str, Any],
        *,
        password: str | None = None,
        reset_totp: bool = False,
        expect: int | None = None,
    ) -> Agent:
        """A new password, a reset second factor or the end of `enabled` ends all their sessions. Raises Clash where no
        admin would be left."""
        hashed = await self._access.passwords.hash(password) if password is not None else None
        ended: list[str] = []

        async def decide(before: Agent, batch: Batch) -> Agent:
            after = replace(before, **tidy(fields))
            if hashed is not None:
                after = replace(after, password_hash=hashed)
            if reset_totp:
                after = replace(after, totp_secret=None)
            if before.role == "admin" and before.enabled and not (after.role == "admin" and after.enabled):
                self._another_admin(before, batch)
            if after.email != before.email:
                await self._rules.keep_whole(
                    lambda known: dataclasses.replace(known, agents=exchanged(known.agents, after)), "email"
                )
            ended.clear()
            if hashed is not None or reset_totp or (before.enabled and not after.enabled):
                ended.extend(await self._access.end_sessions(batch, id))
            return after

        made = await self._changes.update(
            actor, THING, AGENTS, id, decide, hide=("password_hash", "totp_secret"), expect=expect
        )
        self._access.forget(ended)
        return made

    async def delete(self, actor: Actor, id: str) -> None:
        """Removes the agent, their sessions and tokens, and their place in queues. What they wrote keeps their name.
        Raises Clash while they have conversations, or where no admin would be left."""
        if id == actor.agent_id:
            raise Denied("another admin must delete this account: it is yours")
        ended: list[str] = []
        queues: list[str] = []

        async def allow(agent: Agent, batch: Batch) -> None:
            if agent.role == "admin" and agent.enabled:
                self._another_admin(agent, batch)
            await self._rules.keep_whole(
                lambda known: dataclasses.replace(known, agents=without(known.agents, agent.id))
            )
            state = await self._changes.store.get(AGENT_STATES, id)
            if state is not None:
                if state.held:
                    raise Clash(f"they have {len(state.held)} conversations; transfer them first")
                batch.delete(AGENT_STATES, state)
            ended[:] = await self._access.end_sessions(batch, id)
            for known in (await self._changes.store.find(API_TOKENS, {"agent_id": id}, limit=200)).items:
                batch.delete(API_TOKENS, known)
                ended.append(known.token_hash)
            queues.clear()
            for queue in self._directory.queues.values():
                if id in queue.agent_ids:
                    left = tuple(other for other in queue.agent_ids if other != id)
                    if not left:
                        raise Clash(f"nobody else serves the queue {queue.name}; name someone there first")
                    batch.put(QUEUES, replace(queue, agent_ids=left))
                    batch.emit(config_changed(self._changes.clock.now(), QUEUES, queue.id))
                    queues.append(queue.id)

        await self._changes.delete(actor, THING, AGENTS, id, allow, detail=lambda agent: {"email": agent.email})
        self._access.forget(ended)
        for queue_id in queues:
            await self._directory.reload(QUEUES.name, queue_id)

    def _another_admin(self, agent: Agent, batch: Batch) -> None:
        """Make the batch fail unless another enabled admin is there at the commit, too."""
        for other in self._directory.agents.values():
            if other.id != agent.id and other.role == "admin" and other.enabled:
                batch.check(AGENTS, other.id, other.version)
                return
        raise Clash("this is the last admin; make another one first")


def tidy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Addresses in lower case, so that the unique key means the mailbox."""
    values = dict(fields)
    if "email" in values:
        values["email"] = values["email"].lower()
    return values
