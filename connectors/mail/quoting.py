"""Lines by which mail programs mark what is not the writer's own: attributions, separators, headers, device lines.

Each test looks at one line (or a few joined) of bounded length; large alternations run on re2, so that no text can
make them slow. Sources: the programs' own texts (Gmail, Outlook, Apple Mail, Thunderbird, Yahoo, QQ, 163, Foxmail,
Alibaba, Zoho, Proton, Samsung, K-9) in the languages they come in.
"""

from __future__ import annotations

import re
from typing import Literal

from connectors.mail import quote_words as words

MAX_LINE = 600
"""Characters of an attribution; longer lines are prose."""

_DATE = re.compile(r"\d{4}|\d{1,2}[:.]\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2}")
_MAIL = re.compile(r"[^\s<>\[\]()\"']{1,64}@[^\s<>\[\]()\"']{1,200}")
_START = re.compile(
    r"[\s\-_*>~]*(?:on|at|in|am|le|el|il|em|op|den|dnia|w dniu|dne|dňa|il giorno|in data|a\s|vào|pada|w dn|w\s|"
    r"de|ср|пн|вт|чт|пт|сб|вс|"
    r"\d|在|于|於|\w{2,12}[.,]?\s+\d|[\"'“<(]?\w)",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"[\s\-_*>~]*(?:on|at|am|le|el|il|em|op|den|dnia|w dniu|dne|dňa|il giorno|in data|vào|pada|в|el día|a|"
    r"in a message dated|in message)\s",
    re.IGNORECASE,
)
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TRAILING = "-_*=~ \t\xa0.>"
_CJK_AT = re.compile(r"(?:在|于|於)\s*.{0,200}?\d|\d{4}\s*年|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")


def is_quoted(line: str) -> bool:
    """Begins with a quote mark."""
    stripped = line.lstrip(" \t\xa0\u3000")
    return stripped.startswith((">", "＞")) and not stripped.rstrip().endswith("<<")


def attribution(line: str, followed: bool) -> bool:
    """Whether the line (or lines joined) says who wrote what follows. `followed`: quoted lines follow, so that less
    is needed."""
    text = line.strip()
    if not 6 <= len(text) <= MAX_LINE:
        return False
    if not text.isascii():
        text = _DIRECTION.sub("", text).strip()
    bare = text.rstrip(_TRAILING)
    if not bare.endswith((":", "：", "﹕")):
        lower = bare.lower()
        if (
            text.startswith("--")
            and text.endswith("--")
            and lower.endswith((" wrote", " schrieb", " a écrit", " escribió"))
        ):
            return True
        # `---- On …, X wrote ----` (Zoho), `… wrote` without its colon
        if not (
            lower.endswith(("wrote", "写道", "寫道", "schrieb", "a écrit", "escribió", "escreveu"))
            and _DATE.search(bare)
        ):
            return _dated_address(bare, text)
        return _PREPOSITION.match(bare) is not None or _CJK_AT.match(bare) is not None
    body = bare.rstrip(":：﹕").rstrip()
    dated = _DATE.search(body) is not None
    mailed = "@" in body and _MAIL.search(body) is not None
    if (dated or mailed or followed) and words.VERB.search(body):
        if (dated and (mailed or _PREPOSITION.match(body) or _CJK_AT.search(body) or _named_date(body))) or (
            mailed and len(body) < 200
        ):
            return True
        return followed and len(body) < 200
    if dated and mailed and not body.lower().startswith(("http", "from", "to", "cc", "subject")):
        # `ср, 1 апр. 2015 г. в 18:29, X <x@example.org>:`, `2015-10-18 0:17 GMT+03:00 X <x@example.org>:`
        end = body.rstrip(">)]\"' ")
        if body[-1:] in ">)]" or (_MAIL.search(end[-120:]) and (_WEEKDAYS.match(body) or body[:1].isdigit())):
            return True
    return False


