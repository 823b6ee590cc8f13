"""Finds which of all the words that rules look for in texts occur in one text, in a single pass over it.

Thousands of `text: {contains: …}` conditions would each search the text; RE2 searches for all words at once, in linear
time and in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import re2

from gateway.routing.facts import Facts

FEWEST = 16
"""Rules with words below which each rule searching for itself is as fast."""

_MAX_MATCHES = 300
"""Places in one text that are looked at; a text with more is left to the rules themselves."""
_MEMORY = 8 << 20
_MEMORY_PER_BYTE = 100


class Words:
    """The words of a rule set; `add` them, then `build`, then `find`."""

    def __init__(self) -> None:
        self._rules: dict[bytes, list[int]] = {}
        self._found: dict[bytes, tuple[int, ...]] = {}
        self._search: Any = None

    def add(self, words: Iterable[str], position: int) -> None:
        """The rule at this position asks for any of the (folded) words."""
        for word in set(words):
            self._rules.setdefault(word.encode("utf-8", "replace"), []).append(position)

    def build(self) -> None:
        if not self._rules:
            return
        options = re2.Options()
        options.log_errors = False
        options.longest_match = True
        options.never_capture = True
        options.max_mem = _MEMORY + _MEMORY_PER_BYTE * sum(map(len, self._rules))
        pattern = b"|".join(re2.escape(word) for word in sorted(self._rules))
        self._search = re2.compile(pattern, options).search
        self._search(next(iter(self._rules)))  # the first match is dear: it sets RE2 up to find where one begins

    def find(self, facts: Facts) -> set[int] | None:
        """Positions of the rules one of whose words is in the text; None: too many places, ask each rule."""
        search, text = self._search, facts.text_folded_bytes
        positions: set[int] = set()
        if search is None:
            return positions
        match = search(text)
        left = _MAX_MATCHES
        while match is not None:
            word = match.group()
            positions.update(self._found.get(word) or self._with_prefixes(word))
            left -= 1
            if not left:
                return None
            match = search(text, match.start() + 1)  # words may overlap
        return positions

    def _with_prefixes(self, word: bytes) -> tuple[int, ...]:
        """The rules of the longest word found here, and of each word it begins with."""
        prefixes = (word[:length] for length in range(1, len(word) + 1))
        found = tuple({position for prefix in prefixes for position in self._rules.get(prefix, ())})
        self._found[word] = found
        return found
