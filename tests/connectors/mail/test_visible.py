"""The visible part of replies: attributions, header blocks, separators, signatures and device lines by language."""

# ruff: noqa: E501 (samples are kept as they are sent, one line each)

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mail.visible import visible

ANSWER = "Thank you, that works now.\nOne question is left: may I pay by card?"
QUOTE = "> Please try again.\n>\n> The support team\n"
PLAIN_QUOTE = "Please try again.\n\nThe support team\n"

ATTRIBUTIONS = {
    "en gmail": "On Tue, Mar 5, 2024 at 10:12 AM Support <support@example.org> wrote:",
    "en gmail wrapped": "On Tue, Mar 5, 2024 at 10:12 AM Support Team of a Long Name\n<support@example.org> wrote:",
    "en apple": "On 5 Mar 2024, at 10:12, Support <support@example.org> wrote:",
    "en apple am": "On Mar 5, 2024, at 10:12 AM, Support <support@example.org> wrote:",
    "en thunderbird": "On 05/03/2024 10:12, Support wrote:",
    "en yahoo": "On Tuesday, March 5, 2024 at 10:12:33 AM GMT+1, Support <support@example.org> wrote:",
    "en proton": "On Tuesday, March 5th, 2024 at 10:12 AM, Support <support@example.org> wrote:",
    "en zoho": "---- On Tue, 05 Mar 2024 10:12:33 +0530 Support <support@example.org> wrote ----",
    "en name first": "Support <support@example.org> wrote on Tue, 5 Mar 2024 at 10:12:",
    "en outlook mobile": "Support <support@example.org> wrote:",
    "iso gmail": "2024-03-05 10:12 GMT+01:00 Support <support@example.org>:",
    "de gmail": "Am Di., 5. März 2024 um 10:12 Uhr schrieb Support <support@example.org>:",
    "de gmail wrapped": "Am Di., 5. März 2024 um 10:12 Uhr schrieb Support\n<support@example.org>:",
    "de thunderbird": "Am 05.03.24 um 10:12 schrieb Support:",
    "de apple": "Am 05.03.2024 um 10:12 schrieb Support <support@example.org>:",
    "de web": "Support <support@example.org> schrieb am Di., 5. März 2024, 10:12:",
    "fr gmail": "Le mar. 5 mars 2024 à 10:12, Support <support@example.org> a écrit :",
    "fr apple": "Le 5 mars 2024 à 10:12, Support <support@example.org> a écrit :",
    "fr thunderbird": "Le 05/03/2024 à 10:12, Support a écrit :",
    "es gmail": "El mar, 5 mar 2024 a las 10:12, Support (<support@example.org>) escribió:",
    "es apple": "El 5 mar 2024, a las 10:12, Support <support@example.org> escribió:",
    "pt gmail": "Em ter., 5 de mar. de 2024 às 10:12, Support <support@example.org> escreveu:",
    "pt apple": "No dia 05/03/2024, às 10:12, Support <support@example.org> escreveu:",
    "pt pt": "Support <support@example.org> escreveu no dia terça, 5/03/2024 à(s) 10:12:",
    "it gmail": "Il giorno mar 5 mar 2024 alle ore 10:12 Support <support@example.org> ha scritto:",
    "it apple": "Il giorno 5 mar 2024, alle ore 10:12, Support <support@example.org> ha scritto:",
    "nl gmail": "Op di 5 mrt 2024 om 10:12 schreef Support <support@example.org>:",
    "nl apple": "Op 5 mrt. 2024, om 10:12 heeft Support <support@example.org> het volgende geschreven:",
    "sv gmail": "Den tis 5 mars 2024 kl 10:12 skrev Support <support@example.org>:",
    "sv apple": "5 mars 2024 kl. 10:12 skrev Support <support@example.org>:",
    "da gmail": "Den tirs. 5. mar. 2024 kl. 10.12 skrev Support <support@example.org>:",
    "no gmail": "tir. 5. mars 2024 kl. 10:12 skrev Support <support@example.org>:",
    "no apple": "5. mar. 2024 kl. 10:12 skrev Support <support@example.org>:",
    "fi gmail": "ti 5. maalisk. 2024 klo 10.12 Support (support@example.org) kirjoitti:",
    "fi apple": "Support <support@example.org> kirjoitti 5.3.2024 kello 10.12:",
    "pl gmail": "wt., 5 mar 2024 o 10:12 Support <support@example.org> napisał(a):",
    "pl thunderbird": "W dniu 5.03.2024 o 10:12, Support pisze:",
    "pl apple": "Wiadomość napisana przez Support <support@example.org> w dniu 5 mar 2024, o godz. 10:12:",
    "pl dnia": "Dnia 5 marca 2024 10:12 Support <support@example.org> napisał(a):",
    "cs gmail": "út 5. 3. 2024 v 10:12 odesílatel Support <support@example.org> napsal:",
    "cs thunderbird": "Dne 05. 03. 24 v 10:12 Support napsal(a):",
    "sk": "ut 5. 3. 2024 o 10:12 Support <support@example.org> napísal(a):",
    "hu": "Support <support@example.org> ezt írta (időpont: 2024. márc. 5., K, 10:12):",
    "ro": "În mar., 5 mar. 2024 la 10:12, Support <support@example.org> a scris:",
    "ru gmail": "вт, 5 мар. 2024 г. в 10:12, Support <support@example.org>:",
    "ru mailru": "Вторник, 5 марта 2024, 10:12 +03:00 от Support <support@example.org>:",
    "ru yandex": '05.03.2024, 10:12, "Support" <support@example.org>:',
    "ru apple": "5 марта 2024 г., в 10:12, Support <support@example.org> написал(а):",
    "ru thunderbird": "05.03.2024 10:12, Support пишет:",
    "uk gmail": "вт, 5 бер. 2024 р. о 10:12 Support <support@example.org> пише:",
    "el gmail": "Στις Τρί 5 Μαρ 2024 στις 10:12 π.μ., ο/η Support <support@example.org> έγραψε:",
    "tr gmail": "Support <support@example.org>, 5 Mar 2024 Sal, 10:12 tarihinde şunu yazdı:",
    "ja gmail": "2024年3月5日(火) 10:12 Support <support@example.org>:",
    "ja apple": "2024/03/05 10:12、Support <support@example.org>のメール:",
    "ja thunderbird": "On 2024/03/05 10:12, Support wrote:",
    "ko gmail": "2024년 3월 5일 (화) 오전 10:12, Support <support@example.org>님이 작성:",
    "ko apple": "2024. 3. 5. 오전 10:12, Support <support@example.org> 작성:",
    "vi gmail": "Vào Th 3, 5 thg 3, 2024 vào lúc 10:12 Support <support@example.org> đã viết:",
    "zh-Hans gmail": "Support <support@example.org> 于2024年3月5日周二 10:12写道：",
    "zh-Hant gmail": "Support <support@example.org> 於 2024年3月5日 週二 上午10:12寫道：",
    "zh-Hans apple": "在 2024年3月5日，10:12，Support <support@example.org> 写道：",
    "zh-Hant apple": "Support <support@example.org> 於 2024年3月5日 上午10:12 寫道：",
    "zh 163": '在 2024-03-05 10:12:33，"Support" <support@example.org> 写道：',
    "zh 163 old": '在2024-03-05 10:12:33,"Support" <support@example.org> 写道:',
    "zh thunderbird": "在 2024/3/5 10:12, Support 写道:",
    "id gmail": "Pada tanggal Sel, 5 Mar 2024 pukul 10.12 Support <support@example.org> menulis:",
    "th gmail": "ในวันที่ อ. 5 มี.ค. 2024 เวลา 10:12 Support <support@example.org> เขียนว่า:",
    "ar gmail": "\u202bفي الثلاثاء، 5 مارس 2024 في 10:12 ص تمت كتابة ما يلي بواسطة \u202aSupport\u202c\u200f <\u202asupport@example.org\u202c\u200f>:\u202c",
    "he gmail": "\u202bבתאריך יום ג׳, 5 במרץ 2024 ב-10:12 מאת \u202aSupport\u202c\u200f <\u202asupport@example.org\u202c\u200f>:\u202c",
}


