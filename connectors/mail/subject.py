"""Subjects compared across a thread: without reply and forward marks, list tags and case."""

from __future__ import annotations

import re
import unicodedata

MAX_SUBJECT = 300

_MARK = re.compile(
    r"\s*(?:(?:re|aw|antw?|sv|vs|vá|odp|ynt|yan|ref|rif|res|rv|tr|fw|fwd|wg|doorst|i|enc|pd|továbbítás|"
    r"továbbít|ilt|bls|atb|απ|πρθ|ответ|отв|"
    r"на|пересл|відп|trả lời|chuyển tiếp|回复|回覆|答复|答覆|转发|轉寄|轉發|返信|転送|전달|답장|"
    r"회신)\s*(?:\[\d{1,3}\]|\(\d{1,3}\)|\*\d{1,3}|\^\d{1,3})?"
    r"\s*[:：]|\[(?:external|extern|ext|外部邮件|外部)\]|【外部】|(?:re|fwd?)\s+(?=(?:re|fwd?)\s*[:：]))\s*",
    re.IGNORECASE,
)
_LIST_TAG = re.compile(r"\s*\[[^\[\]]{1,60}\]\s*(?=\S)")
_SPACE = re.compile(r"\s+")


def normalised(subject: str) -> str | None:
    """The subject for comparison; None where nothing is left to compare."""
    text = unicodedata.normalize("NFKC", subject[: MAX_SUBJECT * 4])
    at = 0
    marked = False
    while match := _MARK.match(text, at):
        at = match.end()
        marked = True
    if marked and (tag := _LIST_TAG.match(text, at)):  # `Re: [list] Re: …`
        inner = _MARK.match(text, tag.end())
        if inner:
            at = inner.end()
    text = _SPACE.sub(" ", text[at:]).strip().casefold()
    return text[:MAX_SUBJECT] or None


_FORWARD = re.compile(
    r"\s*(?:fwd?|wg|tr|rv|enc|i|doorst|vs|pd|转发|轉寄|轉發|転送|전달|пересл|chuyển tiếp|ilt|vb|vl)\s*[:：]",
    re.IGNORECASE,
)


def is_forward(subject: str) -> bool:
    """The first mark says the mail was forwarded, not answered."""
    return _FORWARD.match(subject) is not None
