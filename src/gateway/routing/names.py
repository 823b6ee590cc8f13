"""What a rule set may refer to: the names there are, so that a typing error is found before it is published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from gateway.model.event import Webhook
from gateway.model.inbox import Inbox
from gateway.model.team import Agent, Queue, SlaPolicy
from gateway.routing.fold import fold
from gateway.routing.visibility import able_agents


class QueueName(msgspec.Struct, frozen=True, kw_only=True):
    """A queue as rules see it."""

    type: Literal["human", "bot"] = "human"
    served: bool = True
    """An enabled agent serves it with the skills it asks for."""
    fallback: str | None = None
    """The fallback queue's name."""
    bot_id: str | None = None


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """The names there are; None: not known here, so not checked (an offline check of the files alone)."""

    queues: Mapping[str, QueueName] | None = None
    agents: frozenset[str] | None = None
    """E-mail addresses (lower case) and ids."""
    sla_policies: frozenset[str] | None = None
    """Names and ids."""
    inboxes: frozenset[str] | None = None
    """Names and ids."""
    channels: frozenset[str] | None = None
    webhooks: frozenset[str] | None = None
    """Ids."""


def names_of(
    *,
    queues: Iterable[Queue],
    agents: Iterable[Agent],
    sla_policies: Iterable[SlaPolicy] = (),
    inboxes: Iterable[Inbox] = (),
    channels: Iterable[str] = (),
    webhooks: Iterable[Webhook] = (),
) -> Names:
    """The names of a configuration."""
    queues, agents, inboxes, policies = list(queues), list(agents), list(inboxes), list(sla_policies)
    by_id = {queue.id: queue for queue in queues}
    return Names(
        queues={
            queue.name: QueueName(
                type=queue.type,
                served=bool(able_agents(queue, agents)),
                fallback=by_id[queue.fallback_queue_id].name if queue.fallback_queue_id in by_id else None,
                bot_id=queue.bot_id,
            )
            for queue in queues
        },
        agents=frozenset(fold(agent.email) for agent in agents) | {agent.id for agent in agents},
        sla_policies=frozenset(policy.name for policy in policies) | {policy.id for policy in policies},
        inboxes=frozenset(inbox.name for inbox in inboxes) | {inbox.id for inbox in inboxes},
        channels=frozenset(channels) | {inbox.kind for inbox in inboxes},
        webhooks=frozenset(webhook.id for webhook in webhooks),
    )