_WEEKDAYS = re.compile(
    r"[\s\-*>]*(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|jeu|ven|sam|dim|mié|jue|vie|sáb|"
    r"dom|seg|ter|qua|qui|sex|"
    r"man|tir|ons|tor|fre|lør|søn|mån|tis|lör|sön|ma|ti|ke|to|pe|la|su|pon|wt|śr|czw|pt|sob|niedz|po|út|st|čt|"
    r"pá|ne|пн|вт|ср|чт|пт|сб|вс|нд|пон)"
    r"[a-zäöåéêáíúóçãœłńśżźěščřžýа-яіїєґ]{0,12}[.,]?\s",
    re.IGNORECASE,
)
_MONTHS = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|mars|avr|juin|juil|août|"
    r"déc|ene|abr|ago|dic|fev|set|out|"
    r"gen|mag|giu|lug|ott|maj|tammi|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras|joulu|sty|lut|kwi|"
    r"cze|lip|sie|wrz|paź|lis|gru|"
    r"led|úno|bře|dub|kvě|čer|srp|zář|říj|pro|янв|фев|мар|апр|мая|май|июн|июл|авг|сен|окт|ноя|дек|січ|лют|бер|"
    r"кві|тра|чер|лип|сер|вер|жов|лис|гру)",
    re.IGNORECASE,
)


def _named_date(text: str) -> bool:
    return (
        _WEEKDAYS.match(text) is not None
        or _MONTHS.search(text) is not None
        or re.search(r"\d{1,2}:\d{2}", text) is not None
    )


def _dated_address(bare: str, text: str) -> bool:
    """`2016-03-03 17:21 GMT+01:00 Name` and `2013/10/2 name <x@example.org>`: old Gmail, without a colon."""
    return _OLD_GMAIL.match(bare) is not None and (text.endswith((">", ">:")) or " GMT" in bare[:24])


_OLD_GMAIL = re.compile(r"20\d\d[-/]\d{1,2}[-/]\d{1,2} (?:\d{1,2}:\d\d )?(?:GMT[+-]\d\d:\d\d )?\S")

# --- separators

_RULED = "-_=*~—–─#"
_RULE = "-_=*~—–─ \t\xa0\u3000><#+"
_REPLY_ABOVE = re.compile(
    r"(?:please\s+)?(?:type\s+your\s+)?repl(?:y|ies)\s+(?:to this (?:email|message) )?above\s+(?:this|the)\s+line|"
    r"(?:write|enter|add) your (?:reply|answer) above this line|请在此(?:线|行)(?:之)?上方?(?:回复|输入)|"
    r"請在此(?:線|行)(?:之)?上方?回覆|"
    r"bitte (?:antworten sie )?(?:oberhalb|über) dieser (?:zeile|linie)|répondre au[- ]dessus de cette ligne|"
    r"responda por encima de esta línea",
    re.IGNORECASE,
)


def separator(line: str) -> Literal["", "original", "forwarded"]:
    """`-----Original Message-----` and `---------- Forwarded message ---------` in their languages."""
    text = line.strip()
    if not 3 <= len(text) <= 160 or (text[0] not in _RULED and text[-1] not in ":："):
        return ""
    core = text.strip(_RULE).rstrip(":： ").strip(_RULE).lower()
    if not core or len(core) > 60:
        return ""
    ruled = text[0] in _RULED and text[1] in _RULED
    if core in words.FORWARDED and (
        ruled
        or text.rstrip().endswith((":", "："))
        or core.startswith(("begin", "start", "début", "inicio", "início", "開始", "开始"))
    ):
        return "forwarded"
    if core.startswith("forwarded by ") and ruled:
        return "forwarded"
    if core in words.ORIGINAL and ruled:
        return "original"
    if ruled and _REPLY_ABOVE.search(core):
        return "original"
    return ""


_ABOVE = ("above", "ABOVE", "Above", "oberhalb", "über dies", "上方", "dessus", "encima")


def is_reply_marker(line: str) -> bool:
    """`## Please type your reply above this line ##`."""
    return len(line) < 200 and any(word in line for word in _ABOVE) and _REPLY_ABOVE.search(line) is not None


# --- header blocks

_LABEL = re.compile(r"[\s>*_|\u3000【\[]{0,12}([^\W\d_][^:：|\n]{0,30})[:：|]")
_LABEL_JUNK = re.compile(r"[\s\u3000*_】\]]")


