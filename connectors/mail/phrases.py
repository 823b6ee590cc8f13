"""What mail systems and mail programs write, by language: what tells a machine's mail from a person's.

The texts are those of Postfix, Exim, sendmail, qmail, Exchange and Microsoft 365, Gmail, Yahoo, AOL, Domino, GroupWise,
MDaemon, Tencent QQ and NetEase 163, and of the out-of-office functions of Outlook, Gmail, Apple, Domino and QQ, in the
languages these come in. All in lower case; compared after `fold`.
"""

from __future__ import annotations

import re
import unicodedata

import re2

_SPACE = re.compile(r"\s+")
_options = re2.Options()
_options.log_errors = False
_options.never_capture = True
_options.max_mem = 32 << 20


def fold(text: str) -> str:
    """For comparison: lower case, compatibility forms and spaces evened out, typographic apostrophes plain."""
    if text.isascii():
        return _SPACE.sub(" ", text.lower())
    folded = unicodedata.normalize("NFC", text).lower().replace("’", "'").replace("\u200b", "")
    return _SPACE.sub(" ", folded)


class Phrases:
    """Words that are looked for together: one pass over the text says whether any is in it."""

    __slots__ = ("_any", "words")

    def __init__(self, *words: str) -> None:
        self.words = words
        self._any = re2.compile("|".join(re2.escape(word) for word in words), _options)

    def within(self, text: str) -> bool:
        """Whether a folded text holds one of them."""
        return self._any.search(text) is not None

    def count(self, text: str, enough: int) -> int:
        """How many of them a folded text holds, up to `enough`."""
        found = 0
        if self.within(text):
            for word in self.words:
                if word in text:
                    found += 1
                    if found >= enough:
                        break
        return found

    def begins(self, text: str) -> str:
        """The longest of them that a folded text begins with, or an empty string."""
        if not text.startswith(self.words):
            return ""
        return max((word for word in self.words if text.startswith(word)), key=len)


