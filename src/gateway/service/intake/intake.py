"""Intake: queues what connectors hand over, and commits it in shared batches.

Messages that arrive while a commit is under way share the next one, so the cost per message falls as load rises. While
one batch is being committed the next is read and decided, on the state the first one will leave; should the first fail,
the version checks see to it that the second is decided again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from gateway import faults
from gateway.connector import Accepted, Capabilities, Inbound, StatusUpdate
from gateway.errors import Conflict, Duplicate, GatewayError, Overloaded, StoreUnavailable
from gateway.model.document import Clock, Ids
from gateway.model.inbox import Inbox
from gateway.model.team import AgentState
from gateway.service.attachments import Attachments
from gateway.service.directory import Directory
from gateway.service.intake.arrival import Arrival
from gateway.service.intake.plan import Plan, Planner
from gateway.service.intake.prepare import accepted, prepare
from gateway.service.intake.workspace import Workspace
from gateway.service.intake.write import write
from gateway.service.outbox import receipts
from gateway.service.recent import Recent
from gateway.store.batch import Batch, Lease
from gateway.store.collection import AGENT_STATES, MESSAGES
from gateway.store.contract import Store

log = structlog.get_logger("intake")

ATTEMPTS = 6
"""How often one message is decided anew when other writers keep getting ahead."""

ASK_FIRST = timedelta(seconds=30)
"""How long each batch looks for repeats before it is decided, after one was found out by the store."""

SPLIT_FROM = 16
"""Fewer are not worth two commits."""

GATHERING_TURNS = 3
"""Turns of the loop from a readable socket to a message that waits: read, handle, hand over."""


@dataclass(slots=True)
class Prepared:
    """A batch ready to commit. `epoch`: how many failures it was decided after."""

    epoch: int
    arrivals: list[Arrival]
    batch: Batch
    plans: list[Plan] = field(default_factory=list)
    states: dict[str, AgentState] = field(default_factory=dict)
    repeats: list[tuple[Arrival, Accepted]] = field(default_factory=list)


class Intake:
    """`on_commit` is told the plans of each commit, once they are durable."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        directory: Directory,
        attachments: Attachments,
        recent: Recent,
        capabilities: Callable[[str], Capabilities],
        on_commit: Callable[[Sequence[Plan]], None],
        *,
        max_pending: int = 4096,
        max_batch: int = 256,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._directory = directory
        self._attachments = attachments
        self._recent = recent
        self._capabilities = capabilities
        self._on_commit = on_commit
        self._planner = Planner(directory, ids)
        self._max_batch = max_batch
        self._max_pending = max_pending
        self._pending: list[Arrival] = []
        self._news = asyncio.Event()
        self._under_way = 0
        self._repeats_until = clock.now()
        self._room = asyncio.Condition()
        self._held = 0
        self._wanting = 0
        self._states: dict[str, AgentState] = {}
        self._epoch = 0
        self._people_changed = False
        self._committing = asyncio.Lock()
        self._ahead = asyncio.Semaphore(2)
        self._calm = asyncio.Event()  # no failed batch is being decided again
        self._calm.set()

    @property
    def pending(self) -> int:
        """Messages handed over and not yet durable."""
        return self._held

    async def accept(
        self, inbox: Inbox, messages: Sequence[Inbound], *, wait: bool = True, fence: Lease | None = None
    ) -> list[Accepted]:
        """Returns once all messages are durable and routed, in their order.

        When the queue is full: waits for room (`wait`), or raises Overloaded. Raises StoreUnavailable, Refused or
        Fenced with nothing confirmed; handing the same messages over again is safe.
        """
        await self._enter(len(messages), wait)
        try:
            arrivals = await self._ready(inbox, messages, fence)
            faults.reach("intake.prepare.after")
            self._pending.extend(arrivals)
            self._news.set()
            if len(arrivals) == 1:
                return [await arrivals[0].done]
            return list(await asyncio.gather(*(arrival.done for arrival in arrivals)))
        finally:
            await self._leave(len(messages))

    async def _ready(self, inbox: Inbox, messages: Sequence[Inbound], fence: Lease | None) -> list[Arrival]:
        """All of them prepared, side by side: the disk keeps many files in the time of one."""

        def one(inbound: Inbound) -> Coroutine[Any, Any, Arrival]:
            return prepare(inbox, inbound, self._ids(), self._clock.now(), self._attachments, fence)

        if len(messages) == 1:
            return [await one(messages[0])]
        # One that fails does not leave the others to run on alone.
        done = await asyncio.gather(*map(one, messages), return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome for outcome in done if isinstance(outcome, Arrival)]

    def people_changed(self) -> None:
        """Contacts were merged, parted or erased: the next batch reads anew whose address is whose."""
        self._people_changed = True

    async def status(self, inbox_id: str, updates: Sequence[StatusUpdate]) -> None:
        """Receipts for messages of ours; returns once durable."""
        await receipts.apply(self._store, self._clock, inbox_id, updates)

    async def run(self) -> None:
        """Decide and commit until cancelled; what was not committed then is not confirmed to anyone."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._ahead.acquire()
                    await self._worth_a_commit()
                    size = self._size()
                    taken, self._pending = self._pending[:size], self._pending[size:]
                    self._under_way += len(taken)
                    prepared = await self._prepare(taken, ahead=True)
                    group.create_task(self._finish(prepared, taken))
        finally:
            for arrival in self._pending:
                arrival.done.cancel()

    def _size(self) -> int:
        """How many to take. Of many that came at once half: the other half is decided while these are committed, and
        from then on the two take turns, so that neither the loop nor the disk waits for the other."""
        if self._under_way or len(self._pending) < SPLIT_FROM:
            return self._max_batch
        return min(self._max_batch, (len(self._pending) + 1) // 2)

    async def _worth_a_commit(self) -> None:
        """Wait for messages. While a commit is under way, wait for about as many as it has, or for its end: a batch
        taken sooner would be small, and the next one would have to wait for it. Costs no message any time, since two
        commits are never made at once."""
        while not self._pending or (self._under_way and len(self._pending) < self._under_way):
            self._news.clear()
            await self._news.wait()
        if not self._under_way:
            for _ in range(GATHERING_TURNS):  # those whose requests have arrived already come along
                await asyncio.sleep(0)

    # the bounded queue

    async def _enter(self, count: int, wait: bool) -> None:
        if self._held + count > self._max_pending and self._held:
            if not wait:
                raise Overloaded("intake")
            self._wanting += 1
            try:
                async with self._room:
                    await self._room.wait_for(lambda: self._held + count <= self._max_pending or not self._held)
            finally:
                self._wanting -= 1
        self._held += count

    async def _leave(self, count: int) -> None:
        self._held -= count
        if self._wanting:
            async with self._room:
                self._room.notify_all()

    # batches

    async def _prepare(self, arrivals: list[Arrival], *, ahead: bool = False) -> Prepared | None:
        """Read and decide; None if that failed, so that `_finish` takes the messages one by one."""
        try:
            return await self._decide(arrivals, ahead=ahead)
        except Exception as error:  # whatever it is: each message gets its own try, and its own error
            log.warning("intake.decide", error=f"{type(error).__name__}: {error}")
            return None

    async def _decide(self, arrivals: list[Arrival], *, ahead: bool = False) -> Prepared:
        """`ahead`: while another batch may be under way. From the reads to the end there is no turn for others; what
        was read before a failure is read again, and nothing is decided ahead of a batch that is being decided anew, for
        that one would take it for committed."""
        if self._people_changed:
            self._people_changed = False
            self._void()
        while True:
            if ahead:
                await self._calm.wait()
            prepared = Prepared(self._epoch, arrivals, Batch())
            workspace = Workspace(self._store, self._recent, self._ids)
            known = await workspace.known(arrivals) if self._clock.now() < self._repeats_until else {}
            fresh: list[Arrival] = []
            within: dict[tuple[str, str], Arrival] = {}
            for arrival in arrivals:
                key = (arrival.inbox.id, arrival.inbound.external_id)
                repeat = known.get(key)
                if repeat is not None:
                    prepared.repeats.append((arrival, repeat))
                elif key not in within:
                    within[key] = arrival
                    fresh.append(arrival)
            if fresh:
                await workspace.read(fresh)
            if prepared.epoch == self._epoch and (not ahead or self._calm.is_set()):
                break
        placed: dict[tuple[str, str], Accepted] = {}
        for arrival in fresh:
            plan = self._planner.plan(arrival, workspace.situation(arrival), self._state_of)
            states = write(prepared.batch, plan, workspace, self._capabilities)
            self._states.update(states)
            prepared.states.update(states)
            prepared.plans.append(plan)
            placed[arrival.inbox.id, arrival.inbound.external_id] = accepted(arrival, plan.conversation.id)
        for arrival in arrivals:
            key = (arrival.inbox.id, arrival.inbound.external_id)
            original = within.get(key)
            if original is not None and original is not arrival:
                first = placed[key]
                prepared.repeats.append(
                    (
                        arrival,
                        Accepted(message_id=first.message_id, conversation_id=first.conversation_id, duplicate=True),
                    )
                )
        for fence in {arrival.fence for arrival in fresh if arrival.fence is not None}:
            prepared.batch.fence(fence)
        return prepared

    def _state_of(self, agent_id: str) -> AgentState:
        """As the batches under way will leave it, else as known."""
        known = self._directory.state_of(agent_id)
        ahead = self._states.get(agent_id)
        return ahead if ahead is not None and ahead.version > known.version else known

    async def _finish(self, prepared: Prepared | None, arrivals: list[Arrival]) -> None:
        try:
            async with self._committing:
                if prepared is not None and prepared.epoch == self._epoch and await self._commit(prepared):
                    return
                self._calm.clear()
                await self._one_by_one(arrivals)
        except asyncio.CancelledError:
            for arrival in arrivals:
                arrival.done.cancel()
            raise
        except Exception as error:  # reported to each sender, who will send again
            for arrival in arrivals:
                _fail(arrival, error)
        finally:
            self._calm.set()
            self._under_way -= len(arrivals)
            self._news.set()
            self._ahead.release()

    async def _commit(self, prepared: Prepared) -> bool:
        """Commit and confirm; False if it has to be decided again."""
        try:
            if prepared.batch:
                faults.reach("intake.commit.before")
                await self._store.commit(prepared.batch)
                faults.reach("intake.commit.after")
        except StoreUnavailable:
            self._void()  # trying each alone would only take longer to say the same
            raise
        except GatewayError as error:
            log.debug("intake.again", reason=str(error), messages=len(prepared.arrivals))
            self._calm.clear()
            self._note_repeat(error)
            await self._forget(prepared.states)
            return False
        except Exception:  # a fault of ours: whether it was kept is not known, so nothing may build on it
            self._void()
            raise
        self._confirm(prepared)
        return True

    async def _forget(self, states: Iterable[str]) -> None:
        """Void what was decided ahead, and read the agents' states that it was decided on again."""
        stale = list(states)
        self._void()
        if stale:
            for state in (await self._store.get_many(AGENT_STATES, stale)).values():
                self._directory.put_state(state)

    def _note_repeat(self, error: GatewayError) -> None:
        """A message came that the store has. Sources repeat themselves in bursts (a webhook's retries, a mailbox read
        anew), so for a while each batch asks first; the store's unique key is what keeps it once in any case."""
        if isinstance(error, Duplicate) and error.collection == MESSAGES.name:
            self._repeats_until = self._clock.now() + ASK_FIRST

    def _void(self) -> None:
        """What was decided ahead of a failed commit does not hold."""
        self._epoch += 1
        self._recent.clear()
        self._states.clear()

    def _confirm(self, prepared: Prepared) -> None:
        for state in prepared.states.values():
            self._directory.put_state(state)
        for plan in prepared.plans:
            if not plan.arrival.done.done():
                plan.arrival.done.set_result(accepted(plan.arrival, plan.conversation.id))
        for arrival, repeat in prepared.repeats:
            if not arrival.done.done():
                arrival.done.set_result(repeat)
        if prepared.plans:
            self._on_commit(prepared.plans)

    async def _one_by_one(self, arrivals: list[Arrival]) -> None:
        """After a failed batch: first all together on fresh reads, then each alone, so that one that cannot be stored
        costs its neighbours nothing."""
        if len(arrivals) > 1:
            again = await self._prepare(arrivals)
            if again is not None and await self._commit(again):
                return
        for arrival in arrivals:
            await self._alone(arrival)

    async def _alone(self, arrival: Arrival) -> None:
        failed: Exception | None = None
        for _ in range(ATTEMPTS):
            try:
                prepared = await self._decide([arrival])
                if prepared.batch:
                    await self._store.commit(prepared.batch)
            except (Conflict, Duplicate) as error:
                failed = error
                self._note_repeat(error)
                await self._forget(self._states)
                continue
            except Exception as error:  # this message's own failure, told to its sender
                if not isinstance(error, GatewayError):
                    log.exception("intake.failed", inbox=arrival.inbox.id)
                self._void()
                _fail(arrival, error)
                return
            self._confirm(prepared)
            return
        _fail(arrival, failed or Overloaded("intake"))


def _fail(arrival: Arrival, error: Exception) -> None:
    if not arrival.done.done():
        arrival.done.set_exception(error)
