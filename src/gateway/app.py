"""The composition root: the only place that names concrete classes, and where start and stop order can be read.

Start, outermost first: store · directory · workers (feed, intake, dispatch, outbox, …) · connectors · web.
Stop, in reverse: the web answers what it has begun, connectors stop pulling, the outbox ends its sends, the workers go,
the store closes. What is cut off is safe: nothing is confirmed before it is durable.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import structlog

from gateway.connector import Capabilities
from gateway.errors import StoreError
from gateway.model.access import SYSTEM
from gateway.model.document import Clock, IdSource, SystemClock, token
from gateway.model.event import Event
from gateway.registry import Registry
from gateway.service import first_start
from gateway.service.access import Access
from gateway.service.attachments import Attachments
from gateway.service.audit import Audit
from gateway.service.channel_log import ChannelLogs
from gateway.service.config import Config
from gateway.service.contacts import Contacts
from gateway.service.conversations import Conversations
from gateway.service.directory import Directory
from gateway.service.dispatch import Dispatcher
from gateway.service.feed import Entry, Feed
from gateway.service.fetch import Fetcher
from gateway.service.guard import Guard
from gateway.service.hooks import Hooks
from gateway.service.housekeeping import Housekeeping
from gateway.service.indexer import Indexer
from gateway.service.intake import Intake
from gateway.service.intake.plan import Plan
from gateway.service.outbox import Outbox
from gateway.service.provider_http import provider_session
from gateway.service.recent import Recent
from gateway.service.rules import Rules
from gateway.service.seal import Seal, load_keys
from gateway.service.services import Services
from gateway.service.supervise import Supervisor
from gateway.service.webhooks import Webhooks
from gateway.settings import Settings
from gateway.store.open import open_store
from gateway.web.server import serve

log = structlog.get_logger("app")

BUSY_INTAKE = 16
"""Messages waiting from which on background work gives way."""

LOCAL_TOKEN_LIFE = timedelta(days=400)
"""Revoked at a regular stop; those of killed processes end by themselves."""

RESTART_SECONDS = (0.2, 1.0, 5.0, 15.0)


class Gateway:
    """`async with Gateway(settings) as gateway:` runs it; `connectors=False` leaves inboxes alone (command line)."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        registry: Registry | None = None,
        connectors: bool = True,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.ids = IdSource(self.clock)
        self.address = ""
        self.first_password: str | None = None
        self.local_token = ""
        self.node = settings.node or f"{settings.node_name}-{os.getpid()}-{token(4)}"
        self._registry = registry
        self._connectors = connectors
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Gateway:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: AsyncExitStack) -> None:  # noqa: PLR0915 - the whole order in one place
        settings, clock, ids = self.settings, self.clock, self.ids
        data = settings.data_dir
        await asyncio.to_thread(lambda: data.mkdir(parents=True, exist_ok=True))
        keys = await asyncio.to_thread(load_keys, data, settings.secret_key)
        registry = self._registry if self._registry is not None else await asyncio.to_thread(Registry)
        seal = Seal(*keys)
        store = open_store(settings.store_url, data, clock, mongo_driver=settings.mongo_driver)
        await store.open()
        stack.push_async_callback(store.close)
        directory = Directory(store)
        await directory.load()
        recent = Recent()
        audit = Audit(store, clock)
        access = Access(
            store=store,
            clock=clock,
            ids=ids,
            directory=directory,
            audit=audit,
            seal=seal,
            session_hours=settings.session_hours,
        )
        rules = Rules(store, clock, directory, audit, registry)
        config = Config(
            store=store,
            clock=clock,
            ids=ids,
            directory=directory,
            audit=audit,
            access=access,
            registry=registry,
            seal=seal,
            rules=rules,
        )
        self.first_password = await first_start.prepare(
            store,
            directory,
            access,
            config,
            rules,
            node=self.node,
            email=settings.admin_email,
            password=settings.admin_password,
        )
        guard = Guard(allow=settings.allow_networks)
        fetcher = Fetcher(guard)
        stack.push_async_callback(fetcher.close)
        http = await stack.enter_async_context(provider_session(settings.allow_networks))
        attachments = Attachments(
            store.blobs,
            fetcher,
            ids,
            max_bytes=settings.attachment_bytes,
            max_count=settings.attachment_count,
        )

        def capabilities(kind: str) -> Capabilities:
            return registry.spec(kind).capabilities

        feed = Feed(store, clock)
        dispatcher = Dispatcher(store, clock, ids, directory, recent)
        logs = ChannelLogs(store, clock, ids)

        def committed(plans: Sequence[Plan]) -> None:
            for plan in plans:
                if plan.replies:
                    outbox.notify(plan.conversation.inbox_id)
                if plan.conversation.queued_at is not None:
                    dispatcher.poke()

        intake = Intake(
            store,
            clock,
            ids,
            directory,
            attachments,
            recent,
            capabilities,
            committed,
            max_pending=settings.intake_pending,
            max_batch=settings.intake_batch,
        )
        supervisor = Supervisor(
            store,
            clock,
            directory,
            registry=registry,
            seal=seal,
            intake=intake,
            fetch=fetcher,
            http=http,
            channel_logs=logs,
            node=self.node,
            public_url=settings.public_url,
        )
        outbox = Outbox(store, clock, directory, registry, supervisor, node=self.node)
        supervisor.when_ready(outbox.notify)
        conversations = Conversations(
            store, clock, ids, directory, dispatcher, attachments, recent, capabilities, outbox.notify
        )
        contacts = Contacts(store=store, clock=clock, ids=ids, audit=audit, node=self.node)
        webhooks = Webhooks(store=store, feed=feed, clock=clock, ids=ids, seal=seal, guard=guard, node=self.node)
        stack.push_async_callback(webhooks.close)
        indexer = Indexer(store, feed, clock, self.node, busy=lambda: intake.pending > BUSY_INTAKE)
        housekeeping = Housekeeping(
            store, clock, self.node, wake_snoozed=conversations.wake_snoozed, event_days=settings.event_days
        )
        self.services = Services(
            settings=settings,
            store=store,
            clock=clock,
            ids=ids,
            seal=seal,
            registry=registry,
            directory=directory,
            feed=feed,
            audit=audit,
            access=access,
            config=config,
            rules=rules,
            attachments=attachments,
            intake=intake,
            dispatcher=dispatcher,
            conversations=conversations,
            contacts=contacts,
            outbox=outbox,
            supervisor=supervisor,
            hooks=Hooks(directory, registry, supervisor, logs),
            webhooks=webhooks,
        )
        feed.on_event(lambda entries: _tell(outbox, supervisor, intake, entries))

        workers = await stack.enter_async_context(Workers())
        workers.keep("feed", feed.run)
        stack.callback(feed.close)
        await feed.ready()
        workers.keep("directory", lambda: self._follow_directory(feed, directory, dispatcher, intake))
        workers.keep("intake", intake.run)
        workers.keep("dispatch", dispatcher.run)
        if self._connectors:
            workers.keep("channel log", logs.run)
            workers.keep("outbox", outbox.run)
            stack.push_async_callback(outbox.drain, settings.drain_seconds / 2)
            workers.keep("webhooks", webhooks.run)
            workers.keep("indexer", indexer.run)
            workers.keep("contacts", contacts.run)
            workers.keep("housekeeping", housekeeping.run)
            workers.keep("connectors", supervisor.run)
        self.address = await stack.enter_async_context(serve(self.services))
        await self._leave_address(stack, data, access)
        # What was made until now stays for good: the collector need not look at it again, nor as often as it would.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        # The store's threads run Python, too: each has its turn sooner than after the usual 5 ms.
        sys.setswitchinterval(0.0005)

    async def _follow_directory(self, feed: Feed, directory: Directory, dispatcher: Dispatcher, intake: Intake) -> None:
        """Take in other nodes' changes; where events were missed, read everything anew."""

        async def handle(event: Event) -> None:
            await directory.follow_event(event)
            if event.type in ("agent.state", "config.changed"):
                dispatcher.poke()

        async def missed() -> None:
            intake.people_changed()
            await directory.catch_up()
            dispatcher.poke()

        await feed.each(handle, missed)

    async def _revoke(self, access: Access, token_id: str) -> None:
        """A store that is down must not spoil the stop: the token ends by itself."""
        try:
            await access.revoke_token(SYSTEM, token_id)
        except StoreError as error:
            log.warning("local_token.kept", reason=str(error))

    async def _leave_address(self, stack: AsyncExitStack, data: Path, access: Access) -> None:
        """`run.json`: lets the command line on this machine reach this process, as an admin."""
        made, self.local_token = await access.create_token(
            SYSTEM,
            name=f"command line {self.node}",
            role="admin",
            expires_at=self.clock.now() + LOCAL_TOKEN_LIFE,
        )
        stack.push_async_callback(self._revoke, access, made.id)
        if not self._connectors:
            return
        path = data / "run.json"

        def write() -> None:
            whole = path.with_suffix(".new")  # renamed when it is whole: nobody reads half of it
            whole.unlink(missing_ok=True)
            with os.fdopen(os.open(whole, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w") as file:
                json.dump({"url": self.address, "token": self.local_token}, file)
            whole.replace(path)

        await asyncio.to_thread(write)
        stack.push_async_callback(asyncio.to_thread, lambda: path.unlink(missing_ok=True))


def _tell(outbox: Outbox, supervisor: Supervisor, intake: Intake, entries: Sequence[Entry]) -> None:
    for entry in entries:
        outbox.heard(entry.event)
        supervisor.heard(entry.event)
        if entry.event.type in ("contact.merged", "contact.unmerged", "contact.erased"):
            intake.people_changed()


class Workers:
    """Endless tasks in one group; one that fails is started again, and brings nothing else down."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Workers:
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await self._group.__aexit__(None, None, None)

    def keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run it until the group ends."""
        self._tasks.append(self._group.create_task(self._kept(name, run), name=name))

    async def _kept(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        failures = 0
        while True:
            try:
                await run()
                return
            except Exception:  # a bug in one service: logged, and the service begins anew
                log.exception("worker.failed", worker=name)
                await asyncio.sleep(RESTART_SECONDS[min(failures, len(RESTART_SECONDS) - 1)])
                failures += 1
