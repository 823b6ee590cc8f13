"""Each kind of mail is named: bounces of many systems, complaints, receipts, automatic answers, and people's mails."""

# ruff: noqa: E501 (samples are kept as they are sent, one line each)

from __future__ import annotations

import pytest

from connectors.mail.inbound import to_inbound
from gateway.connector import Inbound


def read(source: str) -> Inbound:
    return to_inbound(source.encode(), own_addresses=frozenset({"support@example.org"}), verify_token=lambda text: None)


def plain(subject: str, text: str = "text", sender: str = "A. Customer <a@example.com>", **fields: str) -> Inbound:
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items())
    return read(
        f"From: {sender}\nTo: support@example.org\nSubject: {subject}\nMessage-ID: <m1@example.com>\n{more}"
        f"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n{text}\n"
    )


def report(
    status: str, kind: str = "delivery-status", sender: str = "MAILER-DAEMON@mx.example.com", subject: str = "x"
) -> str:
    media = {"delivery-status": "message/delivery-status", "disposition-notification": "message/disposition-notification",
             "feedback-report": "message/feedback-report"}[kind]  # fmt: skip
    return (
        f"Return-Path: <>\nFrom: {sender}\nTo: support@example.org\nSubject: {subject}\nMIME-Version: 1.0\n"
        f"Content-Type: multipart/report; report-type={kind}; boundary=B\n\n--B\n\nA text for people.\n\n--B\n"
        f"Content-Type: {media}\n\n{status}\n--B\nContent-Type: message/rfc822\n\n"
        "From: support@example.org\nTo: a@example.com\nMessage-ID: <ours.1@example.org>\nSubject: Re: payment\n\nHello\n--B--\n"
    )


FAILED = (
    "Reporting-MTA: dns; mx.example.com\n\nFinal-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n"
    "Diagnostic-Code: smtp; 550 5.1.1 <a@example.com>: Recipient address rejected: User unknown\n"
)


def test_delivery_status_names_the_mail_and_the_reason() -> None:
    bounce = read(report(FAILED))
    assert bounce.kind == "bounce"
    assert bounce.status is not None
    assert bounce.status.status == "failed"
    assert bounce.status.provider_id == "<ours.1@example.org>"
    assert bounce.status.code == "5.1.1"
    assert "User unknown" in bounce.status.reason
    assert bounce.meta["automatic"] is True


def test_a_vague_status_gives_way_to_the_diagnostic() -> None:
    bounce = read(report(FAILED.replace("Status: 5.1.1", "Status: 5.0.0").replace("550 5.1.1", "552 5.2.2")))
    assert bounce.status is not None
    assert bounce.status.code == "5.2.2"


def test_a_delay_is_no_failure() -> None:
    delayed = read(report(FAILED.replace("failed", "delayed").replace("5.1.1", "4.4.7")))
    assert (delayed.kind, delayed.status, delayed.meta["delayed"]) == ("bounce", None, True)


def test_a_delivery_report_is_a_receipt() -> None:
    done = read(report(FAILED.replace("failed", "delivered").replace("5.1.1", "2.0.0")))
    assert done.kind == "receipt"
    assert done.status is not None
    assert done.status.status == "delivered"


def test_the_worst_recipient_counts() -> None:
    both = FAILED.replace("failed", "delivered").replace("5.1.1", "2.0.0") + "\n" + FAILED.split("\n\n")[1]
    found = read(report(both))
    assert found.status is not None
    assert (found.kind, found.status.status) == ("bounce", "failed")


@pytest.mark.parametrize(("word", "status"), [("displayed", "read"), ("deleted", None)])
def test_disposition_notification_is_a_receipt(word: str, status: str | None) -> None:
    mdn = read(
        report(
            "Final-Recipient: rfc822; a@example.com\nOriginal-Message-ID: <ours.9@example.org>\n"
            f"Disposition: manual-action/MDN-sent-manually; {word}\n",
            "disposition-notification",
            sender="a@example.com",
        )
    )
    assert mdn.kind == "receipt"
    assert (mdn.status.status if mdn.status else None) == status
    if mdn.status:
        assert mdn.status.provider_id == "<ours.9@example.org>"


def test_feedback_report_is_a_complaint() -> None:
    arf = read(
        report(
            "Feedback-Type: abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n",
            "feedback-report",
            sender="abuse@isp.example.net",
        )
    )
    assert arf.kind == "complaint"


