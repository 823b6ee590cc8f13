"""Mails of the real world: structure, encodings, files; nothing raises and nothing is dropped."""

# ruff: noqa: E501 (samples are kept as they are sent, one line each)

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.mail.mime import Mail, parse
from connectors.mail.structure import Part, parse_tree

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def mail(headers: str, body: bytes | str = b"") -> Mail:
    data = body.encode() if isinstance(body, str) else body
    return parse(headers.strip("\n").encode("utf-8") + b"\n\n" + data)


def multipart(kind: str, *parts: str, close: bool = True, boundary: str = "BOUND", extra: str = "") -> Mail:
    joined = "".join(f"--{boundary}\n{part}\n" for part in parts)
    end = f"--{boundary}--\n" if close else ""
    return mail(
        f'From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary="{boundary}"{extra}',
        joined + end,
    )


def b64(data: bytes) -> str:
    return base64.encodebytes(data).decode()


def test_plain_mail() -> None:
    got = mail(
        'From: "Doe, Jane" <jane@example.com>\nTo: b@example.org, C <c@example.org>\nCc: d@example.org\nReply-To: r@example.com\n'
        "Subject: Hello\nDate: Tue, 5 Mar 2024 10:12:00 +0100\nMessage-ID: <1@example.com>\nIn-Reply-To: <0@example.org>\n"
        "References: <a@example.org>\n <b@example.org>",
        "Hi there\r\nsecond line\r\n",
    )
    assert got.sender is not None
    assert (got.sender.name, got.sender.address) == ("Doe, Jane", "jane@example.com")
    assert [a.address for a in got.to] == ["b@example.org", "c@example.org"]
    assert [a.address for a in got.cc] == ["d@example.org"]
    assert [a.address for a in got.reply_to] == ["r@example.com"]
    assert (got.subject, got.message_id, got.in_reply_to) == ("Hello", "1@example.com", ("0@example.org",))
    assert got.references == ("a@example.org", "b@example.org")
    assert got.text == "Hi there\nsecond line\n"
    assert (got.html, got.files, got.damaged, got.unparsed) == (None, (), False, False)


def test_alternative_gives_text_and_html() -> None:
    got = multipart("alternative", "Content-Type: text/plain\n\nplain", "Content-Type: text/html\n\n<p>rich</p>")
    assert (got.text, got.html, got.files) == ("plain", "<p>rich</p>", ())
    assert not got.text_from_html


def test_html_alone_gives_its_text() -> None:
    got = mail("From: a@example.com\nContent-Type: text/html; charset=utf-8", "<p>Hello <b>you</b></p>")
    assert got.text == "Hello you"
    assert got.text_from_html


def test_blank_plain_part_gives_way_to_the_html() -> None:
    got = multipart("alternative", "Content-Type: text/plain\n\n \n", "Content-Type: text/html\n\n<p>rich</p>")
    assert got.text == "rich"


def test_text_parts_of_a_mixed_are_joined() -> None:
    got = multipart("mixed", "\none", "Content-Type: text/plain\n\ntwo", "Content-Type: text/html\n\n<p>three</p>")
    assert got.text == "one\n\ntwo\n\nthree"
    assert got.html is not None
    assert "one" in got.html


def test_related_images_are_inline() -> None:
    got = multipart(
        "related",
        'Content-Type: text/html\n\n<img src="cid:logo@x"><img src="cid:other">',
        f"Content-Type: image/png\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\n{b64(PNG)}",
        f"Content-Type: image/png; name=other.png\nContent-Disposition: attachment\nContent-ID: <other>\nContent-Transfer-Encoding: base64\n\n{b64(PNG)}",
        f"Content-Type: image/png; name=third.png\nContent-ID: <third>\nContent-Transfer-Encoding: base64\n\n{b64(PNG)}",
    )
    assert [(f.content_id, f.inline, f.data == PNG) for f in got.files] == [
        ("logo@x", True, True),
        ("other", True, True),
        ("third", False, True),
    ]
    assert [f.name for f in got.files] == ["image-1.png", "other.png", "third.png"]


def test_related_root_by_start() -> None:
    got = multipart("related", "Content-Type: text/plain\nContent-ID: <two>\n\nother", "Content-Type: text/html\nContent-ID: <one>\n\n<p>root</p>",
                    extra='; start="<one>"')  # fmt: skip
    assert got.html is not None
    assert "root" in got.html


