"""Turns a plan into writes of the shared batch, and keeps the workspace in step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from gateway.connector import Capabilities
from gateway.model.conversation import Conversation, ThreadRef
from gateway.model.event import Event
from gateway.model.team import AgentState
from gateway.service.happenings import conversation_created, conversation_updated, message_created
from gateway.service.intake.arrival import Situation
from gateway.service.intake.plan import Plan
from gateway.service.intake.workspace import Workspace, thread_id
from gateway.service.outbox.entry import new_delivery
from gateway.service.outbox.status import advance, view
from gateway.service.ownership import put_state
from gateway.store.batch import Batch
from gateway.store.collection import CONTACTS, CONVERSATIONS, DECISIONS, DELIVERIES, IDENTITIES, MESSAGES, THREADS


def write(
    batch: Batch, plan: Plan, workspace: Workspace, capabilities: Callable[[str], Capabilities]
) -> dict[str, AgentState]:
    """Add the plan's writes and events; returns the agents' states as they will be stored."""
    at = plan.arrival.at
    situation = _people(batch, plan)
    before = plan.situation.conversation
    created = plan.conversation.version == 0
    conversation = (batch.insert if created else batch.put)(CONVERSATIONS, plan.conversation)
    message = batch.insert(MESSAGES, plan.message)
    if created:
        batch.emit(conversation_created(conversation, at))
    elif before is not None and plan.event is not None and not _only_counted(before, conversation):
        updated = conversation_updated(before, conversation, at)
        if updated is not None:
            batch.emit(updated)
    batch.emit(message_created(message, conversation))
    for key in plan.thread_keys:
        if not workspace.knows_thread(conversation.inbox_id, key):
            id = thread_id(conversation.inbox_id, key)
            batch.insert(
                THREADS, ThreadRef(id=id, inbox_id=conversation.inbox_id, conversation_id=conversation.id, at=at)
            )
    if plan.decision is not None:
        batch.insert(DECISIONS, plan.decision)
    channel = capabilities(conversation.channel)
    for reply in plan.replies:
        delivery = new_delivery(reply, conversation, channel, now=at)
        batch.insert(DELIVERIES, delivery)
        batch.emit(message_created(batch.insert(MESSAGES, replace(reply, delivery=view(delivery))), conversation))
    states = {id: put_state(batch, state, at) for id, state in plan.states.items()}
    _report(batch, plan, at)
    _rule_events(batch, plan, at)
    workspace.wrote(situation, conversation, plan.thread_keys)
    return states


def _only_counted(before: Conversation, after: Conversation) -> bool:
    """One more message in a running conversation and nothing else: the message's own event says as much."""
    return (
        before.status == after.status
        and before.queue_id == after.queue_id
        and before.assignee_id == after.assignee_id
        and before.queued_at == after.queued_at
        and before.snoozed_until == after.snoozed_until
        and before.priority == after.priority
        and before.tags == after.tags
        and before.language == after.language
        and before.contact_id == after.contact_id
    )


def _people(batch: Batch, plan: Plan) -> Situation:
    """Write who is new or has changed. A new conversation of a known contact touches the contact, so that two nodes
    cannot both begin one."""
    contact, identity = plan.contact, plan.situation.identity
    if contact.version == 0:
        contact = batch.insert(CONTACTS, contact)
    elif contact != plan.situation.contact or (plan.conversation.version == 0 and plan.arrival.inbound.thread is None):
        contact = batch.put(CONTACTS, contact)
    elif plan.conversation.version == 0:
        # Whose address it is must still hold: contacts are merged, parted and erased beside us.
        batch.check(IDENTITIES, identity.id, identity.version)
    if identity.version == 0:
        identity = batch.insert(IDENTITIES, identity)
    return Situation(contact=contact, identity=identity, conversation=plan.situation.conversation)


def _report(batch: Batch, plan: Plan, at: datetime) -> None:
    """What a bounce or receipt says of a message of ours, in the same commit."""
    status, delivery, reported = plan.arrival.inbound.status, plan.situation.delivery, plan.situation.reported
    if status is None or delivery is None:
        return
    advanced = advance(delivery, status, at)
    if advanced is None:
        return
    batch.put(DELIVERIES, advanced)
    if reported is not None:
        batch.put(MESSAGES, replace(reported, delivery=view(advanced)))
    batch.emit(
        Event(
            type="delivery.updated",
            at=at,
            conversation_id=delivery.conversation_id,
            message_id=delivery.id,
            inbox_id=delivery.inbox_id,
            queue_id=plan.conversation.queue_id,
            assignee_id=plan.conversation.assignee_id,
            data={"status": advanced.status, "error": advanced.error, "attempts": advanced.attempts},
        )
    )


def _rule_events(batch: Batch, plan: Plan, at: datetime) -> None:
    """Actions that others carry out, told through the feed."""
    outcome = plan.outcome
    if outcome is None:
        return
    wanted = {
        "rule.notify": [{"to": to} for to in outcome.notify],
        "rule.webhook": [{"webhook_id": id} for id in outcome.webhooks],
        "rule.case": [{"kind": outcome.open_case}] if outcome.open_case else [],
    }
    for kind, all_data in wanted.items():
        for data in all_data:
            batch.emit(
                Event(
                    type=kind,
                    at=at,
                    conversation_id=plan.conversation.id,
                    message_id=plan.message.id,
                    inbox_id=plan.conversation.inbox_id,
                    queue_id=plan.conversation.queue_id,
                    assignee_id=plan.conversation.assignee_id,
                    data={**data, "rules": list(outcome.matched)},
                )
            )
