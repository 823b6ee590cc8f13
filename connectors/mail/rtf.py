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
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
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
    skip: bool = False
    unicode_skip: int = 1
    """Characters that stand in for a `\\u` one, for readers that know no Unicode."""


MAX_GROUPS = 5000


def read(data: bytes) -> Rtf:
    """The text of an RTF document, and the HTML that is encapsulated in it."""
    reader = _Reader(data[:MAX_TEXT])
    joined = reader.read().encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Rtf("", joined) if reader.wrapped else Rtf(joined.strip(), "")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.wrapped = b"\\fromhtml1" in data[:2000]
        page = re.search(rb"\\ansicpg(\d{3,5})", data[:2000])
        self.codec = f"cp{page[1].decode()}" if page else "cp1252"
        self.out: list[str] = []
        self.pending = bytearray()  # bytes of a multi-byte charset arrive one escape at a time
        self.stack: list[_Group] = []
        self.group = _Group()
        self.html_off = False
        self.star = False
        self.swallow = 0

    def read(self) -> str:
        for match in _TOKEN.finditer(self.data):
            word, number, escaped, symbol, brace, text = match.groups()
            if brace is not None:
                self._brace(brace)
            elif symbol == b"*":
                self.star = True
                continue
            elif word is not None:
                self._word(word, number)
            elif not self.group.skip and not (self.wrapped and self.html_off):
                if escaped is not None:
                    self._bytes(bytes((int(escaped, 16),)))
                elif symbol is not None:
                    self._text(_SYMBOLS.get(symbol, ""))
                elif text is not None:
                    self._bytes(text)
            self.star = False
        self._text("")
        return "".join(self.out)

    def _brace(self, brace: bytes) -> None:
        if brace == b"{":
            if len(self.stack) < MAX_GROUPS:
                self.stack.append(self.group)
        else:
            self.group = self.stack.pop() if self.stack else _Group()

    def _word(self, word: bytes, number: bytes | None) -> None:
        group = self.group
        if word == b"htmltag":
            self.group = group._replace(skip=False)
        elif self.star or word in _SKIPPED:
            self.group = group._replace(skip=True)
        elif word == b"htmlrtf":
            self.html_off = number != b"0"
        elif word == b"uc" and number:
            self.group = group._replace(unicode_skip=int(number))
        elif group.skip or (self.wrapped and self.html_off):
            return
        elif word == b"u" and number:
            self._text(chr(int(number) & 0xFFFF))
            self.swallow = group.unicode_skip
        elif word in _CHARACTERS:
            self._text("\r\n" if self.wrapped and word in (b"par", b"line") else _CHARACTERS[word])

    def _bytes(self, data: bytes) -> None:
        if self.swallow > 0:
            dropped = min(self.swallow, len(data))
            self.swallow -= dropped
            data = data[dropped:]
        self.pending += data

    def _text(self, text: str) -> None:
        if self.pending:
            self.out.append(charset.decode(bytes(self.pending), self.codec)[0])
            self.pending.clear()
        if text:
            self.out.append(text)
