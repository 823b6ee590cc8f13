"""Header text: RFC 2047 encoded words in all the forms they are met in, and raw 8-bit headers.

Real headers break the rule that an encoded word holds whole characters: words are cut inside a character or inside a
base64 group, hold spaces, lack padding, are folded in the middle. So neighbouring words of one charset are joined as
bytes before they are decoded. One pass, linear in the header's length.
"""

from __future__ import annotations

import binascii
import re

from connectors.mail import charset

_FOLD = re.compile(rb"\r?\n[ \t]+|[\r\n]+")
_HEAD = re.compile(r"=\?([^?\s]{0,80})\?([bBqQ])\?")
_TIGHT_HEAD = re.compile(r"=\?([^?\n]{0,80})\?\s*([bBqQ])\s*\?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\u2028\u2029]+")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")

MAX_HEADER = 100_000
"""Bytes of one header that are read; what is beyond stays in the source."""


def unfold(raw: bytes) -> bytes:
    """The value on one line (RFC 5322, 2.2.3)."""
    raw = raw[:MAX_HEADER]
    return _FOLD.sub(b" ", raw).strip() if b"\n" in raw or b"\r" in raw else raw.strip()


def decode_header(raw: bytes, hint: str = "") -> str:
    """An unstructured header's text on one line, without control characters. `hint`: a charset for raw 8-bit bytes."""
    line = unfold(raw)
    text = line.decode("ascii") if line.isascii() and b"\x1b" not in line else charset.decode(line, "", hint)[0]
    if "=?" in text:
        text = decode_words(text)
    return _CONTROL.sub(" ", text).strip() if not text.isprintable() else text.strip()


def decode_words(text: str) -> str:
    """Replace the encoded words in `text`; what is none stays as it is."""
    out: list[str] = []
    group: list[tuple[str, str]] = []  # (encoding, payload) of neighbouring words of one charset
    group_charset = ""
    at = 0
    while True:
        start = text.find("=?", at)
        if start < 0:
            break
        head = _HEAD.match(text, start) or _TIGHT_HEAD.match(text, start)
        if head is None:
            gap_end = start + 2
            _flush(out, group, group_charset)
            out.append(text[at:gap_end])
            at = gap_end
            continue
        end = text.find("?=", head.end())
        if end < 0:  # the closing mark is lost: taken where the rest is one word
            rest = text[head.end() :].rstrip("?")
            if " " in rest.strip():
                break
            end = len(text)
            payload = rest
        else:
            payload = text[head.end() : end]
        name = head.group(1).partition("*")[0].lower()  # RFC 2231, 5: a language may follow the charset
        gap = text[at:start]
        if group and gap.strip():
            _flush(out, group, group_charset)
            out.append(gap)
        elif group and name != group_charset:
            _flush(out, group, group_charset)
        elif not group:
            out.append(gap)
        group_charset = name
        group.append((head.group(2).lower(), payload))
        at = min(end + 2, len(text))
    _flush(out, group, group_charset)
    out.append(text[at:])
    return "".join(out)


def _flush(out: list[str], group: list[tuple[str, str]], name: str) -> None:
    if not group:
        return
    data = bytearray()
    base64: list[str] = []
    for encoding, payload in group:
        if encoding == "b":
            base64.append(payload)
        else:
            data += _base64_words(base64)
            base64.clear()
            data += _q(payload)
    data += _base64_words(base64)
    group.clear()
    out.append(charset.decode(bytes(data), name)[0])


def _base64_words(words: list[str]) -> bytes:
    """Each word on its own where it is whole; joined where base64 groups were cut between words."""
    if not words:
        return b""
    cleaned = [_NOT_BASE64.sub(b"", word.encode("ascii", "ignore")) for word in words]
    if len(words) > 1 and any(
        len(part) % 4 and "=" not in word for part, word in zip(cleaned[:-1], words, strict=False)
    ):
        cleaned = [b"".join(cleaned)]
    return b"".join(base64_bytes(part) for part in cleaned)


def base64_bytes(clean: bytes) -> bytes:
    """Bytes of base64 characters without padding; a single left-over character carries nothing and is left out."""
    rest = len(clean) % 4
    if rest == 1:
        clean = clean[:-1]
    elif rest:
        clean += b"=" * (4 - rest)
    return binascii.a2b_base64(clean)


def _q(payload: str) -> bytes:
    data = payload.replace("_", " ").encode("utf-8", "surrogateescape")
    return _HEX.sub(lambda m: bytes((int(m[1], 16),)), data) if b"=" in data else data
