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

log = structlog.get_logger("first_start")


async def prepare(
    directory: Directory, access: Access, config: Config, rules: Rules, *, email: str, password: str
) -> str | None:
    """Make what an empty store lacks; on a store in use, only see that there is an admin.

    Returns the admin's password if one was made up, which is then shown once.
    """
    made_up = await access.ensure_admin(email, password or None)
    if directory.queues:
        return made_up
    support = await config.queues.create(SYSTEM, {"name": DEFAULT_QUEUE})
    await config.queues.create(SYSTEM, {"name": "bot", "type": "bot", "fallback_queue_id": support.id})
    await config.inboxes.create(SYSTEM, kind="api", name="app", settings={})
    files = await asyncio.to_thread(rule_files)
    if files:
        for name in await asyncio.to_thread(_queues_named, files):
            if directory.queue_by_name(name) is None:
                await config.queues.create(SYSTEM, {"name": name, "fallback_queue_id": support.id, "sample": True})
        try:
            await rules.publish(tuple(files), SYSTEM, note="the rules that came with Omnigate")
        except Refused as error:  # somebody's own files beside the program: say so, and start all the same
            log.warning("rules.not_published", problems=[message for _, message in error.problems][:5])
    return made_up


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