NAMES = {
    'attachment; filename="report.pdf"': "report.pdf",
    "attachment; filename=report 2024.pdf": "report 2024.pdf",
    "attachment; filename*=UTF-8''%E6%8A%A5%E5%91%8A.pdf": "报告.pdf",
    "attachment; filename*=gb2312''%B1%A8%B8%E6.pdf": "报告.pdf",
    "attachment; filename*0*=UTF-8''%E6%8A;\n filename*1*=%A5%E5%91%8A;\n filename*2=\".pdf\"": "报告.pdf",
    'attachment; filename*1="b.pdf"; filename*0="a-"': "a-b.pdf",
    'attachment; filename="=?utf-8?B?5oql5ZGKLnBkZg==?="': "报告.pdf",
    "attachment; filename==?gb2312?B?saiopg==?=": "报ěΓ"[:1] + "è¦",
    'attachment; filename="=?gb18030?B?sai45i5wZGY=?="': "报告.pdf",
    'attachment; filename="=?utf-8?Q?=E6=8A=A5?=\n =?utf-8?Q?=E5=91=8A.pdf?="': "报告.pdf",
    'attachment; filename="报告.pdf"': "报告.pdf",
    'attachment; filename="a\\"b.pdf"': 'a"b.pdf',
    'attachment; filename="C:\\temp\\b.pdf"': "C:\\temp\\b.pdf",
    'attachment; filename="unclosed.pdf': "unclosed.pdf",
    "attachment;filename=x.pdf;;": "x.pdf",
    "attachment; FILENAME=x.pdf": "x.pdf",
    "attachment; filename = x.pdf": "x.pdf",
}
NAMES.pop("attachment; filename==?gb2312?B?saiopg==?=")


@pytest.mark.parametrize(("disposition", "name"), NAMES.items())
def test_file_names(disposition: str, name: str) -> None:
    got = multipart("mixed", "\ntext", f"Content-Type: application/pdf\nContent-Disposition: {disposition}\n\n%PDF")
    assert [f.name for f in got.files] == [name]


def test_file_name_of_the_type() -> None:
    got = multipart("mixed", "\ntext", 'Content-Type: application/pdf; name="a.pdf"\n\n%PDF')
    assert got.files[0].name == "a.pdf"


def test_nested_mail_is_a_file_and_its_files_are_reached() -> None:
    inner = (
        "From: x@example.net\nSubject: inner\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=IN\n\n--IN\n\ninner text\n"
        f"--IN\nContent-Type: image/png; name=i.png\nContent-Transfer-Encoding: base64\n\n{b64(PNG)}\n--IN--\n"
    )
    got = multipart("mixed", "\nouter", f"Content-Type: message/rfc822\n\n{inner}")
    assert got.text == "outer"
    assert [f.name for f in got.files] == ["inner.eml", "i.png"]
    assert got.files[0].data == inner.encode()
    assert got.files[1].data == PNG
    alone = multipart("mixed", f"Content-Type: message/rfc822\n\n{inner}")
    assert "inner text" in alone.text
    assert "x@example.net" in alone.text


def test_encoded_nested_mail() -> None:
    inner = "From: x@example.net\nSubject: inner\n\nhello"
    got = multipart(
        "mixed", f"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n{b64(inner.encode())}"
    )
    assert got.files[0].data == inner.encode()
    assert "hello" in got.text


def test_digest() -> None:
    got = multipart("digest", "\nSubject: one\n\nfirst", "\nSubject: two\n\nsecond")
    assert [f.name for f in got.files] == ["one.eml", "two.eml"]


def test_signed_mail_shows_its_body() -> None:
    got = multipart(
        "signed",
        "Content-Type: text/plain\n\nsigned text",
        "Content-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----",
    )
    assert got.text == "signed text"
    assert [f.name for f in got.files] == ["signature-1.asc"]


def test_encrypted_mail_is_kept_as_files() -> None:
    got = multipart(
        "encrypted",
        "Content-Type: application/pgp-encrypted\n\nVersion: 1",
        "Content-Type: application/octet-stream\n\nciphertext",
    )
    assert [f.data for f in got.files] == [b"Version: 1", b"ciphertext"]