BOUNCE_SUBJECTS = Phrases(
    # en
    "undeliverable", "undelivered", "undeliver", "delivery status notification", "delivery failure",
    "delivery failed",
    "delivery has failed", "failure notice", "failure delivery", "returned mail", "return mail", "mail returned",
    "mail delivery fail", "mail delivery problem", "mail delivery error", "delivery problem", "delivery error",
    "delivery report",
    "message delivery fail", "could not be delivered", "couldn't be delivered", "can't be delivered",
    "cannot be delivered",
    "non-delivery", "nondeliverable", "non delivery", "nondelivery", "not delivered", "not be delivered",
    "unable to deliver",
    "delivery notification", "mail system error", "mail failure", "mail error", "mail failed", "failed mail",
    "message failure",
    "returning message to sender", "returned to sender", "returning to sender", "return to sender", "user unknown",
    "unknown user", "address not found", "message not sent", "message blocked", "message rejected", "mail rejected",
    "email rejected", "rejected mail", "rejected:", "rejected message", "message status", "processing error",
    "permanent delivery", "delivery warning", "delayed mail", "delivery delay", "message delayed", "mail delay",
    "has not yet been delivered", "warning: could not send", "bounced", "bounce:", "undelivarable",
    "recipient not found",
    "mailbox full", "mail quota", "over quota", "email delivery", "mail delivery", "invalid recipient",
    "no such user",
    "smtp error", "your message to", "delivery incomplete", "message not delivered", "unknown recipient",
    "banned file",
    "nameserver error", "failed mail to", "dsn:", "ndr:", "ndn:", "delivery status", "unzustellbar",
    # de
    "nicht zustellbar", "nicht zugestellt", "zustellung fehlgeschlagen", "zustellfehler", "übermittlungsfehler",
    "zustellproblem",
    "nachricht konnte nicht", "mail konnte nicht", "unzustellbare", "zustellbericht", "zurückgewiesen",
    # fr
    "non remis", "échec de la remise", "échec de remise", "non distribu", "échec de distribution", "échec d'envoi",
    "échec de l'envoi", "retour à l'expéditeur", "non délivr", "message rejeté", "n'a pas pu être",
    "utilisateur non recensé",
    "impossible de remettre", "notification d'état de remise", "courrier non",
    # es
    "no se puede entregar", "no entregado", "no se pudo entregar", "error de entrega", "correo devuelto",
    "entrega fallida",
    "mensaje no entregado", "devuelto al remitente", "notificación de estado de entrega", "fallo en la entrega",
    "mensaje devuelto", "no se ha podido entregar", "correo no entregado", "imposible entregar",
    # pt
    "não é possível entregar", "não entregue", "falha na entrega", "falha de entrega", "mensagem devolvida",
    "nao entregue",
    "não foi possível entregar", "e-mail devolvido", "devolução de mensagem", "não pôde ser entregue", "não recebido",
    # it
    "non recapitabile", "mancato recapito", "non recapitato", "errore di consegna", "mancata consegna",
    "consegna fallita",
    "impossibile recapitare", "avviso di mancata", "messaggio non consegnato", "non consegnabile",
    # nl
    "onbestelbaar", "niet afgeleverd", "niet bezorgd", "bezorging mislukt", "niet worden afgeleverd", "onbezorgbaar",
    "kan niet worden bezorgd", "niet bestelbaar",
    # sv, da, no
    "går inte att leverera", "kan inte levereras", "olevererat", "leverans misslyckades", "leveransfel",
    "ej levererat",
    "kunde inte levereras", "kan ikke leveres", "ikke leveret", "levering mislykkedes", "ikke levert", "uleverbar",
    "kunne ikke leveres", "leveringsfejl", "leveringsfeil", "kan inte leverera",
    # fi
    "ei voi toimittaa", "toimittaminen epäonnistui", "toimitusvirhe", "ei voitu toimittaa", "ei toimitettu",
    "toimittamaton",
    "ei voida toimittaa",
    # pl
    "niedostarcz", "nie dostarczono", "nie można dostarczyć", "błąd dostarczenia", "nie została dostarczona",
    "zwrot poczty",
    "nie doręczono",
    # cs, sk
    "nedoručiteln", "nedoručen", "nelze doručit", "nedoručiteľn", "nemožno doručiť", "nepodařilo se doručit",
    # hu, ro, el
    "kézbesíthetetlen", "nem kézbesíthető", "kézbesítés sikertelen", "nelivrabil", "mesaj nelivrat",
    "nu poate fi livrat",
    "δεν είναι δυνατή η παράδοση", "μη παραδοτέο", "αποτυχία παράδοσης",
    # ru, uk, bg
    "не удается доставить", "не удаётся доставить", "недоставленн", "не доставлено", "ошибка доставки",
    "невозможно доставить",
    "не удалось доставить", "недоставлено", "не может быть доставлено", "сбой доставки", "не вдалося доставити",
    "недоставлен",
    "неможливо доставити", "не доставлен", "отчет о доставке", "не може да бъде доставено", "письмо не доставлено",
    # tr
    "teslim edilemedi", "iletilemedi", "teslim edilemeyen", "gönderilemedi", "teslimat başarısız",
    "teslim edilemiyor",
    # zh
    "退信", "传输失败", "投递失败", "未送达", "无法送达", "发送失败", "无法投递", "递送失败", "邮件被退回", "未传递",
    "未能送达",
    "无法发送", "未投递", "发送不成功", "投递状态", "被拒收", "无法传递", "传递失败", "邮件退回", "投递延迟",
    "無法傳遞", "無法傳送", "退件", "無法投遞", "未傳遞", "傳遞失敗", "投遞失敗", "寄送失敗", "未能送達", "無法遞送",
    "無法送達",
    "遞送失敗", "傳送失敗", "郵件被退回", "未送達", "傳遞狀態",
    # ja
    "配信不能", "配信できません", "配信エラー", "送信エラー", "不達", "未配信", "配達不能", "配信不可",
    "送信できません", "エラーメール",
    "返送され", "配達されません", "配信に失敗", "送信失敗", "配信失敗", "配信状況", "配送失敗", "配達できません",
    # ko
    "배달되지", "배달할 수 없", "배달 못", "전송 실패", "반송", "발송 실패", "수신 실패", "전달되지", "배달 실패",
    "전송되지", "발송실패",
    "전달할 수 없",
    # vi, th, ar, he, id
    "không thể gửi", "không gửi được", "không thể chuyển", "không phát được", "gửi không thành công",
    "không chuyển được",
    "ไม่สามารถส่ง", "ส่งไม่สำเร็จ", "تعذر التسليم", "غير قابل للتسليم", "تعذر تسليم", "تعذّر تسليم", "לא ניתן למסירה",
    "tidak terkirim", "gagal terkirim", "pengiriman gagal",
)  # fmt: skip

