"""The parts of a mail sorted into what is shown and what is a file.

Each leaf of the part tree ends in one of them; what could not be read in full is noted, so that the source is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

import msgspec

from connectors.mail import charset, flowed, invitation, rtf, tnef, transfer
from connectors.mail.file_name import file_name
from connectors.mail.structure import Part
from gateway.connector import File
from gateway.content.text import html_to_text

MAX_FILES = 1000
MAX_NESTED = 20

_CID = re.compile(r"""cid:([^"'\s>)&]+)""", re.IGNORECASE)
_META_CHARSET = re.compile(rb"""<meta[^<>]{0,300}?charset\s*=\s*["']?\s*([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)
_BOILERPLATE = re.compile(rb"mime|multi-?part|format|encoded", re.IGNORECASE)
_MESSAGES = ("message/rfc822", "message/global", "message/news")
_REPORTS = frozenset(
    [
        "message/delivery-status",
        "message/global-delivery-status",
        "message/disposition-notification",
        "message/global-disposition-notification",
        "message/feedback-report",
        "text/rfc822-headers",
        "message/rfc822-headers",
        "message/global-headers",
    ]
)
_TNEF = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
_PLAIN_KINDS = frozenset(
    {"text/plain", "text/markdown", "text/x-markdown", "text/x-amp", "text/x-diff", "text/x-patch"}
)


class Report(msgspec.Struct, frozen=True):
    """A machine-readable part of a multipart/report (RFC 6522): its media type and its decoded bytes."""

    media: str
    data: bytes


class Block(msgspec.Struct):
    """A piece of the body in one or both forms."""

    text: str | None = None
    html: str | None = None


class Body:
    """Collects blocks, files and reports while the tree is walked."""

    def __init__(self, hint: str, *, inner: bool = False) -> None:
        self.hint = hint
        self.inner = inner
        """Of a mail in the mail: what it carries is in the outer one's `.eml` file already."""
        self.files: list[File] = []
        self.related: list[bool] = []
        self.reports: list[Report] = []
        self.nested: list[bytes] = []
        self.nested_texts: list[str] = []
        self.defects: list[str] = []
        self.damaged = False

    def hurt(self, why: str) -> None:
        self.damaged = True
        if why not in self.defects and len(self.defects) < 50:
            self.defects.append(why)


def walk(part: Part, body: Body, *, root: bool = False, related: bool = False) -> list[Block]:
    for defect in part.defects:
        body.hurt(defect)
    media = part.media
    if media.startswith("multipart/"):
        if part.unread:
            return _undivided(part, body)
        if part.outside and not _is_boilerplate(part.outside):
            body.hurt("text outside the parts")
        return _CONTAINERS.get(media, _mixed)(part, body)
    if media in _MESSAGES:
        return _message(part, body)
    if media in _REPORTS:
        return _report(part, body)
    return _leaf(part, body, root, related)


def _undivided(part: Part, body: Body) -> list[Block]:
    """A multipart that could not be divided: shown as text if it is text, else kept as a file."""
    data = part.body
    if not data.strip():
        return []
    body.hurt("a multipart could not be divided")
    if b"\x00" in data or len(data) > 1_000_000 or len(body.files) > MAX_FILES // 2:
        _file(part, body, data, False)
        return []
    text, _ = charset.decode(
        part.decoded.data if part.encoding else data, part.parameters.get("charset", ""), body.hint
    )
    return [Block(_lines(text))]


def _is_boilerplate(text: bytes) -> bool:
    return len(text) < 600 and _BOILERPLATE.search(text) is not None


def _mixed(part: Part, body: Body) -> list[Block]:
    return [block for child in part.children for block in walk(child, body)]


def _alternative(part: Part, body: Body) -> list[Block]:
    """One content in several forms: the last of each form counts, further ones of the same become files."""
    text: str | None = None
    html: str | None = None
    for child in part.children:
        blocks = walk(child, body)
        if not blocks:
            continue
        texts = [b.text for b in blocks if b.text is not None]
        htmls = [b.html for b in blocks if b.html is not None]
        if htmls:
            if html is not None:
                body.files.append(File(name="alternative.html", claimed_type="text/html", data=html.encode()))
                body.related.append(False)
            html = "".join(b.html if b.html is not None else _as_html(b.text) for b in blocks)
        if texts:
            joined = "\n".join(texts)
            if text is None or not text.strip():
                text = joined
            elif not htmls and joined.strip() != text.strip() and joined.strip() and not _is_summary(child):
                text += "\n\n" + joined
    return [] if text is None and html is None else [Block(text, html)]


def _is_summary(part: Part) -> bool:
    return part.media == "text/calendar"


def _related(part: Part, body: Body) -> list[Block]:
    """RFC 2387: the root, and what it refers to."""
    if not part.children:
        return []
    start = part.parameters.get("start", "").strip("<> ")
    first = part.children[0]
    if start:
        for child in part.children:
            if _content_id(child) == start:
                first = child
                break
    blocks = walk(first, body)
    for child in part.children:
        if child is not first:
            blocks += walk(child, body, related=True)
    return blocks


def _signed(part: Part, body: Body) -> list[Block]:
    """RFC 1847: the content, then its signature."""
    blocks = []
    for number, child in enumerate(part.children):
        if number == 1 and not child.media.startswith(("multipart/", "text/")):
            _file(child, body, child.decoded.data, False)
        else:
            blocks += walk(child, body)
    return blocks


def _encrypted(part: Part, body: Body) -> list[Block]:
    for child in part.children:
        _file(child, body, child.decoded.data, False)
    return []


_CONTAINERS: dict[str, Callable[[Part, Body], list[Block]]] = {
    "multipart/alternative": _alternative,
    "multipart/related": _related,
    "multipart/signed": _signed,
    "multipart/encrypted": _encrypted,
}


def _message(part: Part, body: Body) -> list[Block]:
    """A mail in the mail: one `.eml` file; its text stands in where the outer mail has none, its files follow it."""
    source = b""
    if not body.inner:
        source = part.decoded.data if part.encoding in ("base64", "quoted-printable") else part.body
    child = part.children[0] if part.children else None
    name = child.fields.text("subject")[:120] if child is not None else ""
    if not body.inner:
        _file(part, body, source, False, name=file_name(part, body.hint) or f"{name or 'message'}.eml")
    if child is None or len(body.nested) >= MAX_NESTED:
        if part.unread:
            body.hurt("parts nested too deeply or too many")
        return []
    if not body.inner:
        body.nested.append(source)
    inner = Body(child.parameters.get("charset", ""), inner=True)
    text, _, _ = join(walk(child, inner, root=True))
    for file in inner.files[: MAX_FILES - len(body.files)]:
        body.files.append(file)
        body.related.append(False)
    head = [f"{label}: {value}" for label in ("From", "Date", "Subject") if (value := child.fields.text(label.lower()))]
    body.nested_texts.append("\n".join([*head, "", text]).strip())
    body.nested_texts += inner.nested_texts
    return []


def _report(part: Part, body: Body) -> list[Block]:
    data = part.decoded.data if part.encoding else part.body
    body.reports.append(Report(part.media, data))
    _file(part, body, data, False)
    return []


def _leaf(part: Part, body: Body, root: bool, related: bool) -> list[Block]:
    if part.unread:
        body.hurt("parts nested too deeply or too many")
    if not part.encoding and part.start == part.end and not part.fields:
        return []
    data, whole = part.decoded
    if not whole:
        body.hurt(f"{part.encoding} text is damaged")
    media = part.media
    disposition = part.disposition[0]
    if media in _TNEF or data.startswith(tnef.SIGNATURE):
        return _tnef(part, body, data)
    name = file_name(part, body.hint)
    shown = disposition != "attachment" and (not name or root)
    if media == "text/html" and shown and not (related and _content_id(part)):
        return [Block(None, _html(part, body, data))]
    if media in _PLAIN_KINDS or (media.startswith("text/") and root and media not in ("text/calendar", "text/rtf")):
        if shown:
            return _plain(part, body, data)
    elif media == "text/calendar":
        line = invitation.summary(charset.decode(data, part.parameters.get("charset", "utf-8"), body.hint)[0])
        _file(part, body, data, related, name=name or "invitation.ics")
        return [Block(line)] if line and disposition != "attachment" else []
    elif media in ("text/rtf", "application/rtf") and shown and root:
        _file(part, body, data, related)
        return [Block(rtf.read(data).text)]
    elif media in ("text/enriched", "text/richtext") and shown:
        return [Block(_enriched(charset.decode(data, part.parameters.get("charset", ""), body.hint)[0]))]
    elif media == "message/partial" or (media == "message/external-body" and shown):
        return _special_message(part, body, data)
    if data or name or not root:
        _file(part, body, data, related, name=name)
    return []


def _special_message(part: Part, body: Body, data: bytes) -> list[Block]:
    """RFC 2046, 5.2.2 and 5.2.3: a piece of a mail, and a mere pointer to one."""
    _file(part, body, data, False)
    wanted = (
        ("number", "total", "id")
        if part.media == "message/partial"
        else ("access-type", "url", "site", "directory", "name", "server")
    )
    said = ", ".join(f"{key}: {part.parameters[key]}" for key in wanted if key in part.parameters)
    what = "Part of a mail" if part.media == "message/partial" else "File kept elsewhere"
    return [Block(f"[{what}: {said}]")]


def _plain(part: Part, body: Body, data: bytes) -> list[Block]:
    if b"begin" in data:
        data, found = transfer.extract(data)
        for name, content in found:
            body.files.append(File(name=name or "file", data=content))
            body.related.append(False)
    text, whole = charset.decode(data, part.parameters.get("charset", ""), body.hint)
    if not whole:
        body.hurt("the text's charset is not what it says")
    text = _lines(text)
    if "\x00" in text:
        body.hurt("the text has null bytes")
        text = text.replace("\x00", "")
    if part.parameters.get("format", "").lower() == "flowed":
        text = flowed.unflow(text, part.parameters.get("delsp", "").lower() == "yes")
    return [Block(text)]


def _html(part: Part, body: Body, data: bytes) -> str:
    declared = part.parameters.get("charset", "")
    if not declared and (meta := _META_CHARSET.search(data, 0, 4096)):
        declared = meta[1].decode("ascii")
    text, whole = charset.decode(data, declared, body.hint)
    if not whole:
        body.hurt("the HTML's charset is not what it says")
    if "\x00" in text:
        body.hurt("the HTML has null bytes")
        text = text.replace("\x00", "")
    return text


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


_ENRICHED = re.compile(r"<<|<param>.*?</param>|</?[A-Za-z0-9-]{1,60}>|\n+", re.DOTALL | re.IGNORECASE)


def _enriched(text: str) -> str:
    """RFC 1896: single line breaks are spaces, n of them n-1 breaks."""
    text = _lines(text)
    if text.lower().count("<param>") > text.lower().count("</param>"):
        text = text.replace("<param>", "")
    return _ENRICHED.sub(
        lambda m: "<" if m[0] == "<<" else "" if m[0][0] == "<" else "\n" * (len(m[0]) - 1) or " ", text
    )


def _tnef(part: Part, body: Body, data: bytes) -> list[Block]:
    found = tnef.parse(data)
    if found is None or not found.whole:
        body.hurt("a winmail.dat could not be read in full")
        _file(part, body, data, False)
    if found is None:
        return []
    for number, item in enumerate(found.files, 1):
        name = item.name or f"attachment-{number}"
        body.files.append(File(name=name, claimed_type=item.media, data=item.data, content_id=item.content_id))
        body.related.append(False)
    if found.html:
        return [Block(found.text or None, found.html)]
    return [Block(found.text)] if found.text.strip() else []


# --- files


def _content_id(part: Part) -> str | None:
    raw = part.fields.raw("content-id")
    if raw is None:
        return None
    return raw.strip().strip(b"<>").strip().decode("utf-8", "replace")[:500] or None


def _file(part: Part, body: Body, data: bytes, related: bool, name: str = "") -> None:
    if len(body.files) >= MAX_FILES:
        body.hurt("more files than are taken apart")
        return
    name = name or file_name(part, body.hint, number=len(body.files) + 1)
    inline = part.disposition[0] == "inline" and part.media.startswith("image/")
    body.files.append(File(name=name, claimed_type=part.media, data=data, content_id=_content_id(part), inline=inline))
    body.related.append(related)


def with_inline(body: Body, html: str | None) -> tuple[File, ...]:
    """Files the HTML shows are inline, whatever their disposition says."""
    if html is None or not any(file.content_id for file in body.files):
        return tuple(body.files)
    used = set(_CID.findall(html))
    return tuple(
        msgspec.structs.replace(file, inline=True) if file.content_id in used and not file.inline else file
        for file in body.files
    )


def _as_html(text: str | None) -> str:
    return f"<pre>{escape(text)}</pre>" if text and text.strip() else ""


def join(blocks: list[Block]) -> tuple[str, str | None, bool]:
    """(text, html, whether the text was made from the html)"""
    has_html = any(b.html is not None for b in blocks)
    texts: list[str] = []
    from_html = False
    for block in blocks:
        text = block.text
        if block.html is not None and (text is None or not text.strip()):
            text = html_to_text(block.html)
            from_html = True
        if text:
            texts.append(text)
    html = "".join(b.html if b.html is not None else _as_html(b.text) for b in blocks) if has_html else None
    text = texts[0] if len(texts) == 1 else "\n\n".join(t.strip("\n") for t in texts if t.strip())
    return text, html, from_html
