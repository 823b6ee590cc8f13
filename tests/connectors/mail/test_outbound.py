"""Outgoing mail, read back by the standard library's parser: what goes in comes out, and nothing else does."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from connectors.mail import MailSettings
from connectors.mail.encode import clean
from connectors.mail.outbound import MAX_REFERENCES, Mail, compose, references, reply_subject
from connectors.mail.tokens import Tokens
from gateway.connector import OutgoingFile
from gateway.model.message import Attachment
from tests.connectors.mail.live import answer

TOKENS = Tokens(b"s" * 32)
CONVERSATION = "0193b5c0-0000-7000-8000-0000000000aa"
HEADERS = {
    "date", "from", "to", "subject", "message-id", "mime-version", "content-type", "content-transfer-encoding",
    "in-reply-to", "references", "reply-to", "auto-submitted", "x-auto-response-suppress", "x-omnigate-automatic",
}  # fmt: skip


def settings(**changes: Any) -> MailSettings:
    values = {"address": "support@example.org", "imap_host": "localhost", "smtp_host": "localhost", **changes}
    return msgspec.convert(values, MailSettings)


def composed(configured: MailSettings | None = None, **changes: Any) -> tuple[Mail, EmailMessage]:
    mail = compose(answer(**changes), configured or settings(), TOKENS)
    parsed = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return mail, parsed


def body(parsed: EmailMessage, kind: str = "plain") -> str:
    part = parsed.get_body((kind,))
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n")


def file(name: str, data: bytes, type: str = "application/pdf", **changes: Any) -> OutgoingFile:
    attachment = Attachment(id="a", name=name, type=type, size=len(data), sha256="", **changes)
    return OutgoingFile(attachment=attachment, data=data)


anything = st.text(max_size=200)


@options(max_examples=60)
@given(subject=anything, name=anything, display=anything, text=anything, file_name=anything, original=anything)
def test_no_text_makes_a_header(
    subject: str, name: str, display: str, text: str, file_name: str, original: str
) -> None:
    configured = msgspec.structs.replace(settings(quote_original=True, show_author=True), display_name=display)
    mail, parsed = composed(
        configured,
        subject=subject or None,
        recipient_name=name,
        author_name=name,
        text=text,
        html=f"<p>{original}</p>",
        files=(file(file_name, b"data"),),
        reply_to={"subject": original, "text": original, "message_id": original, "references": [original, text]},
    )
    assert {name.lower() for name in parsed} <= HEADERS
    assert len(parsed.get_all("To", [])) == 1
    head, _, _ = mail.data.partition(b"\r\n\r\n")
    assert head.isascii()
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head)
    assert b"\r" not in mail.data.replace(b"\r\n", b"")
    assert b"\n" not in mail.data.replace(b"\r\n", b"")
    assert all(len(line) <= 998 for line in mail.data.split(b"\r\n"))
    assert [address.addr_spec for address in parsed["To"].addresses] == ["customer@example.com"]
    assert [address.addr_spec for address in parsed["From"].addresses] == ["support@example.org"]
    assert len(list(parsed.iter_attachments())) == 1


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=2000))
def test_text_comes_out_as_it_went_in(text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    _, parsed = composed(text=text, html=text)
    for kind in ("plain", "html"):
        part = parsed.get_body((kind,))
        assert part is not None
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert content.decode().replace("\r\n", "\n") == (lines if lines.endswith("\n") else lines + "\n")


@given(subject=anything, name=anything)
def test_subject_and_names_come_out_readable(subject: str, name: str) -> None:
    mail, parsed = composed(msgspec.structs.replace(settings(), display_name=name), subject=subject or "x")
    assert str(parsed["Subject"]).split() == clean(subject or "x").split()
    raw = email.message_from_bytes(mail.data)["From"].rpartition("<")[0].strip().removeprefix('"').removesuffix('"')
    plain = re.sub(r"\\(.)", r"\1", raw) if "=?utf-8?" not in raw else raw
    assert str(make_header(decode_header(plain))).split() == clean(name).split()


@pytest.mark.parametrize(
    "name",
    ["invoice.pdf", "发票 2026年11月.pdf",
      'quote"back\\slash.txt', "é" * 120 + ".pdf", "a" * 190 + ".txt", "😀.png", "x\r\nBcc: y.pdf"],
)  # fmt: skip
def test_file_names(name: str) -> None:
    _, parsed = composed(files=(file(name, b"\0\1\2" * 1000),))
    (found,) = parsed.iter_attachments()
    assert found.get_filename() == clean(name)
    assert found.get_content() == b"\0\1\2" * 1000


def test_parts_are_nested_as_programs_expect() -> None:
    image = file("logo.png", b"png", "image/png", inline=True, content_id="logo@1")
    _, parsed = composed(html='<img src="cid:logo@1">', files=(image, file("a.eml", b"x", "message/rfc822")))
    assert [part.get_content_type() for part in parsed.walk()] == [
        "multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png",
        "application/octet-stream",
    ]  # fmt: skip
    assert [part["Content-ID"] for part in parsed.walk() if part["Content-ID"]] == ["<logo@1>"]


def test_every_attempt_is_the_same_mail() -> None:
    first, _ = composed(attempt=1, files=(file("a.txt", b"a"),))
    again, _ = composed(attempt=2, files=(file("a.txt", b"a"),))
    other, _ = composed(id="0193b5c0-0000-7000-8000-000000000002")
    assert first == again
    assert other.message_id != first.message_id


def test_reply_headers() -> None:
    _, parsed = composed(
        reply_to={"message_id": "<3@x>", "references": ["<1@x>", "<2@x>"], "subject": "AW: Re: 回复：Problem"}
    )
    assert parsed["In-Reply-To"] == "<3@x>"
    assert str(parsed["References"]).split() == ["<1@x>", "<2@x>", "<3@x>"]
    assert parsed["Subject"] == "Re: Problem"
    _, alone = composed(configured := settings(display_name="Support"))
    assert "In-Reply-To" not in alone
    assert "References" not in alone
    assert alone["Subject"] == configured.display_name


def test_references_are_capped_with_first_and_last_kept() -> None:
    long = [f"<{number}-{'x' * 200}@example.com>" for number in range(300)]
    chain = references({"message_id": "<parent@x>", "references": long}, ())
    assert len(chain) == MAX_REFERENCES
    assert (chain[0], chain[-2], chain[-1]) == (long[0], long[-1], "<parent@x>")
    mail, _ = composed(reply_to={"message_id": "<parent@x>", "references": long})
    raw = re.search(rb"(?ms)^References:(.*?)\r\n[A-Z]", mail.data)
    assert raw is not None
    assert raw[1].decode().split() == list(chain)  # as they are: none encoded, none broken


@given(ids=st.lists(st.text(max_size=30), max_size=40), parent=st.text(max_size=30))
def test_references_hold_only_message_ids(ids: list[str], parent: str) -> None:
    for id in references({"message_id": parent, "references": ids}, [{"message_id": text} for text in ids]):
        assert re.fullmatch(r"<[\x21-\x7e]+>", id)


def test_a_parent_without_references_gets_the_conversations() -> None:
    thread: list[dict[str, Any]] = [
        {"message_id": "<1@x>"},
        {"message_id": "<2@x>"},
        {"note": 1},
        {"message_id": "<3@x>"},
    ]
    assert references({"message_id": "<3@x>"}, thread) == ("<1@x>", "<2@x>", "<3@x>")
    assert references({}, thread) == ("<1@x>", "<2@x>", "<3@x>")
    assert references({}, ()) == ()


def test_reply_goes_to_reply_to() -> None:
    assert composed(reply_to={"reply_to": ["desk@example.net"]})[0].to == ("desk@example.net",)
    assert composed(reply_to={"reply_to": ["a@x.example", "b@x.example"]})[0].to == ("customer@example.com",)
    assert composed(reply_to={"reply_to": ["x\r\ny@z"]})[0].to == ("customer@example.com",)


def test_automatic_mail_is_marked() -> None:
    _, parsed = composed(automatic=True, reply_to={"message_id": "<1@x>"})
    assert parsed["Auto-Submitted"] == "auto-replied"
    assert parsed["X-Auto-Response-Suppress"] == "All"
    assert parsed["X-Omnigate-Automatic"] == "yes"
    assert "Auto-Submitted" not in composed()[1]


def test_quotation() -> None:
    moment = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    _, parsed = composed(
        settings(quote_original=True),
        html="<p>ok</p>",
        recipient_name="A customer",
        reply_to={"text": "one\n<two>", "sent_at": moment},
    )
    assert body(parsed) == "We are on it.\n\nOn 2026-11-22 09:30 UTC, A customer wrote:\n> one\n> <two>\n"
    assert "&lt;two&gt;" in body(parsed, "html")


def test_reply_address_carries_the_token() -> None:
    _, parsed = composed(settings(plus_addressing=True))
    (address,) = parsed["Reply-To"].addresses
    assert address.domain == "example.org"
    assert len(address.username) <= 64
    assert TOKENS.verify(address.addr_spec) == CONVERSATION
    assert TOKENS.verify(address.addr_spec.upper()) == CONVERSATION
    assert TOKENS.verify(str(parsed["Message-ID"])) == CONVERSATION


@options(max_examples=30)
@given(conversation=st.one_of(st.uuids().map(str), st.text(min_size=1, max_size=40)), other=st.binary(min_size=1))
def test_tokens(conversation: str, other: bytes) -> None:
    try:
        conversation.encode()
    except UnicodeEncodeError:
        return
    token = TOKENS.make(conversation)
    assert re.fullmatch(r"[a-z2-7]+", token)
    assert TOKENS.verify(token) == conversation
    assert TOKENS.verify(f"x+{token.upper()}@y") == conversation
    for at in range(len(token)):
        changed = token[:at] + ("a" if token[at] != "a" else "b") + token[at + 1 :]
        assert TOKENS.verify(changed) != conversation
    if other != b"s" * 32:
        assert Tokens(other).verify(token) is None


@given(anything)
def test_other_texts_prove_nothing(text: str) -> None:
    assert TOKENS.verify(text) is None


@pytest.mark.parametrize(
    ("subject", "expected"),
    [("Hello", "Re: Hello"), ("RE: re: Hello", "Re: Hello"),
      ("回复：你好", "Re: 你好"), ("答复: Re[2]: x", "Re: x"), ("", "Re:")],
)  # fmt: skip
def test_reply_subject(subject: str, expected: str) -> None:
    assert reply_subject(subject) == expected
