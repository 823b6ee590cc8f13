"""Content transfer encodings (RFC 2045, 6), and files written into plain text (uuencode, yEnc), read leniently."""

from __future__ import annotations

import binascii
import re
from typing import NamedTuple

from connectors.mail.encoded_word import base64_bytes

_BASE64_JUNK = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_BASE64_USED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n\t "
_BASE64_TAIL = re.compile(rb"={1,3}\s*(?=\S)")
_FIRST_LINE = re.compile(rb"\s*(?:[A-Za-z0-9+/]{4}){2,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?[ \t]*(?:\r?\n|\Z)")
_TOKEN = re.compile(r"[\w.-]+")
_BARE_CR = re.compile(rb"=\r(?!\n)")
_QP_SPACE = re.compile(rb"=[ \t]+(?=\r?\n|\Z)")


class Decoded(NamedTuple):
    data: bytes
    whole: bool
    """False: the encoded text was damaged or named an unknown encoding; what could be read is in `data`."""


def encoding_of(raw: bytes | None) -> str:
    """The encoding's name as its RFC writes it, `""` for none; unknown names as they are."""
    if raw is None:
        return ""
    match = _TOKEN.search(raw[:200].decode("latin-1").partition("(")[0].lower())
    name = match[0] if match else ""
    if name in ("7bit", "8bit", "binary", "7-bit", "8-bit", "none", "ascii", "8bits", "7bits"):
        return ""
    if name.startswith("quoted") or name in ("qp", "quoted-printable", "quote-printable"):
        return "quoted-printable"
    if name in ("base64", "base-64", "x-base64", "b64"):
        return "base64"
    if name in ("uuencode", "x-uuencode", "x-uue", "uue"):
        return "uuencode"
    if name in ("yenc", "x-yencode", "x-yenc"):
        return "yenc"
    return name


def decode(data: bytes, encoding: str) -> Decoded:
    """The bytes of a body in the named encoding. Never raises."""
    if not encoding:
        return Decoded(data, True)
    if encoding == "base64":
        return _base64(data)
    if encoding == "quoted-printable":
        return _quoted_printable(data)
    if encoding in ("uuencode", "yenc"):
        found = extract(data)
        return Decoded(found.files[0][1], True) if found.files else Decoded(data, False)
    return Decoded(data, False)


def _base64(data: bytes) -> Decoded:
    clean = data.translate(None, _BASE64_JUNK)
    whole = len(clean) == len(data)
    if not whole:
        junk = len(data.translate(None, _BASE64_USED))
        whole = junk == 0
        # plain text that only says it is base64
        if ((junk > 3 and junk * 10 > len(clean)) or data.count(b" ") * 20 > len(data)) and not _FIRST_LINE.match(data):
            return Decoded(data, False)
    padding = clean.find(b"=")
    if padding < 0:
        return Decoded(base64_bytes(clean), whole and len(clean) % 4 == 0)
    if padding >= len(clean) - 2:
        return Decoded(base64_bytes(clean[:padding]), whole and len(clean) % 4 == 0)
    # several encoded pieces one after another, each with its padding; or plain text was added behind the first
    tail = _BASE64_TAIL.search(data)
    if tail is not None:
        rest = data[tail.end() :]
        if rest.translate(None, _BASE64_USED):
            return Decoded(base64_bytes(clean[:padding]), False)
    pieces = [piece for piece in clean.split(b"=") if piece]
    return Decoded(b"".join(map(base64_bytes, pieces)), False)


def _quoted_printable(data: bytes) -> Decoded:
    if b"=" not in data:
        return Decoded(data, True)
    if b"=\r" in data:  # the codec would skip from a bare CR to the next LF
        data = _BARE_CR.sub(b"=\r\n", data)
    if b"= " in data or b"=\t" in data:
        data = _QP_SPACE.sub(b"=", data)
    return Decoded(binascii.a2b_qp(data), True)


class Extracted(NamedTuple):
    rest: bytes
    """The text without the files."""
    files: list[tuple[str, bytes]]
    """(name, bytes)"""


_UU_BEGIN = re.compile(rb"^begin(?:-base64)? [0-7]{3,4} ?([^\r\n]{0,500})\r?\n", re.MULTILINE)
_UU_END = re.compile(rb"^(?:end|====)[ \t]*\r?$", re.MULTILINE)
_Y_BEGIN = re.compile(rb"^=ybegin [^\r\n]{0,500}?name=([^\r\n]{0,500})\r?\n", re.MULTILINE)
_Y_PART = re.compile(rb"=ypart [^\r\n]{0,200}\r?\n")
_Y_END = re.compile(rb"^=yend[^\r\n]{0,200}\r?\n?", re.MULTILINE)
_Y_ESCAPE = re.compile(rb"=(.)", re.DOTALL)
_Y_TABLE = bytes((b - 42) % 256 for b in range(256))
_MAX_INLINE_FILES = 200


def extract(data: bytes) -> Extracted:
    """Take uuencoded (POSIX) and yEnc (yenc.org draft 1.3) files out of a text."""
    if b"begin" not in data:
        return Extracted(data, [])
    rest: list[bytes] = []
    files: list[tuple[str, bytes]] = []
    at = 0
    no_uu = no_y = False
    while len(files) < _MAX_INLINE_FILES:
        uu = None if no_uu else _UU_BEGIN.search(data, at)
        y = None if no_y else _Y_BEGIN.search(data, at)
        if uu is not None and (y is None or uu.start() < y.start()):
            end = _UU_END.search(data, uu.end())
            if end is None:
                no_uu = True  # a line that only looks like one, or the file is cut: left in the text
                continue
            body = _uu(data[uu.end() : end.start()], b"-base64" in uu[0])
            if body is None:
                rest.append(data[at : uu.end()])
                at = uu.end()
                continue
            rest.append(data[at : uu.start()])
            files.append((uu[1].decode("utf-8", "replace").strip(), body))
            at = end.end()
        elif y is not None:
            end = _Y_END.search(data, y.end())
            if end is None:
                no_y = True
                continue
            part = _Y_PART.match(data, y.end())
            rest.append(data[at : y.start()])
            files.append(
                (y[1].decode("utf-8", "replace").strip(), _yenc(data[part.end() if part else y.end() : end.start()]))
            )
            at = end.end()
        else:
            break
    rest.append(data[at:])
    return Extracted(b"".join(rest), files)


def _uu(block: bytes, base64: bool) -> bytes | None:
    if base64:
        return _base64(block).data
    out: list[bytes] = []
    for raw in block.split(b"\n"):
        line = raw.rstrip(b"\r")
        if not line.strip() or line in (b"`", b" "):
            continue
        size = (line[0] - 32) & 63
        if not 32 <= line[0] <= 96:
            return None
        wanted = (size + 2) // 3 * 4
        body = line[1 : 1 + wanted].ljust(wanted, b" ")
        try:
            out.append(binascii.a2b_uu(line[:1] + body))
        except binascii.Error:
            return None
    return b"".join(out)


def _yenc(block: bytes) -> bytes:
    block = block.replace(b"\r", b"").replace(b"\n", b"")
    return _Y_ESCAPE.sub(lambda m: bytes(((m[1][0] - 64) % 256,)), block).translate(_Y_TABLE)
