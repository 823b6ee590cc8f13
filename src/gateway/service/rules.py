"""Rule sets: checked, published as numbered versions that never change, rolled back by publishing an older one anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from gateway.errors import Clash, Conflict, Duplicate, NotFound, Overloaded, Problem, Refused
from gateway.model.access import Actor
from gateway.model.decision import RulePointer, RuleSetVersion
from gateway.model.document import Clock, Document
from gateway.model.event import Event, Webhook
from gateway.model.inbox import Inbox
from gateway.model.team import Agent, Queue, SlaPolicy
from gateway.registry import Registry
from gateway.routing.load import Loaded, load, load_and_test
from gateway.routing.names import Names, names_of
from gateway.routing.problem import RuleProblem
from gateway.routing.ruleset import RuleSet
from gateway.service.audit import Audit
from gateway.service.change import config_changed
from gateway.service.directory import LIVE, Directory, rule_set_id
from gateway.store.batch import Batch
from gateway.store.collection import RULE_POINTER, RULE_SETS, WEBHOOKS
from gateway.store.contract import Page, Store

Files = Sequence[tuple[str, str]]
"""(file name, YAML text), in the order they count."""

D = TypeVar("D", bound=Document)

ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Checked:
    """`ruleset` is None where an error keeps the files from being rules; a failing example is a problem, too."""

    ruleset: RuleSet | None
    problems: tuple[RuleProblem, ...]

    @property
    def ok(self) -> bool:
        return self.ruleset is not None and not any(problem.severity == "error" for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Configured:
    """The configuration that rules may name; replace a part to ask what a change of it would break."""

    queues: tuple[Queue, ...]
    agents: tuple[Agent, ...]
    sla_policies: tuple[SlaPolicy, ...]
    inboxes: tuple[Inbox, ...]
    webhooks: tuple[Webhook, ...]


class Rules:
    def __init__(self, store: Store, clock: Clock, directory: Directory, audit: Audit, registry: Registry) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._audit = audit
        self._registry = registry

    async def check(self, files: Files) -> Checked:
        """Read the files and run their examples; publishes nothing."""
        names = self._names(await self._configured())
        return await asyncio.to_thread(_check, tuple(files), names)

    async def live(self) -> RuleSetVersion | None:
        """The version that is in force."""
        pointer = await self._store.get(RULE_POINTER, LIVE)
        return await self._store.get(RULE_SETS, rule_set_id(pointer.number)) if pointer is not None else None

    async def version(self, number: int) -> RuleSetVersion:
        """Raises NotFound."""
        found = await self._store.get(RULE_SETS, rule_set_id(number))
        if found is None:
            raise NotFound("version of the rules", str(number))
        return found

    async def versions(self, after: str | None, limit: int) -> Page[RuleSetVersion]:
        """Newest first."""
        return await self._store.find(RULE_SETS, order="-number", after=after, limit=limit)

    async def ruleset(self, number: int) -> RuleSet | None:
        """The loaded set of a version, for explaining a decision; None if it is no more, or no longer loads."""
        live = self._directory.rules
        if number == live.version:
            return live
        found = await self._store.get(RULE_SETS, rule_set_id(number))
        if found is None:
            return None
        return (await asyncio.to_thread(_load, found.files, None, number)).ruleset

    async def publish(
        self, files: Files, actor: Actor, *, note: str = "", based_on: int | None = None
    ) -> RuleSetVersion:
        """Put the files in force as a new version. Raises Refused with every problem, failing examples included;
        Clash where another version than `based_on` is in force by now."""
        checked = await self.check(files)
        if not checked.ok:
            raise Refused(*map(as_problem, checked.problems), title="the rules have problems")
        return await self._put_in_force(tuple(files), actor, "rules.publish", note=note, based_on=based_on)

    async def roll_back(
        self, number: int, actor: Actor, *, note: str = "", based_on: int | None = None
    ) -> RuleSetVersion:
        """Put an older version's files in force again, as a new version. Raises Refused if they no longer fit the
        configuration."""
        older = await self.version(number)
        checked = await self.check(older.files)
        if not checked.ok:
            raise Refused(*map(as_problem, checked.problems), title=f"version {number} no longer fits")
        return await self._put_in_force(
            older.files, actor, "rules.rollback", note=note, based_on=based_on, rolled_back_to=number
        )

    async def broken_by(self, change: Callable[[Configured], Configured]) -> list[RuleProblem]:
        """The errors that the rules in force would have after the change of the configuration, and do not have now."""
        live = await self.live()
        if live is None:
            return []
        before = await self._configured()
        after = change(before)
        old, new = self._names(before), self._names(after)
        now = await asyncio.to_thread(_load, live.files, old, 0)
        then = await asyncio.to_thread(_load, live.files, new, 0)
        known = {problem.message for problem in now.problems}
        return [p for p in then.problems if p.severity == "error" and p.message not in known]

    async def keep_whole(self, change: Callable[[Configured], Configured], path: str = "") -> None:
        """Raises Clash, with the first rule concerned, where the change would break the rules in force."""
        broken = await self.broken_by(change)
        if broken:
            raise Clash(f"the published rules need it: {broken[0]}", path)

    async def _put_in_force(
        self,
        files: tuple[tuple[str, str], ...],
        actor: Actor,
        action: str,
        *,
        note: str,
        based_on: int | None,
        rolled_back_to: int | None = None,
    ) -> RuleSetVersion:
        for _ in range(ATTEMPTS):
            pointer = await self._store.get(RULE_POINTER, LIVE)
            current = pointer.number if pointer is not None else 0
            if based_on is not None and based_on != current:
                raise Clash(f"version {current} was published meanwhile; look at it, then publish again", "based_on")
            newest = await self._store.find(RULE_SETS, order="-number", limit=1)
            number = 1 + max(current, newest.items[0].number if newest.items else 0)
            now = self._clock.now()
            batch = Batch()
            made = batch.insert(
                RULE_SETS,
                RuleSetVersion(
                    id=rule_set_id(number),
                    number=number,
                    files=files,
                    published_at=now,
                    published_by=actor.id,
                    note=note,
                    rolled_back_to=rolled_back_to,
                ),
            )
            if pointer is None:
                batch.insert(RULE_POINTER, RulePointer(id=LIVE, number=number))
            else:
                batch.put(RULE_POINTER, replace(pointer, number=number))
            batch.emit(config_changed(now, RULE_POINTER, LIVE))
            batch.emit(Event(type="rules.published", at=now, data={"version": number, "note": note, "by": actor.name}))
            detail = {"version": number, "before": current, "note": note, "rolled_back_to": rolled_back_to}
            try:
                await self._audit.commit(batch, actor, action, made.id, detail)
            except (Conflict, Duplicate):
                continue
            await self._directory.reload(RULE_POINTER.name, LIVE)
            return made
        raise Overloaded("publishing")

    async def _configured(self) -> Configured:
        directory = self._directory
        webhooks: list[Webhook] = []
        after = None
        while True:
            page = await self._store.find(WEBHOOKS, after=after, limit=200)
            webhooks += page.items
            after = page.next
            if after is None:
                break
        return Configured(
            queues=tuple(directory.queues.values()),
            agents=tuple(directory.agents.values()),
            sla_policies=tuple(directory.sla_policies.values()),
            inboxes=tuple(directory.inboxes.values()),
            webhooks=tuple(webhooks),
        )

    def _names(self, configured: Configured) -> Names:
        return names_of(
            queues=configured.queues,
            agents=configured.agents,
            sla_policies=configured.sla_policies,
            inboxes=configured.inboxes,
            channels=self._registry.kinds(),
            webhooks=configured.webhooks,
        )


def as_problem(problem: RuleProblem) -> Problem:
    """A rule's problem as a field's: the path is `file:line:column`."""
    rule = f"rule {problem.rule}: " if problem.rule else ""
    return Problem(f"{problem.file}:{problem.line}:{problem.column}", f"{rule}{problem.message}")


def without(items: tuple[D, ...], id: str) -> tuple[D, ...]:
    """The documents but one."""
    return tuple(item for item in items if item.id != id)


def exchanged(items: tuple[D, ...], changed: D) -> tuple[D, ...]:
    """The documents with one in a changed form."""
    return tuple(changed if item.id == changed.id else item for item in items)


def _load(files: Files, names: Names | None, number: int) -> Loaded:
    return load(files, names, version=number)


def _check(files: Files, names: Names) -> Checked:
    loaded = load_and_test(files, names)
    return Checked(loaded.ruleset, tuple(loaded.problems))
