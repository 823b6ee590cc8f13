"""What is done to one outbox entry: send it, look it up, give it up, or take it over from a node that died."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog
from msgspec.structs import replace

from gateway import faults
from gateway.connector import Capabilities, Connector, Sent, StatusUpdate
from gateway.errors import Permanent, Refused, SendError, StoreError, Unauthorized, Unknown
from gateway.model.document import Clock
from gateway.model.inbox import Inbox
from gateway.model.message import Delivery
from gateway.registry import Registry
from gateway.service.outbox import receipts
from gateway.service.outbox.compose import Parcel, compose
from gateway.service.outbox.ledger import Ledger
from gateway.service.outbox.retry import Rand, after_attempt, after_lookup, given_up, lookup_again, uncertain
from gateway.service.outbox.shards import Shards
from gateway.service.outbox.status import advance
from gateway.store.batch import Lease
from gateway.store.contract import Store

log = structlog.get_logger("outbox")

SEND_SECONDS = 120.0
LOOKUP_SECONDS = 60.0


class Inboxes(Protocol):
    @property
    def inboxes(self) -> Mapping[str, Inbox]: ...


class Connectors(Protocol):
    """The running connectors (see gateway.service.supervise)."""

    def connector(self, inbox_id: str) -> Connector | None:
        """The inbox's connector, while it can send."""
        ...

    def hold(self, inbox_id: str) -> AbstractContextManager[None]:
        """While it is held the connector is not closed, within reason."""
        ...

    def refused(self, inbox_id: str, connector: Connector, reason: str) -> None:
        """The provider refused the account: send nothing until an admin changes the inbox."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What sending needs. Steps with a fault point: outbox.claim.before, .after, outbox.send.before, .after,
    outbox.record.after."""

    store: Store
    clock: Clock
    directory: Inboxes
    registry: Registry
    connectors: Connectors
    ledger: Ledger
    shards: Shards
    rand: Rand
    send_seconds: float = SEND_SECONDS

    def capabilities(self, inbox_id: str) -> Capabilities:
        """The channel's; those of a channel that can nothing for an inbox that is gone."""
        inbox = self.directory.inboxes.get(inbox_id)
        spec = self.registry.find(inbox.kind) if inbox is not None else None
        return spec.capabilities if spec is not None else Capabilities()

    async def send(self, delivery: Delivery, connector: Connector, lease: Lease) -> Sent | SendError | None:
        """One attempt, with its outcome recorded; None if the lease ran out before it was made.

        `sending` is durable before the connector is called: an entry that a later holder of the shard finds in it may
        have been sent. Raises Conflict or Fenced where it is somebody else's by now; then nothing was sent.
        """
        try:
            parcel = await compose(self.store, delivery)
        except Permanent as error:
            await self.give_up(delivery, error.reason, error.code)
            return error
        faults.reach("outbox.claim.before")
        claimed = await self.ledger.claim(delivery, lease)
        faults.reach("outbox.claim.after")
        held = self.shards.lease(delivery.shard)
        if held is None or held.token != lease.token:
            # The commit took so long that the shard may be another's: it will find the entry in `sending`. We know
            # that nothing was sent, so put it back, if it has not been touched.
            untouched = replace(delivery, version=claimed.version)
            await self.ledger.change(delivery.id, lambda known: untouched if known == claimed else None)
            return None
        faults.reach("outbox.send.before")
        outcome = await self._attempt(connector, parcel)
        faults.reach("outbox.send.after")
        await self._record(claimed, outcome, parcel)
        faults.reach("outbox.record.after")
        return outcome

    async def look_up(self, delivery: Delivery, connector: Connector) -> None:
        """Ask the provider for an unknown delivery. Raises Unauthorized."""
        try:
            parcel = await compose(self.store, delivery)
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await connector.lookup(parcel.outgoing)
        except Unauthorized:
            raise
        except Exception as error:
            log.warning("outbox.lookup", inbox=delivery.inbox_id, delivery=delivery.id, error=repr(error))
            after = lookup_again(delivery, self.clock.now(), self.rand)
        else:
            after = after_lookup(delivery, found, self.clock.now(), self.rand)
        await self.ledger.change(delivery.id, lambda known: after if known.version == delivery.version else None)

    async def give_up(self, delivery: Delivery, reason: str, code: str = "") -> None:
        """Nothing was sent, nor will be."""

        def decide(known: Delivery) -> Delivery | None:
            return given_up(known, reason, code) if known.version == delivery.version else None

        await self.ledger.change(delivery.id, decide)

    async def take_over(self, delivery: Delivery, lease: Lease) -> None:
        """Settle an entry in `sending` that nobody sends, since its sender died: it may have been sent."""
        capabilities = self.capabilities(delivery.inbox_id)
        error = Unknown("the gateway stopped while it was being sent", code="interrupted")

        def decide(known: Delivery) -> Delivery | None:
            if known.status != "sending" or known.version != delivery.version:
                return None
            return uncertain(known, error, capabilities, self.clock.now(), self.rand)

        await self.ledger.change(delivery.id, decide, fence=lease)

    async def _attempt(self, connector: Connector, parcel: Parcel) -> Sent | SendError:
        try:
            with self.connectors.hold(parcel.message.inbox_id):
                async with asyncio.timeout(self.send_seconds):
                    return await connector.send(parcel.outgoing)
        except SendError as error:
            return error
        except Refused as error:
            return Permanent(str(error))
        except TimeoutError:
            return Unknown(f"no answer within {self.send_seconds:g} s")
        except Exception as error:
            # A fault in the connector: how far it came is not known.
            log.exception("outbox.send", inbox=parcel.message.inbox_id, delivery=parcel.outgoing.id)
            return Unknown(f"the connector failed ({type(error).__name__})", code="connector")

    async def _record(self, claimed: Delivery, outcome: Sent | SendError, parcel: Parcel) -> None:
        """Keep the outcome, however long the store needs to come back.

        Not fenced: it is a fact, and the version check keeps it off an entry that another node has taken over since;
        that one learns of a success even so, as from a receipt.
        """
        capabilities = self.capabilities(claimed.inbox_id)

        def decide(known: Delivery) -> Delivery | None:
            now = self.clock.now()
            if known.status == "sending" and known.lease_token == claimed.lease_token:
                return after_attempt(known, outcome, capabilities, now, self.rand)
            if isinstance(outcome, Sent):
                status: StatusUpdate = StatusUpdate(
                    status="delivered" if outcome.delivered else "sent", provider_id=outcome.provider_id
                )
                return advance(known, status, now)
            return None

        meta = outcome.meta if isinstance(outcome, Sent) else None
        delay = 0.2
        while True:
            try:
                await self.ledger.change(
                    claimed.id, decide, meta=meta, known=(claimed, parcel.message, parcel.conversation)
                )
                break
            except StoreError as error:
                log.warning("outbox.record", delivery=claimed.id, error=str(error))
                await asyncio.sleep(delay)
                delay = min(5.0, delay * 2)
        if isinstance(outcome, Sent) and outcome.provider_id is not None and capabilities.receipts:
            try:
                await receipts.apply_early(self.store, self.clock, claimed.inbox_id, outcome.provider_id)
            except StoreError as error:
                log.warning("outbox.receipts", delivery=claimed.id, error=str(error))