BOUNCES = {
    "exim": ("Mail delivery failed: returning message to sender", "Mail Delivery System <Mailer-Daemon@mx.example.com>",
             "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered to one "
             "or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n  a@example.com\n    "
             "host mx.example.com [192.0.2.1]\n    SMTP error from remote mail server after RCPT TO:<a@example.com>:\n    550 5.1.1 "
             "User unknown\n\n------ This is a copy of the message, including all the headers. ------\n\nMessage-ID: <ours.1@example.org>\n"),
    "qmail": ("failure notice", "MAILER-DAEMON@mx.example.com",
              "Hi. This is the qmail-send program at mx.example.com.\nI'm afraid I wasn't able to deliver your message to the following "
              "addresses.\nThis is a permanent error; I've given up. Sorry it didn't work out.\n\n<a@example.com>:\nSorry, no mailbox here "
              "by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n\nMessage-ID: <ours.1@example.org>\n"),
    "exchange": ("Undeliverable: Re: payment", "Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.com>",
                 "Delivery has failed to these recipients or groups:\n\na@example.com\nThe email address you entered couldn't be found.\n\n"
                 "Diagnostic information for administrators:\n\nGenerating server: mx.example.com\n\na@example.com\n550 5.1.10 "
                 "RESOLVER.ADR.RecipientNotFound\n\nOriginal message headers:\nMessage-ID: <ours.1@example.org>\n"),
    "exchange zh": ("未传递: 回复: 退款", "postmaster@example.com", "无法传递到这些收件人或组:\na@example.com\n找不到你输入的电子邮件地址。"
                    "\n\nMessage-ID: <ours.1@example.org>\n"),
    "exchange de": ("Unzustellbar: Zahlung", "postmaster@example.com", "Fehler bei der Nachrichtenzustellung an folgende Empfänger\n"
                    "konnte nicht zugestellt werden\n#550 5.1.1\nMessage-ID: <ours.1@example.org>"),
    "exchange fr": ("Non remis : paiement", "postmaster@example.com", "Échec de la remise à ces destinataires\nMessage-ID: <ours.1@example.org>"),
    "exchange ja": ("配信不能: お支払い", "postmaster@example.com", "次の受信者への配信に失敗しました\nMessage-ID: <ours.1@example.org>"),
    "qq": ("系统退信/Systems bounce", "PostMaster@qq.com", "抱歉，您的邮件被退回来了……\n收件人邮件地址(a@example.com)不存在，邮件无法送达。\n"
           "Message-ID: <ours.1@example.org>"),
    "163": ("系统退信", "Postmaster@163.com", "抱歉，您的邮件被退回来了\n退信原因：收件人邮箱不存在 550 User not found\nMessage-ID: <ours.1@example.org>"),
    "yahoo": ("Failure Notice", "MAILER-DAEMON@yahoo.com", "Sorry, we were unable to deliver your message to the following address.\n\n"
              "<a@example.com>:\n550: 5.1.1 No such user\n\n--- Below this line is a copy of the message.\n\nMessage-ID: <ours.1@example.org>\n"),
    "gmail": ("Delivery Status Notification (Failure)", "Mail Delivery Subsystem <mailer-daemon@googlemail.com>",
              "** Address not found **\n\nYour message wasn't delivered to a@example.com because the address couldn't be found.\n"
              "550 5.1.1 The email account that you tried to reach does not exist.\nMessage-ID: <ours.1@example.org>\n"),
    "mail.ru": ("Ваше сообщение не доставлено. Mail failure.", "Mail Delivery System <Mailer-Daemon@mail.example.ru>",
                "Это письмо создано автоматически.\nК сожалению, ваше письмо не может быть доставлено одному или нескольким получателям\n"
                "550 user not found\nMessage-ID: <ours.1@example.org>\n"),
    "sendmail": ("Returned mail: see transcript for details", "Mail Delivery Subsystem <MAILER-DAEMON@mx.example.com>",
                 "   ----- The following addresses had permanent fatal errors -----\n<a@example.com>\n    (reason: 550 5.1.1 User unknown)\n"
                 "   ----- Transcript of session follows -----\n\nMessage-ID: <ours.1@example.org>\n"),
    "domino": ("DELIVERY FAILURE: User a (a@example.com) not listed in Domino Directory", "Postmaster@example.com",
               "Your message\n\n  Subject: payment\n\nwas not delivered to:\n\n  a@example.com\n\nbecause:\n\n  User a not listed in Domino "
               "Directory\nMessage-ID: <ours.1@example.org>"),
    "gateway": ("Mail could not be delivered", "imss@gateway.example.com", "Sent <<< RCPT TO:<a@example.com>\nReceived >>> 550 User unknown\n"
                "Unable to deliver message to <a@example.com>.\nMessage-ID: <ours.1@example.org>"),
}  # fmt: skip