@pytest.mark.parametrize("line", ATTRIBUTIONS.values(), ids=ATTRIBUTIONS.keys())
def test_what_follows_an_attribution_is_left_out(line: str) -> None:
    assert visible(f"{ANSWER}\n\n{line}\n\n{QUOTE}") == ANSWER
    if not line.startswith("Support <support@example.org> wrote:"):
        assert visible(f"{ANSWER}\n\n{line}\n{PLAIN_QUOTE}") == ANSWER


HEADERS = {
    "en outlook": ("From:", "Sent:", "To:", "Subject:"),
    "en apple": ("From:", "Subject:", "Date:", "To:"),
    "en bold": ("*From:*", "*Sent:*", "*To:*", "*Subject:*"),
    "de": ("Von:", "Gesendet:", "An:", "Betreff:"),
    "fr": ("De :", "Envoyé :", "À :", "Objet :"),
    "es": ("De:", "Enviado:", "Para:", "Asunto:"),
    "es el": ("De:", "Enviado el:", "Para:", "Asunto:"),
    "pt": ("De:", "Enviado:", "Para:", "Assunto:"),
    "pt br": ("De:", "Enviada em:", "Para:", "Assunto:"),
    "it": ("Da:", "Inviato:", "A:", "Oggetto:"),
    "nl": ("Van:", "Verzonden:", "Aan:", "Onderwerp:"),
    "sv": ("Från:", "Skickat:", "Till:", "Ämne:"),
    "da": ("Fra:", "Sendt:", "Til:", "Emne:"),
    "no": ("Fra:", "Sendt:", "Til:", "Emne:"),
    "fi": ("Lähettäjä:", "Lähetetty:", "Vastaanottaja:", "Aihe:"),
    "pl": ("Od:", "Wysłano:", "Do:", "Temat:"),
    "cs": ("Od:", "Odesláno:", "Komu:", "Předmět:"),
    "hu": ("Feladó:", "Elküldve:", "Címzett:", "Tárgy:"),
    "ru": ("От:", "Отправлено:", "Кому:", "Тема:"),
    "uk": ("Від:", "Надіслано:", "Кому:", "Тема:"),
    "tr": ("Kimden:", "Gönderildi:", "Kime:", "Konu:"),
    "el": ("Από:", "Στάλθηκε:", "Προς:", "Θέμα:"),
    "zh-Hans": ("发件人:", "发送时间:", "收件人:", "主题:"),
    "zh-Hans wide": ("发件人：", "发送时间：", "收件人：", "主题："),
    "zh-Hans foxmail": ("发件人：", "发送时间：", "收件人：", "主题："),
    "zh-Hans alibaba": ("发件人：", "日　期：", "收件人：", "主　题："),
    "zh-Hant": ("寄件者:", "寄件日期:", "收件者:", "主旨:"),
    "zh-Hant wide": ("寄件者：", "傳送時間：", "收件者：", "主旨："),
    "ja": ("差出人:", "送信日時:", "宛先:", "件名:"),
    "ko": ("보낸 사람:", "보낸 날짜:", "받는 사람:", "제목:"),
    "vi": ("Từ:", "Đã gửi:", "Tới:", "Chủ đề:"),
}


