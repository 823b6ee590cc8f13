"""Configuration as admins change it: inboxes, queues, agents, and the smaller lists.

Each change is checked, committed with its events and its audit entry, and in the directory when the call returns.
Values come from the web layer with their types checked; here is checked what needs to know the rest.
"""

from __future__ import annotations

from gateway.model.document import Clock, Ids
from gateway.registry import Registry
from gateway.service.access import Access
from gateway.service.audit import Audit
from gateway.service.change import Changes
from gateway.service.config.agents import AgentConfig
from gateway.service.config.inboxes import InboxConfig
from gateway.service.config.lists import ListConfig
from gateway.service.config.queues import QueueConfig
from gateway.service.config.webhooks import WebhookConfig
from gateway.service.directory import Directory
from gateway.service.rules import Rules
from gateway.service.seal import Seal
from gateway.store.contract import Store


class Config:
    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        ids: Ids,
        directory: Directory,
        audit: Audit,
        access: Access,
        registry: Registry,
        seal: Seal,
        rules: Rules,
    ) -> None:
        changes = Changes(store, clock, directory, audit)
        self.changes = changes
        self.inboxes = InboxConfig(changes, ids, registry, seal, rules)
        self.queues = QueueConfig(changes, ids, rules)
        self.agents = AgentConfig(changes, ids, access, rules)
        self.lists = ListConfig(changes, ids, rules)
        self.webhooks = WebhookConfig(changes, ids, seal, rules)