@pytest.mark.parametrize(("subject", "sender", "text"), BOUNCES.values(), ids=BOUNCES.keys())
def test_bounces_in_prose(subject: str, sender: str, text: str) -> None:
    bounce = plain(subject, text, sender)
    assert bounce.kind == "bounce"
    assert bounce.status is not None
    assert bounce.status.status == "failed"
    assert bounce.status.provider_id == "<ours.1@example.org>"
    if "5.1.1" in text:
        assert bounce.status.code.startswith("5.1.1")


def test_a_delay_in_prose() -> None:
    text = "This message was created automatically by mail delivery software.\nA message that you sent has not yet been delivered\nNo action is required on your part.\n"
    delayed = plain(
        "Warning: message 1abc delayed 24 hours", text, "Mail Delivery System <Mailer-Daemon@mx.example.com>"
    )
    assert (delayed.kind, delayed.status, delayed.meta["delayed"]) == ("bounce", None, True)


AUTO_SUBJECTS = [
    "Automatic reply: payment", "Out of Office: payment", "Out of office", "Auto: payment", "AutoReply: payment", "[Auto-Reply] payment",
    "Automatische Antwort: Zahlung", "Abwesenheitsnotiz: Zahlung", "Réponse automatique : paiement", "Respuesta automática: pago",
    "Resposta automática: pagamento", "Risposta automatica: pagamento", "Automatisch antwoord: betaling", "Autosvar: betalning",
    "Automatiskt svar: betalning", "Automatisk svar: betaling", "Automaattinen vastaus: maksu", "Odpowiedź automatyczna: płatność",
    "Automatická odpověď: platba", "Automatikus válasz: fizetés", "Răspuns automat: plată", "Автоматический ответ: оплата",
    "Автоматична відповідь: оплата", "Αυτόματη απάντηση: πληρωμή", "Otomatik yanıt: ödeme", "自动回复: 退款", "自动答复：退款", "自動回覆: 退款",
    "自動応答: お支払い", "自動返信: お支払い", "자동 회신: 결제", "부재중: 결제", "Trả lời tự động: thanh toán", "Balasan otomatis: pembayaran", "رد تلقائي: دفع",
    "מענה אוטומטי: תשלום",
]  # fmt: skip


@pytest.mark.parametrize("subject", AUTO_SUBJECTS)
def test_automatic_answers_by_subject(subject: str) -> None:
    answer = plain(subject, "I am away until Monday.", In_Reply_To="<ours.1@example.org>")
    assert answer.kind == "auto_reply"
    if not subject.startswith("Auto:"):  # which is also a German word for a car
        assert plain(subject, "text").kind == "auto_reply"
    assert answer.visible_text is None


AUTO_FIELDS = [
    {"Auto_Submitted": "auto-replied"},
    {"Auto_Submitted": "auto-replied (vacation)"},
    {"Precedence": "auto_reply"},
    {"X_Autoreply": "yes"},
    {"X_Autorespond": "payment"},
    {"X_AutoReply_From": "a@example.com"},
    {"X_Mail_Autoreply": "yes"},
    {"X_FC_MachineGenerated": "true"},
    {"X_POST_MessageClass": "9; Autoresponder"},
    {"Delivered_To": "Autoresponder"},
    {"X_Autogenerated": "Reply"},
    {"Preference": "auto_reply"},
    {"X_Precedence": "auto_reply"},
]


@pytest.mark.parametrize("fields", AUTO_FIELDS, ids=lambda fields: next(iter(fields)))
def test_automatic_answers_by_field(fields: dict[str, str]) -> None:
    assert plain("Re: payment", "I'll read it later", **fields).kind == "auto_reply"


def test_vacation_with_null_return_path() -> None:
    away = plain("Re: payment", "I am on vacation and will be back on Monday.", Return_Path="<>")
    assert away.kind == "auto_reply"
    assert plain("Thank you for your e-mail", "I will reply as soon as possible", Return_Path="<>").kind == "auto_reply"


def test_challenge() -> None:
    text = "This account is protected by Bluebottle. Please click on the link to have your address added to the recipient's allowed list."
    assert plain("RE: payment", text).kind == "auto_reply"