def header_label(line: str) -> tuple[str, str]:
    """(`from`, `date`, `to`, `subject` or `cc`, value) for a line of a quoted mail's header, else two empty texts."""
    if len(line) > 2 * MAX_LINE or (":" not in line and "：" not in line and "|" not in line):
        return "", ""
    match = _LABEL.match(line[:60])
    if match is None:
        return "", ""
    name = match[1].lower()
    if not name.isalpha():
        name = _LABEL_JUNK.sub("", name)
    return words.LABELS.get(name, ""), line[match.end() :].strip(" \t*_|")


# --- signatures and device lines


def is_device_line(line: str) -> bool:
    """`Sent from my iPhone` and its like, in the whole line."""
    text = line.strip(" \t\xa0\u3000<>()[]*_-—–~|.。!")
    if not 4 <= len(text) <= 160:
        return False
    if words.DEVICE.fullmatch(text) is None:
        return False
    return text.lower().startswith(words.MINE) or words.DEVICE_HINT.search(text) is not None


def is_signature_mark(line: str) -> bool:
    """RFC 3676, 4.3, also without its space."""
    return line.rstrip("\xa0") in ("-- ", "--", "--  ") or line.strip() == "--"


_LIST_FOOT = re.compile(
    r"mailing list|listinfo|you received this message because|to unsubscribe|unsubscribe from this group|"
    r"google groups",
    re.IGNORECASE,
)
_LONG_RULE = re.compile(r"\s*[_\-=*]{5,}\s*\Z")
_HIDDEN = re.compile(
    r"\s*\[(?:quoted text hidden|texte des messages précédents masqué|citação oculta|texto citado oculto|"
    r"隐藏引用文字|隱藏引用文字|引用文字已隐藏|引用テキストを非表示|zitierter text ausgeblendet)\]\s*\Z",
    re.IGNORECASE,
)


def is_rule(line: str) -> bool:
    """A line of dashes or underscores."""
    return len(line) <= 200 and line.lstrip()[:1] in _RULED and _LONG_RULE.match(line) is not None


def is_short_rule(line: str) -> bool:
    """`---` or `____`, under which some write their signature."""
    text = line.strip()
    return 2 <= len(text) <= 40 and (not text.strip("_") or text in ("---", "----"))


def is_list_footer(line: str) -> bool:
    return len(line) < 400 and _LIST_FOOT.search(line) is not None


def is_hidden_mark(line: str) -> bool:
    return len(line) < 80 and "[" in line and _HIDDEN.match(line) is not None


def begins_attribution(line: str) -> bool:
    """May begin an attribution that is broken over lines: with a preposition, a date, a weekday or an address."""
    text = line.lstrip(" \t-_*>~\xa0")
    return (
        _PREPOSITION.match(text + " ") is not None
        or _WEEKDAYS.match(text) is not None
        or text[:1].isdigit()
        or _CJK_AT.match(text) is not None
        or (_MAIL.search(text) is not None and len(text) < 120)
    )


_SHARED = re.compile(r"(.{1,300}?\S)\s+(?:On (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}, .{8,300} wrote:)\s*\Z")
_DATED_NAME = re.compile(r"\s*On .{3,30}\b\d{4},? at \d{1,2}:\d\d\b.{0,100}\Z")
_MAIL_DATE = re.compile(
    r"(?:\w{2,12}[.,]*\s+)?\d{1,2}\.?\s+\w{3,12}\.?\s+\d{4}\b.{0,10}\d{1,2}:\d\d|\d{4}-\d\d-\d\d.{1,3}\d\d:\d\d"
)


def shared_line(line: str) -> str:
    """The reply's end where an attribution was put behind it in one line; else empty."""
    if "wrote:" not in line or len(line) > MAX_LINE:
        return ""
    match = _SHARED.match(line)
    return match[1].rstrip("- ") if match and not _PREPOSITION.match(line) else ""


def is_dated_name(line: str) -> bool:
    """`On Tue, Apr 11, 2017 at 10:07 PM Name`, the address on a line of its own (Polymail)."""
    return line.lstrip().startswith("On ") and _DATED_NAME.match(line) is not None


def is_mail_date(value: str) -> bool:
    """A date as a mail's header has it, with its time."""
    return _MAIL_DATE.match(value[:80]) is not None
