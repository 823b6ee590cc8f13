"""Attachments: what they are by their content, and a name that is safe on any system."""

from __future__ import annotations

import re
import unicodedata

import filetype

OCTETS = "application/octet-stream"
_SNIFF = 8192

_HTML = re.compile(
    rb"(?:\s|\xef\xbb\xbf|<!--.{0,1000}?-->|<\?xml[^>]{0,200}\?>)*"
    rb"<(?:!doctype\s+html|html|head|body|script|iframe|style|meta|title|table|div|a\s|br|p[\s>]|h1|img|form|object|embed|link|base)",
    re.IGNORECASE | re.DOTALL,
)
_SVG = re.compile(rb"<(?:[a-z]{1,20}:)?svg[\s>]", re.IGNORECASE)
_XML = re.compile(rb"(?:\s|\xef\xbb\xbf)*<\?xml[\s?]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\Z")
_ACTIVE = frozenset(
    [
        "text/html",
        "application/xhtml+xml",
        "image/svg+xml",
        "text/xml",
        "application/xml",
        "text/javascript",
        "application/javascript",
        "application/ecmascript",
    ]
)
"""Types a browser acts on."""


def media_type(data: bytes, claimed: str = "") -> str:
    """The media type by content. `claimed` is believed only where the content neither proves nor denies it: among kinds
    of plain text, and for binary formats without a signature (never an image, audio, video or active type)."""
    claimed = claimed.partition(";")[0].strip().lower()
    claimed = claimed if _TYPE.match(claimed) else ""
    head = bytes(data[:_SNIFF])
    if not head:
        return claimed if claimed and claimed not in _ACTIVE else "text/plain"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and not head.startswith(b"\xff\xfe\x00\x00"):
        inner = head[: len(head) // 2 * 2].decode("utf-16", "ignore").encode("utf-8", "ignore")
        return _text(inner, claimed)
    known = filetype.guess(head if len(data) <= _SNIFF else bytes(data[: 8 * _SNIFF]))
    if known is not None:
        return str(known.mime)
    if _CONTROL.search(head) is None:
        return _text(head, claimed)
    if claimed and not claimed.startswith(("text/", "image/", "audio/", "video/")) and claimed not in _ACTIVE:
        return claimed
    return OCTETS


def _text(head: bytes, claimed: str) -> str:
    if _SVG.search(head) and (_XML.match(head) or _SVG.match(head.lstrip()) or b"<!DOCTYPE svg" in head):
        return "image/svg+xml"
    if _HTML.match(head):
        return "text/html"
    if _XML.match(head):
        return "text/xml"
    if claimed in _ACTIVE:
        return "text/plain" if claimed not in ("text/xml", "application/xml") else "text/xml"
    if claimed.startswith(("text/", "message/")) or claimed in ("application/json", "application/pgp-signature"):
        return claimed
    return "text/plain"


MAX_NAME_BYTES = 200
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\..*)?\Z", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def safe_name(name: str, default: str = "file") -> str:
    """A file name without path, control, invisible or direction characters, not reserved on Windows, at most 200 bytes
    of UTF-8, keeping its extension."""
    name = (
        name[:4000].replace("\\", "/").rpartition("/")[2]
        or name[:4000].replace("\\", "/").strip("/").rpartition("/")[2]
    )
    name = unicodedata.normalize("NFC", name)
    name = _SPACE.sub(" ", name)
    name = "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    name = _FORBIDDEN.sub("_", name).strip(" .")
    if not name:
        return default
    if _RESERVED.match(name):
        name = "_" + name
    return _shorten(name)


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = (dot + extension) if stem and len(extension.encode()) <= 20 else ""
    stem = stem if ending else name
    room = MAX_NAME_BYTES - len(ending.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(" .") + ending
