"""Header text, charsets and addresses as they really come."""

# ruff: noqa: E501 (samples are kept as they are sent, one line each)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mail import charset
from connectors.mail.address import parse_addresses
from connectors.mail.encoded_word import decode_header
from connectors.mail.flowed import unflow
from connectors.mail.parameter import parse as parse_parameters
from connectors.mail.subject import is_forward, normalised

WORDS = {
    b"plain": "plain",
    b"=?utf-8?B?5L2g5aW9?=": "你好",
    b"=?UTF-8?q?caf=C3=A9?=": "café",
    b"=?utf-8?q?a_b?=": "a b",
    b"a =?utf-8?q?b?= c": "a b c",
    b"=?utf-8?q?a?= =?utf-8?q?b?=": "ab",
    b"=?utf-8?q?a?=\r\n\t=?utf-8?q?b?=": "ab",
    b"=?utf-8?q?a?==?utf-8?q?b?=": "ab",
    b"x=?utf-8?q?a?=y": "xay",
    # a character, and a base64 group, cut between words
    b"=?utf-8?B?5L0=?= =?utf-8?B?oA==?=": "你",
    b"=?UTF-8?Q?caf=C3?= =?UTF-8?Q?=A9?=": "café",
    b"=?utf-8?B?5L2g5a?= =?utf-8?B?W9?=": "你好",
    b"=?gb2312?B?xOM=?=\n =?gb2312?B?usM=?=": "你好",
    # a space inside, missing padding, no end, an odd charset, a language
    b"=?utf-8?Q?hello world?=": "hello world",
    b"=?utf-8?B?5L2g5aW?=": "你\ufffd",
    b"=?utf-8?B?5L2g": "你",
    b"=?x-unknown?B?5L2g5aW9?=": "你好",
    b"=?utf-8*zh?B?5L2g?=": "你",
    b"=?gb2312?B?59v0?=": charset.decode(b"\xe7\xdb\xf4", "gb2312")[0],
    b"=?gb18030?B?gTCEOQ==?=": b"\x81\x30\x84\x39".decode("gb18030"),
    b"=?big5?B?p0Gmbg==?=": "你好",
    b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=": "日本",
    b"=?iso-2022-jp?B?GyRCLSEbKEI=?=": "①",
    b"=?iso-8859-1?Q?=93quoted=94?=": "“quoted”",
    b"=?us-ascii?Q?caf=C3=A9?=": "café",
    b"=?utf-8?Q?bell=07?=": "bell",
    b"=?utf-8?Q?line=0D=0ABcc:_x?=": "line Bcc: x",
    b"=?": "=?",
    b"=?utf-8?X?abc?=": "=?utf-8?X?abc?=",
    b"\xe4\xbd\xa0": "你",
    b"\xc4\xe3\xba\xc3": "你好",
    b"caf\xe9": "café",
    b" folded\r\n header ": "folded header",
}


@pytest.mark.parametrize(("raw", "text"), WORDS.items())
def test_header_text(raw: bytes, text: str) -> None:
    assert decode_header(raw) == text


@given(st.text(min_size=1, max_size=40), st.sampled_from(["utf-8", "gb18030"]), st.integers(min_value=3, max_value=20))
def test_words_cut_anywhere_come_back(text: str, name: str, size: int) -> None:
    """Any text, its bytes cut without regard to characters, is what it was."""
    import base64

    text = "".join(c for c in text if c.isprintable() and not "\ud800" <= c <= "\udfff").strip() or "x"
    data = text.encode(name)
    raw = b" ".join(
        b"=?%s?B?%s?=" % (name.encode(), base64.b64encode(data[i : i + size])) for i in range(0, len(data), size)
    )
    got = decode_header(raw)
    assert got == text or (name == "gb18030" and charset.decode(data, "utf-8")[0] == text) or text.isascii()