BOUNCE_TEXTS = Phrases(
    "could not be delivered", "couldn't be delivered", "cannot be delivered", "can't be delivered",
    "can not be delivered",
    "undeliverable", "undelivered mail", "delivery to the following recipient", "delivery has failed",
    "delivery failed",
    "the following address", "following addresses", "permanent fatal errors", "user unknown", "unknown user",
    "no such user",
    "mailbox unavailable", "mailbox full", "mailbox is full", "over quota", "quota exceeded", "exceeded storage",
    "inbox is full",
    "did not reach the following", "wasn't able to deliver", "was not able to deliver", "this is a permanent error",
    "permanent error",
    "unable to deliver", "was not delivered", "has not been delivered", "not be delivered", "wasn't delivered",
    "delivery failure",
    "recipient address rejected", "address rejected", "no longer valid", "no longer active", "doesn't have a",
    "not listed in",
    "mailbox does not exist", "account does not exist", "user does not exist", "address does not exist",
    "recipient does not exist",
    "host unknown", "host not found", "domain not found", "failed recipient", "returned to sender",
    "unrouteable address",
    "your message was rejected", "message was rejected", "message has been rejected", "message was blocked",
    "message was bounced",
    "mail was bounced", "unknown local part", "account is disabled", "account has been disabled",
    "mailbox is disabled",
    "user is unknown", "recipient unknown", "unknown recipient", "invalid recipient", "invalid mailbox",
    "invalid address",
    "unknown address", "message undelivered", "mail undelivered", "bounced from", "relaying denied",
    "relay access denied",
    "transcript of session follows", "not a valid mailbox", "no mailbox here", "mail delivery system",
    "mail delivery failed",
    "couldn't be found", "could not be found", "wasn't found at", "address not found", "message not delivered",
    "failed to deliver",
    "your message to", "has been delayed", "temporarily delayed", "not yet been delivered", "delivery attempts",
    "will be retried",
    "returned mail", "error code", "remote server", "is not accepting", "550 ", "554 ", "552 ", "551 ", "553 ",
    "5.1.1", "5.0.0",
    "5.2.2", "5.7.1", "message too large", "banned filename", "spam message",
    "konnte nicht zugestellt", "konnten nicht zugestellt", "unzustellbar", "nicht zugestellt", "nicht gefunden",
    "postfach voll",
    "n'a pas pu être remis", "n'a pu être remis", "non remis", "n'a pas pu être distribué", "n'a pas été remis",
    "boîte pleine",
    "utilisateur inconnu", "n'existe pas", "n'a pas pu être délivr", "non recensé",
    "no se pudo entregar", "no pudo ser entregado", "no se ha podido entregar", "no existe", "buzón lleno",
    "no fue entregado",
    "não foi possível entregar", "não pôde ser entregue", "não pode ser entregue", "caixa cheia", "não existe",
    "não foi entregue",
    "non è stato possibile recapitare", "non è stato recapitato", "non può essere recapitato", "casella piena",
    "non esiste",
    "niet worden afgeleverd", "niet worden bezorgd", "niet bezorgd", "niet afgeleverd", "onbestelbaar",
    "bestaat niet",
    "kunde inte levereras", "kan inte levereras", "kunne ikke leveres", "kan ikke leveres", "ei voitu toimittaa",
    "ei voida toimittaa",
    "nie można dostarczyć", "nie mogła zostać dostarczona", "nie została dostarczona", "nie została doręczona",
    "nieznany użytkownik",
    "nelze doručit", "nebyla doručena", "nem kézbesíthető",
    "не удалось доставить", "не может быть доставлен", "не было доставлено", "не доставлен", "не существует",
    "не найден", "переполнен",
    "не вдалося доставити", "teslim edilemedi", "iletilemedi",
    "退信", "无法送达", "无法投递", "收件人地址不存在", "不能被送达", "投递失败", "被退回", "退件", "不存在",
    "未能送达", "无法发送",
    "邮箱已满", "拒收", "投递不到", "無法投遞", "無法傳遞", "無法送達", "退信原因", "未能送达", "不能送達",
    "信箱已滿", "尚未送达",
    "配信できません", "配信されません", "届けられません", "宛先不明", "配達できません", "送信できません",
    "お届けできません", "見つかりません",
    "存在しません", "配信に失敗", "エラーのため", "배달하지 못", "배달되지", "전송하지 못", "존재하지 않",
    "전송되지", "전달되지", "반송",
    "không thể gửi", "không gửi được", "không tồn tại",
)  # fmt: skip

