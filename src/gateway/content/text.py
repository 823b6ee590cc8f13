"""HTML to readable text in one pass over its tokens: linear, without building a tree.

Blocks become lines, paragraphs are set apart, list items get a dash, quotes `> ` (so that mail quoting is recognised
in them as in plain text), links their address where the words do not show it already.
"""

from __future__ import annotations

import re
from html import unescape

MAX_LINK = 300
MAX_QUOTE_DEPTH = 20
MAX_HTML = 5_000_000

_TOKEN = re.compile(
    r"""<!--|<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:]*)(?P<rest>(?:[^<>"']++|"[^"<]*+"|'[^'<]*+')*+)>|<[/!?]?[a-zA-Z!?\[][^<>]*>"""
)
_TAG_NAME = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:]*)([^>]*)")
_SPACE = re.compile(r"[ \t\n\r\f\u200b\ufeff]+")
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))""", re.IGNORECASE)
_HIDDEN = re.compile(r"display\s*:\s*none|mso-hide\s*:\s*all", re.IGNORECASE)
_MANY_LINES = re.compile(r"\n{3,}")
_TRAILING = re.compile(r"[ \t\xa0]+\n")

_RAW = frozenset({"script", "style", "title", "template", "noframes", "xmp", "textarea"})
_PARAGRAPH = frozenset("p h1 h2 h3 h4 h5 h6 ul ol dl table blockquote pre".split())  # noqa: SIM905
_LINE = frozenset(
    [
        "div",
        "tr",
        "li",
        "dt",
        "dd",
        "section",
        "article",
        "header",
        "footer",
        "aside",
        "nav",
        "main",
        "address",
        "center",
        "form",
        "fieldset",
        "figure",
        "figcaption",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "body",
        "html",
        "o:p",
    ]
)


def html_to_text(html: str) -> str:
    """The text of an HTML mail part or page; empty if it has none."""
    return _Writer().write(html[:MAX_HTML])


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.quotes = 0
        self.pre = 0
        self.lists: list[int] = []
        self.links: list[tuple[str, int]] = []
        self.blank = True
        """A blank line (or nothing) stands before the current one."""

    def write(self, html: str) -> str:
        at = 0
        lost: set[str] = set()
        while (match := _TOKEN.search(html, at)) is not None:
            if match.start() > at:
                self._text(html[at : match.start()])
            at = match.end()
            if match.group() == "<!--":
                end = html.find("-->", at) if "-->" not in lost else -1
                if end < 0:
                    lost.add("-->")
                    end = html.find(">", at)
                    at = len(html) if end < 0 else end + 1
                else:
                    at = end + 3
                continue
            name = match["name"]
            if name is None:
                odd = _TAG_NAME.match(match.group())
                if odd is None:
                    continue
                closing, name, rest = odd[1], odd[2], odd[3]
            else:
                closing, rest = match["close"], match["rest"]
            name = name.lower()
            if name in _RAW and not closing:
                if name not in lost:
                    end_tag = re.compile(f"</{name}", re.IGNORECASE).search(html, at)
                    if end_tag is not None:
                        at = end_tag.start()
                    else:
                        lost.add(name)
                continue
            self._tag(name, bool(closing), rest)
        if at < len(html):
            self._text(html[at:])
        self._end_line()
        text = "\n".join(self.lines)
        return _MANY_LINES.sub("\n\n", _TRAILING.sub("\n", text + "\n")).strip("\n")

    def _text(self, piece: str) -> None:
        if "&" in piece:
            piece = unescape(piece)
        if self.pre:
            first, *more = piece.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            self.line.append(first)
            for line in more:
                self._end_line(keep=True)
                self.line.append(line)
            return
        piece = _SPACE.sub(" ", piece)
        if piece == " " and (not self.line or self.line[-1].endswith(" ")):
            return
        if (self.line and self.line[-1].endswith(" ")) or not self.line:
            piece = piece.removeprefix(" ")
        if piece:
            self.line.append(piece)

    def _end_line(self, keep: bool = False) -> None:
        line = "".join(self.line)
        self.line.clear()
        if not self.pre:
            line = line.replace("\xa0", " ").strip()
        if not line and not keep:
            return
        self.blank = not line
        prefix = "> " * min(self.quotes, MAX_QUOTE_DEPTH)
        self.lines.append((prefix + line).rstrip())

    def _paragraph(self) -> None:
        self._end_line()
        if not self.blank:
            self.lines.append(("> " * min(self.quotes, MAX_QUOTE_DEPTH)).rstrip())
            self.blank = True

    def _blockquote(self, closing: bool) -> None:
        """A blank line apart from what is around it, at the outer level."""
        if not closing:
            self._paragraph()
            self.quotes += 1
            return
        self._end_line()
        while self.lines and not self.lines[-1].strip("> "):
            self.lines.pop()
        self.quotes = max(0, self.quotes - 1)
        self.blank = not self.lines
        self._paragraph()

    def _tag(self, name: str, closing: bool, rest: str) -> None:
        if name == "br":
            self._end_line(keep=True)
        elif name in _LINE:
            self._end_line()
            if name == "li" and not closing:
                self.line.append("- ")
        elif name == "blockquote":
            self._blockquote(closing)
        elif name in _PARAGRAPH:
            self._paragraph()
            if name == "pre":
                self.pre = max(0, self.pre + (-1 if closing else 1))
        elif name in ("td", "th"):
            if not closing and self.line:
                self._text(" ")
                self.line.append("")
        elif name == "hr":
            self._end_line()
            self.line.append("-" * 20)
            self._end_line()
        elif name == "a":
            self._link(closing, rest)
        elif name == "img" and not closing:
            alt = _value(_ALT, rest)
            if alt.strip() and not alt.startswith("http"):
                self._text(f"[{alt.strip()}]")

    def _link(self, closing: bool, rest: str) -> None:
        if not closing:
            if len(self.links) < 100:
                self.links.append((_value(_HREF, rest), len(self.line)))
            return
        if not self.links:
            return
        url, start = self.links.pop()
        words = "".join(self.line[start:]).strip()
        if not words or not url.lower().startswith(("http://", "https://")) or len(url) > MAX_LINK:
            return
        bare = url.split("://", 1)[1].rstrip("/").lower()
        if bare not in words.lower().rstrip("/") and words.lower() not in bare:
            self._text(f" <{url}>")


def _value(pattern: re.Pattern[str], rest: str) -> str:
    match = pattern.search(rest)
    return unescape(match[1] or match[2] or match[3] or "").strip() if match else ""