READS = ["Read: payment", "Gelesen: Zahlung", "Lu : paiement", "Leído: pago", "Lida: pagamento", "Letto: pagamento", "Gelezen: betaling",
         "已读: 退款", "已讀: 退款", "開封済み: お支払い", "읽음: 결제", "Прочитано: оплата", "Okundu: ödeme"]  # fmt: skip


@pytest.mark.parametrize("subject", READS)
def test_read_receipts_in_prose(subject: str) -> None:
    assert plain(subject, "Your message\n\n  To: a\n  Subject: payment\n\nwas read on Tuesday 10:12.").kind == "receipt"


def test_feedback_loop_that_only_returns_the_mail() -> None:
    found = read(
        "From: someone@isp.example.com\nTo: support@example.org\nSubject: complaint about message from 192.0.2.1\n"
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: message/rfc822\n\n"
        "X-HmXmrOriginalRecipient: a@example.com\nFrom: support@example.org\nSubject: news\n\nNews\n--B--\n"
    )
    assert found.kind == "complaint"


def test_feedback_loop_in_prose() -> None:
    found = read(
        "From: staff@hotmail.example.com\nTo: support@example.org\nSubject: complaint about message from 192.0.2.1\n"
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: message/rfc822\n\n"
        "From: support@example.org\nSubject: news\nX-HmXmrOriginalRecipient: a@example.com\nMessage-ID: <ours.1@example.org>\n\nNews\n--B--\n"
    )
    assert found.kind == "complaint"


PEOPLE = [
    ("Payment", "My card was declined, the message could not be delivered?", {}),
    ("Undeliverable parcel", "My parcel was returned to sender. Where is it?", {}),
    (
        "Re: Undeliverable: your invoice",
        "Here is the right address, the old mailbox does not exist any more.",
        {"In_Reply_To": "<ours.1@example.org>"},
    ),
    (
        "Fwd: failure notice",
        "I got this when I wrote to you:\n\nHi. This is the qmail-send program. I wasn't able to deliver your message",
        {},
    ),
    ("I am on vacation and cannot pay", "I'm on vacation until May, please wait with the bill.", {}),
    ("Re: Out of office hours", "Thanks for the answer", {"In_Reply_To": "<ours.1@example.org>"}),
    ("退款失败", "我的邮件发送失败，请帮忙", {}),
    ("Re: 自动回复功能", "怎么关闭？", {"In_Reply_To": "<ours.1@example.org>"}),
    ("Read: your terms and conditions", "I have questions about them.", {}),
    ("Spam complaint", "You send me too many mails.", {}),
    ("Delivery problem with order 77", "It was not delivered to my address.", {}),
    ("休暇中の請求について", "休暇中に請求されました。", {}),
    ("Semester fees", "When are they due?", {"In_Reply_To": "<ours.1@example.org>"}),
    ("Payment", "hello", {"X_Auto_Response_Suppress": "OOF, AutoReply"}),
    ("Thank you for your email", "It solved my problem!", {"In_Reply_To": "<ours.1@example.org>"}),
]


@pytest.mark.parametrize(("subject", "text", "fields"), PEOPLE, ids=[p[0] for p in PEOPLE])
def test_people_are_not_taken_for_machines(subject: str, text: str, fields: dict[str, str]) -> None:
    assert plain(subject, text, **fields).kind == "message"


def test_a_customer_who_attaches_a_bounce_is_heard() -> None:
    inner = report(FAILED)
    mail = read(
        "From: a@example.com\nTo: support@example.org\nSubject: I get this\nMIME-Version: 1.0\n"
        f"Content-Type: multipart/mixed; boundary=OUT\n\n--OUT\n\nWhat does it mean?\n\n--OUT\nContent-Type: message/rfc822\n\n{inner}\n--OUT--\n"
    )
    assert (mail.kind, mail.status) == ("message", None)


@pytest.mark.parametrize("fields", [{"List_Id": "<l.example.com>"}, {"Precedence": "bulk"}, {"Auto_Submitted": "auto-generated"},
                                    {"X_Auto_Response_Suppress": "All"}, {"List_Unsubscribe": "<mailto:x@example.com>"},
                                    {"X_Omnigate_Automatic": "1"}])  # fmt: skip
def test_what_no_robot_may_answer_is_marked(fields: dict[str, str]) -> None:
    mail = plain("News", "text", **fields)
    assert mail.kind == "message"
    assert mail.meta["automatic"] is True
    assert "automatic" not in plain("News", "text").meta
