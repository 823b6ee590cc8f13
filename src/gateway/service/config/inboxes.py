"""Inboxes: settings are checked against the connector's own type, secrets sealed and never shown again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.connector import ConnectorSpec
from gateway.errors import Clash, Denied, Problem, Refused
from gateway.model.access import Actor
from gateway.model.document import Ids
from gateway.model.inbox import Inbox
from gateway.registry import Registry
from gateway.service.access import new_inbox_token, token_hash
from gateway.service.change import Changes
from gateway.service.rules import Rules, exchanged, without
from gateway.service.seal import Seal, is_sealed
from gateway.service.shape import as_problem, problems_in
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, INBOX_HEALTH, INBOXES

THING = "inbox"
SECRET = "$secret"  # noqa: S105
"""A secret that is set is shown as {"$secret": true}; sent back so, it stays as it is."""
TOKEN_KINDS = frozenset({"api"})
"""Inboxes that an app posts to with a token of their own."""


class InboxConfig:
    def __init__(self, changes: Changes, ids: Ids, registry: Registry, seal: Seal, rules: Rules) -> None:
        self._changes = changes
        self._ids = ids
        self._registry = registry
        self._seal = seal
        self._rules = rules

    async def create(
        self, actor: Actor, kind: str, name: str, settings: Mapping[str, Any] | None = None, **fields: Any
    ) -> tuple[Inbox, str | None]:
        """The inbox, and for an app's its token, which is shown once. Raises Refused with every wrong setting."""
        spec = self._registry.spec(kind)
        stored = self._checked(spec, merged({}, settings or {}, spec))
        clear = new_inbox_token() if kind in TOKEN_KINDS else None
        inbox = Inbox(
            id=self._ids(),
            kind=kind,
            name=name,
            settings=stored,
            token_hash=token_hash(clear) if clear else None,
            created_at=self._changes.clock.now(),
            **fields,
        )
        made = await self._changes.create(actor, THING, INBOXES, inbox, detail={"kind": kind, "name": name})
        return made, clear

    async def update(
        self,
        actor: Actor,
        id: str,
        fields: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
        expect: int | None = None,
    ) -> Inbox:
        """`settings`: those to change; None as a value puts one back to its default."""

        async def decide(before: Inbox, batch: Batch) -> Inbox:
            after = replace(before, **fields)
            if after.name != before.name:
                await self._rules.keep_whole(
                    lambda known: dataclasses.replace(known, inboxes=exchanged(known.inboxes, after)), "name"
                )
            if settings is not None:
                spec = self._registry.spec(before.kind)
                clear = merged(self._seal.open_settings(spec, before.settings), settings, spec)
                if clear != self._seal.open_settings(spec, before.settings):  # sealing anew would look like a change
                    after = replace(after, settings=self._checked(spec, clear))
            return after

        # Settings stay out of the audit log in whole: which of a connector's own are private is not known here.
        return await self._changes.update(actor, THING, INBOXES, id, decide, hide=("settings",), expect=expect)

    async def rotate_token(self, actor: Actor, id: str) -> tuple[Inbox, str]:
        """A new token; the old one opens nothing any more."""
        clear = new_inbox_token()

        def decide(before: Inbox, batch: Batch) -> Inbox:
            if before.kind not in TOKEN_KINDS:
                raise Denied(f"an inbox of kind {before.kind} has no token")
            return replace(before, token_hash=token_hash(clear))

        made = await self._changes.update(actor, THING, INBOXES, id, decide, hide=("token_hash",), verb="rotate_token")
        return made, clear

    async def delete(self, actor: Actor, id: str) -> None:
        """Raises Clash where it has conversations: they would lose the way to their customers."""

        async def unused(inbox: Inbox, batch: Batch) -> None:
            held = await self._changes.store.count(CONVERSATIONS, {"inbox_id": id}, limit=1)
            if held:
                raise Clash("it has conversations, which would lose the way to their customers; disable it instead")
            await self._rules.keep_whole(lambda known: dataclasses.replace(known, inboxes=without(known.inboxes, id)))
            health = await self._changes.store.get(INBOX_HEALTH, id)
            if health is not None:
                batch.delete(INBOX_HEALTH, health)

        await self._changes.delete(
            actor, THING, INBOXES, id, unused, detail=lambda inbox: {"kind": inbox.kind, "name": inbox.name}
        )

    def opened(self, kind: str, settings: Mapping[str, Any], inbox: Inbox | None = None) -> Any:
        """Settings as sent (over those of the inbox, where given), checked, secrets in the clear: for a live check."""
        spec = self._registry.spec(kind)
        before = self._seal.open_settings(spec, inbox.settings) if inbox is not None else {}
        return self._converted(spec, merged(before, settings, spec))

    def shown(self, inbox: Inbox) -> dict[str, Any]:
        """The settings with secrets hidden."""
        spec = self._registry.find(inbox.kind)
        secrets = spec.secrets if spec is not None else tuple(inbox.settings)
        return {
            name: {SECRET: True} if is_sealed(value) or (name in secrets and value is not None) else value
            for name, value in inbox.settings.items()
        }

    def _checked(self, spec: ConnectorSpec, clear: Mapping[str, Any]) -> dict[str, Any]:
        self._converted(spec, clear)
        return self._seal.seal_settings(spec, clear)

    def _converted(self, spec: ConnectorSpec, clear: Mapping[str, Any]) -> Any:
        try:
            settings = msgspec.convert(dict(clear), spec.settings)
        except msgspec.ValidationError as error:
            problems = problems_in(dict(clear), spec.settings, "settings") or [as_problem(error, "settings")]
            raise Refused(*problems, title="the settings cannot be taken") from None
        wrong = [
            Problem(f"settings.{name}" if name else "settings", message) for name, message in spec.validate(settings)
        ]
        if wrong:
            raise Refused(*wrong, title="the settings cannot be taken")
        return settings


def merged(before: Mapping[str, Any], sent: Mapping[str, Any], spec: ConnectorSpec) -> dict[str, Any]:
    """The settings after a change; raises Refused for a secret that is to stay but is not there."""
    after = dict(before)
    for name, value in sent.items():
        if name in spec.secrets and isinstance(value, dict) and value == {SECRET: True}:
            if name not in before:
                raise Refused(Problem(f"settings.{name}", "no secret is set yet; enter it"))
        elif value is None:
            after.pop(name, None)
        else:
            after[name] = value
    return after
