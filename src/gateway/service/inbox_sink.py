"""What a connector hands its messages to: intake, under the inbox's lease, and the inbox's own kept states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from gateway.connector import Accepted, Inbound, StatusUpdate
from gateway.errors import Conflict, Duplicate, Problem, Refused
from gateway.model.inbox import ConnectorState, Inbox
from gateway.store.batch import Batch, Lease
from gateway.store.collection import CONNECTOR_STATES
from gateway.store.contract import Store

ANSWERING: ContextVar[bool] = ContextVar("answering", default=False)
"""Set while a provider waits for the answer to its webhook: then a full gateway refuses at once instead of waiting,
and no lease is asked for, since any node may be called."""

_ATTEMPTS = 5
OWN = "~"
"""States whose key begins so are the gateway's, not the connector's."""


class Accepting(Protocol):
    """The part of gateway.service.intake that is needed here."""

    async def accept(
        self, inbox: Inbox, messages: Sequence[Inbound], *, wait: bool = True, fence: Lease | None = None
    ) -> list[Accepted]: ...

    async def status(self, inbox_id: str, updates: Sequence[StatusUpdate]) -> None: ...


class InboxSink:
    """One inbox's (see gateway.connector.Sink). `lease` gives the lease under which this node pulls; None for a channel
    that does not pull; raises Fenced where another node does."""

    def __init__(
        self,
        store: Store,
        intake: Accepting,
        inboxes: Callable[[], Mapping[str, Inbox]],
        inbox_id: str,
        lease: Callable[[], Lease | None],
    ) -> None:
        self._store = store
        self._intake = intake
        self._inboxes = inboxes
        self._inbox_id = inbox_id
        self._lease = lease

    async def accept(self, messages: Sequence[Inbound]) -> list[Accepted]:
        inbox = self._inboxes().get(self._inbox_id)
        if inbox is None:
            raise Refused(Problem("inbox", "it was deleted"))
        answering = ANSWERING.get()
        fence = None if answering else self._lease()
        return await self._intake.accept(inbox, messages, wait=not answering, fence=fence)

    async def status(self, updates: Sequence[StatusUpdate]) -> None:
        if updates:
            await self._intake.status(self._inbox_id, updates)

    async def load(self, key: str) -> dict[str, Any]:
        state = await self._store.get(CONNECTOR_STATES, self._id(key))
        return dict(state.data) if state is not None else {}

    async def save(self, key: str, data: dict[str, Any]) -> None:
        lease = None if ANSWERING.get() else self._lease()
        for _ in range(_ATTEMPTS):
            known = await self._store.get(CONNECTOR_STATES, self._id(key))
            if known is not None and known.data == data:
                return
            batch = Batch()
            if lease is not None:
                batch.fence(lease)
            version = known.version if known is not None else 0
            state = ConnectorState(id=self._id(key), version=version, inbox_id=self._inbox_id, data=data)
            if known is None:
                batch.insert(CONNECTOR_STATES, state)
            else:
                batch.put(CONNECTOR_STATES, state)
            try:
                await self._store.commit(batch)
            except (Conflict, Duplicate):
                continue
            return
        raise Conflict(CONNECTOR_STATES.name, self._id(key))

    def _id(self, key: str) -> str:
        if not key or key.startswith(OWN):
            raise ValueError(f"{key!r} cannot be the key of a connector's state")
        return f"{self._inbox_id}/{key}"


class NoSink:
    """For a connector that is only asked to check its settings: it takes nothing in."""

    async def accept(self, messages: Sequence[Inbound]) -> list[Accepted]:
        raise Refused(Problem("", "settings are being checked; nothing is taken in"))

    async def status(self, updates: Sequence[StatusUpdate]) -> None:
        raise Refused(Problem("", "settings are being checked; nothing is taken in"))

    async def load(self, key: str) -> dict[str, Any]:
        return {}

    async def save(self, key: str, data: dict[str, Any]) -> None:
        return
