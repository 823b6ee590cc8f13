"""A mail's source to what a reader needs: the text, the HTML, and every other part as a file.

Nothing raises and nothing is dropped: each leaf of the part tree is text that is shown or a file; what could not be
read in full sets `damaged`, upon which the caller keeps the source.
"""

from __future__ import annotations

import re

import msgspec

from connectors.mail.address import Address, first_address, parse_addresses
from connectors.mail.body import Body, Report, join, walk, with_inline
from connectors.mail.structure import Fields, Part, parse_tree
from gateway.connector import File

_ID = re.compile(rb"<([^<>]*)>")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a]")


class Mail(msgspec.Struct, kw_only=True):
    """What a mail says. Addresses and texts are decoded; ids are without angle brackets."""

    fields: Fields
    media: str
    """Media type of the whole, `text/plain` if it names none."""
    parameters: dict[str, str]
    sender: Address | None
    reply_to: tuple[Address, ...] = ()
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    subject: str = ""
    date: bytes = b""
    message_id: str = ""
    in_reply_to: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    text: str = ""
    html: str | None = None
    text_from_html: bool = False
    text_from_nested: bool = False
    """It has no text of its own: the text is that of the mails it carries."""
    files: tuple[File, ...] = ()
    reports: tuple[Report, ...] = ()
    nested: tuple[bytes, ...] = ()
    """Sources of the mails this one carries (bounded)."""
    body: bytes = b""
    """The body as encoded, for an id where the mail has none."""
    defects: tuple[str, ...] = ()
    damaged: bool = False
    """Something could not be read in full: keep the source."""
    unparsed: bool = False
    """It could not be read as a mail at all."""


def parse(source: bytes) -> Mail:
    """Read a mail. Never raises; takes time linear in the source's length."""
    try:
        return _parse(source)
    except Exception as error:
        # The last line of defence for mails nobody imagined: the caller stores the source and shows it as such.
        return Mail(
            fields=Fields(),
            media="",
            parameters={},
            sender=None,
            text="",
            body=source,
            defects=(f"{type(error).__name__} while reading",),
            damaged=True,
            unparsed=True,
        )


def _parse(source: bytes) -> Mail:
    root = parse_tree(source)
    fields = root.fields
    hint = _hint(root)
    body = Body(hint)
    blocks = walk(root, body, root=True)
    text, html, from_html = join(blocks)
    from_nested = not text.strip() and bool(body.nested_texts) and not body.reports
    if from_nested:
        text = "\n\n".join(body.nested_texts)
    unparsed = not _is_mail(fields)
    if not len(fields) and source.strip():
        body.hurt("no header fields")
    if unparsed and _BINARY.search(source[:10_000]):
        text, html = "", None  # no mail and no text: the source itself is all there is to keep
    return Mail(
        fields=fields,
        media=root.media,
        parameters=root.parameters,
        sender=_first(fields, ("from", "sender", "return-path"), hint),
        reply_to=_all(fields, "reply-to", hint),
        to=_all(fields, "to", hint),
        cc=_all(fields, "cc", hint),
        subject=fields.text("subject", hint),
        date=fields.raw("date") or b"",
        message_id=_message_id(fields),
        in_reply_to=ids(fields.raw("in-reply-to")),
        references=ids(fields.raw("references")),
        text=text,
        html=html,
        text_from_html=from_html,
        text_from_nested=from_nested,
        files=with_inline(body, html),
        reports=tuple(body.reports),
        nested=tuple(body.nested),
        body=root.body,
        defects=tuple(body.defects),
        damaged=body.damaged or unparsed,
        unparsed=unparsed,
    )


_KNOWN_FIELDS = frozenset(
    [
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "received",
        "return-path",
        "content-type",
        "sender",
        "cc",
        "mime-version",
        "reply-to",
        "delivered-to",
        "in-reply-to",
        "x-mailer",
        "content-transfer-encoding",
    ]
)


def _is_mail(fields: Fields) -> bool:
    return any(name in fields for name in _KNOWN_FIELDS)


def _hint(part: Part) -> str:
    """The charset the mail's author works in: for raw bytes in headers and parts that declare none."""
    found = part.parameters.get("charset", "")
    for child in part.children:
        if found:
            break
        found = child.parameters.get("charset", "") or _hint(child) if child.media != "message/rfc822" else ""
    return found


def _first(fields: Fields, names: tuple[str, ...], hint: str) -> Address | None:
    found = None
    for name in names:
        address = first_address(fields.raw(name), hint)
        if address is not None and address.address:
            return address
        found = found or address
    return found


def _all(fields: Fields, name: str, hint: str) -> tuple[Address, ...]:
    values = fields.all(name)
    if not values:
        return ()
    return parse_addresses(values[0] if len(values) == 1 else b", ".join(values), hint)


def ids(raw: bytes | None) -> tuple[str, ...]:
    """The message ids of a header, in its order, without brackets or white space, each at most 998 characters."""
    if raw is None:
        return ()
    found = [b"".join(item.split()) for item in _ID.findall(raw[:200_000])]
    if not found and b"@" in raw and len(raw) < 998:
        found = [word.strip(b"<>") for word in raw.split() if b"@" in word]
    seen: dict[str, None] = {}
    for item in found:
        text = item.decode("utf-8", "replace")
        if text.strip("@") and len(text) <= 998:
            seen[text] = None
    return tuple(seen)


def _message_id(fields: Fields) -> str:
    raw = fields.raw("message-id")
    if raw is None:
        return ""
    found = ids(raw)
    if found:
        return found[0]
    bare = b"".join(raw.split()).strip(b"<>").decode("utf-8", "replace")
    return bare if 3 <= len(bare) <= 998 else ""