def _block(labels: tuple[str, ...]) -> str:
    values = []
    for label in labels:
        plain = label.strip("*:： ").lower()
        if plain in ("sent", "date") or labels.index(label) == 1:
            values.append("Tuesday, March 5, 2024 10:12 AM")
        elif labels.index(label) in (0, 2):
            values.append("Support <support@example.org>")
        else:
            values.append("Payment 1007")
    return "\n".join(f"{label} {value}" for label, value in zip(labels, values, strict=True))


@pytest.mark.parametrize("labels", HEADERS.values(), ids=HEADERS.keys())
def test_a_mail_quoted_with_its_header_is_left_out(labels: tuple[str, ...]) -> None:
    block = _block(labels)
    assert visible(f"{ANSWER}\n\n{block}\n\n{PLAIN_QUOTE}") == ANSWER
    assert visible(f"{ANSWER}\n\n{'_' * 32}\n{block}\n\n{PLAIN_QUOTE}") == ANSWER


SEPARATORS = [
    "-----Original Message-----",
    "----- Original Message -----",
    "------------------ Original ------------------",
    "-----Ursprüngliche Nachricht-----",
    "-------- Original-Nachricht --------",
    "-----Message d'origine-----",
    "-----Mensaje original-----",
    "-----Mensagem original-----",
    "-----Messaggio originale-----",
    "-----Oorspronkelijk bericht-----",
    "-----Ursprungligt meddelande-----",
    "-----Oprindelig meddelelse-----",
    "-----Opprinnelig melding-----",
    "-----Alkuperäinen viesti-----",
    "-----Wiadomość oryginalna-----",
    "-----Původní zpráva-----",
    "-----Исходное сообщение-----",
    "-----Orijinal Mesaj-----",
    "------------------ 原始邮件 ------------------",
    "------------------&nbsp;原始邮件&nbsp;------------------".replace("&nbsp;", "\u00a0"),
    "---- 回复的原邮件 ----",
    "---- Replied Message ----",
    "----- 元のメッセージ -----",
    "-----원본 메시지-----",
    "##- Please type your reply above this line -##",
    "--- 请在此线上方回复 ---",
]


