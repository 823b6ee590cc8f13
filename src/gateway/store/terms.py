"""Search terms: what a text is found by, and what a query asks for. Pure; both engines index what is made here.

A text is folded (NFKC, so full-width letters and digits become ordinary ones; case; Latin diacritics; traditional
Chinese to simplified, character by character, so that a character means the same whatever stands beside it) and cut in

- words: runs of letters, digits and marks, at most WORD_LIMIT characters of each;
- runs of a script written without spaces (Chinese, Japanese, Korean, Thai …): every pair of neighbours, and every
  single character.

A query's word must be a word of the text; its run of one or two characters must be in the text; of a longer run every
pair must be. An engine that keeps positions (SQLite) also wants the pairs next to one another.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

VERSION = 1
"""Raised with every change of what a text's terms are: an index made by another version must be made anew."""

WORD_LIMIT = 64
TEXT_LIMIT = 200_000
"""Characters of a text that are looked at."""
QUERY_LIMIT = 32
"""Terms of a query that are looked at."""


def _classes(*ranges: tuple[int, int]) -> str:
    """The letters, digits and marks in the ranges, as the inside of a regular expression's character class."""
    points = [point for first, last in ranges for point in range(first, last + 1)]
    return "".join(re.escape(chr(point)) for point in points if unicodedata.category(chr(point))[0] in "LNM")


# Scripts without spaces between words: Thai, Lao, Myanmar, Khmer, kana, Hangul, Han with its extensions.
_RUN_CLASS = (
    _classes((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3041, 0x318F), (0x31A0, 0x31FF))
    + "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af"
)
# Marks (vowel signs, accents) are no `\w`, but belong to their word.
_MARKS = "".join(chr(point) for point in range(0x0300, 0x2100) if unicodedata.category(chr(point))[0] == "M")
_ANY_RUN = re.compile(f"[{_RUN_CLASS}]")
_TOKEN = re.compile(rf"(?P<run>[{_RUN_CLASS}]+)|(?P<word>(?:(?![{_RUN_CLASS}])(?:[^\W_]|[{_MARKS}]))+)")
_ASCII_WORD = re.compile(r"[0-9a-z]+")
_LONG_ASCII_WORD = re.compile(rf"[0-9A-Za-z]{{{WORD_LIMIT + 1}}}")
_LATIN_ACCENTS = re.compile("(?<=[a-z])[\u0300-\u036f]+")

GAP = "\ue000"
"""Stands between two runs, so that the pairs at the end of one and the start of the next are not neighbours."""


@dataclass(frozen=True, slots=True)
class IndexText:
    """A text as tokens separated by spaces. `words`: words and pairs in the order of the text; `singles`: each single
    character once. The tokens hold no separators other than spaces, but `words` of an ASCII text is the text itself,
    which a tokenizer that cuts at everything but letters and digits, and folds ASCII case, makes the same words of."""

    words: str
    singles: str


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """One thing that must be in the text. kind `word`: that word · `single`: that character · `run`: those pairs, one
    after the other."""

    kind: str
    tokens: tuple[str, ...]


@cache
def _simplified() -> dict[int, str]:
    """Traditional → simplified, single characters, from zhconv's table (MediaWiki's). The file is read without
    importing the package, whose import costs more than the whole table."""
    spec = find_spec("zhconv")
    if spec is None or not spec.submodule_search_locations:  # pragma: no cover - a declared dependency
        raise RuntimeError("zhconv is not installed")
    table = json.loads((Path(spec.submodule_search_locations[0]) / "zhcdict.json").read_bytes())["zh2Hans"]
    return {ord(key): value for key, value in table.items() if len(key) == 1}


def fold(text: str) -> str:
    """The text with all differences removed that a search should not see."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize("NFC", _LATIN_ACCENTS.sub("", unicodedata.normalize("NFD", text)))
    if _ANY_RUN.search(text):
        text = text.translate(_simplified())
    return text


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]


def index_text(text: str) -> IndexText:
    """For a full-text index with positions."""
    text = text[:TEXT_LIMIT]
    if text.isascii() and not _LONG_ASCII_WORD.search(text):
        return IndexText(text, "")
    words: list[str] = []
    singles: dict[str, None] = {}
    after_run = False
    for match in _TOKEN.finditer(fold(text)):
        token = match.group()
        if match.lastgroup == "run":
            singles.update(dict.fromkeys(token))
            if after_run:
                words.append(GAP)
            words.extend(_pairs(token))
            after_run = True
        else:
            words.append(token[:WORD_LIMIT])
            after_run = False
    return IndexText(" ".join(words), " ".join(singles))


def term_set(text: str) -> frozenset[str]:
    """For an index of term sets: every word, pair and single character of the text."""
    text = text[:TEXT_LIMIT]
    if text.isascii():
        return frozenset(word[:WORD_LIMIT] for word in _ASCII_WORD.findall(text.lower()))
    found: set[str] = set()
    for match in _TOKEN.finditer(fold(text)):
        token = match.group()
        if match.lastgroup == "run":
            found.update(token)
            found.update(_pairs(token))
        else:
            found.add(token[:WORD_LIMIT])
    return frozenset(found)


def query_terms(query: str) -> list[QueryTerm]:
    """What the query asks for, each once; empty if it has no letter or digit."""
    terms: dict[QueryTerm, None] = {}
    for match in _TOKEN.finditer(fold(query[:TEXT_LIMIT])):
        token = match.group()
        if match.lastgroup == "word":
            terms[QueryTerm("word", (token[:WORD_LIMIT],))] = None
        elif len(token) == 1:
            terms[QueryTerm("single", (token,))] = None
        else:
            terms[QueryTerm("run", tuple(_pairs(token[:WORD_LIMIT])))] = None
        if len(terms) == QUERY_LIMIT:
            break
    return list(terms)


def query_tokens(terms: Iterable[QueryTerm]) -> list[str]:
    """All tokens of the terms, each once: those that a text's `term_set` must contain."""
    return list(dict.fromkeys(token for term in terms for token in term.tokens))
