"""One spelling for comparing: case and width are folded, so that `Ｒｅｆｕｎｄ` finds `refund`."""

from __future__ import annotations

import unicodedata

TEXT_LIMIT = 65_536
"""Characters of a text that conditions look at; what follows is not searched, so that a decision's cost is bounded."""


def fold(text: str) -> str:
    """Compatibility-composed (NFKC: full width to half width) and case-folded; Chinese stays as it is."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold()
