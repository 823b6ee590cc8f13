"""The bundle of services that the web layer is given."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.document import Clock, Ids
from gateway.registry import Registry
from gateway.service.access import Access
from gateway.service.attachments import Attachments
from gateway.service.audit import Audit
from gateway.service.config import Config
from gateway.service.contacts import Contacts
from gateway.service.conversations import Conversations
from gateway.service.directory import Directory
from gateway.service.dispatch import Dispatcher
from gateway.service.feed import Feed
from gateway.service.hooks import Hooks
from gateway.service.intake import Intake
from gateway.service.outbox import Outbox
from gateway.service.rules import Rules
from gateway.service.seal import Seal
from gateway.service.supervise import Supervisor
from gateway.service.webhooks import Webhooks
from gateway.settings import Settings
from gateway.store.contract import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """All that requests are answered with; made in gateway.app, which also runs what runs."""

    settings: Settings
    store: Store
    clock: Clock
    ids: Ids
    seal: Seal
    registry: Registry
    directory: Directory
    feed: Feed
    audit: Audit
    access: Access
    config: Config
    rules: Rules
    attachments: Attachments
    intake: Intake
    dispatcher: Dispatcher
    conversations: Conversations
    contacts: Contacts
    outbox: Outbox
    supervisor: Supervisor
    hooks: Hooks
    webhooks: Webhooks
