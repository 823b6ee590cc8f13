"""Bytes to text as mails really are: charsets declared wrong, loosely, or not at all.

Names are read as the Encoding Standard does (a superset stands in for its narrow sister: GB18030 for GB2312 and GBK,
windows-1252 for Latin-1, cp949 for EUC-KR …), because that is what mail programs send under those names.
Only `charset_normalizer` guesses, and only when nothing declared works.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

import charset_normalizer

_GUESS_SAMPLE = 6000
"""Bytes shown to the guesser: its time grows with the sample, its answer hardly changes."""

_NOT_TEXT = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})

_FAMILIES: dict[str, tuple[str, ...]] = {
    "utf-8": ("utf-8",),
    "gb18030": ("gb18030",),
    "big5": ("big5hkscs", "cp950"),
    "iso-2022-jp": ("iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004"),
    "iso-2022-kr": ("iso2022_kr",),
    "shift_jis": ("cp932", "shift_jis_2004"),
    "euc-jp": ("euc_jp", "euc_jis_2004"),
    "euc-kr": ("cp949", "johab"),
    "windows-1252": ("cp1252", "latin-1"),
    "us-ascii": ("ascii", "cp1252", "latin-1"),
    "iso-8859-7": ("iso8859_7", "cp1253"),
    "iso-8859-8": ("iso8859_8", "cp1255"),
    "windows-874": ("cp874", "iso8859_11"),
}

_ALIASES: dict[str, str] = {
    **dict.fromkeys(("utf8", "unicode-1-1-utf-8", "utf", "utf-8n", "cp65001", "cp-65001", "utf8mb4"), "utf-8"),
    **dict.fromkeys(
        ("gb2312", "gbk", "gb-2312", "gb2312-80", "gb-2312-80", "gb-18030", "euc-cn", "euccn", "cp936", "ms936",
        "chinese",
         "windows-936", "csgb2312", "csiso58gb231280", "iso-ir-58", "gbk2312", "gb", "cn-gb", "hz-gbk", "936",
         "gb18030-2000",
         "gb-2312-1980", "zh-cn", "gb2312-1980"), "gb18030"),
    **dict.fromkeys(("big5", "big-5", "big5-hkscs", "big5hkscs", "cn-big5", "csbig5", "cp950", "ms950", "big5-eten",
    "big5-tw",
                     "windows-950", "zh-tw", "chinesebig5"), "big5"),
    **dict.fromkeys(("iso2022jp", "iso2022-jp", "iso-2022jp", "jis", "csiso2022jp", "iso-2022-jp-ms", "cp50220",
    "cp50221",
                     "cp50222", "iso-2022-jp-1", "iso-2022-jp-2", "iso-2022-jp-3", "iso-2022-jp-2004",
                     "iso-2022-jp$esc"), "iso-2022-jp"),
    **dict.fromkeys(("csiso2022kr", "iso2022-kr", "iso2022kr"), "iso-2022-kr"),
    **dict.fromkeys(("shift-jis", "shiftjis", "sjis", "ms-kanji", "windows-31j", "windows-932", "csshiftjis",
    "cp932", "ms932",
                     "cp943c", "sjis-win"), "shift_jis"),
    **dict.fromkeys(("eucjp", "euc-jp-ms", "eucjp-win", "eucjp-ms", "ujis", "cseucpkdfmtjapanese", "cp51932"),
    "euc-jp"),
    **dict.fromkeys(("euckr", "ks-c-5601-1987", "ks-c-5601", "ks-c-5601-1989", "ksc5601", "ksc-5601",
    "ks-c5601-1987", "korean",
                     "uhc", "cp949", "ms949", "windows-949", "iso-ir-149", "cseuckr", "csksc56011987", "5601"),
                     "euc-kr"),
    **dict.fromkeys(("ascii", "usascii", "ansi-x3.4-1968", "ansi-x3-4-1968", "646", "iso646-us", "us", "csascii"),
    "us-ascii"),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "iso-88591", "iso88591", "8859-1", "latin1", "latin-1", "l1",
    "cp819", "ibm819",
                     "isolatin1", "iso-latin-1", "cp1252", "cp-1252", "win-1252", "windows1252", "ansi", "1252",
                     "iso-8859-1-windows-3.1-latin-1",
                     "windows-1252http-equivcontent-type", "iso", "iso8859", "iso-8859", "western", "en-us"),
                     "windows-1252"),
    **dict.fromkeys(("iso-8859-9", "iso8859-9", "latin5", "latin-5", "windows-1254", "turkish"), "cp1254"),
    **dict.fromkeys(("iso-8859-11", "tis-620", "tis620", "iso8859-11", "cp874", "windows-874", "thai"),
    "windows-874"),
    **dict.fromkeys(("iso-8859-8-i", "iso-8859-8-e", "iso8859-8", "iso-8859-8i", "visual", "logical"), "iso-8859-8"),
    **dict.fromkeys(("iso8859-7", "greek"), "iso-8859-7"),
    **dict.fromkeys(("utf7", "unicode-1-1-utf-7", "unicode-2-0-utf-7", "csunicode11utf7"), "utf-7"),
    **dict.fromkeys(("hz-gb-2312", "hz", "hzgb2312"), "hz"),
    **dict.fromkeys(("unicode", "ucs-2", "ucs2", "iso-10646-ucs-2", "utf16"), "utf-16"),
    **dict.fromkeys(("mac", "macintosh", "mac-roman", "macroman", "x-mac-roman", "csmacintosh"), "mac_roman"),
    **dict.fromkeys(("mac-cyrillic", "x-mac-cyrillic", "mac-ukrainian"), "mac_cyrillic"),
    **dict.fromkeys(("koi8", "koi", "cskoi8r", "koi8r", "koi8-ru"), "koi8-r"),
    **dict.fromkeys(("windows-1251", "win-1251", "win1251", "cp1251", "cp-1251", "windows1251", "cyrillic-windows"),
    "cp1251"),
    **dict.fromkeys(("dos-862", "cp-862"), "cp862"),
    **dict.fromkeys(("dos-866", "cp-866"), "cp866"),
    "latin-9": "iso8859_15",
    "latin9": "iso8859_15",
}  # fmt: skip

_WINDOWS_SISTER = {
    "iso8859-2": "cp1250",
    "iso8859-5": "cp1251",
    "iso8859-6": "cp1256",
    "iso8859-7": "cp1253",
    "iso8859-8": "cp1255",
    "iso8859-4": "cp1257",
    "iso8859-13": "cp1257",
    "iso8859-15": "cp1252",
}
"""Bytes 0x80 to 0x9F are unused controls in ISO 8859; where they occur, the sender meant the Windows sister."""

_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "cp950", "cp932", "euc_jp", "cp949", "shift_jis_2004", "euc_jis_2004"})
_STATEFUL = ("utf-7", "hz", "utf-16", "utf-32", "iso2022", "cp037", "cp500", "cp1140", "cp273", "cp1026")
_C1 = re.compile(rb"[\x80-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_WIDE = re.compile("[\u0800-\U0010ffff]")
_NAME_JUNK = re.compile(r"""[\s"'<>=;,()*?].*""", re.DOTALL)


