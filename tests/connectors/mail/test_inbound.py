"""From a mail's source to the gateway's Inbound: who wrote, which thread, which id, when."""

# ruff: noqa: E501 (samples are kept as they are sent, one line each)

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from connectors.mail.inbound import MAX_KEYS, to_inbound
from gateway.connector import Inbound

OWN = frozenset({"support@example.org"})
TOKENS = {"support+utoken@example.org": "conversation-1", "<abc.utoken@example.org>": "conversation-1"}


def read(headers: str, body: str = "text\n", now: datetime | None = None) -> Inbound:
    return to_inbound(f"{headers.strip()}\n\n{body}".encode(), own_addresses=OWN, verify_token=TOKENS.get, now=now)


BASE = (
    "From: Jane Doe <Jane@Example.com>\nTo: support@example.org\nSubject: Re: Payment\nMessage-ID: <m1@example.com>\n"
)


def test_the_whole() -> None:
    got = read(
        f"{BASE}Date: Tue, 5 Mar 2024 10:12:00 +0100\nCc: c@example.net\nReply-To: r@example.net",
        "Hello\n\n-- \nJane\n",
    )
    assert got.external_id == "<m1@example.com>"
    assert (got.sender.address, got.sender.namespace, got.sender.name, got.sender.email) == (
        "jane@example.com",
        "email",
        "Jane Doe",
        "Jane@Example.com",
    )
    assert (got.kind, got.text, got.visible_text, got.subject) == (
        "message",
        "Hello\n\n-- \nJane\n",
        "Hello",
        "Re: Payment",
    )
    assert got.sent_at == datetime(2024, 3, 5, 9, 12, tzinfo=UTC)
    assert got.thread is not None
    assert (got.thread.own_key, got.thread.keys, got.thread.subject) == ("<m1@example.com>", (), "payment")
    assert got.meta["to"] == ["support@example.org"]
    assert got.meta["cc"] == ["c@example.net"]
    assert got.meta["reply_to"] == ["r@example.net"]
    assert got.meta["message_id"] == "<m1@example.com>"
    assert (got.raw, got.status) == (None, None)
    msgspec.json.encode(got.meta)


def test_nothing_to_leave_out_needs_no_visible_text() -> None:
    assert read(BASE, "Hello\n").visible_text is None


def test_keys_nearest_first() -> None:
    got = read(f"{BASE}In-Reply-To: <c@x>\nReferences: <a@x> <b@x> <c@x>")
    assert got.thread is not None
    assert got.thread.keys == ("<c@x>", "<b@x>", "<a@x>")
    assert got.meta["references"] == ["<a@x>", "<b@x>", "<c@x>"]


def test_many_references_are_bounded_with_the_first_kept() -> None:
    got = read(f"{BASE}References: " + " ".join(f"<{n}@x>" for n in range(500)))
    assert got.thread is not None
    assert len(got.thread.keys) == MAX_KEYS
    assert (got.thread.keys[0], got.thread.keys[-1]) == ("<499@x>", "<0@x>")
    assert got.meta["references"][0] == "<0@x>"
    assert len(got.meta["references"]) == MAX_KEYS


@pytest.mark.parametrize(
    "field",
    ["In-Reply-To: <abc.utoken@example.org>", "References: <a@x> <abc.utoken@example.org>", "Delivered-To: support+utoken@example.org",
     "Cc: Support <support+utoken@example.org>", "X-Original-To: support+utoken@example.org", "References: <abc.utoken\n @example.org>"],
)  # fmt: skip
def test_our_token_leads_to_the_conversation(field: str) -> None:
    got = read(BASE + field)
    assert got.thread is not None
    assert got.thread.conversation_id == "conversation-1"


def test_a_bounce_finds_its_conversation_by_what_it_returns() -> None:
    got = read(
        "From: MAILER-DAEMON@mx.example.com\nSubject: failure\nContent-Type: multipart/report; report-type=delivery-status; boundary=B",
        "--B\n\nfailed\n--B\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n\n"
        "--B\nContent-Type: text/rfc822-headers\n\nMessage-ID: <abc.utoken@example.org>\nSubject: x\n--B--\n",
    )
    assert got.kind == "bounce"
    assert got.thread is not None
    assert got.thread.conversation_id == "conversation-1"
    assert got.status is not None
    assert got.status.provider_id == "<abc.utoken@example.org>"


def test_without_an_id_one_is_made_of_the_content() -> None:
    one = read(
        "Received: by a; 1 Jan 2024 00:00:00 +0000\nFrom: a@example.com\nSubject: s\nDate: Tue, 5 Mar 2024 10:12:00 +0100",
        "text\r\n",
    )
    two = read(
        "Received: by b; 2 Jan 2024 00:00:00 +0000\nX-Other: y\nFrom: a@example.com\nSubject:  s\nDate: Tue, 5 Mar 2024 10:12:00 +0100",
        "text\n",
    )
    other = read("From: a@example.com\nSubject: s\nDate: Tue, 5 Mar 2024 10:12:00 +0100", "another text\n")
    assert one.external_id.startswith("sha256:")
    assert one.external_id == two.external_id != other.external_id


