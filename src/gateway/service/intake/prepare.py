"""Makes a message ready for deciding: attachments kept, HTML sanitised, language and card numbers found.

Runs before the queue, beside other messages, so that a slow attachment holds nobody up.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from gateway.connector import Accepted, File, Inbound
from gateway.content.cards import mask_cards
from gateway.content.html import safe_html
from gateway.content.language import language
from gateway.content.text import html_to_text
from gateway.model.inbox import Inbox
from gateway.service.attachments import Attachments
from gateway.service.intake.arrival import Arrival
from gateway.store.batch import Lease

LARGE = 20_000
"""Characters from which on text work leaves the loop."""

LONGEST_TEXT = 1_000_000
"""Characters kept in the message document; a longer text is attached whole, so that nothing is lost."""


async def prepare(
    inbox: Inbox,
    inbound: Inbound,
    message_id: str,
    at: datetime,
    attachments: Attachments,
    fence: Lease | None,
) -> Arrival:
    """The arrival, with its attachments durable. Raises Refused for what is over the limits."""
    files = inbound.files
    if len(inbound.text) > LONGEST_TEXT:
        files = (*files, File(name="message.txt", claimed_type="text/plain", data=inbound.text.encode()))
    if inbound.html is not None and len(inbound.html) > LONGEST_TEXT:
        files = (*files, File(name="message.html", claimed_type="text/html", data=inbound.html.encode()))
    kept = await attachments.keep(files, lenient=True) if files else ()
    raw = None
    if inbound.raw is not None:
        (raw,) = await attachments.keep(
            [File(name="message.eml", claimed_type="message/rfc822", data=inbound.raw)], lenient=True
        )
    arrival = Arrival(
        inbox=inbox,
        inbound=inbound,
        message_id=message_id,
        at=at,
        done=asyncio.get_running_loop().create_future(),
        attachments=kept,
        raw=raw,
        meta=inbound.meta,
        fence=fence,
    )
    if len(inbound.text) + len(inbound.html or "") > LARGE:
        await asyncio.to_thread(_read, arrival)
    else:
        _read(arrival)
    return arrival


def _read(arrival: Arrival) -> None:
    inbound = arrival.inbound
    if inbound.html is not None:
        safe = safe_html(inbound.html[:LONGEST_TEXT])
        arrival.html = safe.html
        if safe.remote_images:
            arrival.meta = {**inbound.meta, "remote_images": True}
    arrival.text = inbound.text[:LONGEST_TEXT]
    if not arrival.text and arrival.html:
        arrival.text = html_to_text(inbound.html or "")[:LONGEST_TEXT]
    shown = inbound.visible_text or arrival.text
    arrival.language = inbound.sender.language or language(shown)
    arrival.masked_text = mask_cards(arrival.text)


def accepted(arrival: Arrival, conversation_id: str) -> Accepted:
    return Accepted(message_id=arrival.message_id, conversation_id=conversation_id)
