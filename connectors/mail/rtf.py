"""Outlook's rich text: the compressed form ([MS-OXRTFCP]), HTML wrapped in RTF ([MS-OXRTFEX]), and RTF as plain text.

One pass over the tokens; the size of what is expanded is bounded.
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple

from connectors.mail import charset

MAX_TEXT = 4_000_000

_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbol"
    b"ArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z'])|([{}])|([^\\{}\r\n]+)|[\r\n]+|\\"
)
_SKIPPED = frozenset(
    (
        b"fonttbl",
        b"colortbl",
        b"stylesheet",
        b"info",
        b"pict",
        b"object",
        b"header",
        b"footer",
        b"generator",
        b"themedata",
    )
)
_CHARACTERS = {
    b"par": "\n", b"line": "\n", b"tab": "\t", b"emdash": "—", b"endash": "–", b"lquote": "‘", b"rquote": "’",
    b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•", b"cell": "\t", b"row": "\n", b"sect": "\n", b"page": "\n",
}  # fmt: skip
_SYMBOLS = {b"~": "\u00a0", b"_": "\u2011", b"\\": "\\", b"{": "{", b"}": "}", b"\n": "\n", b"\r": "\n"}


class Rtf(NamedTuple):
    text: str
    html: str
    """The HTML it was made from, if it was."""


def read_compressed(data: bytes) -> Rtf:
    """Compressed RTF. Empty texts where it cannot be read; never raises."""
    try:
        return read(decompress(data))
    except (struct.error, ValueError, IndexError):
        return Rtf("", "")


def decompress(data: bytes) -> bytes:
    """[MS-OXRTFCP] 3.1.3. Raises ValueError or struct.error if it is none."""
    _size, raw_size, kind, _crc = struct.unpack_from("<IIII", data, 0)
    if kind == 0x414C454D:  # MELA: stored as it is
        return data[16 : 16 + min(raw_size, MAX_TEXT)]
    if kind != 0x75465A4C:  # LZFu
        raise ValueError("not compressed RTF")
    window = bytearray(_DICTIONARY.ljust(4096, b"\x00"))
    write = len(_DICTIONARY)
    out = bytearray()
    at = 16
    while at < len(data) and len(out) < MAX_TEXT:
        control = data[at]
        at += 1
        for bit in range(8):
            if at >= len(data):
                break
            if control >> bit & 1:
                if at + 2 > len(data):
                    return bytes(out)
                offset = data[at] << 4 | data[at + 1] >> 4
                length = (data[at + 1] & 15) + 2
                at += 2
                if offset == write:
                    return bytes(out)
                for step in range(length):
                    byte = window[(offset + step) % 4096]
                    out.append(byte)
                    window[write] = byte
                    write = (write + 1) % 4096
            else:
                byte = data[at]
                at += 1
                out.append(byte)
                window[write] = byte
                write = (write + 1) % 4096
    return bytes(out)


class _Group(NamedTuple):
    skip: bool
    tag: bool
    unicode_skip: int


def read(data: bytes) -> Rtf:
    """The text of an RTF document, and the HTML that is encapsulated in it."""
    data = data[:MAX_TEXT]
    wrapped = b"\\fromhtml1" in data[:2000]
    page = re.search(rb"\\ansicpg(\d{3,5})", data[:2000])
    codec = f"cp{page[1].decode()}" if page else "cp1252"
    out: list[str] = []
    pending = bytearray()  # bytes of a multi-byte charset arrive one escape at a time
    stack: list[_Group] = []
    group = _Group(False, False, 1)
    html_off = False
    star = False
    swallow = 0

    def flush() -> None:
        if pending:
            out.append(charset.decode(bytes(pending), codec)[0])
            pending.clear()

    for match in _TOKEN.finditer(data):
        word, number, escaped, symbol, brace, text = match.groups()
        if brace == b"{":
            if len(stack) < 5000:
                stack.append(group)
            star = False
            continue
        if brace == b"}":
            group = stack.pop() if stack else _Group(False, False, 1)
            star = False
            continue
        if symbol == b"*":
            star = True
            continue
        if word is not None:
            if word == b"htmltag":
                group = group._replace(skip=False, tag=True)
            elif star or word in _SKIPPED:
                group = group._replace(skip=True)
            elif word == b"htmlrtf":
                html_off = number != b"0"
            elif word == b"uc" and number:
                group = group._replace(unicode_skip=int(number))
            elif not group.skip and not (wrapped and html_off):
                if word == b"u" and number:
                    flush()
                    code = int(number) & 0xFFFF
                    out.append(chr(code))
                    swallow = group.unicode_skip
                elif word in _CHARACTERS:
                    flush()
                    out.append("\r\n" if wrapped and word in (b"par", b"line") else _CHARACTERS[word])
            star = False
            continue
        star = False
        if group.skip or (wrapped and html_off):
            continue
        if escaped is not None:
            if swallow:
                swallow -= 1
            else:
                pending.append(int(escaped, 16))
        elif symbol is not None:
            flush()
            out.append(_SYMBOLS.get(symbol, ""))
        elif text is not None:
            if swallow:
                text = text[swallow:]
                swallow = 0
            pending += text
    flush()
    joined = "".join(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Rtf("", joined) if wrapped else Rtf(joined.strip(), "")
