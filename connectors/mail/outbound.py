"""From an answer to the mail that carries it: envelope and bytes, the same at every attempt. Pure."""

from __future__ import annotations

import hmac
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from typing import Any, NamedTuple

from connectors.mail import MailSettings
from connectors.mail.encode import (
    Part,
    address_header,
    clean,
    file_part,
    multipart,
    text_header,
    text_part,
    token_header,
)
from connectors.mail.tokens import Tokens
from gateway.connector import Outgoing
from gateway.errors import Permanent

MAX_REFERENCES = 20
"""Message-IDs in References: the first and the last ones are kept (RFC 5537, 3.4.4 has the same care for news)."""

AUTOMATIC_MARK = "X-Omnigate-Automatic"
"""On every automatic mail of ours, so that any inbox of ours knows it for one whatever happened to Auto-Submitted."""

_MESSAGE_ID = re.compile(r"<([\x21-\x3b\x3d\x3f-\x7e]{1,900})>")
_BARE_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]{1,900}")
_ADDRESS = re.compile(r"[^\s@<>,;:\\\"()\[\]\x00-\x1f\x7f]{1,64}@[^\s@<>,;:\\\"()\x00-\x20\x7f]{1,255}")
_PREFIX = re.compile(
    r"\s*(?:re|aw|sv|antw|rif|odp|回复|回覆|答复|答覆|返信)\s*(?:\[\d{1,3}\])?\s*[:：]\s*", re.IGNORECASE
)


class Mail(NamedTuple):
    """A mail ready for SMTP."""

    sender: str
    to: tuple[str, ...]
    message_id: str
    references: tuple[str, ...]
    utf8: bool
    """An address is not ASCII: the server must know SMTPUTF8 (RFC 6531)."""
    data: bytes


def message_ids(value: object) -> list[str]:
    """The Message-IDs in a note of `meta` (a text, or a list of them), with angle brackets, in order."""
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in message_ids(item)]
    if not isinstance(value, str):
        return []
    found = _MESSAGE_ID.findall(value[:100_000])
    if not found and _BARE_ID.fullmatch(value):
        found = [value]
    return [f"<{id}>" for id in found]


