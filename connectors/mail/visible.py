"""What the writer of a mail wrote themselves: without quotes, quoted mails and signatures.

One pass over the lines, each looked at a bounded number of times. What is uncertain is kept: too much is read over,
too little is lost. Answers between quoted lines are kept, forwarded mails are kept, a mail that is nothing but quote is
shown whole.
"""

from __future__ import annotations

import re

from connectors.mail import quoting
from connectors.mail.quote_words import QUOTE_CONTAINER
from gateway.content.text import html_to_text

MAX_TEXT = 500_000
MAX_LINES = 20_000
"""Lines that are looked at; a quote that only begins behind them stays."""

MAX_JOINED = 4
"""Lines an attribution may be broken into."""

MAX_SIGNATURE = 20
MAX_FOOT = 6
"""Lines under a short rule that may be a signature."""

_SPECIAL = re.compile(
    r"[:：﹕|>＞\[#<\d@]|\A\s*[-_=*~—–]|above|Above|ABOVE|oberhalb|über dies|上方|dessus|encima|"
    r"wrote|写道|寫道|schrieb|écrit|escribió|escreveu"
)
"""What a line must have to be anything but the writer's words (device lines are looked at where something ends)."""

_ENDINGS = (
    ":",
    "：",
    "﹕",
    "-",
    ">",
    "\u202c",
    "\u200f",
    "*",
    "_",
    "wrote",
    "写道",
    "寫道",
    "schrieb",
    "écrit",
    "escribió",
    "escreveu",
    ".",
    "=",
    "~",
)
"""What an attribution may end in, past its colon."""

_BLOCK = 9
"""Lines in which a quoted mail's header must be complete."""


def visible(text: str, html: str | None = None, *, forwarded: bool = False) -> str:
    """The visible part of `text`; `html`, the same content, helps to find a quote that the text does not mark.

    `forwarded`: the subject says it is a forward, so that a mail quoted with its header belongs to it.
    A subsequence of the text's lines, never blank where the text is not.
    """
    if len(text) > MAX_TEXT or not text.strip():
        return text
    lines = text.split("\n")
    cutter = _Cutter(lines, forwarded)
    kept = cutter.run()
    if not cutter.dropped and html is not None:
        at = _quote_line(lines, html)
        if at is not None:
            again = _Cutter(lines[:at], forwarded)
            shorter = again.run()
            if any(line.strip() for line in shorter):
                kept = shorter
    result = "\n".join(kept).strip("\n")
    return result if result.strip() else text