@lru_cache(maxsize=512)
def codecs_for(declared: str) -> tuple[str, ...]:
    """The codecs to try for a declared charset, best first; empty if the name means nothing."""
    name = _NAME_JUNK.sub("", declared.strip().strip("\"'").lower()[:64].strip()).replace("_", "-")
    if name.startswith("charset-"):
        name = name[8:]
    for candidate in (name, name.removeprefix("x-"), name.removeprefix("cs"), name.removeprefix("x-cs")):
        known = _ALIASES.get(candidate, candidate)
        if known in _FAMILIES:
            return _FAMILIES[known]
        try:
            info = codecs.lookup(known)
        except (LookupError, ValueError):
            continue
        # _is_text_encoding is how the standard library itself tells rot13 and base64 from charsets
        if getattr(info, "_is_text_encoding", True) and info.name.replace("-", "_") not in _NOT_TEXT:
            return (info.name,)
    return ()


def decode(data: bytes, declared: str = "", hint: str = "") -> tuple[str, bool]:
    """The text of `data`, and whether it was read without a loss.

    `declared` is the charset its part names, `hint` another one that is likely (the body's, for raw header bytes).
    Never raises; bytes that mean nothing become U+FFFD.
    """
    names = codecs_for(declared) if declared else ()
    if data.isascii() and not (names and names[0].startswith(_STATEFUL)):
        if b"\x1b" in data:
            return _decode_escapes(data, names)
        if b"\x00" not in data or len(data) < 4:
            return data.decode("ascii"), True
    text = _declared(data, names) if names else None
    if text is not None:
        return text, True
    return _undeclared(data, names, hint)


