"""Decides one message: which conversation, queue and agent, and why. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from gateway.content.cards import mask_cards
from gateway.model.contact import Contact
from gateway.model.conversation import Conversation
from gateway.model.decision import Candidate, Decision
from gateway.model.document import Ids
from gateway.model.message import Author, Message
from gateway.model.team import Agent, AgentState, Queue
from gateway.routing import sla
from gateway.routing.assign import choose, need_of
from gateway.routing.capacity import give_back, points_for, take
from gateway.routing.decide import decide
from gateway.routing.facts import Facts, Previous, QueueLoad, RuleEvent, facts_of
from gateway.routing.outcome import Outcome
from gateway.routing.queues import is_open, resolve_queue
from gateway.routing.summary import facts_summary
from gateway.service.directory import Directory
from gateway.service.intake.arrival import Arrival, Situation
from gateway.service.intake.workspace import automatic_key

PREVIEW = 140
AUTO_REPLY_PAUSE = timedelta(hours=24)
"""A rule answers a conversation at most once in this time: whatever answers back, there is no loop."""


@dataclass(slots=True)
class Plan:
    """What one message comes to. `conversation` carries the version it was decided on (0: it is new)."""

    arrival: Arrival
    situation: Situation
    message: Message
    conversation: Conversation
    event: RuleEvent | None
    """None: mail that no rule is run for."""
    contact: Contact
    decision: Decision | None = None
    states: dict[str, AgentState] = field(default_factory=dict)
    replies: list[Message] = field(default_factory=list)
    thread_keys: tuple[str, ...] = ()
    outcome: Outcome | None = None


class Planner:
    """`state_of`: an agent's state as the batch has it so far."""

    def __init__(self, directory: Directory, ids: Ids) -> None:
        self._directory = directory
        self._ids = ids

    def plan(self, arrival: Arrival, situation: Situation, state_of: Callable[[str], AgentState]) -> Plan:
        """The message's plan; deciding that fails leads to the fallback queue, with the error as the explanation."""
        if arrival.inbound.kind not in ("message", "unparsed"):
            return self._automatic(arrival, situation)
        plan = self._received(arrival, situation)
        before = plan.conversation
        try:
            self._route(plan, state_of)
        except Exception as error:  # a broken rule or a bug must not cost the message
            plan.conversation, plan.states, plan.replies, plan.outcome = before, {}, [], None
            self._fall_back(plan, error)
        return plan

    # receiving

    def _received(self, arrival: Arrival, situation: Situation) -> Plan:
        """The conversation with the message in it, before any rule has run."""
        conversation = situation.conversation
        contact = _updated(situation.contact, arrival)
        event: RuleEvent = "message"
        if conversation is not None and conversation.status == "resolved":
            reopen_until = (conversation.resolved_at or conversation.last_message_at) + timedelta(
                days=arrival.inbox.reopen_days
            )
            if arrival.at > reopen_until or conversation.automatic:
                conversation = None
            else:
                event = "reopened"
        if conversation is None:
            event = "new"
            conversation = Conversation(
                id=self._ids(),
                inbox_id=arrival.inbox.id,
                channel=arrival.inbox.kind,
                contact_id=contact.id,
                identity_id=situation.identity.id,
                queue_id=self._directory.default_queue.id,
                subject=arrival.inbound.subject or "",
                attributes=_thread_subject(arrival),
                created_at=arrival.at,
                updated_at=arrival.at,
                last_message_at=arrival.at,
            )
        message = self._message(arrival, situation, conversation)
        waits = conversation.assignee_id is None and event != "message"
        conversation = replace(
            conversation,
            status="open",
            # Another person who joins a thread (anyone can who knows a Message-ID) does not turn our answers to them.
            identity_id=situation.identity.id if contact.id == conversation.contact_id else conversation.identity_id,
            snoozed_until=None,
            resolved_at=None if event == "reopened" else conversation.resolved_at,
            reopened=conversation.reopened + (event == "reopened"),
            unread=conversation.unread + 1,
            message_count=conversation.message_count + 1,
            waiting_since=conversation.waiting_since or arrival.at,
            queued_at=conversation.queued_at or (arrival.at if waits or conversation.assignee_id is None else None),
            language=conversation.language or arrival.language,
            last_message_at=max(arrival.at, conversation.last_message_at),
            last_message_preview=_preview(message),
            updated_at=arrival.at,
        )
        return Plan(
            arrival=arrival,
            situation=situation,
            message=message,
            conversation=conversation,
            event=event,
            contact=contact,
            thread_keys=_thread_keys(arrival),
        )

    def _message(self, arrival: Arrival, situation: Situation, conversation: Conversation) -> Message:
        inbound = arrival.inbound
        return Message(
            id=arrival.message_id,
            inbox_id=arrival.inbox.id,
            conversation_id=conversation.id,
            direction="in",
            kind=inbound.kind,
            author=Author(kind="contact", id=situation.contact.id, name=inbound.sender.name or situation.contact.name),
            text=arrival.text,
            visible_text=inbound.visible_text,
            html=arrival.html,
            subject=inbound.subject,
            attachments=arrival.attachments,
            external_id=inbound.external_id,
            language=arrival.language,
            masked_text=arrival.masked_text,
            created_at=arrival.at,
            sent_at=inbound.sent_at,
            meta=dict(arrival.meta or inbound.meta),
            raw=arrival.raw,
        )

    def _automatic(self, arrival: Arrival, situation: Situation) -> Plan:
        """Bounces, complaints, receipts and automatic answers: shown where they belong, nobody is asked to act on them
        by routing, nothing is reopened, and those that belong nowhere share one conversation per inbox and kind."""
        conversation = situation.conversation
        keys = _thread_keys(arrival)
        if conversation is None:
            conversation = Conversation(
                id=self._ids(),
                inbox_id=arrival.inbox.id,
                channel=arrival.inbox.kind,
                contact_id=situation.contact.id,
                identity_id=situation.identity.id,
                status="resolved",
                queue_id=self._directory.default_queue.id,
                subject=_COLLECTED.get(arrival.inbound.kind, "Automatic mail"),
                automatic=True,
                created_at=arrival.at,
                updated_at=arrival.at,
                last_message_at=arrival.at,
                resolved_at=arrival.at,
            )
            keys = (automatic_key(arrival.inbound.kind),)
        elif conversation.automatic:
            keys = ()
        message = self._message(arrival, situation, conversation)
        conversation = replace(
            conversation,
            message_count=conversation.message_count + 1,
            last_message_at=max(arrival.at, conversation.last_message_at),
            last_message_preview=_preview(message),
            updated_at=arrival.at,
        )
        return Plan(
            arrival=arrival,
            situation=situation,
            message=message,
            conversation=conversation,
            event=None,
            contact=situation.contact,
            thread_keys=keys,
        )

    # routing

    def _route(self, plan: Plan, state_of: Callable[[str], AgentState]) -> None:
        event = plan.event or "message"
        if event == "message" and not self._directory.rules_on_messages:
            self._run_sla(plan, None)
            return
        facts = self._facts(plan, event)
        outcome = decide(self._directory.rules, facts)
        plan.outcome = outcome
        if event == "message" and not outcome.matched and not outcome.errors:
            self._run_sla(plan, None)
            return
        before = plan.conversation
        queue, reason = self._queue(plan, outcome, event)
        after = replace(
            before,
            queue_id=queue.id,
            priority=outcome.priority or before.priority,
            tags=_tags(before.tags, outcome),
            skills=tuple(dict.fromkeys((*before.skills, *outcome.skills))),
            language=outcome.language or before.language,
            preferred_agent_id=self._agent_id(outcome.assign) or before.preferred_agent_id,
        )
        if queue.id != before.queue_id and before.assignee_id is not None:
            plan.states[before.assignee_id] = give_back(state_of(before.assignee_id), before.id)
            after = replace(after, assignee_id=None, queued_at=plan.arrival.at)
        plan.conversation = after
        self._run_sla(plan, outcome.sla or queue.sla_policy_id)
        self._reply(plan, outcome, facts)
        if outcome.close:
            candidates: tuple[Candidate, ...] = ()
            self._close(plan, state_of)
        else:
            candidates = self._assign(plan, queue, state_of)
        plan.decision = Decision(
            id=self._ids(),
            conversation_id=after.id,
            message_id=plan.message.id,
            at=plan.arrival.at,
            kind="error" if outcome.errors else "route",
            rules_version=outcome.rules_version,
            outcomes=outcome.outcomes,
            matched=outcome.matched,
            facts=_masked(facts_summary(facts)),
            actions=outcome.actions,
            queue_id=queue.id,
            queue_reason=reason,
            candidates=candidates,
            assignee_id=plan.conversation.assignee_id,
            error="; ".join(f"rule {rule}: {text}" for rule, text in outcome.errors) or None,
        )

    def _facts(self, plan: Plan, event: RuleEvent) -> Facts:
        conversation = plan.conversation
        directory = self._directory
        queue = directory.queues.get(conversation.queue_id)
        assignee = directory.agents.get(conversation.assignee_id or conversation.preferred_agent_id or "")
        before = plan.situation.conversation
        return facts_of(
            now=plan.arrival.at,
            event=event,
            inbox=plan.arrival.inbox,
            message=plan.message,
            contact=plan.contact,
            identity=plan.situation.identity,
            conversation=conversation,
            queue_name=queue.name if queue is not None and event != "new" else None,
            assignee_email=assignee.email if assignee is not None and conversation.assignee_id else None,
            previous=None
            if before is None
            else Previous(
                queue=queue.name if queue is not None else None,
                assignee=assignee.email if assignee is not None else None,
                priority=before.priority,
                tags=before.tags,
                resolved_at=before.resolved_at,
            ),
            queues=self._loads(plan.arrival.at) if directory.rules.reads_queues else None,
        )

    def _loads(self, at: datetime) -> dict[str, QueueLoad]:
        directory = self._directory
        return {
            queue.name: QueueLoad(
                waiting=directory.waiting.get(queue.id, 0),
                online=sum(directory.state_of(agent.id).presence == "online" for agent in directory.serving(queue)),
                open=is_open(queue, at),
            )
            for queue in directory.queues.values()
        }

    def _queue(self, plan: Plan, outcome: Outcome, event: RuleEvent) -> tuple[Queue, str]:
        directory = self._directory
        current = directory.queues.get(plan.conversation.queue_id) or directory.default_queue
        if outcome.queue is None:
            wanted, reason = current, outcome.queue_reason
            if event == "reopened":
                reason = f"reopened in {current.name}: {reason}" if reason else f"reopened in {current.name}"
            elif event == "message":
                return current, f"stays in {current.name}"  # also out of hours: who has it keeps it
        else:
            named = directory.queue_by_name(outcome.queue)
            wanted = named or directory.default_queue
            reason = outcome.queue_reason
            if named is None:
                reason += f"; there is no queue {outcome.queue}: default queue"
        queue, moved = resolve_queue(wanted, directory.queues, plan.arrival.at, directory.default_queue)
        return queue, "; ".join(part for part in (reason, moved) if part)

    def _assign(self, plan: Plan, queue: Queue, state_of: Callable[[str], AgentState]) -> tuple[Candidate, ...]:
        conversation = plan.conversation
        if queue.type == "bot" or conversation.assignee_id is not None:
            return ()
        agents = [(agent, plan.states.get(agent.id) or state_of(agent.id)) for agent in self._directory.serving(queue)]
        choice = choose(queue, need_of(conversation), agents, plan.arrival.at)
        if choice.agent_id is not None:
            agent = self._directory.agents[choice.agent_id]
            state = plan.states.get(agent.id) or state_of(agent.id)
            plan.states[agent.id] = take(
                state, conversation.id, points_for(agent, conversation.channel), plan.arrival.at
            )
            plan.conversation = replace(conversation, assignee_id=agent.id, queued_at=None)
        return choice.candidates

    def _close(self, plan: Plan, state_of: Callable[[str], AgentState]) -> None:
        conversation = plan.conversation
        if conversation.assignee_id is not None:
            state = plan.states.get(conversation.assignee_id) or state_of(conversation.assignee_id)
            plan.states[conversation.assignee_id] = give_back(state, conversation.id)
        plan.conversation = replace(
            conversation,
            status="resolved",
            resolved_at=plan.arrival.at,
            assignee_id=None,
            queued_at=None,
            waiting_since=None,
            sla=sla.on_resolved(conversation.sla, plan.arrival.at) if conversation.sla else None,
        )

    def _run_sla(self, plan: Plan, named: str | None) -> None:
        conversation, at = plan.conversation, plan.arrival.at
        policies = self._directory.sla_policies
        policy = policies.get(named or "") or next((p for p in policies.values() if p.name == named), None)
        if policy is not None and policy.id != conversation.sla_policy_id:
            clock = sla.start(policy, conversation, at)
            plan.conversation = replace(conversation, sla_policy_id=policy.id, sla=clock)
            return
        running = policies.get(conversation.sla_policy_id or "")
        if running is None or conversation.sla is None:
            return
        if plan.event == "reopened":
            clock = sla.on_reopened(running, conversation.sla, conversation, at)
        else:
            clock = sla.on_message(running, conversation.sla, conversation, "in", at)
        plan.conversation = replace(conversation, sla=clock)

    def _reply(self, plan: Plan, outcome: Outcome, facts: Facts) -> None:
        """The rules' automatic answers: never to robots or lists, and each rule once in a while only."""
        if plan.message.meta.get("automatic") or plan.message.meta.get("bulk"):
            return
        answered: dict[str, str] = dict(plan.conversation.attributes.get("answered_by_rule", {}))
        for reply in outcome.replies:
            last = answered.get(reply.rule)
            if last is not None and plan.arrival.at - datetime.fromisoformat(last) < AUTO_REPLY_PAUSE:
                continue
            answered[reply.rule] = plan.arrival.at.isoformat()
            plan.replies.append(
                Message(
                    id=self._ids(),
                    inbox_id=plan.conversation.inbox_id,
                    conversation_id=plan.conversation.id,
                    direction="out",
                    author=Author(kind="rule", id=reply.rule, name=reply.rule),
                    text=reply.text,
                    subject=plan.conversation.subject or None,
                    created_at=plan.arrival.at,
                )
            )
        if plan.replies:
            plan.conversation = replace(
                plan.conversation,
                attributes={**plan.conversation.attributes, "answered_by_rule": answered},
                message_count=plan.conversation.message_count + len(plan.replies),
            )

    def _fall_back(self, plan: Plan, error: Exception) -> None:
        queue = self._directory.default_queue
        if plan.event != "message":
            plan.conversation = replace(plan.conversation, queue_id=queue.id, queued_at=plan.arrival.at)
        plan.decision = Decision(
            id=self._ids(),
            conversation_id=plan.conversation.id,
            message_id=plan.message.id,
            at=plan.arrival.at,
            kind="error",
            rules_version=self._directory.rules.version,
            queue_id=plan.conversation.queue_id,
            queue_reason=f"deciding failed: fallback queue {queue.name}",
            error=f"{type(error).__name__}: {error}"[:500],
        )

    def _agent_id(self, email_or_id: str | None) -> str | None:
        if email_or_id is None:
            return None
        agents = self._directory.agents
        if email_or_id in agents:
            return email_or_id
        found: Agent | None = next((a for a in agents.values() if a.email == email_or_id.lower()), None)
        return found.id if found is not None else None


