"""The language of a text, by its script.

Scripts tell zh, ja, ko, ru/uk, th, ar, he, el and hi apart with certainty and in microseconds. Latin letters do not
tell languages apart in the length of a chat line (measured: `hi` is called Afrikaans), so they give the account's
default.
"""

from __future__ import annotations

import re

SAMPLE = 4000
"""Characters looked at."""

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ja", re.compile("[\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d]")),
    ("ko", re.compile("[\uac00-\ud7a3\u1100-\u11ff\u3131-\u318e]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("th", re.compile("[\u0e01-\u0e4e]")),
    ("ar", re.compile("[\u0620-\u06ff]")),
    ("he", re.compile("[\u05d0-\u05ea]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
)
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]+")
_UKRAINIAN = re.compile("[іїєґІЇЄҐ]")


def language(text: str, default: str | None = None) -> str | None:
    """`zh`, `ja`, `ko`, `ru`, `uk`, `th`, `ar`, `he`, `el` or `hi` by script; `default` for Latin letters or none.

    Simplified and traditional Chinese are both `zh`: search and rules fold them, and a short text often shows neither.
    A few foreign words do not decide: a Han character weighs as much as a Latin word.
    """
    if text.isascii():
        return default
    sample = text[:SAMPLE]
    han = len(_HAN.findall(sample))
    words = len(_LATIN.findall(sample))
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS}
    kana = counts.pop("ja")
    best = max(counts, key=lambda name: counts[name])
    if kana and kana * 10 >= han and kana + han > counts[best]:
        return "ja" if kana + han >= words else default
    if han >= counts[best]:
        return "zh" if han and han >= words else default
    letters = counts[best] / (2 if best == "ko" else 4)  # letters per word, roughly
    if (letters < words and counts[best] < 4) or letters * 2 < words:
        return default
    if best == "ru" and _UKRAINIAN.search(sample):
        return "uk"
    return best
