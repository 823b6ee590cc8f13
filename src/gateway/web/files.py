"""Serving attachments: what a customer sent must not run, guess its type, or be seen by those who may not see it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from msgspec import Meta

from gateway.errors import NotFound
from gateway.model.message import Attachment, Message
from gateway.service.viewers import viewer_of
from gateway.store.collection import CONVERSATIONS, MESSAGES
from gateway.web.fields import Query
from gateway.web.problem import HttpProblem
from gateway.web.route import Call, Route, route

INLINE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/bmp",
        "audio/mpeg",
        "audio/mp4",
        "audio/aac",
        "audio/ogg",
        "audio/wav",
        "audio/x-wav",
        "audio/webm",
        "audio/amr",
        "audio/flac",
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/quicktime",
        "video/3gpp",
    }
)
"""Shown in the page: decoded, never run. No SVG (it has scripts), no PDF (its viewers refuse a sandbox)."""


class FileQuery(Query, frozen=True, kw_only=True):
    download: Annotated[bool, Meta(description="save it, also what could be shown")] = False


async def get_attachment(call: Call[None, FileQuery]) -> web.Response:
    """The bytes; Range and If-None-Match are honoured."""
    attachment = await _find(call)
    etag = f'"{attachment.sha256}"'
    headers = {
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "private, max-age=3600",
        "ETag": etag,
        "Accept-Ranges": "bytes",
    }
    if etag in (call.request.headers.get("If-None-Match") or ""):
        return web.Response(status=304, headers=headers)
    data = await call.services.store.blobs.get(attachment.sha256)
    if data is None:
        raise NotFound("attachment", attachment.id)
    status, data, extent = _cut(call.request, data, etag)
    if extent:
        headers["Content-Range"] = extent
    inline = attachment.type in INLINE and not call.query.download
    headers["Content-Type"] = attachment.type
    headers["Content-Disposition"] = disposition("inline" if inline else "attachment", attachment.name)
    return web.Response(status=status, body=data, headers=headers)


async def _find(call: Call[None, FileQuery]) -> Attachment:
    message_id, attachment_id = call.request.match_info["message_id"], call.request.match_info["attachment_id"]
    store = call.services.store
    message = await store.get(MESSAGES, message_id)
    conversation = await store.get(CONVERSATIONS, message.conversation_id) if message is not None else None
    viewer = viewer_of(call.actor, call.services.directory)
    if message is None or conversation is None or viewer is None:
        raise NotFound("attachment", attachment_id)
    if not viewer.sees_at(conversation.queue_id, conversation.assignee_id):
        raise NotFound("attachment", attachment_id)
    for attachment in _files(message):
        if attachment.id == attachment_id:
            return attachment
    raise NotFound("attachment", attachment_id)


def _files(message: Message) -> Iterable[Attachment]:
    yield from message.attachments
    if message.raw is not None:
        yield message.raw


def _cut(request: web.Request, data: bytes, etag: str) -> tuple[int, bytes, str]:
    """(status, bytes, Content-Range) for the request's Range (RFC 9110, 14): one range is honoured, of several the
    whole is sent, as it is where If-Range names another version."""
    wanted = request.headers.get("Range", "")
    if not wanted or "," in wanted or request.headers.get("If-Range", etag) != etag:
        return 200, data, ""
    try:
        asked = request.http_range
    except ValueError:
        return 200, data, ""  # RFC 9110, 14.2: a Range that cannot be read is ignored
    start, stop, _ = slice(asked.start, asked.stop).indices(len(data))
    if start >= stop:
        raise HttpProblem(416, f"the file has {len(data)} bytes", headers={"Content-Range": f"bytes */{len(data)}"})
    return 206, data[start:stop], f"bytes {start}-{stop - 1}/{len(data)}"


def disposition(kind: str, name: str) -> str:
    """Content-Disposition (RFC 6266) with the name in ASCII and, where that loses something, in UTF-8 (RFC 8187)."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in name) or "file"
    value = f'{kind}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe='', errors='replace')}"


ROUTES: tuple[Route, ...] = (
    route(
        "GET",
        "/attachments/{message_id}/{attachment_id}",
        get_attachment,
        summary="An attachment's bytes",
        tag="conversations",
        role="agent",
        scope="conversations:read",
        query=FileQuery,
        media_type="application/octet-stream",
        description="Served with its type as found from the content, in a sandbox, and only to those who may see the "
        "conversation. Range is honoured.",
    ),
)
