"""`type/subtype; name=value` headers: RFC 2045, 5.1 and RFC 2231, and what is written instead of them.

Met in real mails and read here: values without quotes that hold spaces, quotes that never close, missing semicolons,
RFC 2047 words in a value, RFC 2231 sections out of order or partly encoded, raw 8-bit names, comments.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from connectors.mail import charset
from connectors.mail.encoded_word import decode_header, unfold

_MAX_PARAMETERS = 200
_SIMPLE = re.compile(
    rb"\s*+([A-Za-z0-9!#$&^_.+-]++/[A-Za-z0-9!#$&^_.+-]++)\s*+"
    rb'((?:;\s*+[A-Za-z0-9-]++=(?:"[^"\\\x80-\xff=]*+"|[^\s";\\\x80-\xff()=?\']++)\s*+)*+);?\s*+'
)
_SIMPLE_PAIR = re.compile(rb';\s*([A-Za-z0-9-]+)=(?:"([^"]*)"|([^\s;]+))')
_BETWEEN = re.compile(rb"[;\s]*")
_NAME = re.compile(rb"([^\s=;\"]++)\s*+=\s*+")
_UNQUOTED_END = re.compile(rb";|(?<!\s)\s++[A-Za-z][A-Za-z0-9-]*+\*?=")
_TYPE = re.compile(r"\s*\"?\s*([^\s;,\"=]*)")
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,4}))?(\*)?\Z")


def parse(raw: bytes, hint: str = "") -> tuple[str, dict[str, str]]:
    """(value in lower case, parameters by lower-case name). `hint`: a charset for raw 8-bit parameters."""
    if len(raw) <= 300:
        return _parse_cached(bytes(raw), hint)
    return _parse(raw, hint)


@lru_cache(maxsize=1024)
def _parse_cached(raw: bytes, hint: str) -> tuple[str, dict[str, str]]:
    # the dict is shared between callers, who only read it
    return _parse(raw, hint)


def _parse(raw: bytes, hint: str) -> tuple[str, dict[str, str]]:
    if raw.isascii():
        simple = _SIMPLE.fullmatch(raw)
        if simple is not None and b"*" not in raw:
            pairs: dict[str, str] = {}
            for name, quoted, plain in _SIMPLE_PAIR.findall(simple[2]):
                pairs.setdefault(name.decode("ascii").lower(), (quoted or plain).decode("ascii"))
            return simple[1].decode("ascii").lower(), pairs
    return _parse_odd(unfold(raw), hint)


def _parse_odd(line: bytes, hint: str) -> tuple[str, dict[str, str]]:
    head, found, rest = line.partition(b";")
    if not found and b"=" in head:  # `text/plain charset=utf-8`, or parameters without a value before them
        value_end = len(head.split(b"=", 1)[0].rstrip().rpartition(b" ")[0])
        head, rest = head[:value_end], head[value_end:]
    match = _TYPE.match(_without_comments(head).decode("latin-1"))
    value = match[1].lower().strip("'") if match else ""
    return value, _joined(_pairs(rest), hint)


def _without_comments(data: bytes) -> bytes:
    """RFC 5322 comments outside quotes taken out (not nested ones in full: what is left is harmless)."""
    if b"(" not in data:
        return data
    return re.sub(rb"\([^()]*\)", b" ", data)


def _pairs(rest: bytes) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    at = 0
    while at < len(rest) and len(found) < _MAX_PARAMETERS:
        between = _BETWEEN.match(rest, at)  # passed over once: to begin again within a long run of them is quadratic
        at = between.end() if between is not None else at
        name = _NAME.match(rest, at)
        if name is None:
            semicolon = rest.find(b";", at)
            if semicolon < 0:
                break
            at = semicolon + 1
            continue
        at = name.end()
        if rest[at : at + 1] == b'"':
            value, at = _quoted(rest, at + 1)
        else:
            end = _UNQUOTED_END.search(rest, at)
            stop = end.start() if end else len(rest)
            value = rest[at:stop].strip()
            if value.startswith(b"'") and value.endswith(b"'") and len(value) > 1 and not name[1].endswith(b"*"):
                value = value[1:-1]
            at = stop
        found.append((name[1].decode("latin-1").lower(), value))
    return found


def _quoted(rest: bytes, at: int) -> tuple[bytes, int]:
    """A quoted string from behind its opening quote. Windows paths keep their backslashes: only quotes are escaped."""
    out = bytearray()
    while at < len(rest):
        quote = rest.find(b'"', at)
        if quote < 0:  # never closed: up to the next parameter
            end = rest.find(b";", at)
            end = len(rest) if end < 0 else end
            return bytes(out) + rest[at:end].strip(), end
        slashes = 0
        while quote - slashes - 1 >= at and rest[quote - slashes - 1] == 0x5C:
            slashes += 1
        if slashes % 2 == 0:
            out += rest[at:quote]
            return bytes(out).replace(b"\\\\", b"\\"), quote + 1
        out += rest[at : quote - 1] + b'"'
        at = quote + 1
    return bytes(out), at


def _joined(pairs: list[tuple[str, bytes]], hint: str) -> dict[str, str]:
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for name, value in pairs:
        match = _SECTION.match(name)
        if match is None or (match[2] is None and match[3] is None):
            plain.setdefault(name, _text(value, hint))
            continue
        sections.setdefault(match[1], {}).setdefault(int(match[2] or 0), (value, match[3] is not None))
    for name, parts in sections.items():
        plain[name] = _extended([parts[number] for number in sorted(parts)], hint)
    return plain


def _extended(parts: list[tuple[bytes, bool]], hint: str) -> str:
    """RFC 2231: `charset'language'` stands before the first encoded section; the others follow it."""
    declared = ""
    data = b""
    for number, (section, encoded) in enumerate(parts):
        value = section
        if encoded:
            if number == 0 and section.count(b"'") >= 2:
                head, _, value = section.split(b"'", 2)
                declared = head.decode("latin-1")
            data += unquote_to_bytes(value)
        else:
            data += value
    if b"=?" in data and b"?=" in data and not declared:
        return _text(data, hint)
    return charset.decode(data, declared, hint)[0]


def _text(value: bytes, hint: str) -> str:
    """A plain value: may hold RFC 2047 words (forbidden, and everywhere) or raw bytes."""
    return decode_header(value, hint)
