"""The kinds of inbox there are."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.connector import Capabilities, ConnectorSpec
from gateway.web.fields import View
from gateway.web.route import Call, route


class ChannelView(View, frozen=True, kw_only=True):
    """`settings_schema`: JSON Schema of an inbox's settings; secrets in it are `writeOnly`."""

    kind: str
    title: str
    capabilities: Capabilities
    settings_schema: dict[str, Any]
    secrets: list[str]
    pulls: bool
    webhooks: bool


class ChannelList(View, frozen=True, kw_only=True):
    """`broken`: kinds that could not be loaded, and why."""

    items: list[ChannelView]
    next: str | None
    broken: dict[str, str]


def settings_schema(spec: ConnectorSpec) -> dict[str, Any]:
    """The schema with `$defs` inside, secrets marked."""
    schema = msgspec.json.schema(spec.settings)
    reference = schema.pop("$ref", "").rpartition("/")[2]
    if reference:
        definitions = schema.get("$defs", {})
        schema = {**definitions.pop(reference), **({"$defs": definitions} if definitions else {})}
    for name in spec.secrets:
        if name in schema.get("properties", {}):
            schema["properties"][name] = {**schema["properties"][name], "writeOnly": True, "format": "password"}
    return schema


def channel_view(spec: ConnectorSpec) -> ChannelView:
    return ChannelView(
        kind=spec.kind,
        title=spec.title,
        capabilities=spec.capabilities,
        settings_schema=settings_schema(spec),
        secrets=list(spec.secrets),
        pulls=spec.pulls,
        webhooks=spec.webhooks,
    )


async def list_channels(call: Call[None, None]) -> ChannelList:
    registry = call.services.registry
    shown = [channel_view(spec) for spec in registry.specs().values()]
    return ChannelList(items=shown, next=None, broken=registry.broken)


ROUTES = [
    route(
        "GET", "/channels", list_channels, response=ChannelList,
        role="agent", scope="config:read", tag="channels",
        summary="The kinds of inbox there are, what they can carry, and their settings",
    ),
]  # fmt: skip