def _strict(data: bytes, codec: str) -> str | None:
    try:
        text = data.decode(codec)
    except (UnicodeError, ValueError, LookupError):
        return None
    return None if codec.startswith(_STATEFUL) and _SURROGATE.search(text) else text


def _declared(data: bytes, names: tuple[str, ...]) -> str | None:
    first = names[0]
    if first == "utf-8":
        return _strict(data.removeprefix(b"\xef\xbb\xbf"), "utf-8")
    if first.startswith(("utf-16", "utf-32")):
        return _wide(data, first)
    if first.startswith("iso2022"):
        return _decode_escapes(data, names)[0] if data.isascii() else None
    # UTF-8 under another name is the most frequent lie. For a multi-byte charset only wide characters prove it, since
    # pairs of GB bytes can happen to be two-byte UTF-8.
    utf8 = _strict(data, "utf-8")
    if utf8 is not None and first not in ("utf-7", "hz") and (first not in _MULTIBYTE or _WIDE.search(utf8)):
        return utf8.removeprefix("\ufeff")
    sister = _WINDOWS_SISTER.get(first)
    if sister is not None and _C1.search(data):
        text = _strict(data, sister)
        if text is not None:
            return text
    if first == "ascii" or (first == "cp1252" and _looks_wide(data)):
        return None
    for name in names:
        text = _strict(data, name)
        if text is not None:
            return text
    return None


def _looks_wide(data: bytes) -> bool:
    """Called Latin, but its high bytes stand together as those of two-byte charsets do."""
    runs = _HIGH_RUN.findall(data[:_GUESS_SAMPLE])
    high = sum(map(len, runs))
    if high < 8 or high < len(runs) * 3:
        return False
    common = max(sum(map(len, p.findall(b" ".join(runs)))) for p in (_GB_COMMON, _BIG5_COMMON))
    return common > high * 0.85


def _wide(data: bytes, name: str) -> str | None:
    if name in ("utf-16", "utf-32") and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")):
        # RFC 2781, 4.3 says big endian; the position of the zero bytes of ASCII characters says what it is
        little = data[1::2].count(0) > data[0::2].count(0)
        name += "-le" if little else "-be"
    unit = 4 if "32" in name else 2
    text = _strict(data[: len(data) - len(data) % unit], name)
    return None if text is None else text.removeprefix("\ufeff")


def _decode_escapes(data: bytes, names: tuple[str, ...]) -> tuple[str, bool]:
    """ISO 2022 text: 7-bit with escape sequences, so nothing else can be meant, whatever was declared."""
    korean = b"\x1b$)C" in data
    for name in (*names, *(("iso2022_kr",) if korean else _FAMILIES["iso-2022-jp"])):
        if name.startswith("iso2022"):
            text = _strict(data, name)
            if text is not None:
                return text, True
    if b"\x1b$" not in data:
        return data.decode("ascii", "replace"), data.isascii()
    return _jis_microsoft(data)


_JIS_SEGMENT = re.compile(rb"\x1b(\$@|\$B|\$\(D|\(B|\(J|\(I|\(H)")


def _jis_microsoft(data: bytes) -> tuple[str, bool]:
    """ISO-2022-JP with the vendor characters of cp932 (circled numbers, 髙), as Windows mail programs write it.

    Each two-byte segment is moved from JIS to Shift JIS (JIS X 0208, annex 1) and read as cp932.
    """
    pieces = _JIS_SEGMENT.split(data)
    out = [pieces[0].decode("ascii", "replace")]
    whole = data.isascii()
    for escape, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        if escape in (b"$@", b"$B"):
            text = _shift(piece).decode("cp932", "replace")
            whole = whole and "\ufffd" not in text
        elif escape == b"(I":
            text = bytes(b | 0x80 if 0x21 <= b <= 0x5F else b for b in piece).decode("cp932", "replace")
        elif escape == b"$(D":
            text = b"".join(
                b"\x8f" + bytes((a | 0x80, b | 0x80)) for a, b in zip(piece[::2], piece[1::2], strict=False)
            ).decode("euc_jp", "replace")
        else:
            text = piece.decode("ascii", "replace")
        out.append(text)
    return "".join(out), whole


