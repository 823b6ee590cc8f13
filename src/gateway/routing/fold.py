"""One spelling for comparing: case and width are folded, so that `Ｒｅｆｕｎｄ` finds `refund`."""

from __future__ import annotations

import re
import unicodedata

TEXT_LIMIT = 65_536
"""Characters of a text that conditions look at; what follows is not searched, so that a decision's cost is bounded."""


_WIDE = {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {"\u3000": " ", "…": "..."}
_WIDE_CHARACTER = re.compile("[" + "".join(map(re.escape, _WIDE)) + "]")


def fold(text: str) -> str:
    """Compatibility-composed (NFKC: full width to half width) and case-folded; Chinese stays as it is."""
    if text.isascii():
        return text.lower()
    # Chinese punctuation is full width; replacing it first spares nearly every text the slow general way.
    text = _WIDE_CHARACTER.sub(_narrow, text)
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    return text.casefold()


def _narrow(match: re.Match[str]) -> str:
    return _WIDE[match[0]]