_COLLECTED = {
    "bounce": "Undeliverable mail",
    "complaint": "Complaints about our mail",
    "receipt": "Receipts",
    "auto_reply": "Automatic answers",
}


def _updated(contact: Contact, arrival: Arrival) -> Contact:
    """The contact with what the message says of them that is new; what an agent wrote down is not overwritten."""
    sender = arrival.inbound.sender
    attributes = contact.attributes
    new: dict[str, Any] = {}
    if sender.attributes and any(attributes.get(key) != value for key, value in sender.attributes.items()):
        new["attributes"] = {**attributes, **sender.attributes}
    for name in ("name", "email", "phone", "language"):
        if not getattr(contact, name) and (told := getattr(sender, name)):
            new[name] = told
    return replace(contact, **new, updated_at=arrival.at) if new else contact


def _thread_subject(arrival: Arrival) -> dict[str, Any]:
    thread = arrival.inbound.thread
    return {"thread_subject": thread.subject} if thread is not None and thread.subject else {}


def _thread_keys(arrival: Arrival) -> tuple[str, ...]:
    thread = arrival.inbound.thread
    if thread is None:
        return ()
    return tuple(dict.fromkeys((*((thread.own_key,) if thread.own_key else ()), *thread.keys)))


def _tags(tags: tuple[str, ...], outcome: Outcome) -> tuple[str, ...]:
    return tuple(tag for tag in dict.fromkeys((*tags, *outcome.tags_add)) if tag not in outcome.tags_remove)


def _masked(summary: dict[str, Any]) -> dict[str, Any]:
    """Card numbers have no place in an explanation."""
    return {key: (mask_cards(value) or value) if isinstance(value, str) else value for key, value in summary.items()}


def _preview(message: Message) -> str:
    text = message.masked_text or message.visible_text or message.text
    return (text or ", ".join(attachment.name for attachment in message.attachments))[:PREVIEW]
