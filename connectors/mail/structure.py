"""A mail's tree of parts, as offsets into its bytes: RFC 5322 header fields and RFC 2046 multiparts, read leniently.

Nothing is copied until a part is asked for. Time is linear in the source's length (times a bounded nesting depth);
what is deeper, or more than the bounded number of parts, stays one part as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain

from connectors.mail import parameter, transfer
from connectors.mail.encoded_word import decode_header

MAX_DEPTH = 100
MAX_PARTS = 2000
MAX_FIELDS = 5000
_GUESSED = 200_000

_BLOCK_END = re.compile(rb"\n\r?\n|\r\r\n\r\r\n")
_FIELD = re.compile(rb"([!-9;-~]{1,256})[ \t]*:[ \t]*(.*(?:\n[ \t].*)*)(?:\n|\Z)")
_ALL_FIELDS = re.compile(rb"([!-9;-~]{1,256})([ \t]*:[ \t]*)(.*(?:\n[ \t].*)*)(\n|\Z)")
_NAME = re.compile(rb"[!-9;-~]{1,256}[ \t]*:")
_DELIMITER_END = re.compile(rb"(--)?[ \t]*(?:\r*\n|\r(?!\n)|\Z)")
_LINE = re.compile(rb"[^\n]*(?:\n|\Z)")
_GUESS = re.compile(rb"(?:^|\n)--([^\r\n]{1,200}?)[ \t]*\r?\n(?=[ \t]*\r?\n|Content-|content-|CONTENT-)")
_LEADING = re.compile(rb"(?:[ \t]*\r?\n)+|\xef\xbb\xbf")


@lru_cache(maxsize=2048)
def _key(name: bytes) -> str:
    return name.decode("latin-1").lower()


class Fields:
    """The header fields of one part: raw values by lower-case name, in their order."""

    __slots__ = ("_values", "malformed", "order")

    def __init__(self) -> None:
        self._values: dict[str, list[bytes]] = {}
        self.order: list[str] = []
        self.malformed = False

    def add(self, name: bytes, value: bytes) -> None:
        key = _key(name)
        self._values.setdefault(key, []).append(value)
        self.order.append(key)

    def add_all(self, found: list[tuple[bytes, bytes, bytes, bytes]]) -> None:
        """Fields as `_ALL_FIELDS` finds them."""
        values = self._values
        for name, _, value, _ in found:
            key = _key(name)
            known = values.get(key)
            if known is None:
                values[key] = [value]
            else:
                known.append(value)
            self.order.append(key)

    def extend(self, value: bytes) -> None:
        """A line that belongs to the field before it."""
        if self.order:
            values = self._values[self.order[-1]]
            values[-1] += b" " + value

    def raw(self, name: str) -> bytes | None:
        """The first field of that name that is not empty, or an empty one, or None."""
        values = self._values.get(name)
        if not values:
            return None
        if len(values) > 1:
            for value in values:
                if value.strip():
                    return value
        return values[0]

    def all(self, name: str) -> list[bytes]:
        return self._values.get(name, [])

    def text(self, name: str, hint: str = "") -> str:
        """The decoded first value, `""` if there is none."""
        value = self.raw(name)
        return "" if value is None else decode_header(value, hint)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __len__(self) -> int:
        return len(self.order)


@dataclass(slots=True)
class Budget:
    """What one mail may still be divided into."""

    parts: int = MAX_PARTS
    exceeded: bool = False


@dataclass(slots=True)
class Part:
    """A node. `source[start:end]` is its body as encoded; multiparts have children, messages one child."""

    source: bytes
    header_start: int
    start: int
    end: int
    fields: Fields
    media: str
    parameters: dict[str, str]
    children: list[Part] = field(default_factory=list)
    outside: bytes = b""
    """Text before the first and behind the last delimiter of a multipart."""
    defects: list[str] = field(default_factory=list)
    unread: bool = False
    """A multipart or message that was not divided: past a bound, or without a delimiter."""

    _encoding: str | None = None
    _disposition: tuple[str, dict[str, str]] | None = None
    _decoded: transfer.Decoded | None = None

    @property
    def encoding(self) -> str:
        """The transfer encoding, empty where the body stands as it is."""
        if self._encoding is None:
            self._encoding = transfer.encoding_of(self.fields.raw("content-transfer-encoding"))
        return self._encoding

    @property
    def disposition(self) -> tuple[str, dict[str, str]]:
        if self._disposition is None:
            raw = self.fields.raw("content-disposition")
            self._disposition = ("", {}) if raw is None else parameter.parse(raw)
        return self._disposition

    @property
    def body(self) -> bytes:
        """The body as encoded."""
        return self.source[self.start : self.end]

    @property
    def decoded(self) -> transfer.Decoded:
        if self._decoded is None:
            self._decoded = transfer.decode(self.body, self.encoding)
        return self._decoded


def parse_tree(source: bytes) -> Part:
    """The tree of a whole mail. Never raises."""
    if b"\n" not in source and b"\r" in source:  # line ends of old Macs
        source = source.replace(b"\r", b"\n")
    start = 0
    leading = _LEADING.match(source)
    if leading is not None and _NAME.match(source, leading.end()):
        start = leading.end()
    return _part(source, start, len(source), "text/plain", 0, Budget())


def parse_fields(source: bytes, start: int, end: int) -> tuple[Fields, int]:
    """The header fields at `start` and where the body begins."""
    fields = Fields()
    if source.startswith(b"\n", start, end):
        return fields, start + 1
    if source.startswith(b"\r\n", start, end):
        return fields, start + 2
    block_end = _BLOCK_END.search(source, start, end)
    stop, body = (block_end.start() + 1, block_end.end()) if block_end else (end, end)
    found = _ALL_FIELDS.findall(source, start, stop)
    if len(found) <= MAX_FIELDS and sum(map(len, chain.from_iterable(found))) == stop - start:  # each line was one
        fields.add_all(found)
        return fields, body
    at = start
    while at < stop and len(fields) < MAX_FIELDS:
        match = _FIELD.match(source, at, stop)
        if match is not None:
            fields.add(match[1], match[2])
            at = match.end()
            continue
        line_end = source.find(b"\n", at, stop)
        line_end = stop if line_end < 0 else line_end + 1
        line = source[at:line_end]
        if at == start and line.startswith((b"From ", b">From ")):  # an mbox separator
            at = line_end
            start = at
            continue
        indented = line.lstrip(b" \t")
        if at == start and len(indented) < len(line) and _NAME.match(indented):  # the first field, indented
            fields.add(*_split(indented))
            at = line_end
            continue
        fields.malformed = True
        # A line that is no field: skipped where fields go on behind it, else the body begins here without a blank line
        if len(fields) and line_end < stop and (_FIELD.match(source, line_end, stop) or line.startswith((b" ", b"\t"))):
            fields.extend(line.strip())
            at = line_end
            continue
        return fields, at
    return fields, body


def _split(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.rstrip(), value.strip()


def _part(source: bytes, start: int, end: int, default: str, depth: int, budget: Budget) -> Part:
    fields, body = parse_fields(source, start, end)
    raw = fields.raw("content-type")
    media, parameters = (default, {}) if raw is None else parameter.parse(raw)
    if "/" not in media:
        media = _incomplete_type(media, default)
    part = Part(source, start, min(body, end), end, fields, media, parameters)
    if fields.malformed:
        part.defects.append("a header line could not be read")
    if media.startswith("multipart/"):
        _divide(part, depth, budget)
    elif media in ("message/rfc822", "message/global", "message/news"):
        _open(part, depth, budget)
    return part


def _incomplete_type(media: str, default: str) -> str:
    """RFC 2045, 5.2: what cannot be read is text/plain; a lone main type is met often enough."""
    known = {"text": "text/plain", "html": "text/html", "plain": "text/plain", "multipart": "multipart/mixed"}
    return known.get(
        media, default if not media else "application/octet-stream" if media == "application" else "text/plain"
    )


def _open(part: Part, depth: int, budget: Budget) -> None:
    if depth >= MAX_DEPTH or budget.parts <= 0:
        part.unread = budget.exceeded = True
        return
    budget.parts -= 1
    if part.encoding in ("base64", "quoted-printable"):  # forbidden (RFC 2046, 5.2.1), and done
        inner = part.decoded.data
        part.children = [_part(inner, 0, len(inner), "text/plain", depth + 1, budget)]
        return
    start = part.start
    leading = _LEADING.match(part.source, start, part.end)
    if leading is not None and _NAME.match(part.source, leading.end(), part.end):
        start = leading.end()
    part.children = [_part(part.source, start, part.end, "text/plain", depth + 1, budget)]


def _divide(part: Part, depth: int, budget: Budget) -> None:
    if depth >= MAX_DEPTH or budget.parts <= 0:
        part.unread = budget.exceeded = True
        return
    source, start, end = part.source, part.start, part.end
    if part.encoding in ("base64", "quoted-printable"):
        boundary = part.parameters.get("boundary", "").encode("latin-1", "replace")
        if not boundary or b"--" + boundary not in source[start:end]:
            source = part.decoded.data
            start, end = 0, len(source)
    cuts = []
    for boundary in _boundaries(part, source, start, end):
        cuts = _cuts(source, start, end, boundary, budget)
        if cuts:
            break
    if not cuts:
        if start < end:
            part.defects.append("a multipart has no delimiter")
        part.unread = True
        return
    default = "message/rfc822" if part.media == "multipart/digest" else "text/plain"
    outside = [source[start : cuts[0][0]]]
    for number, (_, begin, closing) in enumerate(cuts):
        until = cuts[number + 1][0] if number + 1 < len(cuts) else end
        if closing:
            outside.append(source[begin:until])
            continue
        if number + 1 < len(cuts):  # the line break before a delimiter belongs to it
            if source.endswith(b"\n", begin, until):
                until -= 1
            if source.endswith(b"\r", begin, until):
                until -= 1
        else:
            part.defects.append("a multipart is not closed")
        if begin >= until and number + 1 == len(cuts):
            continue
        if budget.parts <= 0:
            budget.exceeded = True
            part.children.append(
                Part(source, begin, begin, until, Fields(), "application/octet-stream", {}, unread=True)
            )
            continue
        budget.parts -= 1
        part.children.append(_part(source, begin, max(begin, until), default, depth + 1, budget))
    part.outside = b"\n".join(text for text in outside if text.strip())


def _boundaries(part: Part, source: bytes, start: int, end: int) -> list[bytes]:
    """The declared boundary, in the forms it may have been meant in, then the first line that looks like one."""
    declared = part.parameters.get("boundary", "")
    forms: list[bytes] = []
    raw = declared.encode("utf-8", "surrogateescape")
    for form in (
        raw.rstrip(),
        raw.strip(b"\"' "),
        raw.partition(b";")[0].strip(b"\"' "),
        raw.partition(b" ")[0],
        raw.lstrip(b"-"),
    ):
        if form and form not in forms:
            forms.append(form)
    if not forms or not any(source.find(b"--" + form, start, end) >= 0 for form in forms):
        found = _GUESS.search(source, max(start - 1, 0), min(end, start + _GUESSED))
        if found is not None:
            return [found[1]]
    return forms


def _cuts(source: bytes, start: int, end: int, boundary: bytes, budget: Budget) -> list[tuple[int, int, bool]]:
    """Delimiter lines: (where the line begins, where what follows begins, whether it closes)."""
    delimiter = b"--" + boundary
    cuts: list[tuple[int, int, bool]] = []
    at = start
    while len(cuts) <= budget.parts + 2:
        at = source.find(delimiter, at, end)
        if at < 0:
            break
        if at == start or source[at - 1] in b"\r\n":
            match = _DELIMITER_END.match(source, at + len(delimiter), end)
            if match is not None:
                cuts.append((at, match.end(), match[1] is not None))
                at = match.end()
                continue
        at += len(delimiter)
    return cuts