@pytest.mark.parametrize("line", SEPARATORS)
def test_what_follows_a_separator_is_left_out(line: str) -> None:
    assert visible(f"{ANSWER}\n\n{line}\n{PLAIN_QUOTE}") == ANSWER


DEVICES = [
    "Sent from my iPhone",
    "Sent from my Samsung Galaxy smartphone.",
    "Sent from my wristwatch",
    "Get Outlook for iOS",
    "Get Outlook for Android<https://aka.ms/example>",
    "Sent from Mail for Windows",
    "Sent from Yahoo Mail on Android",
    "Sent with Proton Mail secure email.",
    "Von meinem iPhone gesendet",
    "Gesendet mit der GMX Mail App",
    "Diese Nachricht wurde von meinem Android-Gerät mit K-9 Mail gesendet.",
    "Envoyé de mon iPhone",
    "Envoyé depuis mon appareil Galaxy",
    "Télécharger Outlook pour iOS<https://aka.ms/example>",
    "Enviado desde mi iPhone",
    "Enviado do meu iPhone",
    "Inviato da iPhone",
    "Verstuurd vanaf mijn iPhone",
    "Verzonden vanaf Outlook voor Android",
    "Skickat från min iPhone",
    "Sendt fra min iPhone",
    "Lähetetty iPhonesta",
    "Wysłane z iPhone'a",
    "Odesláno z iPhonu",
    "Отправлено с iPhone",
    "Надіслано з iPhone",
    "iPhone'umdan gönderildi",
    "发自我的iPhone",
    "发自我的 iPhone",
    "從我的 iPhone 傳送",
    "来自我的华为手机",
    "获取 Outlook for iOS",
    "签名由 网易邮箱大师 定制",
    "从 Windows 版邮件发送",
    "iPhoneから送信",
    "나의 iPhone에서 보냄",
    "Đã gửi từ iPhone của tôi",
]


@pytest.mark.parametrize("line", DEVICES)
def test_device_lines_are_left_out(line: str) -> None:
    assert visible(f"{ANSWER}\n\n{line}\n") == ANSWER
    assert visible(f"{ANSWER}\n\n{line}\n\n{ATTRIBUTIONS['en gmail']}\n{QUOTE}") == ANSWER


def test_signature_is_left_out() -> None:
    assert visible(f"{ANSWER}\n\n-- \nA. Customer\n+1 555 0100\n") == ANSWER
    assert visible(f"{ANSWER}\n--\nA. Customer\n") == ANSWER


