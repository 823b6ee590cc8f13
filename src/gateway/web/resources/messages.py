"""A conversation's messages: read, answer, note, reveal."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from gateway.connector import File
from gateway.errors import Duplicate, NotFound, Problem, Refused
from gateway.model.message import Message
from gateway.store.batch import Batch
from gateway.store.collection import MESSAGES
from gateway.web.fields import Body, Listing, Name, Paging, Url, View
from gateway.web.resources.conversation_views import MessageView, message_view
from gateway.web.route import Call, route

Text = Annotated[str, Meta(max_length=500_000)]
MediaType = Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+$")]

MAX_BODY = 40_000_000
"""The largest attachment there may be (25 MB) in base64, and room for text."""


class NewAttachment(Body, frozen=True, kw_only=True):
    """Either `data` (base64) or `url`, which is fetched from here; `type` is only a claim."""

    name: Name
    type: MediaType = "application/octet-stream"
    data: bytes | None = None
    url: Url | None = None


class NewMessage(Body, frozen=True, kw_only=True):
    kind: Literal["reply", "note"] = "reply"
    text: Text = ""
    attachments: Annotated[tuple[NewAttachment, ...], Meta(max_length=50)] = ()


class MessageQuery(Paging, frozen=True, kw_only=True):
    """`order`: `oldest` first, as a talk is read, or `newest` first, as a desk opens it."""

    order: Literal["oldest", "newest"] = "oldest"


class Revealed(View, frozen=True, kw_only=True):
    """As the customer wrote it."""

    text: str
    visible_text: str | None
    html: str | None


def files_of(attachments: tuple[NewAttachment, ...]) -> list[File]:
    """The attachments as files; raises Refused for one that has neither data nor address, or both."""
    problems = [
        Problem(f"attachments[{index}]", "give either data or url")
        for index, attachment in enumerate(attachments)
        if (attachment.data is None) == (attachment.url is None)
    ]
    if problems:
        raise Refused(*problems)
    return [
        File(name=attachment.name, claimed_type=attachment.type, data=attachment.data, url=attachment.url)
        for attachment in attachments
    ]


async def list_messages(call: Call[None, MessageQuery]) -> Listing[MessageView]:
    query = call.query
    conversation = await call.services.conversations.get(call.id, call.actor)
    page = await call.services.store.find(
        MESSAGES,
        {"conversation_id": conversation.id},
        order="-id" if query.order == "newest" else "id",
        after=query.cursor,
        limit=query.limit,
    )
    return Listing(items=[message_view(message) for message in page.items], next=page.next)


async def write_message(call: Call[NewMessage, None]) -> MessageView:
    body, conversations = call.body, call.services.conversations
    files = files_of(body.attachments)
    write = conversations.note if body.kind == "note" else conversations.reply
    try:
        message = await write(call.id, call.actor, body.text, files, message_id=call.reserved_id)
    except Duplicate as error:
        # The first request with this Idempotency-Key got as far as the commit, and was cut off before its answer.
        message = await written(call, call.reserved_id, error)
    return message_view(message)


async def written(call: Call[NewMessage, None], id: str | None, error: Duplicate) -> Message:
    known = await call.services.store.get(MESSAGES, id) if id is not None else None
    if known is None or known.conversation_id != call.id:
        raise error
    return known


async def get_message(call: Call[None, None]) -> MessageView:
    return message_view(await find_message(call))


async def reveal(call: Call[None, None]) -> Revealed:
    """Shown only once it stands in the audit log who looked."""
    message = await find_message(call)
    await call.services.audit.commit(
        Batch(), call.actor, "message.reveal", message.id, {"conversation_id": message.conversation_id}
    )
    return Revealed(text=message.text, visible_text=message.visible_text, html=message.html)


async def find_message(call: Call[None, None]) -> Message:
    conversation = await call.services.conversations.get(call.id, call.actor)
    message_id = call.request.match_info["message_id"]
    message = await call.services.store.get(MESSAGES, message_id)
    if message is None or message.conversation_id != conversation.id:
        raise NotFound("message", message_id)
    return message


ROUTES = [
    route(
        "GET", "/conversations/{id}/messages", list_messages, query=MessageQuery, response=Listing[MessageView],
        role="agent", scope="conversations:read", tag="conversations", summary="Its messages, in either order",
    ),
    route(
        "POST", "/conversations/{id}/messages", write_message, body=NewMessage, response=MessageView, status=201,
        creates=True, resumes=True, max_body=MAX_BODY,
        role="agent", scope="conversations:write", tag="conversations",
        summary="Answer the customer, or note something for colleagues; 201 once durable",
    ),
    route(
        "GET", "/conversations/{id}/messages/{message_id}", get_message, response=MessageView,
        role="agent", scope="conversations:read", tag="conversations", summary="A message",
    ),
    route(
        "POST", "/conversations/{id}/messages/{message_id}/reveal", reveal, response=Revealed,
        role="supervisor", scope="conversations:read", tag="conversations",
        summary="A message with its card numbers; kept in the audit log",
    ),
]  # fmt: skip
