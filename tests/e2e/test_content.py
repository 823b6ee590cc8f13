"""What a mail holds: files both ways, pictures in the text, Chinese charsets, HTML with pictures from afar."""

from __future__ import annotations

import base64
import hashlib
from email.message import EmailMessage

from tests.e2e.desk import Desk
from tests.e2e.post import written

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_attachments_both_ways(desk: Desk) -> None:
    post = desk.post
    inbox, customer = desk.inbox(), post.dovecot.user()
    receipt = b"%PDF-1.4\n" + bytes(range(256)) * 200
    mail = written(customer, inbox.address, "Receipt", "See the file.")
    mail.add_attachment(receipt, maintype="application", subtype="pdf", filename="收据 2026.pdf")
    post.send(mail, customer, inbox.address)
    (message,) = desk.comes(inbox, 1)
    (attachment,) = message["attachments"]
    assert (attachment["name"], attachment["type"], attachment["size"]) == (
        "收据 2026.pdf",
        "application/pdf",
        len(receipt),
    )
    assert desk.program.get("GET", attachment["url"]) == receipt

    answer = hashlib.shake_256(b"an answer").digest(100_000)
    file = {"name": "证明.bin", "type": "application/octet-stream", "data": base64.b64encode(answer).decode()}
    desk.reply(message["conversation_id"], "Here is ours.", attachments=[file])
    received = post.arrives(customer)
    (part,) = received.iter_attachments()
    assert part.get_filename() == "证明.bin"
    assert part.get_content() == answer
    assert received.get_body().get_content().strip() == "Here is ours."


def test_html_with_pictures(desk: Desk) -> None:
    post = desk.post
    inbox, customer = desk.inbox(), post.dovecot.user()
    mail = written(customer, inbox.address, "Pictures", "A plain part.")
    mail.add_alternative(
        "<p onclick='steal()'>Look: <img src='cid:pixel'> and <img src='http://203.0.113.9/track.png'></p>"
        "<script>steal()</script>",
        subtype="html",
    )
    html = mail.get_payload()[1]  # type: ignore[index]
    assert isinstance(html, EmailMessage)
    html.add_related(PIXEL, maintype="image", subtype="png", cid="<pixel>", filename="pixel.png")
    post.send(mail, customer, inbox.address)
    (message,) = desk.comes(inbox, 1)
    assert message["text"].strip() == "A plain part."
    assert "steal" not in message["html"]
    assert "Look:" in message["html"]
    assert ' src="http' not in message["html"]
    assert 'data-src="http://203.0.113.9/track.png"' in message["html"]  # for an agent who asks to see it
    (picture,) = message["attachments"]
    assert (picture["inline"], picture["content_id"], picture["type"]) == (True, "pixel", "image/png")
    assert desk.program.get("GET", picture["url"]) == PIXEL
    assert "pixel" in message["html"]


def test_chinese_charsets(desk: Desk) -> None:
    post = desk.post
    inbox, customer = desk.inbox(), post.dovecot.user()
    subject = base64.b64encode("退款申请".encode("gb18030")).decode()
    source = (
        f"From: =?gbk?B?{base64.b64encode('张先生'.encode('gbk')).decode()}?= <{customer}>\r\nTo: {inbox.address}\r\n"
        f"Subject: =?gb18030?B?{subject}?=\r\nMessage-ID: <gb@example.org>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=gb2312\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode() + "你好，我想申请退款，金额１００元，龍與㐂。\r\n".encode("gb18030")  # wider than it declares
    post.send(source, customer, inbox.address)
    conversation = desk.conversation(inbox)
    assert (conversation["subject"], conversation["contact_name"], conversation["language"]) == (
        "退款申请",
        "张先生",
        "zh",
    )
    assert (conversation["queue"], conversation["tags"]) == ("payments", ["refund"])
    (message,) = desk.messages(conversation)
    assert message["text"].strip() == "你好，我想申请退款，金额１００元，龍與㐂。"
    desk.reply(conversation, "已收到。")
    received = post.arrives(customer)
    assert received["Subject"] == "Re: 退款申请"
    assert received["To"].addresses[0].display_name == "张先生"
    assert received.get_content().strip() == "已收到。"


def test_what_cannot_be_read_is_kept_and_shown(desk: Desk) -> None:
    post = desk.post
    address = post.dovecot.user()
    nonsense = b"\x00\xff\xfe" + bytes(range(128, 256)) * 4 + b"\r\nno header at all\x00\r\n"
    post.dovecot.append(address, [nonsense])
    inbox = desk.inbox(address)
    (message,) = desk.comes(inbox, 1)
    sources = [message["source"]] if message["source"] else message["attachments"]
    kept = desk.program.get("GET", sources[0]["url"]) if sources else message["text"].encode()
    assert b"no header at all" in kept
