"""Gives waiting conversations to agents, as soon as there is one for them: a message came, an agent came on, room
became free. Any node may do it at any time; the version checks of each batch keep agents within capacity.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from datetime import UTC, datetime

import structlog
from msgspec.structs import replace

from gateway.errors import Clash, Conflict, Duplicate, NotFound, StoreUnavailable
from gateway.model.access import Actor
from gateway.model.conversation import PRIORITY_RANK, Conversation
from gateway.model.decision import Decision
from gateway.model.document import Clock, Ids
from gateway.model.team import Agent, AgentState, Presence, Queue
from gateway.routing.assign import Choice, choose, need_of
from gateway.routing.capacity import used
from gateway.routing.waiting import order_waiting
from gateway.service.directory import Directory
from gateway.service.happenings import conversation_updated
from gateway.service.ownership import change_owner, put_state
from gateway.service.recent import Recent
from gateway.store.batch import Batch
from gateway.store.collection import AGENT_STATES, CONVERSATIONS, DECISIONS
from gateway.store.contract import Page, Range, Store

log = structlog.get_logger("dispatch")

HEADS = 50
"""Waiting conversations looked at per queue and priority; within a priority the oldest is always first."""

ROUNDS = 20
"""So many times as many in a sweep, where those before them wait for a skill that nobody has who is there."""

SWEEP_SECONDS = 5.0
"""How often all queues are looked through: catches what a node left behind that stopped right after a commit."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Dispatcher:
    """`poke` it after a commit that may have made a conversation wait or an agent free."""

    def __init__(self, store: Store, clock: Clock, ids: Ids, directory: Directory, recent: Recent) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._directory = directory
        self._recent = recent
        self._wake = asyncio.Event()

    def poke(self) -> None:
        """Look through the queues soon."""
        self._wake.set()

    async def run(self) -> None:
        """Assign until cancelled."""
        loop = asyncio.get_running_loop()
        sweep_at = 0.0
        while True:
            self._wake.clear()
            try:
                if loop.time() >= sweep_at:
                    sweep_at = loop.time() + SWEEP_SECONDS
                    await self.dispatch()
                else:
                    await self.dispatch(rounds=1)
                await self._count_waiting()
            except StoreUnavailable as error:
                log.warning("dispatch.store", reason=str(error))
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def dispatch(self, *, rounds: int = ROUNDS) -> int:
        """Assign all that can be assigned now; returns how many."""
        assigned = 0
        hopeless: set[Hashable] = set()  # what nobody can take now, none can take later in this pass
        queues = [queue for queue in self._directory.queues.values() if self._could_serve(queue)]
        lines = {(queue.id, priority): "" for queue in queues for priority in PRIORITY_RANK}
        for _ in range(rounds):
            waiting: list[Conversation] = []
            for (queue_id, priority), after in list(lines.items()):
                page = await self._waiting(queue_id, priority, after or None)
                waiting.extend(page.items)
                if page.next is None:
                    del lines[queue_id, priority]
                else:
                    lines[queue_id, priority] = page.next
            for conversation in order_waiting(waiting, self._directory.queues, self._clock.now()):
                queue = self._directory.queues.get(conversation.queue_id)
                need = (conversation.queue_id, conversation.channel, conversation.skills, conversation.language)
                if queue is None or need in hopeless:
                    continue
                taken = await self._offer(conversation, queue) if self._could_serve(queue) else None
                if taken is None:
                    hopeless.add(need)
                elif taken:
                    assigned += 1
            lines = {line: after for line, after in lines.items() if self._has_room(line[0])}
            if not lines:
                break
        return assigned

    def _has_room(self, queue_id: str) -> bool:
        queue = self._directory.queues.get(queue_id)
        return queue is not None and self._could_serve(queue)

    async def _count_waiting(self) -> None:
        """How many wait in each queue, where the rules look at it."""
        if not self._directory.rules.reads_queues:
            return
        for queue in self._directory.queues.values():
            where = {"queue_id": queue.id, "queued_at": Range(start=EPOCH)}
            self._directory.waiting[queue.id] = await self._store.count(CONVERSATIONS, where, limit=1000)

    async def set_presence(self, agent_id: str, presence: Presence, actor: Actor) -> AgentState:
        """The agent comes on, goes away or off; conversations they have stay theirs."""
        if agent_id not in self._directory.agents:
            raise NotFound("agent", agent_id)
        now = self._clock.now()

        def changed(state: AgentState) -> AgentState:
            return replace(state, presence=presence, presence_at=now)

        return await self._write_state(agent_id, changed, now)

    async def _write_state(
        self, agent_id: str, change: Callable[[AgentState], AgentState], now: datetime
    ) -> AgentState:
        for _ in range(8):
            state = await self._store.get(AGENT_STATES, agent_id) or AgentState(id=agent_id)
            batch = Batch()
            stored = put_state(batch, change(state), now, kind="agent.state")
            try:
                await self._store.commit(batch)
            except (Conflict, Duplicate):
                continue
            self._directory.put_state(stored)
            self.poke()
            return stored
        raise Clash("the agent's state is changing too fast; try again", "state")

    def _agents(self, queue: Queue) -> list[tuple[Agent, AgentState]]:
        return [(agent, self._directory.state_of(agent.id)) for agent in self._directory.serving(queue)]

    def _could_serve(self, queue: Queue) -> bool:
        """Whether anybody is on who serves the queue and is not full; spares the reads when nobody is."""
        return queue.type == "human" and any(
            state.presence == "online" and used(state) < agent.capacity for agent, state in self._agents(queue)
        )

    async def _waiting(self, queue_id: str, priority: str, after: str | None) -> Page[Conversation]:
        where = {"queue_id": queue_id, "priority": priority, "queued_at": Range(start=EPOCH)}
        return await self._store.find(CONVERSATIONS, where, order="queued_at", after=after, limit=HEADS)

    async def _offer(self, conversation: Conversation, queue: Queue) -> bool | None:
        """Assign it if somebody can take it (None: nobody can); a change meanwhile means reading and choosing again."""
        current: Conversation | None = conversation
        for _ in range(4):
            if current is None or current.queue_id != queue.id or current.queued_at is None:
                return False
            now = self._clock.now()
            choice = choose(queue, need_of(current), self._agents(queue), now)
            if choice.agent_id is None:
                return None
            try:
                await self._assign(current, queue, choice, now)
            except (Conflict, Duplicate):
                await self._reload(queue)
                current = await self._store.get(CONVERSATIONS, conversation.id)
                continue
            return True
        return False

    async def _assign(self, before: Conversation, queue: Queue, choice: Choice, now: datetime) -> None:
        batch = Batch()
        after = replace(before, assignee_id=choice.agent_id, queued_at=None, updated_at=now)
        states = change_owner(batch, before, after, self._directory.state_of, self._directory.agents.get, now)
        stored = batch.put(CONVERSATIONS, after)
        batch.insert(
            DECISIONS,
            Decision(
                id=self._ids(),
                conversation_id=before.id,
                at=now,
                kind="assign",
                queue_id=queue.id,
                queue_reason=f"waited in {queue.name}",
                candidates=choice.candidates,
                assignee_id=choice.agent_id,
            ),
        )
        event = conversation_updated(before, stored, now)
        if event is not None:
            batch.emit(event)
        await self._store.commit(batch)
        self._recent.saw(stored)
        for state in states.values():
            self._directory.put_state(state)

    async def _reload(self, queue: Queue) -> None:
        ids = [agent.id for agent in self._directory.serving(queue)]
        for state in (await self._store.get_many(AGENT_STATES, ids)).values():
            self._directory.put_state(state)