class _Cutter:
    def __init__(self, lines: list[str], forwarded: bool) -> None:
        self.lines = lines
        self.forwarded = forwarded
        self.kept: list[str] = []
        self.dropped = False
        self.some = False
        """Something that is not blank was kept."""
        self.signature = 0
        """Lines of a signature that are still left out."""
        self._last_quoted: int | None = None

    def run(self) -> list[str]:
        at = 0
        while at < min(len(self.lines), MAX_LINES):
            line = self.lines[at]
            if _SPECIAL.search(line) is None:
                self._own(line)
                at += 1
                continue
            if quoting.is_quoted(line):
                self._boundary()
                self.signature = 0
                at += 1
                continue
            step = self._announced(at) or self._signed(at)
            if step is None:
                self._own(line)
                at += 1
            elif isinstance(step, list):
                return step
            else:
                at = step
        if at < len(self.lines):
            self.kept.extend(self.lines[at:])
            return self.kept
        return self._done(False)

    def _own(self, line: str) -> None:
        """A line of the writer's, unless a signature goes on."""
        if not self.signature:
            self._keep(line)
        elif line.strip():
            self.signature -= 1

    def _announced(self, at: int) -> int | list[str] | None:
        """Where a quote or a forward is announced: the line to go on with, or all that is kept."""
        line = self.lines[at]
        end = self._attribution(at)
        if end is not None:
            self.signature = 0
            if end == at + 1 and (shared := quoting.shared_line(line)):
                self._keep(shared)
            follows = self._next(end)
            if follows < len(self.lines) and quoting.is_quoted(self.lines[follows]):
                self._boundary()
                return end
            return self._cut_or_go_on(end)
        kind = quoting.separator(line)
        if kind == "forwarded":
            self.kept.extend(self.lines[at:])
            return self.kept
        if kind == "original" or quoting.is_reply_marker(line):
            return self._cut_or_go_on(at + 1)
        block = None if self.forwarded else self._header_block(at)
        return None if block is None else self._cut_or_go_on(block)

    def _cut_or_go_on(self, at: int) -> int | list[str]:
        """At a quoted mail without marks: what is above is the answer; if nothing is, an answer may stand below marked
        lines; without these, the quote cannot be told from an answer and all is shown."""
        self._boundary()
        if self.some:
            return self._done()
        return at if self._quoted_later(at) else self.lines

    def _signed(self, at: int) -> int | None:
        """Where a signature, a list's footer or a placeholder begins: the next line."""
        line = self.lines[at]
        if quoting.is_signature_mark(line) and self.some and self._is_signature(at):
            self.signature = MAX_SIGNATURE
        elif (quoting.is_rule(line) or quoting.is_short_rule(line)) and self.some and self._is_footer(at):
            self.signature = len(self.lines)
        elif not quoting.is_hidden_mark(line):
            return None
        self._boundary()
        return at + 1

    def _keep(self, line: str) -> None:
        if line.strip():
            self.some = True
            self.kept.append(line)
        elif not self.kept or self.kept[-1].strip() or not self.dropped:
            self.kept.append(line)

    def _boundary(self) -> None:
        """Something is left out from here: device lines and rules right before it go too."""
        self.dropped = True
        self._trim()
        if self.kept and self.kept[-1].strip():
            self.kept.append("")

    def _trim(self) -> None:
        while self.kept:
            last = self.kept[-1]
            if not last.strip():
                self.kept.pop()
            elif (quoting.is_device_line(last) or quoting.is_rule(last)) and self._rest():
                self.dropped = True
                self.kept.pop()
            else:
                break

    def _rest(self) -> bool:
        return any(line.strip() for line in self.kept[-4:-1]) or any(line.strip() for line in self.kept[:-1])

    def _done(self, cut: bool = True) -> list[str]:
        self.dropped = self.dropped or cut
        before = len(self.kept)
        if cut:
            self._trim()
        else:
            while self.kept and not self.kept[-1].strip():
                self.kept.pop()
            while self.kept and quoting.is_device_line(self.kept[-1]) and self._rest():
                self.kept.pop()
                self.dropped = True
                while self.kept and not self.kept[-1].strip():
                    self.kept.pop()
        self.dropped = self.dropped or (len(self.kept) < before and cut)
        return self.kept

    def _quoted_later(self, at: int) -> bool:
        """Quoted lines follow, so that an answer below them can be told from them."""
        if self._last_quoted is None:
            marked = [index for index, line in enumerate(self.lines) if quoting.is_quoted(line)]
            self._last_quoted = marked[-1] if marked else -1
        return self._last_quoted >= at

    def _next(self, at: int) -> int:
        while at < len(self.lines) and not self.lines[at].strip():
            at += 1
        return at

    def _attribution(self, at: int) -> int | None:
        """The line after an attribution that begins at `at`, or None."""
        first = self.lines[at]
        if len(first) > quoting.MAX_LINE:
            return None
        joined = first.strip()
        for end in range(at + 1, at + MAX_JOINED + 1):
            if joined.endswith(_ENDINGS):
                follows = self._next(end)
                quoted = end == at + 1 and follows < len(self.lines) and quoting.is_quoted(self.lines[follows])
                if quoting.attribution(joined, quoted):
                    return end
            if end >= len(self.lines):
                break
            more = self.lines[end]
            if not more.strip() or quoting.is_quoted(more) or len(joined) + len(more) > quoting.MAX_LINE:
                break
            if end == at + 1 and not quoting.begins_attribution(first):
                return None
            joined = f"{joined} {more.strip()}"
        if quoting.is_dated_name(first) and self.lines[
            min(self._next(at + 1), len(self.lines) - 1)
        ].lstrip().startswith("<"):
            return at + 1
        return None

    def _header_block(self, at: int) -> int | None:
        """The line after a quoted mail's header that begins at `at`, or None."""
        kind, value = quoting.header_label(self.lines[at])
        if not kind or kind == "cc":
            return None
        kinds = {kind}
        mailed = "@" in value
        sent = kind == "date" and quoting.is_mail_date(value)
        end = at + 1
        misses = 0
        labels = 1
        for index in range(at + 1, min(at + _BLOCK, len(self.lines))):
            line = self.lines[index]
            if not line.strip():
                if labels > 1 and len(kinds) > 2:
                    break
                continue
            found, value = quoting.header_label(line)
            if found:
                kinds.add(found)
                labels += 1
                mailed = mailed or "@" in value
                end = index + 1
                misses = 0
            else:
                misses += 1
                if misses > 2:
                    break
        core = kinds - {"cc"}
        if "from" in core and (len(core) >= 3 or (len(core) == 2 and kind == "from" and (mailed or "date" in core))):
            return end
        if sent and mailed and "to" in core:
            return end
        if kind in ("date", "to", "subject") and len(core) >= 3 and (mailed or "from" in core):
            return end
        return None

    def _is_signature(self, at: int) -> bool:
        """After `-- `: few lines until the end or a quote. A bare `--` may also part a letter's sections."""
        if self.lines[at] == "-- ":
            return True
        count = 0
        for index in range(at + 1, len(self.lines)):
            line = self.lines[index]
            if quoting.is_quoted(line) or quoting.separator(line) or quoting.header_label(line)[0] == "from":
                return True
            count += bool(line.strip())
            if count > MAX_SIGNATURE:
                return False
            if quoting.attribution(line, False):
                return True
        return True

    def _is_footer(self, at: int) -> bool:
        """A rule with a mailing list's footer under it, or with few short lines, at the end."""
        if any(quoting.is_list_footer(line) for line in self.lines[at + 1 : at + 4]):
            return True
        rest = [line for line in self.lines[at + 1 : at + 3 * MAX_FOOT] if line.strip()]
        few = at + 3 * MAX_FOOT >= len(self.lines) and 0 < len(rest) <= MAX_FOOT
        return few and quoting.is_short_rule(self.lines[at]) and all(len(line) < 70 for line in rest)


# --- help from the HTML

_NOT_LETTER = re.compile(r"[\W_]+")
_HEAD = 60


def _quote_line(lines: list[str], html: str) -> int | None:
    """The line where the quote begins that the HTML marks as one."""
    html = html[:MAX_TEXT]
    match = QUOTE_CONTAINER.search(html)
    if match is None:
        return None
    begin = html.rfind("<", 0, match.start())
    if begin < 0 or ">" in html[begin : match.start()]:  # words, not a tag's attribute
        return None
    head = _NOT_LETTER.sub("", html_to_text(html[begin : begin + 8000]))[:_HEAD]
    if len(head) < 10:
        return None
    flat: list[str] = []
    starts: list[int] = []
    total = 0
    for line in lines:
        plain = _NOT_LETTER.sub("", line)
        starts.append(total)
        flat.append(plain)
        total += len(plain)
    at = "".join(flat).find(head)
    if at <= 0:
        return None
    for index in range(len(starts) - 1, -1, -1):
        if starts[index] <= at and flat[index]:
            return index if index > 0 else None
    return None
