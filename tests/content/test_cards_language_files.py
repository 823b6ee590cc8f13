"""Card numbers, languages, file types and names."""

# ruff: noqa: E501 (samples stay on one line)

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.cards import mask_cards
from gateway.content.files import MAX_NAME_BYTES, media_type, safe_name
from gateway.content.language import language

CARDS = {
    "4111111111111111": "************1111",
    "my card 4111 1111 1111 1111.": "my card **** **** **** 1111.",
    "5500-0000-0000-0004": "****-****-****-0004",
    "378282246310005": "***********0005",
    "3782 822463 10005": "**** ****** *0005",
    "6222 0212 3456 7890 128": "**** **** **** ***0 128",
    "４１１１ １１１１ １１１１ １１１１": "**** **** **** １１１１",
    "ref 1234 4111 1111 1111 1111 x": "ref 1234 **** **** **** 1111 x",
    "4111111111111112": None,
    "order 1234567890123456": None,
    "0000000000000000": None,
    "phone +1 555 010 0199": None,
    "2024-03-05 10:12:33": None,
    "no digits": None,
    "two: 4111111111111111 and 5500000000000004": "two: ************1111 and ************0004",
    "4\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01\u00a01": "*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a0*\u00a01\u00a01\u00a01\u00a01",
    "41111111111111114111111111111111": None,
}


@pytest.mark.parametrize(("text", "masked"), CARDS.items())
def test_cards(text: str, masked: str | None) -> None:
    assert mask_cards(text) == masked


@given(st.text(alphabet="0123456789 -", max_size=200))
def test_masking_keeps_the_length_and_hides_every_card_it_finds(text: str) -> None:
    masked = mask_cards(text)
    if masked is not None:
        assert len(masked) == len(text)
        assert masked != text
        assert all(a in (b, "*") for a, b in zip(masked, text, strict=True))


@given(st.integers(min_value=10**14, max_value=10**15 - 1))
def test_a_number_with_its_check_digit_is_found(number: int) -> None:
    body = "4" + str(number)[1:]
    check = next(d for d in range(10) if _luhn(f"{body}{d}"))
    assert mask_cards(f"card {body}{check} please") is not None or len(set(f"{body}{check}")) == 1


def _luhn(digits: str) -> bool:
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 else 1)
        total += value // 10 + value % 10
    return total % 10 == 0


def test_long_runs_are_linear() -> None:
    assert mask_cards("1 " * 200_000) is None
    mask_cards("4111 " * 50_000)


LANGUAGES = [
    ("hello, how are you", "en"), ("", "en"), ("12345", "en"), ("你好，我要退款", "zh"), ("您好", "zh"), ("臺灣訂單", "zh"), ("こんにちは、返金してください", "ja"),
    ("カード", "ja"), ("返金をお願いします", "ja"), ("환불해 주세요", "ko"), ("Верните деньги", "ru"), ("Поверніть гроші, будь ласка, і швидко", "uk"),
    ("สวัสดีครับ", "th"), ("أريد استرداد المال", "ar"), ("אני רוצה החזר", "he"), ("Θέλω τα χρήματά μου", "el"), ("मुझे पैसे वापस चाहिए", "hi"),
    ("I bought the 小米 phone and it does not work", "en"), ("我的 iPhone 坏了", "zh"), ("please refund the order 退款", "en"), ("ok", "en"), ("👍", "en"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LANGUAGES)
def test_language_by_script(text: str, expected: str) -> None:
    assert language(text, "en") == expected


def test_latin_letters_alone_say_nothing() -> None:
    assert language("Guten Tag") is None


TYPES = [
    (b"\x89PNG\r\n\x1a\n" + bytes(20), "", "image/png"), (b"\xff\xd8\xff\xe0" + bytes(20), "text/plain", "image/jpeg"),
    (b"%PDF-1.7\n", "", "application/pdf"), (b"<html><body>", "image/png", "text/html"), (b"\xef\xbb\xbf  <!DOCTYPE html>", "", "text/html"),
    (b"<!-- x --><script>alert(1)</script>", "text/plain", "text/html"), (b'<?xml version="1.0"?><svg xmlns="x">', "image/png", "image/svg+xml"),
    (b"<svg onload=alert(1)>", "", "image/svg+xml"), (b'<?xml version="1.0"?><a/>', "", "text/xml"), (b"a,b\n1,2\n", "text/csv", "text/csv"),
    (b"plain words", "", "text/plain"), (b"plain words", "image/png", "text/plain"), (b"plain words", "text/html", "text/plain"),
    ("中文文本".encode(), "", "text/plain"), (b"\x00\x01\x02\x03 junk", "image/png", "application/octet-stream"),
    (b"\x00\x01\x02\x03 junk", "application/x-custom", "application/x-custom"), (b"", "application/pdf", "application/pdf"), (b"", "", "text/plain"),
    (b"\x00\x01\x02", "text/html", "application/octet-stream"), ("<html>".encode("utf-16"), "", "text/html"), (b"x", "not a type", "text/plain"),
    (b'{"a": 1}', "application/json", "application/json"), (b"   \n<a href=x>", "", "text/html"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "claimed", "expected"), TYPES)
def test_type_by_content(data: bytes, claimed: str, expected: str) -> None:
    assert media_type(data, claimed) == expected


@given(st.binary(max_size=400), st.text(max_size=30))
def test_any_file_has_a_type(data: bytes, claimed: str) -> None:
    assert "/" in media_type(data, claimed)


NAMES = {
    "report.pdf": "report.pdf",
    "../../etc/passwd": "passwd",
    "C:\\Users\\x\\a.txt": "a.txt",
    "a/b/": "b",
    "con.txt": "_con.txt",
    "COM1": "_COM1",
    "photo\u202egpj.exe": "photogpj.exe",
    "a\x00b\nc.txt": "ab c.txt",
    'a<b>:"|?*.txt': "a_b______.txt",
    "  spaced  .txt. ": "spaced .txt",
    "": "file",
    "...": "file",
    "/": "file",
    "\u200b": "file",
    "报告.pdf": "报告.pdf",
    ".htaccess": "htaccess",
}


@pytest.mark.parametrize(("name", "safe"), NAMES.items())
def test_safe_names(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_long_names_keep_their_extension() -> None:
    name = safe_name("图" * 300 + ".pdf")
    assert name.endswith(".pdf")
    assert len(name.encode()) <= MAX_NAME_BYTES


@given(st.text(max_size=300))
def test_any_name_becomes_safe_and_stays_so(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert len(safe.encode()) <= MAX_NAME_BYTES
    assert not set(safe) & set('/\\<>:"|?*\x00\n\r\u202e')
    assert safe_name(safe) == safe