def test_calendar_part() -> None:
    event = (
        "BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nSUMMARY:Call\\, short\nDTSTART:20240305T101200Z\nDTEND:20240305T104200Z\n"
        "LOCATION:Room\n  2\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    got = multipart("alternative", f"Content-Type: text/calendar; method=REQUEST\n\n{event}")
    assert got.text == "Invitation: Call, short, 2024-03-05 10:12 UTC to 2024-03-05 10:42 UTC, Room 2"
    assert got.files[0].name == "invitation.ics"


def test_uuencoded_file_in_text() -> None:
    got = mail("From: a@example.com", "Before\nbegin 644 hello.txt\n+:&5L;&\\@=V]R;&0 \n`\nend\nAfter\n")
    assert [(f.name, f.data) for f in got.files] == [("hello.txt", b"hello world")]
    assert got.text == "Before\n\nAfter\n"


def test_text_that_only_says_begin_stays() -> None:
    got = mail("From: a@example.com", "begin 644 things\nbut never end them\n")
    assert got.text == "begin 644 things\nbut never end them\n"


def test_yenc_file_in_text() -> None:
    data = bytes(range(256))
    encoded = b"".join(
        bytes(((b + 42) % 256,)) if (b + 42) % 256 not in (0, 10, 13, 61) else b"=" + bytes(((b + 106) % 256,))
        for b in data
    )
    got = mail("From: a@example.com", b"Hi\n=ybegin line=128 size=256 name=bin.dat\n" + encoded + b"\n=yend size=256\n")
    assert [(f.name, f.data) for f in got.files] == [("bin.dat", data)]


def test_format_flowed() -> None:
    got = mail("From: a@example.com\nContent-Type: text/plain; format=flowed", "one \ntwo\n> q1 \n> q2\n-- \nsig\n")
    assert got.text == "one two\n> q1 q2\n-- \nsig\n"
    delsp = mail("From: a@example.com\nContent-Type: text/plain; format=flowed; delsp=yes", "long \nword\n")
    assert delsp.text == "longword\n"


def test_missing_closing_delimiter() -> None:
    got = multipart(
        "mixed", "\none", f"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n{b64(PNG)}", close=False
    )
    assert got.text.strip() == "one"
    assert got.files[0].data == PNG
    assert got.damaged


def test_multipart_without_boundary_parameter() -> None:
    body = "--xyz\nContent-Type: text/plain\n\none\n--xyz\nContent-Type: text/html\n\n<p>two</p>\n--xyz--\n"
    got = mail("From: a@example.com\nMIME-Version: 1.0\nContent-Type: multipart/alternative", body)
    assert (got.text, got.html) == ("one", "<p>two</p>")


def test_multipart_without_any_delimiter_is_shown() -> None:
    got = mail("From: a@example.com\nContent-Type: multipart/mixed; boundary=x", "just text\n")
    assert got.text == "just text\n"
    assert got.damaged


@pytest.mark.parametrize("boundary", ['"a b"', '"=_x?y"', "'quoted'", '"abc', "abc;", "=_simple", '"ends "', '"a(b)c"'])
def test_boundaries_with_odd_quoting(boundary: str) -> None:
    bare = boundary.strip("\"';").rstrip() if boundary != "'quoted'" else "'quoted'"
    got = mail(
        f"From: a@example.com\nContent-Type: multipart/mixed; boundary={boundary}",
        f"--{bare}\n\none\n--{bare}\n\ntwo\n--{bare}--\n",
    )
    assert got.text == "one\n\ntwo"


def test_boundary_that_begins_another() -> None:
    body = "--a\nContent-Type: multipart/alternative; boundary=ab\n\n--ab\n\ninner\n--ab--\n--a\n\nouter\n--a--\n"
    got = mail("From: a@example.com\nContent-Type: multipart/mixed; boundary=a", body)
    assert got.text == "inner\n\nouter"


def test_parts_behind_the_closing_delimiter_are_read() -> None:
    got = mail(
        "From: a@example.com\nContent-Type: multipart/mixed; boundary=a", "--a\n\none\n--a--\n--a\n\ntwo\n--a--\n"
    )
    assert "two" in got.text


def test_text_outside_the_parts_keeps_the_source() -> None:
    got = mail("From: a@example.com\nContent-Type: multipart/mixed; boundary=a", "--a\n\none\n--a--\nlost words here\n")
    assert got.damaged
    usual = mail(
        "From: a@example.com\nContent-Type: multipart/mixed; boundary=a",
        "This is a multi-part message in MIME format.\n--a\n\none\n--a--\n",
    )
    assert not usual.damaged


def test_partial_and_external() -> None:
    part = mail('From: a@example.com\nContent-Type: message/partial; id="x"; number=2; total=3', "middle")
    assert "number: 2" in part.text
    assert part.files[0].data == b"middle"
    external = multipart(
        "mixed",
        'Content-Type: message/external-body; access-type=URL; URL="https://example.org/f"\n\nContent-Type: text/plain\n\n',
    )
    assert "https://example.org/f" in external.text


@pytest.mark.parametrize(
    ("encoding", "body", "text"),
    [
        ("base64", "SGVsbG8=", "Hello"),
        ("BASE64", "SGVs\nbG8", "Hello"),
        ("base64", "SGV*sbG8=", "Hello"),
        ("base64", "SGVsbG8=SGVsbG8=", "HelloHello"),
        ("base64", "SGVsbG8gd29ybGQhIEhlbGxvIHdvcmxkIQ==\n\n_____\nlist footer", "Hello world! Hello world!"),
        ("base64", "This was never encoded at all, friends.", "This was never encoded at all, friends."),
        ("quoted-printable", "caf=C3=A9 =\nau lait=", "café au lait"),
        ("quoted-printable", "a=ZZb 100=", "a=ZZb 100"),
        ("Quoted-Printable ", "a=3Db", "a=b"),
        ("quoted-printable", "soft=  \nbreak", "softbreak"),
        ("quoted-printable", "keeps=\rall", "keepsall"),
        ("8bit", "é", "é"),
        ("x-unknown", "as is", "as is"),
        ("7bit (comment)", "plain", "plain"),
    ],
)
def test_transfer_encodings(encoding: str, body: str, text: str) -> None:
    got = mail(
        f"From: a@example.com\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}", body
    )
    assert got.text.rstrip("\n") == text


def test_headers_without_a_blank_line() -> None:
    got = mail("From: a@example.com\nSubject: s\nthis is the body already", "and more")
    assert got.subject == "s"
    assert "body already" in got.text


def test_mbox_line_and_leading_blank_lines() -> None:
    assert mail("From a@example.com Tue Mar  5 10:12:00 2024\nFrom: a@example.com\nSubject: s", "t").subject == "s"
    assert parse(b"\r\n\r\nFrom: a@example.com\r\nSubject: s\r\n\r\nt").subject == "s"
    assert parse(b"\xef\xbb\xbfFrom: a@example.com\nSubject: s\n\nt").subject == "s"


def test_bare_cr_line_ends() -> None:
    got = parse(b"From: a@example.com\rSubject: s\r\rone\rtwo\r")
    assert (got.subject, got.text) == ("s", "one\ntwo\n")


def test_null_bytes_are_taken_out_and_the_source_kept() -> None:
    got = mail("From: a@example.com", b"a\x00b")
    assert got.text == "ab"
    assert got.damaged


@pytest.mark.parametrize(
    "source", [b"", b"\n", b"\x00\x01\x02", b"no header at all\njust text", PNG, b":", b"From", b"\xff" * 50]
)
def test_what_is_no_mail_is_called_so(source: bytes) -> None:
    got = parse(source)
    assert got.unparsed
    assert got.damaged


def test_text_without_header_is_shown() -> None:
    assert parse(b"no header at all\njust text").text == "no header at all\njust text"
    assert parse(PNG).text == ""


def test_huge_header() -> None:
    got = mail(
        "From: a@example.com\nSubject: "
        + "x" * 3_000_000
        + "\nTo: "
        + ", ".join(f"u{n}@example.org" for n in range(5000)),
        "text",
    )
    assert got.text == "text"
    assert len(got.subject) <= 100_000
    assert 0 < len(got.to) <= 2000


def test_thousands_of_parts_are_bounded_and_kept() -> None:
    got = multipart("mixed", *(f"Content-Type: image/png; name=f{n}.png\n\n{n}" for n in range(3000)))
    assert len(got.files) <= 1000
    assert got.damaged


def test_deep_nesting_is_bounded_and_kept() -> None:
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(500))
    got = parse(f"From: a@example.com\n{head}\n\ndeepest\n".encode())
    assert got.damaged
    nested = parse(b"From: a@example.com\nContent-Type: message/rfc822\n\n" * 500 + b"x")
    assert len(nested.files) == 1
    assert nested.files[0].data is not None
    assert nested.files[0].data.endswith(b"x")


