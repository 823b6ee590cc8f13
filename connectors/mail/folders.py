"""Folder names on the wire: modified UTF-7 (RFC 3501, 5.1.3), quoted. aioimaplib does neither."""

from __future__ import annotations

import base64
import re

_OTHER = re.compile(r"[^\x20-\x7e]+")


def encode(name: str) -> str:
    """A folder's name as IMAP commands take it: `收件箱` is `&W/ZO9lC3-`."""

    def shifted(match: re.Match[str]) -> str:
        data = base64.b64encode(match[0].encode("utf-16-be", "surrogatepass")).decode()
        return f"&{data.rstrip('=').replace('/', ',')}-"

    return _OTHER.sub(shifted, name.replace("&", "&-"))


def quoted(text: str) -> str:
    """As a quoted string (RFC 3501, 9). Line breaks are refused by aioimaplib with ValueError."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
