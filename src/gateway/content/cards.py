"""Payment card numbers in text, masked.

A run of 13 to 19 digits is one where it starts like an issuer's (ISO/IEC 7812), is grouped as cards are, and passes the
Luhn check; order numbers fail one of these. Linear in the text's length.
"""

from __future__ import annotations

import re
import unicodedata

_SEPARATOR = "[ \u00a0\u2002-\u200a\u3000\\-\u2010-\u2015\u2212\uff0d.\u00b7]"
_RUN = re.compile(rf"\d(?:{_SEPARATOR}{{0,2}}\d){{12,}}")
MAX_SPELLED = 100
"""Groups in a run within which digits that stand apart one by one are read as one number."""

_GROUP = re.compile(r"\d+")
_ISSUER = re.compile(r"3[04-9]|35|4|5[0-9]|6|2[2-7]|8[12]|9[2-9]")


def mask_cards(text: str) -> str | None:
    """The text with all but the last four digits of each card number as `*`; None if there is none."""
    out: list[str] = []
    at = 0
    for run in _RUN.finditer(text):
        for start, end in _cards(text, run.start(), run.end()):
            out.append(text[at:start])
            out.append(_mask(text[start:end]))
            at = end
    if not out:
        return None
    out.append(text[at:])
    return "".join(out)


def _cards(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Where in a run of digit groups card numbers stand, leftmost and longest first."""
    groups = [(m.start(), m.end()) for m in _GROUP.finditer(text, start, end)]
    spelled = len(groups) <= MAX_SPELLED
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(groups):
        last = _longest(text, groups, first) if spelled or groups[first][1] - groups[first][0] > 2 else None
        if last is None:
            first += 1
        else:
            found.append((groups[first][0], groups[last][1]))
            first = last + 1
    return found


def _longest(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    digits = ""
    sizes: list[int] = []
    best = None
    for last in range(first, min(first + 19, len(groups))):
        begin, end = groups[last]
        if len(digits) + end - begin > 19:
            break
        digits += "".join(str(unicodedata.digit(c)) for c in text[begin:end])
        sizes.append(end - begin)
        if len(digits) >= 13 and _grouped(sizes) and _ISSUER.match(digits) and _luhn(digits) and len(set(digits)) > 1:
            best = last
    return best


def _grouped(sizes: list[int]) -> bool:
    """As cards are written: whole, in groups of three and more, or all digits alike apart."""
    return min(sizes) >= 3 or (max(sizes) <= 2 and len(set(sizes[:-1])) == 1)


def _luhn(digits: str) -> bool:
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char)
        if place % 2:
            value = value * 2 - 9 if value > 4 else value * 2
        total += value
    return total % 10 == 0


def _mask(number: str) -> str:
    left = sum(c.isdigit() for c in number) - 4
    out = []
    for char in number:
        if char.isdigit() and left > 0:
            out.append("*")
            left -= 1
        else:
            out.append(char)
    return "".join(out)
