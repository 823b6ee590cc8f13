"""Address lists (RFC 5322, 3.4) as they come: unquoted names with dots and commas, missing brackets, groups, comments.

One pass over the characters; linear in the length, which is bounded.
"""

from __future__ import annotations

import re

import msgspec

from connectors.mail.charset import decode as decode_charset
from connectors.mail.encoded_word import MAX_HEADER, decode_words, unfold

MAX_ADDRESSES = 2000


class Address(msgspec.Struct, frozen=True):
    """`address` as written (compare with `.key`); empty where the header has a name only."""

    name: str
    address: str

    @property
    def key(self) -> str:
        """The form addresses are compared in. Local parts may differ by case by the RFC, and never do in practice."""
        return self.address.lower()


_SPECIAL = re.compile(r'[",;:<>()\\\[]')
_BARE = re.compile(r"[^\s<>\"(),;:\[\]\\@]{1,64}@[^\s<>\"(),;:\\@]{1,255}")
_ATOMS = rb"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+"
_SIMPLE = re.compile(rb"\s*(?:\"?([A-Za-z0-9 ._-]*?)\"?\s*<(" + _ATOMS + rb")>|(" + _ATOMS + rb"))\s*")
_QUOTED_LOCAL = re.compile(r"\"[^\"<>\\]{1,64}\"@[^\s<>\"(),;:\\@]{1,255}")
_MARKS = re.compile(r"[<>\"\\]")
_SPACE = re.compile(r"\s+")


def parse_addresses(raw: bytes, hint: str = "") -> tuple[Address, ...]:
    """All mailboxes of a header, groups opened."""
    if len(raw) < 300 and b"=?" not in raw:
        simple = _SIMPLE.fullmatch(raw)
        if simple is not None:
            name, bracketed, bare = simple.groups()
            return (Address((name or b"").decode("ascii").strip(), (bracketed or bare).decode("ascii")),)
    line = unfold(raw[:MAX_HEADER])
    text = line.decode("ascii") if line.isascii() and b"\x1b" not in line else decode_charset(line, "", hint)[0]
    found = _parse(text)
    if not any(a.address for a in found) and "=?" in text:
        # the whole address was put into an encoded word
        again = _parse(decode_words(text))
        found = again if any(a.address for a in again) else found
    return tuple(found)


def first_address(raw: bytes | None, hint: str = "") -> Address | None:
    """The first mailbox that has an address, or the first name."""
    if raw is None:
        return None
    found = parse_addresses(raw, hint)
    for address in found:
        if address.address:
            return address
    return found[0] if found else None


def _parse(text: str) -> list[Address]:
    return _List(text).read()


class _List:
    """One address list being read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.out: list[Address] = []
        self.words: list[str] = []
        """What stands before an angle address: the display name, or the address itself."""
        self.comments: list[str] = []
        self.bracketed = ""
        self.unclosed: set[str] = set()
        """Opening marks whose closing one was searched for to the end: not searched again."""

    def read(self) -> list[Address]:
        text = self.text
        while self.at < len(text) and len(self.out) < MAX_ADDRESSES:
            special = _SPECIAL.search(text, self.at)
            if special is None:
                self.words.append(text[self.at :])
                break
            if special.start() > self.at:
                self.words.append(text[self.at : special.start()])
            self.at = special.start()
            char = text[self.at]
            if not (char not in self.unclosed and self._enclosed(char)) and not self._delimited(char):
                self.words.append(char)
                self.at += 1
        self._close()
        return self.out

    def _enclosed(self, char: str) -> bool:
        """A quoted string, a comment, an angle address or a domain literal; False if it is none or not closed."""
        text, at = self.text, self.at
        if char == '"':
            end = _closing_quote(text, at + 1)
        elif char in "(<":
            end = text.find(")" if char == "(" else ">", at)
        elif char == "[":
            end = text.find("]", at, at + 64)
        else:
            return False
        if end < 0:
            if char == "<" and not self.bracketed:
                self.bracketed = text[at + 1 :].strip(" ,;")
                self.at = len(text)
                return True
            if char != "[":
                self.unclosed.add(char)
            return False
        inner = text[at + 1 : end]
        if char == "(":
            self.comments.append(inner)
        elif char != "<":
            self.words.append(text[at : end + 1])
        elif "@" in inner or not self.bracketed:
            self.bracketed = inner[inner.rfind("<") + 1 :]
        self.at = end + 1
        return True

    def _delimited(self, char: str) -> bool:
        """The end of a mailbox, or of a group's name."""
        if char == ";" or (char == "," and (self.bracketed or _looks_whole(self.words))):
            self._close()
        elif char == "," and not "".join(self.words).strip():
            self.words = []
        elif char == ":" and self.words and not self.bracketed and not _looks_whole(self.words):
            self.words, self.comments = [], []
        else:
            return False
        self.at += 1
        return True

    def _close(self) -> None:
        _add(self.out, self.words, self.comments, self.bracketed)
        self.words, self.comments, self.bracketed = [], [], ""


def _looks_whole(words: list[str]) -> bool:
    """Before a comma: an address, rather than the first half of `Name, Given <address>`."""
    return "@" in "".join(words)


def _closing_quote(text: str, at: int) -> int:
    while True:
        end = text.find('"', at)
        if end < 0:
            return -1
        slashes = 0
        while end - slashes - 1 >= at and text[end - slashes - 1] == "\\":
            slashes += 1
        if slashes % 2 == 0:
            return end
        at = end + 1


def _add(out: list[Address], words: list[str], comments: list[str], bracketed: str) -> None:
    joined = "".join(words).strip()
    if not joined and not bracketed:
        return
    if bracketed:
        address = _clean(bracketed)
        name = _name(joined)
        if "@" not in address:  # `a@b.example <Name>`, or a local name
            bare = _BARE.search(joined)
            if bare:
                address, name = bare[0], _name(bracketed)
    elif _QUOTED_LOCAL.fullmatch(joined):
        address, name = joined, ""
    else:
        bare = _BARE.search(joined) if "@" in joined else None
        if bare:
            address = bare[0]
            name = _name(joined[: bare.start()] + " " + joined[bare.end() :])
        elif "@" in joined:
            address, name = _clean(joined), ""
        else:
            address, name = "", _name(joined)
    if not name and comments:
        name = _name(comments[-1])
    if address or name:
        out.append(Address(name, address))


def _clean(address: str) -> str:
    address = _SPACE.sub("", address)
    if address.startswith("@") and ":" in address:  # a source route (RFC 5322, 4.4)
        address = address.rpartition(":")[2]
    address = address.removeprefix("mailto:").removeprefix("MAILTO:").removeprefix("SMTP:").removeprefix("smtp:")
    return _MARKS.sub("", address).strip("',;")[:320]


def _name(text: str) -> str:
    text = text.strip()
    if '"' in text:
        text = text.replace('\\"', "\x00").replace('"', "").replace("\x00", '"').replace("\\\\", "\\")
    if "=?" in text:
        text = decode_words(text)
    text = _SPACE.sub(" ", text).strip()
    if len(text) > 1 and text[0] == text[-1] == "'":
        text = text[1:-1]
    return "".join(c for c in text if c.isprintable() or c == " ")[:300]
