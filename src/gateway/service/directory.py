"""The configuration in memory: inboxes, queues, agents and their state, SLA policies, the live rule set.

Read on every message, so it is kept here. Whoever commits a change brings it up to date (`reload`, `put_state`); other
nodes' changes come by the feed. A decision made on a stale copy is caught by the version checks of its batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from msgspec.structs import replace

from gateway.model.decision import RulePointer, RuleSetVersion
from gateway.model.document import Document
from gateway.model.event import Event
from gateway.model.inbox import Inbox
from gateway.model.team import Agent, AgentState, Queue, SlaPolicy
from gateway.routing.hours import zone_named
from gateway.routing.load import load
from gateway.routing.ruleset import RuleSet
from gateway.store.collection import (
    AGENT_STATES,
    AGENTS,
    INBOXES,
    QUEUES,
    RULE_POINTER,
    RULE_SETS,
    SLA_POLICIES,
    Collection,
)
from gateway.store.contract import Store

log = structlog.get_logger("directory")

LIVE = "live"
DEFAULT_QUEUE = "support"
EMPTY_RULES = RuleSet([])

Listener = Callable[[str, str], None]
"""Called with (collection name, document id) after a change is in the directory."""


def rule_set_id(number: int) -> str:
    """The id of the rule set with this number."""
    return f"{number:08d}"


class Directory:
    """All dicts are by id. Treat them as read-only."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.inboxes: dict[str, Inbox] = {}
        self.queues: dict[str, Queue] = {}
        self.agents: dict[str, Agent] = {}
        self.states: dict[str, AgentState] = {}
        self.sla_policies: dict[str, SlaPolicy] = {}
        self.rules: RuleSet = EMPTY_RULES
        self.waiting: dict[str, int] = {}
        """Conversations that wait, by queue id; kept while the rules ask for it (see Dispatcher), seconds old."""
        self._on_messages = False
        self._queue_names: dict[str, Queue] = {}
        self._served: dict[str, tuple[Agent, ...]] = {}
        self._listeners: list[Listener] = []

    async def load(self) -> None:
        """Read everything."""
        self.inboxes = await self._all(INBOXES)
        self.queues = await self._all(QUEUES)
        for queue in self.queues.values():
            await _know_zone(queue)
        self.agents = await self._all(AGENTS)
        self.states = await self._all(AGENT_STATES)
        self.sla_policies = await self._all(SLA_POLICIES)
        self._index()
        await self._load_rules()

    async def catch_up(self) -> None:
        """Read everything anew after changes were missed, and tell the listeners of every inbox there is or was."""
        known = set(self.inboxes)
        await self.load()
        for id in known | self.inboxes.keys():
            for listener in self._listeners:
                listener(INBOXES.name, id)

    def on_change(self, listener: Listener) -> None:
        """Call the listener after each change; it must return at once."""
        self._listeners.append(listener)

    async def reload(self, collection: str, id: str) -> None:
        """Bring one document up to date; collections that are not kept here only tell the listeners."""
        match collection:
            case INBOXES.name:
                _put(self.inboxes, id, await self._store.get(INBOXES, id))
            case QUEUES.name:
                found = await self._store.get(QUEUES, id)
                if found is not None:
                    await _know_zone(found)
                _put(self.queues, id, found)
            case AGENTS.name:
                _put(self.agents, id, await self._store.get(AGENTS, id))
            case SLA_POLICIES.name:
                _put(self.sla_policies, id, await self._store.get(SLA_POLICIES, id))
            case AGENT_STATES.name:
                state = await self._store.get(AGENT_STATES, id)
                if state is not None:
                    self.put_state(state)
            case RULE_POINTER.name | RULE_SETS.name:
                await self._load_rules()
            case _:
                pass
        self._index()
        for listener in self._listeners:
            listener(collection, id)

    async def follow_event(self, event: Event) -> None:
        """Take in another node's change, as told by the feed."""
        if event.type == "config.changed":
            await self.reload(str(event.data["collection"]), str(event.data["id"]))
        elif event.type == "agent.state":
            known = self.states.get(str(event.data["agent_id"]))
            if known is None or known.version < int(event.data["version"]):
                await self.reload(AGENT_STATES.name, str(event.data["agent_id"]))

    def put_state(self, state: AgentState) -> None:
        """Keep the state if it is newer than the known one."""
        known = self.states.get(state.id)
        if known is None or known.version < state.version:
            self.states[state.id] = state

    def state_of(self, agent_id: str) -> AgentState:
        """The agent's state; an agent who never came on is offline."""
        return self.states.get(agent_id) or AgentState(id=agent_id)

    def queue_by_name(self, name: str) -> Queue | None:
        return self._queue_names.get(name)

    def queue(self, name_or_id: str) -> Queue | None:
        """By id, else by name."""
        return self.queues.get(name_or_id) or self._queue_names.get(name_or_id)

    @property
    def default_queue(self) -> Queue:
        """Where a conversation goes that no rule sends elsewhere: `support`, else the first human queue."""
        queue = self._queue_names.get(DEFAULT_QUEUE)
        if queue is not None:
            return queue
        humans = sorted((q for q in self.queues.values() if q.type == "human"), key=lambda q: q.name)
        if humans:
            return humans[0]
        return replace(_NO_QUEUE)

    def serving(self, queue: Queue) -> tuple[Agent, ...]:
        """The enabled agents that serve the queue."""
        return self._served.get(queue.id, ())

    def queues_of(self, agent_id: str) -> frozenset[str]:
        """Ids of the queues the agent serves."""
        return frozenset(
            queue.id for queue in self.queues.values() if not queue.agent_ids or agent_id in queue.agent_ids
        )

    @property
    def rules_on_messages(self) -> bool:
        """Whether any rule is run for a message of a running conversation."""
        return self._on_messages

    def _index(self) -> None:
        self._queue_names = {queue.name: queue for queue in self.queues.values()}
        enabled = sorted((a for a in self.agents.values() if a.enabled), key=lambda a: a.id)
        self._served = {
            queue.id: tuple(a for a in enabled if not queue.agent_ids or a.id in queue.agent_ids)
            for queue in self.queues.values()
        }

    def use_rules(self, rules: RuleSet) -> None:
        """Decide by these from now on."""
        self.rules = rules
        self._on_messages = any("message" in rule.on and rule.enabled for rule in rules.rules)

    async def _load_rules(self) -> None:
        pointer: RulePointer | None = await self._store.get(RULE_POINTER, LIVE)
        if pointer is None:
            self.use_rules(EMPTY_RULES)
            return
        if pointer.number == self.rules.version:
            return
        stored: RuleSetVersion | None = await self._store.get(RULE_SETS, rule_set_id(pointer.number))
        loaded = None
        if stored is not None:  # a large set takes a while
            loaded = await asyncio.to_thread(load, stored.files, None, version=pointer.number)
        if loaded is None or loaded.ruleset is None:
            # A published set was checked; one that no longer loads (an older program) must not stop intake.
            log.error("rules.unusable", version=pointer.number)
            return
        self.use_rules(loaded.ruleset)

    async def _all(self, collection: Collection[Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        after: str | None = None
        while True:
            page = await self._store.find(collection, order="id", after=after, limit=200)
            found.update((doc.id, doc) for doc in page.items)
            after = page.next
            if after is None:
                return found


_NO_QUEUE = Queue(id="none", name=DEFAULT_QUEUE)
"""Stands in on a store without queues, so that a message is stored all the same."""


async def _know_zone(queue: Queue) -> None:
    """Read the queue's time zone from its file once, off the loop; it is kept."""
    if queue.hours:
        await asyncio.to_thread(zone_named, queue.timezone)


def _put(kept: dict[str, Any], id: str, doc: Document | None) -> None:
    if doc is None:
        kept.pop(id, None)
    else:
        kept[id] = doc