BOUNCE_ENDINGS = Phrases(
    "non remis", "(non remis)", ": undeliverable", ": undelivered", ": not delivered", ": nicht zugestellt",
    ": unzustellbar",
    ": no entregado", ": non recapitato", ": niet bezorgd", ": 退信",
)  # fmt: skip

STRONG_BOUNCE_TEXTS = Phrases(
    "this is the mail delivery agent", "this is the postfix program", "this is the qmail-send program",
    "hi. this is the",
    "this message was created automatically by mail delivery software", "permanent fatal errors",
    "transcript of session follows",
    "delivery to the following recipients failed", "delivery to the following recipient failed",
    "did not reach the following recipient",
    "i'm sorry to have to inform you that", "the following message to <", "failed to deliver your message",
    "message from yahoo", "sorry, we were unable to deliver your message",
    "this report relates to a message you sent",
    "a message that you sent could not be delivered", "diagnostic information for administrators",
    "抱歉，您的邮件被退回来了", "您的邮件被退回", "很抱歉您发送的邮件被退回", "由腾讯qq邮箱", "该邮件被退回",
    "this is an automatically generated delivery status",
    "generating server", "unable to deliver your message to the following", "could not be delivered to one or more",
    "mail transport unable to deliver", "the following addresses had", "delivery has failed to these recipients",
    "your message wasn't delivered", "this is a permanent error; i've given up", "undelivered mail follows",
)  # fmt: skip

DELAYS = Phrases(
    "delayed", "(delay)", "not yet been delivered", "still being retried", "still trying", "will continue to",
    "will be retried",
    "you do not need to resend", "will retry", "will keep trying", "warning: could not send",
    "this is a warning message only",
    "temporary problem", "delivery attempts will continue", "verzögert", "retardé", "retrasad", "atrasad", "ritard",
    "vertraagd",
    "försenad", "forsinket", "opóźnion", "zpožděn", "задержан", "задерж", "geciktirildi", "延迟", "延遲", "遅延",
    "遅れ", "지연",
    "no action is required on your part", "transient error", "is still undelivered",
    "not been able to deliver your message yet",
    "尚未送达", "继续尝试",
)  # fmt: skip

