"""Writes mail: header lines and MIME parts as bytes that any mail program reads (RFC 5322, 2045, 2047, 2231).

Written out here rather than with `email.message`, which turns long Message-IDs in References into encoded words, and
so that nothing that comes from outside (names, subjects, file names) can start a line of its own: `clean` takes every
control character out before a header is made.
"""

from __future__ import annotations

import base64
import quopri
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from gateway.model.message import Attachment

WIDTH = 76
"""Characters of a line before it is folded (RFC 5322, 2.1.1)."""

_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}")


def clean(text: str) -> str:
    """The text on one line: control characters and line breaks of all kinds become spaces, lone surrogates `?`."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(" " if unicodedata.category(char) in {"Cc", "Zl", "Zp"} else char for char in text).split())


def _words(text: str, room: int) -> list[str]:
    """Encoded words of at most 75 characters, cut between characters (RFC 2047, 2 and 5); the first of `room`."""
    words: list[str] = []
    chunk, left = b"", max(9, (room - 12) // 4 * 3)
    for char in text:
        data = char.encode()
        if len(chunk) + len(data) > left:
            words.append(f"=?utf-8?b?{base64.b64encode(chunk).decode()}?=")
            chunk, left = b"", 45
        chunk += data
    words.append(f"=?utf-8?b?{base64.b64encode(chunk).decode()}?=")
    return words


def _plain(text: str) -> bool:
    return text.isascii() and "=?" not in text and all(len(word) <= WIDTH - 2 for word in text.split(" "))


def _fold(name: str, pieces: Sequence[str]) -> bytes:
    """A header line of the pieces, with a space between; goes on in the next line where a piece would not fit."""
    lines = [f"{name}:"]
    for piece in pieces:
        if len(lines[-1]) + 1 + len(piece) > WIDTH and lines[-1] != f"{name}:":
            lines.append("")
        lines[-1] += f" {piece}"
    return "\r\n".join(lines).encode() + b"\r\n"


def text_header(name: str, text: str) -> bytes:
    """A header of free text, such as Subject."""
    text = clean(text)
    if _plain(text):
        return _fold(name, text.split(" "))
    return _fold(name, _words(text, WIDTH - len(name) - 2))


def token_header(name: str, *values: str) -> bytes:
    """A header of values that are ASCII already, such as Message-IDs: never encoded, one that is long gets a line."""
    return _fold(name, [clean(value) for value in values])


def _mailbox(display: str, address: str) -> list[str]:
    display = clean(display)
    if not display:
        return [address]
    if not _plain(display) or len(display) > WIDTH - 10:
        return [*_words(display, WIDTH - 16), f"<{address}>"]
    if not _ATOMS.fullmatch(display):
        escaped = display.replace("\\", "\\\\").replace('"', '\\"')
        display = f'"{escaped}"'
    return [display, f"<{address}>"]


def address_header(name: str, mailboxes: Sequence[tuple[str, str]]) -> bytes:
    """A header of (display name, address) pairs; the addresses must be valid already."""
    pieces: list[str] = []
    for index, (display, address) in enumerate(mailboxes):
        *front, last = _mailbox(display, address)
        pieces += [*front, last if index == len(mailboxes) - 1 else f"{last},"]
    return _fold(name, pieces)


class Part(NamedTuple):
    """A MIME part: its header lines, ending with CRLF each, and its encoded body."""

    head: bytes
    body: bytes

    def __bytes__(self) -> bytes:
        return self.head + b"\r\n" + self.body


def text_part(text: str, subtype: str = "plain") -> Part:
    """Text as UTF-8: as it is where it is short-lined ASCII, else quoted-printable or base64, whichever is shorter."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text if text.endswith("\n") else text + "\n"
    data = text.encode("utf-8", "replace")
    if text.isascii() and "\0" not in text and all(len(line) <= 900 for line in text.split("\n")):
        encoding, body = "7bit", data.replace(b"\n", b"\r\n")
    elif sum(byte > 126 for byte in data) * 6 < len(data):
        encoding, body = "quoted-printable", quopri.encodestring(data).replace(b"\n", b"\r\n")
    else:
        encoding, body = "base64", _base64(data.replace(b"\n", b"\r\n"))
    head = f'Content-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: {encoding}\r\n'
    return Part(head.encode(), body)


def _base64(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _parameter(name: str, value: str) -> str:
    """A parameter as RFC 2231 has it: plain where it can be, else percent-encoded UTF-8, in pieces if long."""
    if value.isascii() and len(value) <= 60:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    units = [quote(char, safe="") for char in value]
    pieces = [""]
    for unit in units:
        if len(pieces[-1]) + len(unit) > 55:
            pieces.append("")
        pieces[-1] += unit
    if len(pieces) == 1:
        return f";\r\n {name}*=utf-8''{pieces[0]}"
    marks = ["utf-8''"] + [""] * (len(pieces) - 1)
    return "".join(
        f";\r\n {name}*{index}*={mark}{piece}" for index, (mark, piece) in enumerate(zip(marks, pieces, strict=True))
    )


def _old_name(value: str) -> str:
    """The `name` of Content-Type as RFC 2047 forbids it and programs without RFC 2231 (QQ, old Outlook) need it."""
    if value.isascii():
        return _parameter("name", value)
    return ';\r\n name="' + "\r\n ".join(_words(value, 60)) + '"'


def file_part(attachment: Attachment, data: bytes) -> Part:
    """An attachment, or an inline image if it has a content id."""
    name = clean(attachment.name)[:200] or "attachment"
    media = attachment.type if _MEDIA_TYPE.fullmatch(attachment.type) else "application/octet-stream"
    if media.lower().startswith(("message/", "multipart/")):
        media = "application/octet-stream"  # neither may be base64 (RFC 2046, 5.2.1 and 5.1)
    head = f"Content-Type: {media}{_old_name(name)}\r\nContent-Transfer-Encoding: base64\r\n"
    inline = attachment.inline and attachment.content_id
    head += f"Content-Disposition: {'inline' if inline else 'attachment'}{_parameter('filename', name)}\r\n"
    if inline:
        mark = re.sub(r"[^\x21-\x3b\x3d\x3f-\x7e]", "", attachment.content_id or "")
        head += f"Content-ID: <{mark[:200]}>\r\n"
    return Part(head.encode(), _base64(data))


def multipart(subtype: str, parts: Sequence[Part], boundary: str) -> Part:
    """The parts together. `boundary` must not be guessable: then no text can hold it."""
    head = f'Content-Type: multipart/{subtype};\r\n boundary="{boundary}"\r\n'
    line = f"--{boundary}\r\n".encode()
    body = b"".join(line + bytes(part) + b"\r\n" for part in parts)  # that line break is the boundary's own
    return Part(head.encode(), body + f"--{boundary}--\r\n".encode())
