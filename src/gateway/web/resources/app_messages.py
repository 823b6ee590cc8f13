"""The in-app channel: an app's customer writes, and the app fetches the answers."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from gateway.connector import File, Inbound, Sender
from gateway.errors import Clash, NotFound, Problem, Refused
from gateway.model.inbox import Inbox
from gateway.service.config.inboxes import TOKEN_KINDS
from gateway.web.fields import Body, Key, Line, Moment, View, checked_json, utc
from gateway.web.resources.messages import MAX_BODY, NewAttachment, files_of
from gateway.web.route import Call, route

ExternalId = Annotated[str, Meta(min_length=1, max_length=500, pattern=r"^[^\x00]+$")]


class NewSender(Body, frozen=True, kw_only=True):
    """`id`: the app's own id of its customer; `email` and `phone` as the app knows them."""

    id: Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\x00]+$")]
    name: Line = ""
    email: Annotated[str, Meta(max_length=254, pattern=r"^[^\x00-\x20\x7f@]+@[^\x00-\x20\x7f@]+$")] | None = None
    phone: Annotated[str, Meta(max_length=50, pattern=r"^[+0-9 ().\/-]+$")] | None = None
    language: Key | None = None
    attributes: dict[str, Any] = {}


class AppMessage(Body, frozen=True, kw_only=True):
    """`external_id`: the app's id of the message; the same one again is the same message."""

    external_id: ExternalId
    sender: NewSender
    text: Annotated[str, Meta(max_length=1_000_000)] = ""
    attachments: Annotated[tuple[NewAttachment, ...], Meta(max_length=50)] = ()
    sent_at: Moment | None = None


class Taken(View, frozen=True, kw_only=True):
    """The message is durable and routed; `duplicate`: it was here already."""

    message_id: str
    conversation_id: str
    duplicate: bool


NO_FILES: tuple[File, ...] = ()


async def take_message(call: Call[AppMessage, None]) -> Taken:
    body, sender = call.body, call.body.sender
    inbox = app_inbox(call)
    if not inbox.enabled:
        raise Clash("this inbox is disabled")
    if not body.text and not body.attachments:
        raise Refused(Problem("text", "a message needs a text or an attachment"))
    inbound = Inbound(
        external_id=body.external_id,
        sender=Sender(
            address=sender.id,
            name=sender.name,
            email=sender.email,
            phone=sender.phone,
            verification="asserted",  # the app vouches for who its customer is
            language=sender.language,
            attributes=checked_json(sender.attributes, "sender.attributes") if sender.attributes else {},
        ),
        text=body.text,
        files=tuple(files_of(body.attachments)) if body.attachments else NO_FILES,
        sent_at=utc(body.sent_at, "sent_at"),
    )
    if inbound.files:
        call.services.attachments.check(inbound.files)
    # No time limit: intake bounds what waits in it, and a message given up on here would be committed all the same.
    (accepted,) = await call.services.intake.accept(inbox, (inbound,), wait=False)
    return Taken(message_id=accepted.message_id, conversation_id=accepted.conversation_id, duplicate=accepted.duplicate)


def app_inbox(call: Call[Any, Any]) -> Inbox:
    inbox = call.services.directory.inboxes.get(call.id)
    if inbox is None:
        raise NotFound("inbox", call.id)
    if inbox.kind not in TOKEN_KINDS:
        raise Clash(f"an inbox of kind {inbox.kind} takes its messages from its provider, not from here")
    return inbox


ROUTES = [
    route(
        "POST", "/inboxes/{id}/messages", take_message, body=AppMessage, response=Taken, status=201,
        creates=True, resumes=True, max_body=MAX_BODY, timeout=None,
        inbox_token=True, role="admin", scope="conversations:write", tag="in-app",
        summary="An app's customer writes; 201 once the message is durable and routed",
    ),
]  # fmt: skip
