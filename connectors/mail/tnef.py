"""winmail.dat: Outlook's Transport Neutral Encapsulation Format, its body and attachments.

Source: [MS-OXTNEF] (stream layout, 2.1.3), [MS-OXCDATA] 2.11.1 (property types), [MS-OXPROPS] (tags).
Bounded: every length is checked against the data; nothing is expanded beyond `rtf.MAX_TEXT`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from connectors.mail import charset, rtf

SIGNATURE = b"\x78\x9f\x3e\x22"
MAX_ATTRIBUTES = 20_000
MAX_FILES = 500
MAX_DEPTH = 4

_MESSAGE_CLASS, _SUBJECT, _BODY, _MESSAGE_PROPS = 0x8008, 0x8004, 0x800C, 0x9003
_ATTACH_REND, _ATTACH_TITLE, _ATTACH_DATA, _ATTACH_PROPS, _CODEPAGE = 0x9002, 0x8010, 0x800F, 0x9005, 0x9007

_FIXED = {
    0x0002: 4,
    0x0003: 4,
    0x0004: 4,
    0x0005: 8,
    0x0006: 8,
    0x0007: 8,
    0x000A: 4,
    0x000B: 4,
    0x0014: 8,
    0x0040: 8,
    0x0048: 16,
}
_OBJECT, _STRING8, _UNICODE, _BINARY = 0x000D, 0x001E, 0x001F, 0x0102

_P_BODY, _P_HTML, _P_RTF, _P_SUBJECT = 0x1000, 0x1013, 0x1009, 0x0037
_P_DATA, _P_FILENAME, _P_LONG_FILENAME, _P_MIME, _P_CID = 0x3701, 0x3704, 0x3707, 0x370E, 0x3712


class TnefFile(NamedTuple):
    name: str
    media: str
    data: bytes
    content_id: str | None


class Tnef(NamedTuple):
    subject: str
    text: str
    html: str
    files: list[TnefFile]
    whole: bool
    """False where the stream ended early or could not be followed."""


def parse(data: bytes, depth: int = 0) -> Tnef | None:
    """None if `data` is no TNEF stream. Never raises."""
    if not data.startswith(SIGNATURE) or len(data) < 6:
        return None
    state = _State()
    try:
        for level, tag, value in _attributes(data):
            state.take(level, tag, value, depth)
    except (struct.error, ValueError, IndexError, OverflowError):
        state.whole = False
    state.flush()
    return Tnef(state.subject, state.text, state.html, state.files, state.whole)


class _State:
    def __init__(self) -> None:
        self.codepage = "cp1252"
        self.subject = self.text = self.html = ""
        self.files: list[TnefFile] = []
        self.whole = True
        self._open = False
        self._title = self._media = self._long = ""
        self._data = b""
        self._cid: str | None = None
        self._embedded: Tnef | None = None

    def take(self, level: int, tag: int, value: bytes, depth: int) -> None:
        if tag == _CODEPAGE and len(value) >= 4:
            self.codepage = f"cp{struct.unpack_from('<I', value)[0]}"
        elif tag == _SUBJECT:
            self.subject = self._string(value)
        elif tag == _BODY and level == 1:
            self.text = self._string(value)
        elif tag == _MESSAGE_PROPS:
            self._message(value)
        elif tag == _ATTACH_REND:
            self.flush()
            self._open = True
        elif tag == _ATTACH_TITLE:
            self._title = self._string(value)
            self._open = True
        elif tag == _ATTACH_DATA:
            self._data = value
            self._open = True
        elif tag == _ATTACH_PROPS:
            self._attachment(value, depth)
            self._open = True

    def _string(self, value: bytes) -> str:
        return charset.decode(value.split(b"\x00", 1)[0], self.codepage)[0]

    def _property(self, kind: int, value: bytes) -> str:
        if kind == _UNICODE:
            return value.decode("utf-16-le", "replace").partition("\x00")[0]
        return self._string(value)

    def _message(self, value: bytes) -> None:
        for tag, kind, item in _properties(value):
            if tag == _P_BODY and kind in (_STRING8, _UNICODE):
                self.text = self._property(kind, item)
            elif tag == _P_SUBJECT and kind in (_STRING8, _UNICODE):
                self.subject = self._property(kind, item)
            elif tag == _P_HTML:
                self.html = charset.decode(item, "utf-8", self.codepage)[0].replace("\x00", "")
            elif tag == _P_RTF and kind == _BINARY:
                found = rtf.read_compressed(item)
                if found.html and not self.html:
                    self.html = found.html.replace("\x00", "")
                elif found.text and not self.text:
                    self.text = found.text.replace("\x00", "")

    def _attachment(self, value: bytes, depth: int) -> None:
        for tag, kind, item in _properties(value):
            if tag == _P_LONG_FILENAME:
                self._long = self._property(kind, item)
            elif tag == _P_FILENAME and not self._title:
                self._title = self._property(kind, item)
            elif tag == _P_MIME:
                self._media = self._property(kind, item)
            elif tag == _P_CID:
                self._cid = self._property(kind, item) or None
            elif tag == _P_DATA and kind in (_BINARY, _OBJECT):
                inner = item[16:] if kind == _OBJECT else item  # an object is preceded by its interface's GUID
                if depth < MAX_DEPTH and inner.startswith(SIGNATURE):
                    self._embedded = parse(inner, depth + 1)
                self._data = inner

    def flush(self) -> None:
        """The attachment read so far is whole: the next one begins, or the stream ends."""
        if self._open and (self._data or self._title or self._long) and len(self.files) < MAX_FILES:
            name = self._long or self._title
            self.files.append(TnefFile(name, self._media, self._data, self._cid))
            if self._embedded is not None:
                self.files.extend(self._embedded.files[: MAX_FILES - len(self.files)])
        self._open = False
        self._title = self._media = self._long = ""
        self._data = b""
        self._cid = None
        self._embedded = None


def _attributes(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 6
    for _ in range(MAX_ATTRIBUTES):
        if at >= len(data):
            return
        level, tag, _kind, size = struct.unpack_from("<BHHI", data, at)
        if level not in (1, 2) or at + 9 + size > len(data):
            raise ValueError("the stream is cut")
        yield level, tag, data[at + 9 : at + 9 + size]
        at += 9 + size + 2  # a checksum follows
    raise ValueError("too many attributes")


def _properties(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """[MS-OXTNEF] 2.1.3.4: count, then type, id, for named ones GUID and name, then the value."""
    (count,) = struct.unpack_from("<I", data, 0)
    at = 4
    for _ in range(min(count, MAX_ATTRIBUTES)):
        kind, tag = struct.unpack_from("<HH", data, at)
        at += 4
        if tag >= 0x8000:
            at += 16
            (named,) = struct.unpack_from("<I", data, at)
            at += 4
            if named == 0:
                at += 4
            else:
                (size,) = struct.unpack_from("<I", data, at)
                at += 4 + _padded(size)
        many = kind & 0x1000
        base = kind & 0x0FFF
        if base in _FIXED:
            number = 1
            if many:
                (number,) = struct.unpack_from("<I", data, at)
                at += 4
            size = _FIXED[base] * number
            if at + size > len(data):
                raise ValueError("a property is cut")
            yield tag, kind, data[at : at + size]
            at += size
        elif base in (_OBJECT, _STRING8, _UNICODE, _BINARY):
            (number,) = struct.unpack_from("<I", data, at)
            at += 4
            for _ in range(min(number, MAX_ATTRIBUTES)):
                (size,) = struct.unpack_from("<I", data, at)
                at += 4
                if at + size > len(data):
                    raise ValueError("a property is cut")
                yield tag, base, data[at : at + size]
                at += _padded(size)
        else:
            raise ValueError("an unknown property type")


def _padded(size: int) -> int:
    return (size + 3) // 4 * 4
