"""What agents do with conversations: answer, note, claim, release, transfer, change.

Each call reads, decides on what it read, and commits with version checks; a change by somebody else in between means
deciding again. Raises NotFound for what the actor may not see, Clash with the reason for what may not be.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from gateway.connector import Capabilities, File
from gateway.content.cards import mask_cards
from gateway.errors import Clash, Conflict, Denied, Duplicate, NotFound, Problem, Refused
from gateway.model.access import SYSTEM, Actor
from gateway.model.conversation import Conversation, Priority, Status
from gateway.model.decision import Decision
from gateway.model.document import Clock, Ids
from gateway.model.message import Attachment, Author, Direction, Message
from gateway.model.team import ROLE_RANK, AgentState, Queue
from gateway.routing import sla
from gateway.routing.capacity import points_for, used
from gateway.routing.queues import resolve_queue
from gateway.routing.visibility import may_see
from gateway.service.attachments import Attachments
from gateway.service.directory import Directory
from gateway.service.dispatch import Dispatcher
from gateway.service.happenings import conversation_updated, message_created
from gateway.service.outbox.entry import new_delivery
from gateway.service.outbox.status import view
from gateway.service.ownership import change_owner, free_points, released
from gateway.service.recent import Recent
from gateway.store.batch import Batch
from gateway.store.collection import AGENT_STATES, CONVERSATIONS, DECISIONS, DELIVERIES, MESSAGES
from gateway.store.contract import Range, Store

T = TypeVar("T")

ATTEMPTS = 8
"""How often a change is decided again when another writer was faster."""

PREVIEW = 140
WAKE_BATCH = 100


class Changes(Struct, frozen=True, kw_only=True):
    """What PATCH may change; what is left out stays."""

    status: Status | UnsetType = UNSET
    queue: str | UnsetType = UNSET
    assignee: str | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    snoozed_until: datetime | UnsetType | None = UNSET
    subject: str | UnsetType = UNSET
    language: str | UnsetType | None = UNSET


@dataclass(slots=True)
class Turn:
    """One try at a change: what was read, and the batch it goes into."""

    conversation: Conversation
    now: datetime
    states: dict[str, AgentState]
    batch: Batch = field(default_factory=Batch)

    def state_of(self, agent_id: str) -> AgentState:
        return self.states.get(agent_id) or AgentState(id=agent_id)


class Conversations:
    """`capabilities` gives a channel's by kind; `deliver` is told the inbox of each committed outbox entry."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        directory: Directory,
        dispatcher: Dispatcher,
        attachments: Attachments,
        recent: Recent,
        capabilities: Callable[[str], Capabilities],
        deliver: Callable[[str], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._directory = directory
        self._dispatcher = dispatcher
        self._attachments = attachments
        self._recent = recent
        self._capabilities = capabilities
        self._deliver = deliver

    # reading

    async def get(self, id: str, actor: Actor) -> Conversation:
        """The conversation; NotFound if there is none the actor may see."""
        conversation = await self._store.get(CONVERSATIONS, id)
        if conversation is None or not self.visible(conversation, actor):
            raise NotFound("conversation", id)
        return conversation

    def visible(self, conversation: Conversation, actor: Actor) -> bool:
        """Whether the actor may see it."""
        queues = self._directory.queues_of(actor.agent_id) if actor.agent_id else frozenset[str]()
        return may_see(
            actor.role,
            queues,
            actor.agent_id,
            queue_id=conversation.queue_id,
            assignee_id=conversation.assignee_id,
        )

    # writing

    async def reply(
        self,
        id: str,
        actor: Actor,
        text: str,
        files: Sequence[File] = (),
        *,
        html: str | None = None,
        message_id: str | None = None,
    ) -> Message:
        """Commit an answer together with its outbox entry. An agent who answers an unowned conversation takes it, if
        there is room. `message_id`: chosen by the caller, so that the same call made again changes nothing."""
        conversation = await self.get(id, actor)
        channel = self._capabilities(conversation.channel)
        _check_text(text, files, channel)
        if conversation.automatic:
            raise Clash("this conversation collects automatic mail; there is nobody to answer")
        attachments = await self._attachments.keep(files)
        _check_sizes(attachments, channel)
        message_id = message_id or self._ids()

        async def attempt(turn: Turn) -> Message:
            before = turn.conversation
            message = _written(turn, message_id, "out", actor, text, attachments)
            message = replace(message, html=html, subject=before.subject or None)
            delivery = new_delivery(message, before, channel, now=turn.now)
            message = replace(message, delivery=view(delivery))
            after = replace(
                before,
                message_count=before.message_count + 1,
                last_message_at=turn.now,
                last_message_preview=_preview(message),
                waiting_since=None,
                unread=0,
                first_response_at=before.first_response_at or (turn.now if before.waiting_since else None),
                updated_at=turn.now,
            )
            after = self._claimed_by_answering(turn, self._answered(before, after, turn.now), actor)
            stored = turn.batch.insert(MESSAGES, message)
            turn.batch.insert(DELIVERIES, delivery)
            self._put(turn, before, after)
            turn.batch.emit(message_created(stored, after))
            return stored

        message = await self._change(id, actor, attempt)
        self._deliver(message.inbox_id)
        return message

    async def note(
        self, id: str, actor: Actor, text: str, files: Sequence[File] = (), *, message_id: str | None = None
    ) -> Message:
        """Add a note that only agents see. `message_id`: see `reply`."""
        await self.get(id, actor)
        if not text.strip() and not files:
            raise Refused(Problem("text", "a note needs a text or an attachment"))
        attachments = await self._attachments.keep(files)
        message_id = message_id or self._ids()

        async def attempt(turn: Turn) -> Message:
            before = turn.conversation
            message = _written(turn, message_id, "note", actor, text, attachments)
            after = replace(before, message_count=before.message_count + 1, updated_at=turn.now)
            stored = turn.batch.insert(MESSAGES, message)
            self._put(turn, before, after)
            turn.batch.emit(message_created(stored, after))
            return stored

        return await self._change(id, actor, attempt)

    async def claim(self, id: str, actor: Actor) -> Conversation:
        """Take an unowned conversation; Clash if somebody has it, it is resolved, or the agent is full."""
        agent_id = _agent_id(actor)

        async def attempt(turn: Turn) -> Conversation:
            before = turn.conversation
            if before.assignee_id == agent_id:
                return before
            if before.assignee_id is not None:
                raise Clash(f"{self._name(before.assignee_id)} has this conversation", "assignee")
            return self._assign(turn, before, agent_id, actor, f"claimed by {actor.name}")

        return await self._change(id, actor, attempt)

    async def release(self, id: str, actor: Actor) -> Conversation:
        """Give it back to its queue; only its owner or a supervisor may."""

        async def attempt(turn: Turn) -> Conversation:
            before = turn.conversation
            if before.assignee_id is None:
                raise Clash("nobody has this conversation", "assignee")
            _own_or_supervise(actor, before)
            # Released on purpose: do not hand it straight back to the same person.
            after = replace(released(before), preferred_agent_id=None, queued_at=_queued(before, turn.now))
            stored = self._put(turn, before, replace(after, updated_at=turn.now))
            self._explain(turn, stored, actor, f"released by {actor.name}")
            return stored

        conversation = await self._change(id, actor, attempt)
        self._dispatcher.poke()
        return conversation

    async def let_go_of_all(self, agent_id: str) -> int:
        """The agent is disabled: they go offline, and what they have goes back to its queues; returns how many."""
        await self._dispatcher.set_presence(agent_id, "offline", SYSTEM)
        state = await self._store.get(AGENT_STATES, agent_id)
        held = state.held if state is not None else ()

        async def attempt(turn: Turn) -> None:
            before = turn.conversation
            if before.assignee_id != agent_id:
                return
            after = replace(released(before), preferred_agent_id=None, queued_at=_queued(before, turn.now))
            stored = self._put(turn, before, replace(after, updated_at=turn.now))
            self._explain(turn, stored, SYSTEM, f"{self._name(agent_id)} was disabled")

        for hold in held:
            await self._retry(hold.conversation_id, attempt)
        self._dispatcher.poke()
        return len(held)

    async def transfer(
        self, id: str, actor: Actor, *, queue: str | None = None, agent: str | None = None, note: str = ""
    ) -> Conversation:
        """Move it to another queue (name or id), or to an agent (id or address) who has room."""
        if (queue is None) == (agent is None):
            raise Refused(Problem("queue", "name either a queue or an agent"))

        async def attempt(turn: Turn) -> Conversation:
            before = turn.conversation
            if before.status == "resolved":
                raise Clash("this conversation is resolved; open it before transferring it", "status")
            if before.assignee_id is not None:
                _own_or_supervise(actor, before)
            if note:
                before = self._with_note(turn, before, actor, note)
            if queue is not None:
                return self._to_queue(turn, before, self._queue(queue, "queue"), actor)
            return self._assign(turn, before, self._agent(agent or "", "agent"), actor, f"transferred by {actor.name}")

        conversation = await self._change(id, actor, attempt)
        self._dispatcher.poke()
        return conversation

    async def update(self, id: str, actor: Actor, changes: Changes, *, version: int | None = None) -> Conversation:
        """Apply the changes together. `version`: the one the caller saw; Conflict if it is another by now."""

        async def attempt(turn: Turn) -> Conversation:
            before = turn.conversation
            if version is not None and before.version != version:
                raise Clash(f"the conversation was changed meanwhile (it is at version {before.version})", "version")
            after = self._changed(turn, before, changes, actor)
            if after == before:
                return before
            return self._put(turn, before, replace(after, updated_at=turn.now))

        conversation = await self._change(id, actor, attempt)
        self._dispatcher.poke()
        return conversation

    async def mark_read(self, id: str, actor: Actor) -> Conversation:
        """Nothing in it is unread any more."""

        async def attempt(turn: Turn) -> Conversation:
            if turn.conversation.unread == 0:
                return turn.conversation
            return self._put(turn, turn.conversation, replace(turn.conversation, unread=0))

        return await self._change(id, actor, attempt)

    async def wake_snoozed(self, now: datetime) -> int:
        """Open what was snoozed until now; returns how many."""
        page = await self._store.find(
            CONVERSATIONS, {"snoozed_until": Range(end=now)}, order="snoozed_until", limit=WAKE_BATCH
        )
        for conversation in page.items:

            async def attempt(turn: Turn) -> None:
                before = turn.conversation
                if before.snoozed_until is None or before.snoozed_until > now:
                    return
                queued = turn.now if before.assignee_id is None else None
                self._put(turn, before, replace(before, status="open", snoozed_until=None, queued_at=queued))

            await self._retry(conversation.id, attempt)
        if page.items:
            self._dispatcher.poke()
        return len(page.items)

    # one try

    async def _change(self, id: str, actor: Actor, attempt: Callable[[Turn], Awaitable[T]]) -> T:
        async def seen(turn: Turn) -> T:
            if not self.visible(turn.conversation, actor):
                raise NotFound("conversation", id)
            return await attempt(turn)

        return await self._retry(id, seen)

    async def _retry(self, id: str, attempt: Callable[[Turn], Awaitable[T]]) -> T:
        """Read, decide and commit until nobody was faster."""
        failed: Conflict | Duplicate | None = None
        for _ in range(ATTEMPTS):
            conversation = await self._store.get(CONVERSATIONS, id)
            if conversation is None:
                raise NotFound("conversation", id)
            turn = Turn(
                conversation=conversation,
                now=self._clock.now(),
                states=await self._store.get_many(AGENT_STATES, list(self._directory.agents)),
            )
            result = await attempt(turn)
            if not turn.batch:
                return result
            try:
                await self._store.commit(turn.batch)
            except Conflict as error:
                failed = error
                continue
            except Duplicate as error:
                if error.collection != AGENT_STATES.name:
                    raise
                failed = error
                continue
            self._after(turn)
            return result
        raise failed or Conflict(CONVERSATIONS.name, id)

    def _after(self, turn: Turn) -> None:
        for write in turn.batch:
            if isinstance(write.doc, Conversation):
                self._recent.saw(write.doc)
            elif isinstance(write.doc, AgentState):
                self._directory.put_state(write.doc)

    def _put(self, turn: Turn, before: Conversation, after: Conversation) -> Conversation:
        changed = change_owner(turn.batch, before, after, turn.state_of, self._directory.agents.get, turn.now)
        turn.states.update(changed)
        stored = turn.batch.put(CONVERSATIONS, after)
        turn.conversation = stored
        event = conversation_updated(before, stored, turn.now)
        if event is not None:
            turn.batch.emit(event)
        return stored

    def _assign(self, turn: Turn, before: Conversation, agent_id: str, actor: Actor, reason: str) -> Conversation:
        self._room(turn, before, agent_id)
        after = replace(before, assignee_id=agent_id, queued_at=None, updated_at=turn.now)
        stored = self._put(turn, before, after)
        self._explain(turn, stored, actor, reason)
        return stored

    def _room(self, turn: Turn, conversation: Conversation, agent_id: str) -> None:
        if conversation.status == "resolved":
            raise Clash("this conversation is resolved; open it first", "status")
        agent = self._directory.agents.get(agent_id)
        if agent is None or not agent.enabled:
            raise Refused(Problem("agent", "there is no such agent"))
        state = turn.state_of(agent_id)
        if free_points(agent, state) < points_for(agent, conversation.channel):
            raise Clash(f"{agent.name} is full: {used(state)} of {agent.capacity} places are taken", "assignee")

    def _to_queue(self, turn: Turn, before: Conversation, wanted: Queue, actor: Actor) -> Conversation:
        queue, moved = self._resolved(wanted, turn.now)
        after = replace(
            released(before),
            queue_id=queue.id,
            queued_at=_queued(before, turn.now),
            updated_at=turn.now,
        )
        stored = self._put(turn, before, after)
        self._explain(turn, stored, actor, _moved(wanted, actor, moved))
        return stored

    def _resolved(self, queue: Queue, now: datetime) -> tuple[Queue, str]:
        """Where it goes if it is moved to the queue, and why elsewhere: the same as for what a rule sends there."""
        return resolve_queue(queue, self._directory.queues, now, self._directory.default_queue)

    def _changed(self, turn: Turn, before: Conversation, changes: Changes, actor: Actor) -> Conversation:
        after = before
        if changes.priority is not UNSET:
            after = replace(after, priority=changes.priority)
        if changes.tags is not UNSET:
            after = replace(after, tags=tuple(dict.fromkeys(changes.tags)))
        if changes.subject is not UNSET:
            after = replace(after, subject=changes.subject)
        if changes.language is not UNSET:
            after = replace(after, language=changes.language)
        if changes.queue is not UNSET:
            wanted = self._queue(changes.queue, "queue")
            queue, moved = self._resolved(wanted, turn.now)
            if after.queue_id not in (wanted.id, queue.id):
                if before.assignee_id is not None:
                    _own_or_supervise(actor, before)
                after = replace(released(after), queue_id=queue.id)
                after = replace(after, queued_at=None if after.status == "resolved" else turn.now)
                self._explain(turn, after, actor, _moved(wanted, actor, moved))
        after = self._with_status(turn, after, changes)
        if changes.assignee is not UNSET and changes.assignee != after.assignee_id:
            after = self._with_assignee(turn, before, after, changes.assignee, actor)
        return after

    def _with_assignee(
        self, turn: Turn, before: Conversation, after: Conversation, assignee: str | None, actor: Actor
    ) -> Conversation:
        if before.assignee_id is not None:
            _own_or_supervise(actor, before)
        if assignee is None:
            after = replace(released(after), queued_at=None if after.status == "resolved" else turn.now)
        else:
            agent_id = _agent_id(actor) if assignee == "me" else self._agent(assignee, "assignee")
            if after.assignee_id == agent_id:
                return after
            if agent_id != before.assignee_id or after.status == "resolved":
                self._room(turn, after, agent_id)
            after = replace(after, assignee_id=agent_id, queued_at=None)
        self._explain(turn, after, actor, f"assigned by {actor.name}" if assignee else f"released by {actor.name}")
        return after

    def _with_status(self, turn: Turn, conversation: Conversation, changes: Changes) -> Conversation:
        until = changes.snoozed_until
        status = changes.status
        if until is not UNSET and until is not None and status is UNSET:
            status = "snoozed"
        if status == "snoozed":
            until = conversation.snoozed_until if until is UNSET else until
            if until is None:
                raise Refused(Problem("snoozed_until", "say until when to snooze it"))
            if until <= turn.now:
                raise Refused(Problem("snoozed_until", "must lie in the future"))
            return replace(conversation, status="snoozed", snoozed_until=until, queued_at=None)
        if status is UNSET:
            return conversation
        if until is not UNSET and until is not None:
            raise Refused(Problem("snoozed_until", "only a snoozed conversation has one"))
        if status == "resolved":
            if conversation.status == "resolved":
                return conversation
            return replace(
                released(conversation),
                status="resolved",
                resolved_at=turn.now,
                queued_at=None,
                waiting_since=None,
                snoozed_until=None,
                sla=sla.on_resolved(conversation.sla, turn.now) if conversation.sla is not None else None,
            )
        reopened = conversation.status == "resolved"
        queued = conversation.queued_at or turn.now if conversation.assignee_id is None and status == "open" else None
        if reopened:
            conversation = self._reopened(conversation, turn.now)
        return replace(
            conversation,
            status=status,
            snoozed_until=None,
            resolved_at=None if reopened else conversation.resolved_at,
            reopened=conversation.reopened + (1 if reopened else 0),
            queued_at=queued,
        )

    def _answered(self, before: Conversation, after: Conversation, now: datetime) -> Conversation:
        """The response-time targets that the answer meets."""
        policy = self._directory.sla_policies.get(before.sla_policy_id or "")
        if policy is None or before.sla is None:
            return after
        return replace(after, sla=sla.on_message(policy, before.sla, before, "out", now))

    def _reopened(self, conversation: Conversation, now: datetime) -> Conversation:
        policy = self._directory.sla_policies.get(conversation.sla_policy_id or "")
        if policy is None or conversation.sla is None:
            return conversation
        return replace(conversation, sla=sla.on_reopened(policy, conversation.sla, conversation, now))

    def _claimed_by_answering(self, turn: Turn, conversation: Conversation, actor: Actor) -> Conversation:
        agent = self._directory.agents.get(actor.agent_id) if actor.agent_id else None
        if agent is None or conversation.assignee_id is not None or conversation.status == "resolved":
            return conversation
        if free_points(agent, turn.state_of(agent.id)) < points_for(agent, conversation.channel):
            return conversation
        taken = replace(conversation, assignee_id=agent.id, queued_at=None)
        self._explain(turn, taken, actor, f"taken by {actor.name} by answering")
        return taken

    def _with_note(self, turn: Turn, conversation: Conversation, actor: Actor, text: str) -> Conversation:
        message = _written(turn, self._ids(), "note", actor, text)
        turn.batch.emit(message_created(turn.batch.insert(MESSAGES, message), conversation))
        return replace(conversation, message_count=conversation.message_count + 1)

    def _explain(self, turn: Turn, conversation: Conversation, actor: Actor, reason: str) -> None:
        turn.batch.insert(
            DECISIONS,
            Decision(
                id=self._ids(),
                conversation_id=conversation.id,
                at=turn.now,
                kind="manual",
                queue_id=conversation.queue_id,
                queue_reason=reason,
                assignee_id=conversation.assignee_id,
                by=actor.id,
            ),
        )

    def _queue(self, name_or_id: str, path: str) -> Queue:
        queue = self._directory.queue(name_or_id)
        if queue is None:
            raise Refused(Problem(path, f"there is no queue {name_or_id!r}"))
        return queue

    def _agent(self, id_or_email: str, path: str) -> str:
        agents = self._directory.agents
        agent = agents.get(id_or_email) or next((a for a in agents.values() if a.email == id_or_email.lower()), None)
        if agent is None:
            raise Refused(Problem(path, f"there is no agent {id_or_email!r}"))
        return agent.id

    def _name(self, agent_id: str) -> str:
        agent = self._directory.agents.get(agent_id)
        return agent.name if agent is not None else "another agent"


def _moved(wanted: Queue, actor: Actor, elsewhere: str) -> str:
    return "; ".join(filter(None, (f"moved to {wanted.name} by {actor.name}", elsewhere)))


def _written(
    turn: Turn, id: str, direction: Direction, actor: Actor, text: str, attachments: tuple[Attachment, ...] = ()
) -> Message:
    """What the actor writes in the turn's conversation."""
    return Message(
        id=id,
        inbox_id=turn.conversation.inbox_id,
        conversation_id=turn.conversation.id,
        direction=direction,
        author=_author(actor),
        text=text,
        attachments=attachments,
        masked_text=mask_cards(text),
        created_at=turn.now,
    )


def _queued(conversation: Conversation, now: datetime) -> datetime | None:
    """Since when it waits for an agent, once it has none: what is snoozed, pending or resolved waits for nobody."""
    return now if conversation.status == "open" else None


def _author(actor: Actor) -> Author:
    if actor.agent_id is not None:
        return Author(kind="agent", id=actor.agent_id, name=actor.name)
    return Author(kind="system" if actor.kind == "system" else "bot", id=actor.id, name=actor.name)


def _agent_id(actor: Actor) -> str:
    if actor.agent_id is None:
        raise Denied("only an agent can have conversations; this token belongs to none")
    return actor.agent_id


def _own_or_supervise(actor: Actor, conversation: Conversation) -> None:
    if actor.agent_id != conversation.assignee_id and ROLE_RANK[actor.role] < ROLE_RANK["supervisor"]:
        raise Clash("another agent has this conversation; they or a supervisor can pass it on", "assignee")


def _check_text(text: str, files: Sequence[File], channel: Capabilities) -> None:
    if not text.strip() and not files:
        raise Refused(Problem("text", "an answer needs a text or an attachment"))
    if channel.max_text is not None and len(text) > channel.max_text:
        raise Refused(Problem("text", f"the channel takes {channel.max_text} characters, this has {len(text)}"))
    if files and not channel.attachments:
        raise Refused(Problem("attachments", "the channel takes no attachments"))


def _check_sizes(attachments: Sequence[Attachment], channel: Capabilities) -> None:
    limit = channel.max_attachment_bytes
    for number, attachment in enumerate(attachments):
        if limit is not None and attachment.size > limit:
            raise Refused(
                Problem(f"attachments[{number}]", f"the channel takes {limit} bytes, this has {attachment.size}")
            )


def _preview(message: Message) -> str:
    text = message.masked_text or message.text
    return (text or ", ".join(attachment.name for attachment in message.attachments))[:PREVIEW]