def references(reply_to: Mapping[str, Any], thread_meta: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """What the answer refers to, oldest first, the mail it answers last (RFC 5322, 3.6.4); empty for a new thread.

    A parent without References of its own (many phone programs) gets those of the conversation's other mails.
    """
    parent = message_ids(reply_to.get("message_id"))[:1]
    known = message_ids(reply_to.get("references"))
    if not known:
        known = [id for meta in thread_meta for id in message_ids(meta.get("message_id"))[:1]]
    if not parent:
        parent = known[-1:]
    chain = [id for id in dict.fromkeys(known) if id not in parent] + parent
    return tuple(chain if len(chain) <= MAX_REFERENCES else [chain[0], *chain[1 - MAX_REFERENCES :]])


def reply_subject(subject: str) -> str:
    """`Re: ` and the subject without the reply marks that it has, of whatever language."""
    subject = clean(subject)[:900]
    while match := _PREFIX.match(subject):
        subject = subject[match.end() :]
    return f"Re: {subject}".strip()


def envelope_address(address: str) -> str:
    """The address as it goes on the wire: the domain in ASCII. Raises Permanent if it is none."""
    address = address.strip()
    if not _ADDRESS.fullmatch(address):
        raise Permanent("the recipient's address is not a mail address", code="address")
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode()
        except UnicodeError:
            raise Permanent("the domain of the recipient's address is not valid", code="address") from None
    return f"{local}@{domain}"


def _recipient(message: Outgoing) -> tuple[str, str]:
    """(name, address): Reply-To of the customer's mail where it is one plain address, else the one they wrote from."""
    wish = message.reply_to.get("reply_to")
    if isinstance(wish, (list, tuple)):
        wish = wish[0] if len(wish) == 1 else None
    if isinstance(wish, str) and _ADDRESS.fullmatch(wish.strip()):
        return message.recipient_name, envelope_address(wish)
    return message.recipient_name, envelope_address(message.address)


def _quoted(message: Outgoing) -> tuple[str, str]:
    """The customer's text as quotation: (plain, HTML)."""
    text = str(message.reply_to.get("text") or "").strip()[:20_000]
    if not text:
        return "", ""
    sent = message.reply_to.get("sent_at")
    when = sent.strftime("%Y-%m-%d %H:%M %Z") if isinstance(sent, datetime) else clean(str(sent or ""))
    line = f"On {when}, {clean(message.recipient_name) or message.address} wrote:".replace("On , ", "")
    plain = "\n\n" + line + "\n" + "\n".join(f"> {row}".rstrip() for row in text.splitlines())
    rich = html.escape(text).replace("\n", "<br>\n")
    return plain, f"<br><div>{html.escape(line)}</div><blockquote type=cite>{rich}</blockquote>"


def _body(message: Outgoing, settings: MailSettings, boundary: str) -> Part:
    quote, rich_quote = _quoted(message) if settings.quote_original else ("", "")
    part = text_part(message.text + quote)
    inline = [file for file in message.files if message.html and file.attachment.inline and file.attachment.content_id]
    if message.html is not None:
        rich = text_part(message.html + rich_quote, "html")
        if inline:
            images = [file_part(file.attachment, file.data) for file in inline]
            rich = multipart("related", [rich, *images], f"{boundary}.r")
        part = multipart("alternative", [part, rich], f"{boundary}.a")
    files = [file_part(file.attachment, file.data) for file in message.files if file not in inline]
    return multipart("mixed", [part, *files], f"{boundary}.m") if files else part


def _automatic_headers(answers: bool) -> list[bytes]:
    """RFC 3834, 5, and what Exchange and others go by."""
    return [
        token_header("Auto-Submitted", "auto-replied" if answers else "auto-generated"),
        token_header("X-Auto-Response-Suppress", "All"),
        token_header(AUTOMATIC_MARK, "yes"),
    ]


def compose(message: Outgoing, settings: MailSettings, tokens: Tokens) -> Mail:
    """The mail of an answer. Raises Permanent where the recipient's address is none."""
    sender = envelope_address(settings.address)
    recipient = _recipient(message)
    domain = sender.rpartition("@")[2]
    message_id = tokens.message_id(message.id, message.conversation_id, domain)
    chain = references(message.reply_to, message.thread_meta)
    if message.subject:
        subject = clean(message.subject)[:900]
    else:
        original = str(message.reply_to.get("subject") or "")
        subject = reply_subject(original) if original or chain else settings.display_name or settings.address
    display = settings.display_name
    if settings.show_author and message.author_name and not message.automatic:
        display = f"{message.author_name} ({display})" if display else message.author_name
    headers = [
        token_header("Date", format_datetime(message.created_at)),
        address_header("From", [(display, sender)]),
        address_header("To", [recipient]),
        text_header("Subject", subject),
        token_header("Message-ID", message_id),
    ]
    if settings.plus_addressing:
        address = tokens.reply_address(sender, message.conversation_id)
        headers.append(address_header("Reply-To", [(settings.display_name, address)]))
    if chain:
        headers += [token_header("In-Reply-To", chain[-1]), token_header("References", *chain)]
    if message.automatic:
        headers += _automatic_headers(bool(chain))
    # no text can hold a boundary that it cannot know
    boundary = "=_" + hmac.new(tokens.make(message.id).encode(), message_id.encode(), sha256).hexdigest()[:32]
    body = _body(message, settings, boundary)
    headers.append(b"MIME-Version: 1.0\r\n")
    addresses: Sequence[str] = (sender, recipient[1])
    return Mail(
        sender=sender,
        to=(recipient[1],),
        message_id=message_id,
        references=chain,
        utf8=not all(address.isascii() for address in addresses),
        data=b"".join(headers) + bytes(body),
    )