def test_signature_under_a_short_rule() -> None:
    assert visible(f"{ANSWER}\n\n____\nA. Customer\nExample Corp\n") == ANSWER
    assert visible(f"{ANSWER}\n\n---\nA. Customer\n") == ANSWER
    section = "---\n" + "\n".join(f"line {n} of a section" for n in range(10))
    assert visible(f"{ANSWER}\n\n{section}") == f"{ANSWER}\n\n{section}"


def test_signature_between_answer_and_quote() -> None:
    assert visible(f"{ANSWER}\n\n-- \nA. Customer\n\n{ATTRIBUTIONS['de gmail']}\n{QUOTE}") == ANSWER


def test_a_bare_double_dash_may_part_sections() -> None:
    text = "First part\n--\n" + "\n".join(f"line {n} of the second part" for n in range(40))
    assert visible(text) == text


def test_answers_between_quotes_are_kept() -> None:
    text = (
        "Hello,\nsee below.\n\nOn 5 Mar 2024, at 10:12, Support <support@example.org> wrote:\n\n> Which device?\n\n"
        "A phone.\n\n> Which version?\n\n7.1\n\nRegards\n"
    )
    assert visible(text) == "Hello,\nsee below.\n\nA phone.\n\n7.1\n\nRegards"


def test_answer_below_the_quote() -> None:
    text = "On 5 Mar 2024, at 10:12, Support <support@example.org> wrote:\n> Which device?\n\nA phone.\n"
    assert visible(text) == "A phone."


def test_forwarded_mail_is_kept() -> None:
    text = (
        "Please look at this.\n\n---------- Forwarded message ---------\nFrom: Shop <shop@example.org>\n"
        "Date: Tue, Mar 5, 2024 at 10:12 AM\nSubject: Order\nTo: <a@example.org>\n\nYour order\n"
    )
    assert visible(text) == text.strip("\n")
    apple = "See below\n\nBegin forwarded message:\n\nFrom: x <x@example.org>\nSubject: s\nDate: 5 March 2024\n\n> text"
    assert visible(apple) == apple
    outlook = f"See below\n\n{_block(HEADERS['en outlook'])}\n\nYour order\n"
    assert visible(outlook, forwarded=True) == outlook.strip("\n")


def test_nothing_but_a_quote_is_shown_whole() -> None:
    for text in (
        QUOTE,
        f"{ATTRIBUTIONS['en gmail']}\n{QUOTE}",
        f"-----Original Message-----\n{PLAIN_QUOTE}",
        "Sent from my iPhone",
    ):
        assert visible(text) == text.strip("\n") or visible(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "On the other hand, as she wrote: it is late.\nAnd more.",
        "He wrote:\nsomething I do not understand\nCan you help?",
        "From: the very beginning it did not work.\nSo I gave up.",
        "Here is what I tried:\n1. restart\n2. reinstall at 10:30\nThanks",
        "To: whom it may concern\n\nI want my money back.",
        "My order was sent from my iPhone app, is this a problem?",
        "Dates:\n2024-01-15 14:30:25\n15.01.2024 14:30\nJan 15, 2024 at 14:30\nAll mine.",
        "I paid at 10:12 to shop@example.org:\nit never came",
        "您好：\n我在 2024-03-05 10:12 付款失败：\n提示余额不足",
        "Question: why?\nAnswer: because.",
        "Subject: refund\nI want one.",
        "a --> b\nb --> c",
        "-- that is what I meant --\nplease answer",
        "Le 5 mars 2024 à 10:12 j'ai payé deux fois :\n- une fois par carte\n- une fois par virement",
    ],
)
def test_what_only_looks_like_a_quote_is_kept(text: str) -> None:
    assert visible(text) == text


def test_list_footer_is_left_out() -> None:
    text = f"{ANSWER}\n\n_______________________________________________\nusers mailing list\nusers@example.org\n"
    assert visible(text) == ANSWER