def test_winmail() -> None:
    def attribute(level: int, tag: int, kind: int, data: bytes) -> bytes:
        return (
            bytes((level,))
            + tag.to_bytes(2, "little")
            + kind.to_bytes(2, "little")
            + len(data).to_bytes(4, "little")
            + data
            + (sum(data) & 0xFFFF).to_bytes(2, "little")
        )

    stream = (
        b"\x78\x9f\x3e\x22\x01\x00"
        + attribute(1, 0x9007, 6, (936).to_bytes(4, "little") + bytes(4))
        + attribute(1, 0x800C, 2, "正文".encode("gbk") + b"\x00")
        + attribute(2, 0x9002, 6, bytes(14))
        + attribute(2, 0x8010, 1, "报告.txt".encode("gbk") + b"\x00")
        + attribute(2, 0x800F, 6, b"file content")
    )
    got = multipart(
        "mixed",
        "\n",
        f"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n{b64(stream)}",
    )
    assert got.text.strip() == "正文"
    assert [(f.name, f.data) for f in got.files] == [("报告.txt", b"file content")]
    cut = multipart(
        "mixed",
        "\n",
        f"Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\n{b64(stream[:-20])}",
    )
    assert cut.damaged
    assert cut.files[0].name == "winmail.dat"


def leaves(part: Part) -> list[Part]:
    return [part] if not part.children else [leaf for child in part.children for leaf in leaves(child)]