AUTO_SUBJECTS = Phrases(
    # en
    "automatic reply", "auto reply", "auto-reply", "autoreply", "auto_reply", "auto response", "auto-response",
    "autoresponse",
    "automatic response", "automated response", "automated reply", "auto responder", "auto-responder",
    "autoresponder", "auto answer",
    "auto-answer", "auto:", "out of office", "out of the office", "out-of-office", "ooo:", "ooo", "vacation reply",
    "vacation message",
    "vacation notice", "away from my mail", "away from office", "away message", "automatic answer",
    "autoresponse to", "autoreply to",
    "automatically generated reply", "auto notification", "automatic message", "automated message", "absence notice",
    # de
    "automatische antwort", "automatische rückantwort", "abwesenheitsnotiz", "abwesenheitsbenachrichtigung",
    "abwesenheitsmeldung",
    "abwesenheitsagent", "abwesenheitsnachricht", "nicht im büro", "außer haus", "ausser haus",
    "automatische eingangsbestätigung",
    "automatische nachricht", "urlaubsnachricht", "automat. antwort", "automatische abwesenheit",
    "automatische rueckantwort",
    "automatische e-mail-antwort",
    # fr
    "réponse automatique", "reponse automatique", "message automatique", "absence du bureau", "absent du bureau",
    "message d'absence",
    "notification d'absence", "accusé de réception automatique", "hors du bureau", "réponse d'absence",
    "répondeur automatique",
    # es
    "respuesta automática", "respuesta automatica", "fuera de la oficina", "fuera de oficina", "mensaje automático",
    "autorespuesta",
    "ausencia de la oficina", "ausente de la oficina", "aviso de ausencia", "contestación automática",
    "auto-respuesta", "autorrespuesta",
    # pt
    "resposta automática", "resposta automatica", "ausência temporária", "fora do escritório",
    "ausente do escritório", "aviso de ausência",
    "mensagem automática", "ausência do escritório", "fora do escritorio",
    # it
    "risposta automatica", "fuori sede", "fuori ufficio", "assenza dall'ufficio", "messaggio automatico",
    "risponditore automatico",
    "auto risposta", "avviso di assenza",
    # nl
    "automatisch antwoord", "automatische reactie", "automatisch bericht", "afwezigheidsbericht", "buiten kantoor",
    "afwezigheidsmelding",
    "automatische beantwoording", "afwezigheidsassistent", "niet op kantoor",
    # sv, da, no, fi
    "autosvar", "automatiskt svar", "automatsvar", "frånvaromeddelande", "inte på kontoret", "ej på kontoret",
    "automatisk svar",
    "automatisk besvarelse", "fraværsmeddelelse", "fraværsmelding", "ikke på kontoret", "borte fra kontoret",
    "ute av kontoret",
    "ude af kontoret", "automaattinen vastaus", "en ole paikalla", "poissaoloviesti", "poissaoloilmoitus", "poissa:",
    "poissa toimistosta",
    # pl, cs, sk, hu, ro, hr, sl
    "automatyczna odpowiedź", "odpowiedź automatyczna", "autoodpowiedź", "poza biurem", "automatyczna odpowiedz",
    "odpowiedz automatyczna",
    "automatická odpověď", "automatická odpoveď", "mimo kancelář", "automatická odezva", "mimo kancelárie",
    "automatikus válasz",
    "házon kívül", "nem vagyok az irodában", "răspuns automat", "raspuns automat", "automatski odgovor",
    "samodejni odgovor", "absent din birou",
    # ru, uk, bg, el, tr
    "автоматический ответ", "автоответ", "вне офиса", "нет на месте", "меня нет в офисе", "автоматична відповідь",
    "автовідповідь",
    "поза офісом", "автоматичен отговор", "извън офиса", "αυτόματη απάντηση", "εκτός γραφείου", "otomatik yanıt",
    "otomatik cevap",
    "ofis dışında", "ofis dışı",
    # zh
    "自动回复", "自动答复", "自動回覆", "自動回復", "自動答覆", "自动应答", "外出时的自动", "不在办公室",
    "不在辦公室", "外出自動", "离开办公室",
    "自动回函", "自動回函", "假期自动", "自动响应", "外出回覆", "休假自动", "自动回覆", "自動回應",
    "外出时的自动回复",
    # ja, ko
    "自動応答", "自動返信", "自動回答", "不在通知", "不在のお知らせ", "不在連絡", "外出中の自動", "不在応答",
    "自動送信",
    "자동 회신", "자동회신", "자동 응답", "자동응답", "부재중", "부재 중", "자동 답장", "자동답장",
    # vi, th, id, ar, he, hi
    "trả lời tự động", "tự động trả lời", "phản hồi tự động", "thư trả lời tự động", "ตอบกลับอัตโนมัติ",
    "ไม่อยู่ที่ทำงาน", "balasan otomatis",
    "jawaban otomatis", "di luar kantor", "رد تلقائي", "الرد التلقائي", "خارج المكتب", "מענה אוטומטי",
    "תשובה אוטומטית", "מחוץ למשרד",
    "स्वचालित उत्तर", "balasan automatik",
)  # fmt: skip
"""Subjects that say it outright."""