@pytest.mark.parametrize(
    "header", ["Message-ID: <>", "Message-ID:", "Message-ID: <@>", "Message-ID: <" + "x" * 2000 + "@y>"]
)
def test_an_id_that_is_none(header: str) -> None:
    assert read(f"From: a@example.com\n{header}").external_id.startswith("sha256:")


@pytest.mark.parametrize(
    ("header", "external"),
    [
        ("Message-ID: <a@b>", "<a@b>"),
        ("Message-Id: a@b", "<a@b>"),
        ("Message-ID: < a@b >", "<a@b>"),
        ("Message-ID: <a\n @b> (x)", "<a@b>"),
        ("MESSAGE-ID:<A@b>", "<A@b>"),
    ],
)
def test_ids_are_normalised(header: str, external: str) -> None:
    assert read(f"From: a@example.com\n{header}").external_id == external


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ("From: a@example.com\nReply-To: b@example.net", "a@example.com"),
        ("From: support@example.org\nReply-To: b@example.net", "b@example.net"),
        ("From: no-reply@shop.example\nReply-To: Jane <b@example.net>", "b@example.net"),
        ("From: wordpress@shop.example\nReply-To: b@example.net", "b@example.net"),
        (
            "From: Jane via List <list@l.example>\nReply-To: Jane <b@example.net>\nList-Id: <list.l.example>",
            "b@example.net",
        ),
        (
            "From: 'Jane' via List <list@l.example>\nX-Original-From: Jane <b@example.net>\nList-Id: <list.l.example>",
            "b@example.net",
        ),
        ("From: Jane <a@example.com>\nReply-To: list@l.example\nList-Id: <list.l.example>", "a@example.com"),
        ("Sender: a@example.com", "a@example.com"),
        ("Return-Path: <a@example.com>\nFrom: Jane", "a@example.com"),
        ("From: A@EXAMPLE.com", "a@example.com"),
        ("From: =?utf-8?q?x?= <a@example.com>, b@example.net", "a@example.com"),
        ("Subject: x", "unknown"),
    ],
)
def test_who_wrote(headers: str, address: str) -> None:
    assert read(headers).sender.address == address


def test_a_list_name_is_cleaned() -> None:
    got = read("From: 'Jane Doe' via List <list@l.example>\nReply-To: b@example.net\nList-Id: <list.l.example>")
    assert got.sender.name == "Jane Doe"
    assert got.meta["bulk"] is True


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("Tue, 5 Mar 2024 10:12:00 +0800", datetime(2024, 3, 5, 2, 12, tzinfo=UTC)),
        ("5 Mar 24 10:12 GMT", datetime(2024, 3, 5, 10, 12, tzinfo=UTC)),
        ("Tue, 5 Mar 2024 10:12:00 -0000 (UTC)", datetime(2024, 3, 5, 10, 12, tzinfo=UTC)),
        ("garbage", None),
        ("", None),
        ("Tue, 99 Mar 2024 10:12:00 +0000", None),
        ("Thu, 1 Jan 1970 00:00:00 +0000", None),
        ("Tue, 5 Mar 2024 10:12:00 +99999999999", None),
    ],
)
def test_dates(date: str, moment: datetime | None) -> None:
    assert read(f"From: a@example.com\nDate: {date}").sent_at == moment


def test_the_last_hop_stands_in_for_a_bad_date() -> None:
    got = read("Received: from x by y; Tue, 5 Mar 2024 10:12:00 +0000\nFrom: a@example.com\nDate: nonsense")
    assert got.sent_at == datetime(2024, 3, 5, 10, 12, tzinfo=UTC)


def test_a_date_ahead_of_time_is_now() -> None:
    now = datetime(2024, 3, 5, 10, 12, tzinfo=UTC)
    assert read("From: a@example.com\nDate: Tue, 5 Mar 2030 10:12:00 +0000", now=now).sent_at == now


def test_what_cannot_be_read_keeps_its_source() -> None:
    source = b"\x89PNG\r\n\x1a\n\x00\x01"
    got = to_inbound(source, own_addresses=OWN, verify_token=TOKENS.get)
    assert (got.kind, got.raw) == ("unparsed", source)
    assert got.external_id == to_inbound(source, own_addresses=OWN, verify_token=TOKENS.get).external_id


def test_html_alone_is_cut_by_its_text() -> None:
    page = "<div>Thanks, done.</div><div class=gmail_quote><div>On Tue, Mar 5, 2024 at 10:12 AM Support &lt;support@example.org&gt; wrote:<br></div><blockquote>Please try</blockquote></div>"
    got = read(f"{BASE}Content-Type: text/html; charset=utf-8", page)
    assert got.visible_text == "Thanks, done."
    assert "> Please try" in got.text