CHARSETS = [
    ("你好", "gb18030", "gb2312"), ("朱镕基", "gb18030", "GB2312"), ("€100", "gb18030", "gbk"), ("你好世界", "utf-8", "gb2312"), ("你好", "utf-8", "iso-8859-1"),
    ("“smart” – quotes", "cp1252", "iso-8859-1"), ("café", "utf-8", "us-ascii"), ("naïve", "latin-1", "us-ascii"), ("香港嘅", "big5hkscs", "big5"),
    ("你好", "big5", "Big5-HKSCS"), ("日本語", "shift_jis", "x-sjis"), ("①②", "cp932", "shift_jis"), ("日本語", "iso2022_jp", "iso-2022-jp"), ("日本語", "iso2022_jp", "utf-8"),
    ("日本語", "euc_jp", "euc-jp"), ("한국어", "cp949", "ks_c_5601-1987"), ("똠방각하", "cp949", "euc-kr"), ("привет", "koi8-r", "koi8-r"), ("привет", "cp1251", "windows-1251"),
    ("Türkçe ş", "cp1254", "iso-8859-9"), ("ไทย", "cp874", "tis-620"), ("한국어", "iso2022_kr", "iso-2022-kr"), ("Hi 你", "utf-7", "unicode-1-1-utf-7"), ("Hi 你好", "utf-16-le", "utf-16"),
    ("你好", "utf-16-be", "utf-16"), ("你好", "utf-16", "utf-16"), ("x€", "iso8859_15", "latin-9"), ("你好", "hz", "hz-gb-2312"), ("ascii", "ascii", ""), ("你好你好", "utf-8", "no-such-charset"),
    ("你好", "utf-8", '"utf-8"'), ("你好", "utf-8", "utf8;"), ("שלום", "cp1255", "iso-8859-8-i"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "codec", "declared"), CHARSETS)
def test_charsets(text: str, codec: str, declared: str) -> None:
    assert charset.decode(text.encode(codec), declared)[0] == text


UNDECLARED = [
    ("尊敬的客户您好，您的订单已经发货，请注意查收，谢谢您的支持。", "gb18030"), ("尊敬的客戶您好，您的訂單已經出貨，請注意查收，謝謝您的支持。", "big5"),
    ("Привет, как дела? Я хочу вернуть деньги за мой заказ, пожалуйста.", "cp1251"), ("Größe, Straße und Käufer", "cp1252"), ("退款", "gb18030"),
    ("日本語のメールです。よろしくお願いいたします。ありがとうございました。", "shift_jis"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "codec"), UNDECLARED)
def test_undeclared_charsets_are_guessed(text: str, codec: str) -> None:
    assert charset.decode(text.encode(codec))[0] == text


def test_a_hurt_text_is_read_as_far_as_it_goes() -> None:
    assert charset.decode("你好世界".encode()[:-1], "utf-8") == ("你好世\ufffd", False)
    assert charset.decode("你好世界".encode("gb18030")[:-1], "gb2312")[0].startswith("你好世")


@pytest.mark.parametrize(
    "name",
    ["rot13", "base64", "hex", "zlib", "idna", "punycode", "unicode_escape", "undefined", "../x", "a" * 500, "\x00"],
)
def test_what_is_no_charset_is_not_used(name: str) -> None:
    assert charset.codecs_for(name) == ()
    assert charset.decode(b"plain \\u0041", name)[0] == "plain \\u0041"


@given(
    st.binary(max_size=300),
    st.sampled_from(["", "utf-8", "gb2312", "big5", "iso-2022-jp", "utf-7", "utf-16", "us-ascii", "hz", "euc-kr", "x"]),
)
def test_any_bytes_become_text_that_can_be_stored(data: bytes, name: str) -> None:
    charset.decode(data, name)[0].encode("utf-8")


