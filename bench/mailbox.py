"""A mailbox's worth of mixed mails, the same at each run: what a support team's inbox holds."""

from __future__ import annotations

import random
from collections.abc import Iterator
from email.header import Header
from email.message import EmailMessage
from email.mime.text import MIMEText
from email.policy import SMTP

_ENGLISH = (
    "The transfer of yesterday is still pending, could you look into it please?",
    "I have tried the app twice.",
    "My card was charged two times for the same order.",
    "The shop says that only one payment has arrived.",
    "Please tell me how long a refund takes, and whether the fee is returned as well.",
    "Thank you for your help.",
)
_CHINESE = (
    "您好，我昨天的转账还没有到账，请帮忙查询一下。",
    "同一笔订单扣了两次款，商家说只收到一次。",
    "请问退款需要多长时间？手续费会退还吗？谢谢。",
    "我已经更新了应用，但是仍然无法登录账户。",
)
_TRADITIONAL = ("您好，我昨天的轉帳還沒有到帳，請幫忙查詢一下。", "同一筆訂單扣了兩次款，商家說只收到一次。")
_KINDS = {
    "plain": 28,
    "html": 22,
    "attachment": 10,
    "picture": 4,
    "chinese": 12,
    "traditional": 2,
    "reply": 12,
    "bounce": 3,
    "away": 2,
    "newsletter": 5,
}
"""Shares in percent."""


def mails(count: int, recipient: str) -> Iterator[bytes]:
    """So many mails to the recipient, from a few hundred correspondents; replies follow what they answer."""
    rand = random.Random(2026)
    kinds = rand.choices(list(_KINDS), list(_KINDS.values()), k=count)
    for number, kind in enumerate(kinds):
        yield _MAKERS[kind](number, recipient, rand)


def _id(number: int) -> str:
    return f"<{number}.bench@mail.example.com>"


def _words(rand: random.Random, sentences: int) -> str:
    return "\n\n".join(" ".join(rand.choices(_ENGLISH, k=3)) for _ in range(sentences))


def _start(number: int, recipient: str, subject: str) -> EmailMessage:
    mail = EmailMessage()
    sender = f"customer{number % 300}@example.com"
    mail["Return-Path"] = f"<{sender}>"
    mail["Received"] = (
        f"from mail.example.com by mx.example.org with ESMTPS id {number:08x}; Sun, 22 Nov 2026 10:00:00 +0000"
    )
    mail["Received"] = (
        f"from [192.0.2.7] by mail.example.com with ESMTPSA id {number:08x}; Sun, 22 Nov 2026 09:59:58 +0000"
    )
    mail["DKIM-Signature"] = (
        "v=1; a=rsa-sha256; d=example.com; s=s1; h=from:to:subject:date; bh=" + "A" * 43 + "=; b=" + "B" * 340
    )
    mail["From"] = f"Customer {number % 300} <{sender}>"
    mail["To"] = recipient
    mail["Subject"] = subject
    mail["Message-ID"] = _id(number)
    mail["Date"] = f"Sun, 22 Nov 2026 {10 + number // 3600 % 12:02}:{number // 60 % 60:02}:{number % 60:02} +0000"
    return mail


def _plain(number: int, recipient: str, rand: random.Random) -> bytes:
    mail = _start(number, recipient, f"Question {number} about a payment")
    mail.set_content(_words(rand, rand.randint(1, 6)))
    return mail.as_bytes(policy=SMTP)


def _html_text(text: str) -> str:
    rows = "".join(f'<p style="margin:0 0 1em;font-family:Arial">{row}</p>' for row in text.split("\n\n"))
    return f'<html><head><style>p{{color:#222}}</style></head><body>{rows}<img src="https://cdn.example.com/x.png"></body></html>'


def _html(number: int, recipient: str, rand: random.Random) -> bytes:
    mail = _start(number, recipient, f"Question {number} about my card")
    text = _words(rand, rand.randint(2, 8))
    mail.set_content(text)
    mail.add_alternative(_html_text(text), subtype="html")
    return mail.as_bytes(policy=SMTP)


def _attachment(number: int, recipient: str, rand: random.Random) -> bytes:
    mail = _start(number, recipient, f"Receipt {number}")
    mail.set_content(_words(rand, 2))
    data = b"%PDF-1.4\n" + rand.randbytes(rand.randint(5_000, 150_000))
    mail.add_attachment(data, maintype="application", subtype="pdf", filename=f"收据 {number}.pdf")
    return mail.as_bytes(policy=SMTP)