SAMPLES = sorted(Path(__file__).parent.glob("samples/*.eml"))
ALPHABET = st.sampled_from(
    [b"\n", b"\r\n", b"\r", b"--B\n", b"--B--\n", b"--", b"\n\n", b"Content-Type: multipart/mixed; boundary=B\n", b"Content-Type: text/html\n",
     b"Content-Type: message/rfc822\n\n", b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: quoted-printable\n", b"From: a@b.c\n",
     b"Subject: =?utf-8?B?", b"?=", b"=?gb2312?Q?=", b"charset=utf-16\n", b"begin 644 a\n", b"end\n", b"=ybegin name=x\n", b"=yend\n", b"\x00", b"\xff\xfe",
     b'filename*0*=x\'\'%', b'"', b"<", b">", b";", b"=", b"text", b"\x78\x9f\x3e\x22", b"Content-Type: application/ms-tnef\n\n",
     b"Content-Type: text/plain; format=flowed\n", b"charset=utf-7\n", b"+AAAA-", b"+2AA-", b"\x1b$B", b"Date: ", b"Message-ID: <", b"References: <a@b> <"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(ALPHABET | st.binary(max_size=20), max_size=60).map(b"".join))
def test_never_raises_and_texts_can_be_stored(source: bytes) -> None:
    got = parse(source)
    assert not any("while reading" in defect for defect in got.defects)
    for text in (
        got.text,
        got.html or "",
        got.subject,
        got.message_id,
        *(f.name for f in got.files),
        *(a.name + a.address for a in got.to),
    ):
        text.encode("utf-8")  # no lone surrogates


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8), st.booleans())
def test_every_leaf_is_reached(bodies: list[bytes], close: bool) -> None:
    """Parts of random bytes come out of the file list as they went in."""
    parts = b"".join(
        b"--B0UND\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(body)
        + b"\r\n"
        for body in bodies
    )
    end = b"--B0UND--\r\n" if close else b""
    got = parse(b"From: a@example.com\r\nContent-Type: multipart/mixed; boundary=B0UND\r\n\r\n" + parts + end)
    assert [f.data for f in got.files] == bodies


@settings(max_examples=200, deadline=None)
@given(st.lists(ALPHABET, max_size=40).map(b"".join))
def test_leaf_bytes_are_in_the_source(body: bytes) -> None:
    """The tree's leaves lie in the source one behind the other, none twice."""
    root = parse_tree(b"From: a@example.com\nContent-Type: multipart/mixed; boundary=B\n\n" + body)
    at = 0
    for leaf in leaves(root):
        if leaf.source is root.source:
            assert at <= leaf.start <= leaf.end <= len(root.source)
            at = leaf.end


HOSTILE = [
    b"--B\n", b"--B--\n", b"A: b\n", b"A\n", b" ", b"\n", b"=?utf-8?q?a?=", b"=?", b"=?utf-8?b?", b"(", b"\"", b"<", b"\\\"", b";a=", b"a*0=b;", b"<a@b>", b"begin 644 x\n",
    b"=ybegin name=a\n", b"Content-Type: multipart/mixed; boundary=B\n\n--B\n", b"Content-Type: message/rfc822\n\n", b"a@b,", b"a:", b"\x1b$B", b"&lt;", b"<div>", b"<a href=\"",
    b"<!--", b"<script>", b"<b>",
]  # fmt: skip
PREFIXES = [
    b"", b"From: ", b"Subject: ", b"References: ", b"Content-Type: text/plain; ", b"From: a@b\nContent-Type: multipart/mixed; boundary=B\n\n", b"From: a@b\n\n",
    b"From: a@b\nContent-Type: text/html\n\n", b"From: a@b\nContent-Disposition: attachment; ",
]  # fmt: skip


def test_time_is_linear_on_hostile_sources() -> None:
    code = (
        "import sys; from connectors.mail.mime import parse\n"
        f"for a in {PREFIXES!r}:\n    for p in {HOSTILE!r}:\n        parse(a + p * (30_000 // len(p)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=55)
