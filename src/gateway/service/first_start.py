"""What an empty store is given, so that a newcomer can begin: an admin, queues, an inbox for an app, sample rules."""

from __future__ import annotations

import asyncio
from importlib import resources
from pathlib import Path

import structlog

from gateway.errors import Refused
from gateway.model.access import SYSTEM
from gateway.routing.load import load
from gateway.service.access import Access
from gateway.service.config import Config
from gateway.service.directory import DEFAULT_QUEUE, Directory
from gateway.service.rules import Rules
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CHECKPOINTS, Checkpoint
from gateway.store.contract import Store

MARK = "first_start"
LEASE_SECONDS = 30.0

log = structlog.get_logger("first_start")


async def prepare(
    store: Store,
    directory: Directory,
    access: Access,
    config: Config,
    rules: Rules,
    *,
    node: str,
    email: str,
    password: str,
) -> str | None:
    """Make what an empty store lacks; on a store in use, only see that there is an admin.

    Of several nodes that start at once one does it, and the others wait. Each step looks for what it makes, and a mark
    is left after the last: a start that was killed half-way is gone on with by the next. Returns the admin's password
    if one was made up, which is then shown once.
    """
    lease: Lease | None = None
    while lease is None:
        lease = (await store.acquire([MARK], node, LEASE_SECONDS)).get(MARK)
        if lease is None:
            await asyncio.sleep(0.2)
    try:
        await directory.load()
        made_up = await access.ensure_admin(email, password or None)
        if await store.get(CHECKPOINTS, MARK) is None:
            await _make(directory, config, rules)
            await mark(store)
        return made_up
    finally:
        await store.release([lease])


async def mark(store: Store) -> None:
    """From now on the store counts as in use: what somebody removes from it stays removed."""
    batch = Batch()
    batch.load(CHECKPOINTS, Checkpoint(id=MARK, version=1, cursor=""))
    await store.commit(batch)


async def _make(directory: Directory, config: Config, rules: Rules) -> None:
    support = directory.queue_by_name(DEFAULT_QUEUE)
    if support is None:
        support = await config.queues.create(SYSTEM, {"name": DEFAULT_QUEUE})
    if directory.queue_by_name("bot") is None:
        await config.queues.create(SYSTEM, {"name": "bot", "type": "bot", "fallback_queue_id": support.id})
    if not any(inbox.name == "app" for inbox in directory.inboxes.values()):
        await config.inboxes.create(SYSTEM, kind="api", name="app", settings={})
    files = await asyncio.to_thread(rule_files)
    if not files or await rules.live() is not None:
        return
    try:
        for name in await asyncio.to_thread(_queues_named, files):
            if directory.queue_by_name(name) is None:
                await config.queues.create(SYSTEM, {"name": name, "fallback_queue_id": support.id, "sample": True})
        await rules.publish(tuple(files), SYSTEM, note="the rules that came with Omnigate")
    except Refused as error:  # somebody's own files beside the program: say so, and start all the same
        log.warning("rules.not_published", problems=[message for _, message in error.problems][:5])


def _queues_named(files: list[tuple[str, str]]) -> list[str]:
    """The queues that the rules send to: a rule set is only published if they exist."""
    loaded = load(files, None)
    return sorted({rule.actions.queue for rule in loaded.ruleset.rules if rule.actions.queue}) if loaded.ruleset else []


def rule_files() -> list[tuple[str, str]]:
    """(name, text) of routing_rules/: of the checkout the program runs in, else those in the package."""
    checkout = Path(__file__).parents[3] / "routing_rules"
    folder = checkout if checkout.is_dir() else resources.files("gateway") / "samples" / "routing_rules"
    if not folder.is_dir():
        return []
    return sorted((entry.name, entry.read_text("utf-8")) for entry in folder.iterdir() if entry.name.endswith(".yaml"))