AUTO_HINTS = Phrases(
    "on vacation", "vacation:", "vacation", "i am away", "i'm away", "on leave", "on annual leave", "on holiday",
    "holiday notice",
    "on maternity leave", "on parental leave", "on sabbatical", "thank you for your e-mail",
    "thank you for your email", "thank you for contacting",
    "thank you for your message", "thanks for your email", "thanks for contacting", "we have received your",
    "we received your",
    "your message has been received", "your request has been received", "message received", "ticket created",
    "ticket received",
    "request received", "unmonitored mailbox", "no longer with", "no longer employed", "has left the company",
    "case created",
    "your inquiry", "acknowledgement", "confirmation of receipt", "received your",
    "abwesend", "abwesenheit", "urlaub", "eingangsbestätigung", "ihre anfrage", "ihre nachricht",
    "vielen dank für ihre",
    "absence", "absent", "en congé", "en vacances", "accusé de réception", "votre message", "votre demande",
    "merci pour votre",
    "vacaciones", "ausente", "ausencia", "hemos recibido", "gracias por", "férias", "ausente", "recebemos",
    "obrigado por",
    "ferie", "assente", "assenza", "abbiamo ricevuto", "grazie per", "afwezig", "niet aanwezig", "vakantie",
    "bedankt voor", "ontvangstbevestiging",
    "semester", "frånvaro", "ledig", "ferie", "fravær", "ikke til stede", "tak for din", "takk for din",
    "tack för ditt", "lomalla", "poissa",
    "kiitos viestistäsi", "nieobecn", "urlop", "dziękujemy za", "nepřítom", "neprítom", "dovolen", "szabadság",
    "távollét", "concediu",
    "в отпуске", "отсутств", "отпуск", "ваше письмо", "ваше обращение", "у відпустці", "відпустк", "izinde", "tatil",
    "休假", "外出", "出差", "度假", "已收到", "收到您的", "感谢您的来信", "您的来信", "感謝您的來信", "您的邮件",
    "休暇", "不在", "外出中", "受付完了", "お問い合わせありがとう", "お問い合わせを受け付け", "受付のお知らせ",
    "휴가", "외출", "문의가 접수", "접수되었습니다",
    "nghỉ phép", "vắng mặt", "cảm ơn bạn đã", "ลาพักร้อน", "cuti", "إجازة", "בחופשה",
)  # fmt: skip
"""Subjects that people write too: they count only beside other signs."""

AUTO_TEXTS = Phrases(
    "out of the office", "out of office", "on vacation", "on annual leave", "currently away", "i am away",
    "i'm away", "on leave",
    "this is an automatic reply", "this is an automated reply", "this is an automatic response",
    "this is an automated response",
    "this is an auto", "automatically generated", "automated message", "automatic message", "do not reply to this",
    "auto-generated",
    "autoresponder", "with limited access to", "limited access to my email", "limited access to email",
    "will reply when i return",
    "when i return", "upon my return", "back in the office", "return to the office", "i will endeavour to reply",
    "no longer working",
    "no longer with the company", "not in the office", "will be back on", "on maternity leave", "on holiday",
    "abwesend", "nicht im büro", "nicht im hause", "im urlaub", "wieder erreichbar", "automatisch generierte",
    "automatische antwort",
    "nicht erreichbar", "nicht weitergeleitet", "wieder im büro", "absent du bureau", "je suis absent",
    "actuellement absent", "en congé",
    "de retour le", "réponse automatique", "message automatique", "fuera de la oficina", "estoy de vacaciones",
    "respuesta automática",
    "estaré de vuelta", "fora do escritório", "de férias", "resposta automática", "retorno no dia", "fuori sede",
    "sono in ferie",
    "fuori ufficio", "risposta automatica", "sarò assente", "niet aanwezig", "afwezig", "op vakantie",
    "met vakantie", "automatisch antwoord",
    "inte på kontoret", "på semester", "åter på kontoret", "på ferie", "ikke på kontoret", "tilbage på kontoret",
    "tilbake på kontoret",
    "poissa", "lomalla", "poza biurem", "na urlopie", "nieobecn", "mimo kancelář", "nepřítom", "szabadságon",
    "házon kívül",
    "в отпуске", "вне офиса", "отсутствую", "меня не будет", "автоматический ответ", "у відпустці", "не в офісі",
    "ofis dışında", "izindeyim",
    "自动回复", "自动答复", "自動回覆", "休假", "不在办公室", "出差", "外出", "度假", "我会尽快回复",
    "已收到您的来信", "您的邮件已收到", "邮件已经收到",
    "收到您的邮件", "会尽快给您回复", "不在辦公室", "自動返信", "自動応答", "休暇", "不在に", "不在です", "外出して",
    "席を外し", "자동 회신", "부재중", "휴가",
    "자동 응답", "출장", "trả lời tự động", "nghỉ phép", "vắng mặt",
)  # fmt: skip