def test_qq_mail_block() -> None:
    text = (
        "问题还没有解决，请再看一下。\n\n\n------------------ 原始邮件 ------------------\n"
        '发件人: "客服" <support@example.org>;\n发送时间: 2024年3月5日(星期二) 上午10:12\n'
        '收件人: "客户" <10000@example.com>;\n主题: 回复: 退款\n\n您好\n'
    )
    assert visible(text) == "问题还没有解决，请再看一下。"


def test_netease_master_table() -> None:
    text = "好的，谢谢\n\n---- 回复的原邮件 ----\n| 发件人 | 客服<support@example.org> |\n| 日期 | 2024年03月05日 10:12 |\n| 收件人 | a |\n| 主题 | 退款 |\n您好"
    assert visible(text) == "好的，谢谢"


HTML_QUOTES = {
    "gmail": '<div dir="ltr">{answer}</div><br><div class="gmail_quote"><div class="gmail_attr">Xyz 5:</div>{quote}</div>',
    "outlook": '{answer}<div id="divRplyFwdMsg">Xyz 5:</div>{quote}',
    "thunderbird": '{answer}<div class="moz-cite-prefix">Xyz 5:</div><blockquote type="cite">{quote}</blockquote>',
    "yahoo": '{answer}<div id="yahoo_quoted_1">{quote}</div>',
    "netease": '{answer}<div id="isReplyContent">{quote}</div>',
    "outlook desktop": '{answer}<div style="border:none;border-top:solid #E1E1E1 1.0pt">{quote}</div>',
}


@pytest.mark.parametrize("html", HTML_QUOTES.values(), ids=HTML_QUOTES.keys())
def test_the_html_shows_where_the_quote_begins(html: str) -> None:
    quoted = "This is the mail that was answered here."
    page = html.format(answer="That did it.", quote=quoted)
    attribution = "Xyz 5:\n" if "Xyz" in page else ""
    text = f"That did it.\n\n{attribution}{quoted}\n"
    assert visible(text) == text.strip("\n")
    assert visible(text, page) == "That did it."


def test_very_long_texts_are_looked_at_in_part() -> None:
    text = "a:\n" * 30_000 + "the end"
    assert visible(text) == text
    assert visible(f"{ANSWER}\n\n{ATTRIBUTIONS['en gmail']}\n{'> q' * 10}\n" + "> more\n" * 30_000).startswith(ANSWER)


LINES = st.sampled_from(
    [ANSWER, QUOTE, "", "-- ", "--", "On 5 Mar 2024, X <x@example.org> wrote:", "From: a@example.org", "Sent: today", "To: b", "Subject: c",
     "-----Original Message-----", "---------- Forwarded message ----------", "Sent from my iPhone", "> x", "_" * 40, "发件人：a", "于2024年3月5日写道："]
)  # fmt: skip


@given(st.lists(LINES | st.text(max_size=30), max_size=30))
def test_never_blank_and_only_lines_of_the_text(parts: list[str]) -> None:
    text = "\n".join(parts)
    shown = visible(text)
    assert bool(shown.strip()) == bool(text.strip())
    rest = iter(text.split("\n"))
    for line in shown.split("\n"):
        assert any(other.startswith(line) for other in rest)


HOSTILE = [
    "On ",
    "On On ",
    "\n",
    ">",
    "> ",
    "a:\n",
    "From: \n",
    "On 1 2024 wrote:\n",
    "-",
    "--\n",
    "_" * 30 + "\n",
    "schrieb ",
    "<a@b>:",
    "在",
    "a wrote: ",
    "From: From: ",
    "*",
    "[",
    "Sent from ",
]


def test_time_is_linear_on_hostile_text() -> None:
    """Each pattern many thousand times, in a process that is stopped when it hangs."""
    code = (
        "import sys; from connectors.mail.visible import visible\n"
        f"for p in {HOSTILE!r}:\n    visible(p * (60_000 // len(p))); visible('x\\n' + p * (60_000 // len(p)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=50)