ADDRESSES = {
    b"a@b.example": [("", "a@b.example")],
    b"Name <a@b.example>": [("Name", "a@b.example")],
    b'"Doe, Jane" <a@b.example>, c@d.example': [("Doe, Jane", "a@b.example"), ("", "c@d.example")],
    b"Doe, Jane <a@b.example>, c@d.example": [("Doe, Jane", "a@b.example"), ("", "c@d.example")],
    b"=?utf-8?B?5byg5LiJ?= <a@b.example>": [("张三", "a@b.example")],
    b'"=?utf-8?B?5byg5LiJ?=" <a@b.example>': [("张三", "a@b.example")],
    b"=?utf-8?Q?Doe=2C_Jane?= <a@b.example>": [("Doe, Jane", "a@b.example")],
    b"=?utf-8?B?IuW8oOS4iSIgPGFAYi5leGFtcGxlPg==?=": [("张三", "a@b.example")],
    b"a@b.example (Jane)": [("Jane", "a@b.example")],
    b"Group: a@b.example, c@d.example;, e@f.example": [("", "a@b.example"), ("", "c@d.example"), ("", "e@f.example")],
    b"undisclosed-recipients:;": [],
    b'"jane doe"@b.example': [("", '"jane doe"@b.example')],
    b"a@b.example; c@d.example": [("", "a@b.example"), ("", "c@d.example")],
    b"<@x.example,@y.example:a@b.example>": [("", "a@b.example")],
    b"a@b.example <a@b.example>": [("a@b.example", "a@b.example")],
    b"Jane <a@b.example": [("Jane", "a@b.example")],
    b'"Jane <a@b.example>': [("Jane", "a@b.example")],
    b"Jane (work <a@b.example>": [("Jane (work", "a@b.example")],
    b"Jane O\\'Neil <a@b.example>": [("Jane O\\'Neil", "a@b.example")],
    b"'Jane' <a@b.example>": [("Jane", "a@b.example")],
    b"<mailto:a@b.example>": [("", "a@b.example")],
    b"a@[192.0.2.1]": [("", "a@[192.0.2.1]")],
    b"Jane": [("Jane", "")],
    b"": [],
    b",,,": [],
    "Jürgen <jürgen@b.example>".encode(): [("Jürgen", "jürgen@b.example")],
    b"\xd5\xc5\xc8\xfd <a@b.example>": [("张三", "a@b.example")],
    b"Jane\r\n <a@b.example>": [("Jane", "a@b.example")],
    b'Jane "JJ" Doe <a@b.example>': [("Jane JJ Doe", "a@b.example")],
}


@pytest.mark.parametrize(("raw", "found"), ADDRESSES.items())
def test_addresses(raw: bytes, found: list[tuple[str, str]]) -> None:
    assert [(a.name, a.address) for a in parse_addresses(raw)] == found


@given(st.text(alphabet=st.sampled_from('ab@.<>"\\(),;:[] =?')))
def test_any_list_is_taken(text: str) -> None:
    for address in parse_addresses(text.encode()):
        assert "\n" not in address.address
        assert not set(address.address) & set("<>")


@given(st.binary(max_size=100))
def test_any_parameters_are_taken(raw: bytes) -> None:
    value, parameters = parse_parameters(raw)
    (value + "".join(parameters) + "".join(parameters.values())).encode()


SUBJECTS = {
    "Re: Hello": "hello", "RE: Fwd: hello": "hello", "回复：你好": "你好", "回复: 转发：你好": "你好", "AW: WG: Hallo": "hallo", "Re[2]: x": "x", "Re: [list] Re: x": "x", "SV: Sv: x": "x",
    "Odp: x": "x", "答复: x": "x", "返信: x": "x", "  Re:   x  y ": "x y", "Ｒｅ： x": "x", "Re:": None, "": None, "Regarding x": "regarding x", "Ответ: x": "x", "[EXTERNAL] Re: x": "x",
}  # fmt: skip


@pytest.mark.parametrize(("subject", "plain"), SUBJECTS.items())
def test_subjects_for_comparison(subject: str, plain: str | None) -> None:
    assert normalised(subject) == plain


def test_forwards_by_subject() -> None:
    assert is_forward("Fwd: x")
    assert is_forward("转发：x")
    assert not is_forward("Re: Fwd: x")
    assert not is_forward("Forwarding question")


def test_flowed_text_of_several_depths() -> None:
    assert unflow("> a \n>> b \n>> c\nd \ne", False) == "> a\n>> b c\nd e"
    assert unflow(" >not a quote", False) == ">not a quote"
