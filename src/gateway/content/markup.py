"""Whether an HTML text can be parsed at a fair price.

A browser-grade parser does work that grows with nesting times length, and clones every open formatting element into
every block that follows (HTML Standard, 13.2.4.3): a few hundred kilobytes can cost gigabytes. One scan over the tags
finds such texts before they are parsed.
"""

from __future__ import annotations

import re

MAX_DEPTH = 800
MAX_CLONES = 100_000

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "param",
        "source",
        "track",
        "wbr",
        "html",
        "head",
        "body",
        "p",
        "li",
        "td",
        "th",
        "tr",
        "dd",
        "dt",
        "option",
        "thead",
        "tbody",
        "tfoot",
    ]
)
"""Tags that do not nest: empty ones, and those the next of their kind closes."""
_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())  # noqa: SIM905


def is_affordable(html: str) -> bool:
    """False for an HTML text whose tree would be far larger than itself. Linear in its length."""
    depth = formatting = clones = 0
    for match in _TAG.finditer(html):
        name = match[2].lower()
        if name in _FORMATTING:
            formatting = max(0, formatting - 1) if match[1] else formatting + 1
        elif not match[1]:
            clones += formatting
            if clones > MAX_CLONES:
                return False
        if name not in _VOID:
            depth = max(0, depth - 1) if match[1] else depth + 1
            if depth > MAX_DEPTH:
                return False
    return True