def _shift(piece: bytes) -> bytes:
    out = bytearray()
    at = 0
    while at < len(piece):
        lead = piece[at]
        if not 0x21 <= lead <= 0x7E or at + 1 >= len(piece):
            out.append(lead)
            at += 1
            continue
        trail = piece[at + 1]
        out.append(((lead + 1) >> 1) + (0x70 if lead < 0x5F else 0xB0))
        out.append(trail + (0x7E if lead % 2 == 0 else 0x20 if trail >= 0x60 else 0x1F) & 0xFF)
        at += 2
    return bytes(out)


def _undeclared(data: bytes, names: tuple[str, ...], hint: str) -> tuple[str, bool]:
    """Nothing declared works, or nothing was declared."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = _wide(data, "utf-16")
        if text is not None:
            return text, True
    utf8 = _strict(data, "utf-8")
    if utf8 is not None and "\x00" not in utf8:
        return utf8.removeprefix("\ufeff"), True
    if data.count(0) > len(data) // 4:
        text = _wide(data, "utf-16")
        if (text is not None and text.isprintable()) or (text is not None and "\x00" not in text):
            return text, True
    if utf8 is not None:
        return utf8, True
    torn = _torn_utf8(data)
    if torn is not None:
        return torn, False
    for name in names:  # as declared, with a few characters hurt or the last one cut
        if name in _MULTIBYTE:
            hurt = data.decode(name, "replace")
            if hurt.count("\ufffd") <= 1 + len(hurt) // 30:
                return hurt, False
    for name in codecs_for(hint) if hint else ():
        if name != "utf-8":
            text = _strict(data, name)
            if text is not None and name in _MULTIBYTE:
                return text, True
    guessed = _guess(data)
    if guessed is not None:
        return guessed, True
    for name in (*names, "cp1252"):
        if name not in ("utf-8", "ascii") and not name.startswith(_STATEFUL):
            return _SURROGATE.sub("\ufffd", data.decode(name, "replace")), False
    return data.decode("utf-8", "replace"), False


def _torn_utf8(data: bytes) -> str | None:
    """UTF-8 that was cut or hurt in few places: more than nine of ten wide sequences are whole."""
    text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = sum(1 for _ in re.finditer("[^\x00-\x7f\ufffd]", text))
    return text if good > bad * 9 or (bad == 1 and text.endswith("\ufffd") and good >= 1) else None


_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_GB_COMMON = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]|[\xa1-\xa3][\xa1-\xfe]")
_BIG5_COMMON = re.compile(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]|\xa1[\x40-\x7e\xa1-\xfe]")


def _guess(data: bytes) -> str | None:
    runs = _HIGH_RUN.findall(data[:_GUESS_SAMPLE])
    high = sum(map(len, runs))
    if not high:
        return None
    if high <= len(runs) * 1.3:  # single accented letters between plain ones
        return _strict(data, "cp1252")
    if high < 40:
        return _guess_short(data, runs, high)
    found = charset_normalizer.from_bytes(
        data[:_GUESS_SAMPLE], cp_exclusion=["utf_7", "utf_16", "utf_32", "idna", "punycode"]
    ).best()
    if found is not None:
        for name in codecs_for(found.encoding):
            text = _strict(data, name)
            if text is not None:
                return text
    return _guess_short(data, runs, high)


def _guess_short(data: bytes, runs: list[bytes], high: int) -> str | None:
    """Too little for statistics: the share of everyday characters decides."""
    scores: list[tuple[float, str]] = []
    joined = b" ".join(runs)
    gb = sum(map(len, _GB_COMMON.findall(joined)))
    if all(len(run) % 2 == 0 for run in runs):
        scores.append((gb / high, "gb18030"))
    big5 = sum(map(len, _BIG5_COMMON.findall(data)))
    scores.append((min(big5 / high, 1.0) - 0.2, "big5hkscs"))
    lower_koi = sum(0xC0 <= b <= 0xDF for b in joined) / high
    lower_win = sum(0xE0 <= b <= 0xFF for b in joined) / high
    scores.append((lower_koi - 0.1, "koi8-r"))
    scores.append((lower_win - 0.1, "cp1251"))
    for score, name in sorted(scores, reverse=True):
        if score < 0.55:
            break
        text = _strict(data, name)
        if text is not None:
            return text
    return _strict(data, "cp1252")