CHALLENGES = Phrases(
    "sender verification", "verify your message", "confirm your message", "please confirm your",
    "confirm you are human",
    "protected by bluebottle", "added to the recipient's allowed", "boxbe", "spamarrest", "spam arrest",
    "earthlink spamblocker",
    "challenge/response", "challenge-response", "click the link below to deliver", "verification required",
    "mail to be delivered you must",
    "antispam uol", "anti-spam uol", "anti-spam da uol", "to complete this verification", "whitelist request",
    "awaiting verification",
    "tmda", "active spam killer", "please add yourself to my", "prove you are human", "request to be added",
    "approved senders",
    "message is awaiting", "to release your message", "mailblocks", "needs your verification", "require verification",
)  # fmt: skip

READ_SUBJECTS = Phrases(
    "read:", "not read:", "return receipt", "read receipt", "read notification", "receipt notification",
    "disposition notification",
    "read report", "displayed:", "gelesen:", "ungelesen gelöscht:", "nicht gelesen:", "empfangsbestätigung",
    "lesebestätigung",
    "lu :", "lu:", "non lu :", "confirmation de lecture", "accusé de lecture", "accusé de réception (affiché)",
    "leído:", "leido:",
    "no leído:", "confirmación de lectura", "acuse de recibo", "lida:", "lido:", "não lida:",
    "confirmação de leitura", "letto:",
    "conferma di lettura", "ricevuta di ritorno", "gelezen:", "ongelezen", "leesbevestiging", "läst:", "läskvitto",
    "læst:", "lest:",
    "lesekvittering", "kvittering for læsning", "luettu:", "lukukuittaus", "przeczytane:",
    "potwierdzenie przeczytania", "przeczytano:",
    "přečteno:", "potvrzení o přečtení", "elolvasva:", "прочитано:", "прочтено:", "уведомление о прочтении",
    "okundu:", "okundu bilgisi",
    "已读:", "已读：", "已讀:", "已讀：", "阅读回执", "已读回执", "讀取回條", "讀取:", "讀取：", "回执:", "回执：",
    "回條", "邮件已被阅读", "開封済み:",
    "開封済み：", "開封確認", "開封:", "읽음:", "읽음 확인", "수신 확인", "수신확인", "đã đọc:", "xác nhận đã đọc",
    "อ่านแล้ว:", "قراءة:",
)  # fmt: skip

READ_TEXTS = Phrases(
    "was read on", "has been read", "was displayed on", "wurde gelesen", "gelesen am", "a été lu", "a été ouvert",
    "fue leído", "se leyó",
    "foi lida", "foi lido", "è stato letto", "è stata letta", "is gelezen", "har lästs", "er læst", "ble lest",
    "on luettu", "przeczytan",
    "přečten", "прочитан", "прочтен", "прочтён", "okundu", "已被阅读", "已于", "已阅读", "已經讀取", "已讀取",
    "已读", "開封され", "開封しました", "開かれ",
    "읽었", "읽음", "열람", "đã được đọc", "return receipt", "disposition", "displayed on the recipient",
    "was deleted without being read",
    "ungelesen gelöscht", "is no guarantee that the message has been read", "no guarantee that the",
)  # fmt: skip

COMPLAINT_SUBJECTS = Phrases(
    "abuse report", "complaint about message", "spam complaint", "spam report", "email feedback report",
    "feedback loop",
    "junk mail report", "junk report", "email abuse report", "abuse complaint", "report of unsolicited", "[spamcop",
    "spamcop report",
    "complaint feedback", "fw: spam", "fbl report", "投诉", "垃圾邮件举报", "垃圾邮件投诉",
)  # fmt: skip

COMPLAINT_SENDERS = Phrases(
    "fbl", "feedbackloop", "feedback-loop", "complaints", "abuse-report", "abusereport", "spamreports", "jmrp",
    "scomp", "feedback",
    "fbl-no-reply", "junkreport", "arf", "abuse-reports", "complaint", "staff", "abuse", "spam",
)  # fmt: skip

COMPLAINT_TEXTS = Phrases(
    "this is an email abuse report", "this is a spam report", "this is an abuse report", "marked as spam",
    "reported as spam",
    "feedback report", "feedback loop", "reported this message as", "reported this email as",
    "abuse report for an email",
    "complaint was received", "complained about", "unsolicited bulk", "junk mail reporting", "spamcop",
    "reported the following email",
    "clicked the \"this is spam\"", "marked the attached", "user has reported", "举报为垃圾邮件", "标记为垃圾邮件",
    "垃圾邮件投诉",
)  # fmt: skip