def _picture(number: int, recipient: str, rand: random.Random) -> bytes:
    mail = _start(number, recipient, f"A picture {number}")
    mail.set_content(_words(rand, 1))
    mail.add_alternative('<p>Look: <img src="cid:shot"></p>', subtype="html")
    html = mail.get_payload()[1]  # type: ignore[index]
    assert isinstance(html, EmailMessage)
    data = b"\x89PNG\r\n\x1a\n" + rand.randbytes(rand.randint(10_000, 60_000))
    html.add_related(data, maintype="image", subtype="png", cid="<shot>", filename="shot.png")
    return mail.as_bytes(policy=SMTP)


def _eastern(number: int, recipient: str, sentences: tuple[str, ...], charset: str, rand: random.Random) -> bytes:
    mail = MIMEText("\n".join(rand.choices(sentences, k=rand.randint(2, 10))), "plain", charset)
    mail["From"] = f"{Header('王先生', charset).encode()} <customer{number % 300}@example.com>"
    mail["To"] = recipient
    mail["Subject"] = Header(f"{sentences[0][:8]} {number}", charset).encode()
    mail["Message-ID"] = _id(number)
    mail["Date"] = "Sun, 22 Nov 2026 18:00:00 +0800"
    return mail.as_bytes(policy=SMTP.clone(cte_type="8bit", utf8=False))


def _chinese(number: int, recipient: str, rand: random.Random) -> bytes:
    return _eastern(number, recipient, _CHINESE, rand.choice(("gb18030", "gb2312", "utf-8")), rand)


def _traditional(number: int, recipient: str, rand: random.Random) -> bytes:
    return _eastern(number, recipient, _TRADITIONAL, "big5", rand)


def _reply(number: int, recipient: str, rand: random.Random) -> bytes:
    parent = max(0, number - rand.randint(1, 200))
    mail = _start(number, recipient, f"Re: Question {parent} about a payment")
    mail["In-Reply-To"] = _id(parent)
    mail["References"] = " ".join(_id(max(0, parent - back)) for back in (7, 0))
    quoted = "\n".join(f"> {line}" for line in _words(rand, 5).splitlines())
    text = f"{_words(rand, 1)}\n\nOn Sun, 22 Nov 2026 at 09:00, Support <{recipient}> wrote:\n{quoted}"
    mail.set_content(text)
    quote = f'<div class="gmail_quote"><blockquote>{_html_text(quoted)}</blockquote></div>'
    mail.add_alternative(f"<div>{text.splitlines()[0]}</div>{quote}", subtype="html")
    return mail.as_bytes(policy=SMTP)


def _bounce(number: int, recipient: str, rand: random.Random) -> bytes:
    original = (
        f"From: {recipient}\r\nTo: gone{number}@example.net\r\nMessage-ID: {_id(number)}\r\nSubject: Re: Question\r\n"
    )
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@example.net (Mail Delivery System)\r\nTo: {recipient}\r\n"
        f"Subject: Undelivered Mail Returned to Sender\r\nMessage-ID: <b{number}@example.net>\r\n"
        "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n--b\r\n\r\n'
        f"I'm sorry to have to inform you that your message could not be delivered.\r\n{_words(rand, 1)}\r\n--b\r\n"
        "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mail.example.net\r\n\r\n"
        f"Final-Recipient: rfc822; gone{number}@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
        f"{original}\r\n--b--\r\n"
    ).encode()


def _away(number: int, recipient: str, rand: random.Random) -> bytes:
    mail = _start(number, recipient, "Automatic reply: Your question")
    mail["Auto-Submitted"] = "auto-replied"
    mail["In-Reply-To"] = _id(max(0, number - 5))
    mail.set_content("I am out of the office until Monday.\n\n" + _words(rand, 1))
    return mail.as_bytes(policy=SMTP)


def _newsletter(number: int, recipient: str, rand: random.Random) -> bytes:
    mail = _start(number, recipient, f"News of the week {number}")
    mail["List-Id"] = "News <news.example.com>"
    mail["List-Unsubscribe"] = "<mailto:leave@example.com>"
    mail["Precedence"] = "bulk"
    text = _words(rand, 10)
    mail.set_content(text)
    cells = "".join(
        f'<tr><td bgcolor="#eeeeee"><a href="https://example.com/{row}">'
        f'<img src="https://cdn.example.com/{row}.png" width="60"></a></td>'
        f"<td><b>{rand.choice(_ENGLISH)}</b><br>{rand.choice(_ENGLISH)}</td></tr>"
        for row in range(60)
    )
    mail.add_alternative(f'<html><body><table cellpadding="4">{cells}</table></body></html>', subtype="html")
    return mail.as_bytes(policy=SMTP)


_MAKERS = {
    "plain": _plain,
    "html": _html,
    "attachment": _attachment,
    "picture": _picture,
    "chinese": _chinese,
    "traditional": _traditional,
    "reply": _reply,
    "bounce": _bounce,
    "away": _away,
    "newsletter": _newsletter,
}
