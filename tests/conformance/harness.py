"""What a connector must bring to be tested: a harness around its provider, or a stand-in that speaks its protocol.

For a connector folder `connectors/{kind}` there is `tests/conformance/harness_{kind}.py` with

    def harness() -> AbstractAsyncContextManager[Harness]

A connector without one fails the suite. `harness()` is opened anew for each check, inside the check's event loop, and
leaves the provider empty and well again (a fresh account, or a fresh stand-in); a server that is slow to start may be
kept between calls. Where this machine cannot run the provider, call `tests.servers.absent.absent(what)`, which skips,
or fails with CI=true.

Example, much shortened:

    class Stage:
        kind = "pigeon"
        inbound = "webhook"
        failures = frozenset({"wrong_credentials", "server_error", "lost_after_send"})
        secrets = ("s3cret-key",)
        client_modules = ("pigeonlib",)
        ...

    @asynccontextmanager
    async def harness() -> AsyncIterator[Harness]:
        async with aiohttp_server(...) as server:
            yield Stage(server)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

import msgspec

from gateway.connector import Connector

Failure = Literal["wrong_credentials", "unreachable", "server_error", "rate_limited", "rejected", "lost_after_send"]
"""What a provider can be made to do to the next sends, and the error of gateway.errors that must come of it:

wrong_credentials  it refuses the account                                       Unauthorized
unreachable        nothing listens there, or the line drops before acceptance   Transient
server_error       it fails for now (HTTP 5xx, SMTP 4xx)                        Transient or RateLimited
rate_limited       it asks to wait (HTTP 429)                                   RateLimited with its retry_after
rejected           it refuses this message or recipient for good                Permanent
lost_after_send    it has the message, the line breaks before its answer        Unknown, or Transient if the channel
                                                                                says that its sends are idempotent
"""

Inbound = Literal["pull", "webhook", "none"]
"""How messages come in: `run` pulls them, `webhook` is called with them, or another part of the gateway takes them."""


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it reached the provider."""

    address: str
    text: str
    provider_id: str | None = None
    """The provider's id of it, as `Sent.provider_id` must give it; None: the provider gives none."""


class Harness(Protocol):
    kind: str
    inbound: Inbound
    failures: frozenset[Failure]
    """Those that make sense for this provider; each is tried."""
    secrets: tuple[str, ...]
    """Values that must never appear in a log, a channel log entry, a health report or an error: those in `settings()`
    and any that the provider hands out."""
    client_modules: tuple[str, ...]
    """Modules that importing the connector's folder must not load."""

    def settings(self) -> dict[str, Any]:
        """Settings that work, as an admin would enter them (JSON values)."""
        ...

    def wrong_settings(self) -> Sequence[tuple[dict[str, Any], str]]:
        """Settings that must be refused, each with the name of the setting that must be blamed."""
        ...

    async def inject(self, connector: Connector, key: str, text: str) -> int | None:
        """The customer writes `text`. `key` names the message: the same key again is the provider's redelivery of it.

        pull: put it where `run` finds it, and return None (the suite makes redelivery by forgetting the cursor: it
        never injects a key twice). webhook: call `connector.webhook` as the provider would, and return the status.
        none: never called.
        """
        ...

    def recipient(self) -> tuple[str, Mapping[str, Any]]:
        """An address that can be sent to, and the `Outgoing.reply_to` that fits (may be empty)."""
        ...

    async def delivered(self) -> list[Delivered]:
        """All that reached the provider since the harness was opened, oldest first."""
        ...

    async def fail(self, failure: Failure | None) -> None:
        """From now on sends fail so (see Failure); None: well again."""
        ...


class HarnessModule(Protocol):
    def harness(self) -> AbstractAsyncContextManager[Harness]: ...
