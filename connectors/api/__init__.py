"""In-app messages: the customers of an app write through its server; answers are polled or called back.

See README.md for what an app's server sends and gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from gateway.connector import Capabilities, Connector, ConnectorSpec, Context

MAX_FILE_BYTES = 10_000_000


class ApiSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How answers reach the app."""

    callback_url: Annotated[
        Annotated[str, msgspec.Meta(max_length=2000)] | None,
        msgspec.Meta(
            title="Callback address", description="Answers are posted here, signed. Empty: the app polls them."
        ),
    ] = None
    callback_secret: Annotated[
        Annotated[str, msgspec.Meta(max_length=500)] | None,
        msgspec.Meta(
            title="Callback secret",
            description="Signs what is posted to the callback address, and receipts from the app.",
        ),
    ] = None
    timeout_seconds: Annotated[
        float,
        msgspec.Meta(title="Time limit", description="Seconds a callback may take to answer.", ge=1, le=60),
    ] = 10.0


def _create(settings: ApiSettings, context: Context) -> Connector:
    from connectors.api.connector import ApiConnector  # noqa: PLC0415 - loaded for inboxes there are, not for the list

    return ApiConnector(settings, context)


def _validate(settings: ApiSettings) -> Sequence[tuple[str, str]]:
    problems = []
    if settings.callback_url:
        try:
            parts = urlsplit(settings.callback_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            problems.append(("callback_url", "expected an address like https://app.example.org/omnigate"))
        elif parts.username or parts.password:
            problems.append(("callback_url", "must not carry a user name or password; calls are signed instead"))
    if settings.callback_secret and len(settings.callback_secret) < 16:
        problems.append(("callback_secret", "expected at least 16 characters"))
    return problems


SPEC = ConnectorSpec(
    kind="api",
    title="In-app messages (API)",
    settings=ApiSettings,
    secrets=("callback_secret",),
    capabilities=Capabilities(
        rich_text=True,
        attachments=True,
        max_attachment_bytes=MAX_FILE_BYTES,
        subject=True,
        receipts=("delivered", "read", "failed"),
        idempotent_send=True,
    ),
    create=_create,
    validate=_validate,
    webhooks=True,
)
