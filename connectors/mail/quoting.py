"""Lines by which mail programs mark what is not the writer's own: attributions, separators, header blocks, device lines.

Each test looks at one line (or a few joined) of bounded length; regular expressions that see customers' text run on re2.
Sources: the programs' own texts (Gmail, Outlook, Apple Mail, Thunderbird, Yahoo, QQ, 163, Foxmail, Alibaba, Zoho,
Proton, Samsung, K-9) in the languages they come in.
"""

from __future__ import annotations

import re
from typing import Literal

import re2

MAX_LINE = 600
"""Characters of an attribution; longer lines are prose."""

_options = re2.Options()
_options.log_errors = False
_options.case_sensitive = False

_VERB = re2.compile(
    r"(?:^|[\s\pP])(?:wrote|writes|write|said|says|schrieb|schrieben|geschrieben|a\s+écrit|a\s+ecrit|écrit|"
    r"nous a dit|écrivait|escribió|escribio|"
    r"escribía|ha escrito|escreveu|escrito|ha scritto|scrive|scritto|schreef|geschreven|skrev|skrivit|"
    r"kirjoitti|kirjoittanut|napisał|napisała|napisana|napisał\(a\)|"
    r"napisal|pisze|nadesłał|napsal|napsala|napsal\(a\)|napísal|napísala|napísal\(a\)|писал|писала|пишет|"
    r"написал|написала|написал\(а\)|"
    r"написа|пише|написав|написала|írta|írt|a scris|έγραψε|yazdı|yazmış|şunu yazdı|şunları yazdı|viết|đã viết|"
    r"menulis|napisao|napisala|je napisal|"
    r"va escriure|escrigué|skrifaði|kirjutas|rašė|rakstīja|sent|posted|เขียน|เขียนว่า|كتب|كتبت|כתב|כתבה|"
    r"sunday wrote)(?:$|[\s\pP])"
    r"|写道|寫道|写到|寫到|のメール|メッセージ|さんは書きました|書きました|さんが書きました|작성|썼습니다|"
    r"님이 쓴|보낸 메시지|作成|wrote",
    _options,
)
_DATE = re.compile(r"\d{4}|\d{1,2}[:.]\d{2}|\d{1,2}[./-]\d{1,2}[./-]\d{2}")
_MAIL = re.compile(r"[^\s<>\[\]()\"']{1,64}@[^\s<>\[\]()\"']{1,200}")
_START = re.compile(
    r"[\s\-_*>~]*(?:on|at|in|am|le|el|il|em|op|den|dnia|w dniu|dne|dňa|il giorno|in data|a\s|vào|pada|w dn|w\s|"
    r"de|ср|пн|вт|чт|пт|сб|вс|"
    r"\d|在|于|於|\w{2,12}[.,]?\s+\d|[\"'“<(]?\w)",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"[\s\-_*>~]*(?:on|at|am|le|el|il|em|op|den|dnia|w dniu|dne|dňa|il giorno|in data|vào|pada|в|el día|a|"
    r"in a message dated|in message)\s",
    re.IGNORECASE,
)
_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TRAILING = "-_*=~ \t\xa0.>"
_CJK_AT = re.compile(r"(?:在|于|於)\s*.{0,200}?\d|\d{4}\s*年|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}")


def is_quoted(line: str) -> bool:
    """Begins with a quote mark."""
    stripped = line.lstrip(" \t\xa0\u3000")
    return stripped.startswith((">", "＞")) and not stripped.rstrip().endswith("<<")


def attribution(line: str, followed: bool) -> bool:
    """Whether the line (or lines joined) says who wrote what follows. `followed`: quoted lines follow, so that less
    is needed."""
    text = line.strip()
    if not 6 <= len(text) <= MAX_LINE:
        return False
    if not text.isascii():
        text = _DIRECTION.sub("", text).strip()
    bare = text.rstrip(_TRAILING)
    if not bare.endswith((":", "：", "﹕")):
        lower = bare.lower()
        if (
            text.startswith("--")
            and text.endswith("--")
            and lower.endswith((" wrote", " schrieb", " a écrit", " escribió"))
        ):
            return True
        # `---- On …, X wrote ----` (Zoho), `… wrote` without its colon
        if not (
            lower.endswith(("wrote", "写道", "寫道", "schrieb", "a écrit", "escribió", "escreveu"))
            and _DATE.search(bare)
        ):
            return _dated_address(bare, text)
        if not (_PREPOSITION.match(bare) or _CJK_AT.match(bare)):
            return False
        return True
    body = bare.rstrip(":：﹕").rstrip()
    dated = _DATE.search(body) is not None
    mailed = "@" in body and _MAIL.search(body) is not None
    if (dated or mailed or followed) and _VERB.search(body):
        if (dated and (mailed or _PREPOSITION.match(body) or _CJK_AT.search(body) or _named_date(body))) or (
            mailed and len(body) < 200
        ):
            return True
        return followed and len(body) < 200
    if dated and mailed and not body.lower().startswith(("http", "from", "to", "cc", "subject")):
        # `ср, 1 апр. 2015 г. в 18:29, X <x@example.org>:`, `2015-10-18 0:17 GMT+03:00 X <x@example.org>:`
        end = body.rstrip(">)]\"' ")
        if body[-1:] in ">)]" or (_MAIL.search(end[-120:]) and (_WEEKDAYS.match(body) or body[:1].isdigit())):
            return True
    return False


_WEEKDAYS = re.compile(
    r"[\s\-*>]*(?:mon|tue|wed|thu|fri|sat|sun|mo|di|mi|do|fr|sa|so|lun|mar|mer|jeu|ven|sam|dim|mié|jue|vie|sáb|"
    r"dom|seg|ter|qua|qui|sex|"
    r"man|tir|ons|tor|fre|lør|søn|mån|tis|lör|sön|ma|ti|ke|to|pe|la|su|pon|wt|śr|czw|pt|sob|niedz|po|út|st|čt|"
    r"pá|ne|пн|вт|ср|чт|пт|сб|вс|нд|пон)"
    r"[a-zäöåéêáíúóçãœłńśżźěščřžýа-яіїєґ]{0,12}[.,]?\s",
    re.IGNORECASE,
)
_MONTHS = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|mär|mai|okt|dez|janv|févr|mars|avr|juin|juil|août|"
    r"déc|ene|abr|ago|dic|fev|set|out|"
    r"gen|mag|giu|lug|ott|maj|tammi|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras|joulu|sty|lut|kwi|"
    r"cze|lip|sie|wrz|paź|lis|gru|"
    r"led|úno|bře|dub|kvě|čer|srp|zář|říj|pro|янв|фев|мар|апр|мая|май|июн|июл|авг|сен|окт|ноя|дек|січ|лют|бер|"
    r"кві|тра|чер|лип|сер|вер|жов|лис|гру)",
    re.IGNORECASE,
)


def _named_date(text: str) -> bool:
    return (
        _WEEKDAYS.match(text) is not None
        or _MONTHS.search(text) is not None
        or re.search(r"\d{1,2}:\d{2}", text) is not None
    )


def _dated_address(bare: str, text: str) -> bool:
    """`2016-03-03 17:21 GMT+01:00 Name` and `2013/10/2 name <x@example.org>`: old Gmail, without a colon."""
    return _OLD_GMAIL.match(bare) is not None and (text.endswith((">", ">:")) or " GMT" in bare[:24])


_OLD_GMAIL = re.compile(r"20\d\d[-/]\d{1,2}[-/]\d{1,2} (?:\d{1,2}:\d\d )?(?:GMT[+-]\d\d:\d\d )?\S")

# --- separators

_ORIGINAL = frozenset("""
original message|originalmessage|original|original mail|original email|reply message|replied message|
message original|initial message|
reply separator|reply header|reply|antwort nachricht|antwort|previous message|originalnachricht|original-nachricht|
ursprüngliche nachricht|urspruengliche nachricht|
ursprüngliche mitteilung|ursprungsnachricht|ursprüngliche e-mail|originale nachricht|message d'origine|
message d’origine|message initial|
courriel d'origine|mensaje original|correo original|mensagem original|e-mail original|messaggio originale|
messaggio originario|oorspronkelijk bericht|
origineel bericht|originele bericht|ursprungligt meddelande|originalmeddelande|oprindelig meddelelse|
original meddelelse|original besked|
oprindelig besked|opprinnelig melding|original melding|opprinnelig e-post|alkuperäinen viesti|wiadomość oryginalna|
oryginalna wiadomość|
treść oryginalnej wiadomości|pierwotna wiadomość|wiadomość pierwotna|původní zpráva|původní e-mail|pôvodná správa|
eredeti üzenet|mesaj original|mesajul original|
originalna poruka|izvirno sporočilo|izvorna poruka|исходное сообщение|оригинальное сообщение|исходное письмо|
первоначальное сообщение|
початкове повідомлення|оригінальне повідомлення|вихідне повідомлення|оригинално съобщение|оригинално писмо|
orijinal mesaj|orijinal ileti|özgün ileti|özgün mesaj|
asıl mesaj|orijinal e-posta|αρχικό μήνυμα|missatge original|原始邮件|原邮件|原始郵件|原郵件|原始信件|原始訊息|
原始消息|原始邮件信息|回复的原邮件|回复的邮件|
回复邮件信息|回覆的原郵件|邮件原件|原信息|源邮件|元のメッセージ|オリジナルメッセージ|オリジナル メッセージ|
元のメール|原文|원본 메시지|원본메시지|원본 메일|원본메일|원본 이메일|
원래 메시지|thư gốc|tin nhắn gốc|thông điệp gốc|pesan asli|mesej asal|ข้อความต้นฉบับ|الرسالة الأصلية|رسالة أصلية|
הודעה מקורית|mensagem originale
""".replace("\n", "").split("|"))  # fmt: skip

_FORWARDED = frozenset("""
forwarded message|forwarded mail|forwarded email|forwarded by|begin forwarded message|start of forwarded message|
forward|forwarded letter|weitergeleitete nachricht|
weitergeleitete mail|anfang der weitergeleiteten nachricht|weitergeleitete e-mail|message transféré|
début du message transféré|message réexpédié|
courriel transféré|mensaje reenviado|inicio del mensaje reenviado|mensaje transferido|mensagem encaminhada|
início da mensagem encaminhada|
mensagem reencaminhada|início da mensagem reencaminhada|messaggio inoltrato|inizio messaggio inoltrato|
doorgestuurd bericht|begin doorgestuurd bericht|
vidarebefordrat meddelande|vidarebefordrat brev|videresendt meddelelse|videresendt besked|
start på videresendt besked|videresendt melding|
videresendt e-post|välitetty viesti|edelleenlähetetty viesti|przekazana wiadomość|wiadomość przekazana|
przesłana wiadomość|początek przekazywanej wiadomości|
přeposlaná zpráva|preposlaná správa|továbbított üzenet|mesaj redirecționat|пересылаемое сообщение|
пересланное сообщение|начало переадресованного сообщения|
перенаправленное сообщение|переслане повідомлення|препратено съобщение|iletilen mesaj|iletilmiş mesaj|
yönlendirilmiş mesaj|iletilen ileti|προωθημένο μήνυμα|转发的邮件|转发邮件|转发邮件信息|转发的信息|
开始转发的邮件|开始转发的邮件：|轉寄郵件|轉寄的郵件|轉寄信件|轉發郵件|轉寄訊息|開始轉寄郵件|以下是轉寄的郵件|
転送メッセージ|転送されたメッセージ|転送メール|転送された|전달된 메시지|전달된 메일|전달 메시지|thư đã chuyển tiếp|
tin nhắn chuyển tiếp|thư chuyển tiếp|pesan terusan|pesan diteruskan|ข้อความที่ส่งต่อ|رسالة معاد توجيهها|הודעה שהועברה
""".replace("\n", "").split("|"))  # fmt: skip

_RULED = "-_=*~—–─#"
_RULE = "-_=*~—–─ \t\xa0\u3000><#+"
_REPLY_ABOVE = re.compile(
    r"(?:please\s+)?(?:type\s+your\s+)?repl(?:y|ies)\s+(?:to this (?:email|message) )?above\s+(?:this|the)\s+line|"
    r"(?:write|enter|add) your (?:reply|answer) above this line|请在此(?:线|行)(?:之)?上方?(?:回复|输入)|"
    r"請在此(?:線|行)(?:之)?上方?回覆|"
    r"bitte (?:antworten sie )?(?:oberhalb|über) dieser (?:zeile|linie)|répondre au[- ]dessus de cette ligne|"
    r"responda por encima de esta línea",
    re.IGNORECASE,
)


def separator(line: str) -> Literal["", "original", "forwarded"]:
    """`-----Original Message-----` and `---------- Forwarded message ---------` in their languages."""
    text = line.strip()
    if not 3 <= len(text) <= 160 or (text[0] not in _RULED and text[-1] not in ":："):
        return ""
    core = text.strip(_RULE).rstrip(":： ").strip(_RULE).lower()
    if not core or len(core) > 60:
        return ""
    ruled = text[0] in _RULED and text[1] in _RULED
    if core in _FORWARDED and (
        ruled
        or text.rstrip().endswith((":", "："))
        or core.startswith(("begin", "start", "début", "inicio", "início", "開始", "开始"))
    ):
        return "forwarded"
    if core.startswith("forwarded by ") and ruled:
        return "forwarded"
    if core in _ORIGINAL and ruled:
        return "original"
    if ruled and _REPLY_ABOVE.search(core):
        return "original"
    return ""


_ABOVE = ("above", "ABOVE", "Above", "oberhalb", "über dies", "上方", "dessus", "encima")


def is_reply_marker(line: str) -> bool:
    """`## Please type your reply above this line ##`."""
    return len(line) < 200 and any(word in line for word in _ABOVE) and _REPLY_ABOVE.search(line) is not None


# --- header blocks

_LABELS: dict[str, str] = {}
for _kind, _names in {
    "from": "from|von|absender|de|expéditeur|remitente|da|mittente|van|afzender|från|avsändare|fra|afsender|avsender|"
    "lähettäjä|od|nadawca|odesílatel|odosielateľ|feladó|"
    "от|від|от кого|отправитель|kimden|gönderen|από|de la|发件人|寄件人|发件者|發件人|寄件者|發件者|差出人|"
    "送信者|送信元|from人|보낸사람|보낸이|발신자|발신|발송인|từ|người gửi|dari|จาก|من|מאת|"
    "remetente|šalje|pošiljatelj|desde",
    "date": "sent|date|sent on|gesendet|gesendet am|datum|envoyé|envoyé le|date d'envoi|enviado|enviado el|enviada em|"
    "enviado em|enviada|fecha|data|data/hora|inviato|inviato il|"
    "verzonden|verzonden op|skickat|sendt|dato|sendt dato|lähetetty|päivämäärä|päiväys|pvm|wysłano|wysłane|"
    "data wysłania|data nadania|odesláno|odoslané|dátum|küldve|elküldve|"
    "отправлено|дата|дата отправки|надіслано|gönderilme|gönderildi|gönderme tarihi|tarih|gönderim tarihi|"
    "ημερομηνία|στάλθηκε|trimis|发送时间|发送日期|日期|时间|發送時間|發送日期|"
    "寄件日期|傳送時間|傳送日期|寄件時間|時間|送信日時|日時|送信日|日付|보낸날짜|보낸시간|날짜|일시|발신일|"
    "전송|đã gửi|ngày|ngày gửi|gửi|vào ngày|dikirim|tanggal|"
    "วันที่|ส่ง|تاريخ|التاريخ|تاريخ الإرسال|تم الإرسال|נשלח|תאריך|poslano|poslato",
    "to": "to|an|empfänger|à|a|para|destinataire|pour|destinatario|aan|till|til|vastaanottaja|kenelle|do|komu|"
    "címzett|кому|kime|kimе|alıcı|προς|către|收件人|收件者|寄給|收信人|宛先|送信先|"
    "받는사람|받는이|수신자|수신|tới|đến|người nhận|kepada|ถึง|إلى|אל|destinatário|prima|za",
    "subject": "subject|betreff|objet|sujet|asunto|assunto|oggetto|onderwerp|ämne|emne|aihe|temat|předmět|predmet|tárgy|"
    "тема|konu|θέμα|subiect|主题|主旨|主題|标题|標題|件名|題名|제목|chủ đề|"
    "tiêu đề|perihal|subjek|เรื่อง|الموضوع|נושא|zadeva",
    "cc": "cc|kopie|copie|copia|cópia|kopia|kopi|kopio|копия|копія|bilgi|κοιν|másolatot kap|másolat|抄送|副本|抄送人|"
    "写し|참조|đồng gửi|dw|do wiadomości|cópia para|bcc|reply-to|antwort an|"
    "répondre à|responder a|rispondi a|attachments|importance|anlagen|wichtigkeit|pièces jointes|datei|"
    "attachment|organization|organisation|reply to|附件|重要性|添付ファイル|첨부",
}.items():
    for _name in _names.split("|"):
        _LABELS.setdefault(re.sub(r"\s", "", _name), _kind)

_LABEL = re.compile(r"[\s>*_|\u3000【\[]{0,12}([^\W\d_][^:：|\n]{0,30})[:：|]")
_LABEL_JUNK = re.compile(r"[\s\u3000*_】\]]")


def header_label(line: str) -> tuple[str, str]:
    """(`from`, `date`, `to`, `subject` or `cc`, value) for a line of a quoted mail's header; (`""`, `""`) for others."""
    if len(line) > 2 * MAX_LINE or (":" not in line and "：" not in line and "|" not in line):
        return "", ""
    match = _LABEL.match(line[:60])
    if match is None:
        return "", ""
    name = match[1].lower()
    if not name.isalpha():
        name = _LABEL_JUNK.sub("", name)
    return _LABELS.get(name, ""), line[match.end() :].strip(" \t*_|")


# --- signatures and device lines

_DEVICE = re2.compile(
    r"(?:"
    r"(?:sent|posted|written|typed) (?:from|via|with|using|by|on)\b.{1,120}|from my .{2,40}|get (?:outlook|"
    r"bluemail|the) (?:for |app ).{1,80}|get outlook .{1,60}|.{0,30}\bsent from mobile\b.{0,40}|"
    r"\w{1,20} from mobile|download outlook .{1,60}|"
    r"von (?:meinem|meiner|unterwegs|mein) .{1,80} (?:gesendet|geschickt|versendet|verschickt)|gesendet (?:von|"
    r"mit|über|aus|vom) .{1,120}|von .{1,40} gesendet|"
    r"diese nachricht wurde (?:von|mit) .{1,100} gesendet|(?:holen sie sich|laden sie|beziehen sie|"
    r"herunterladen).{0,20}outlook .{1,60}|outlook für .{1,60}|"
    r"envoy[ée]+ (?:de|depuis|à partir|avec|via|par|d['’]).{1,120}|(?:obtenez|télécharger|obtenir|"
    r"téléchargez) outlook .{1,60}|"
    r"enviad[oa] (?:desde|do|de|da|via|con|com|por|a partir|pelo|mediante).{1,120}|(?:obtener|obtenga|descarga|"
    r"descargar|obter|obtenha|baixar|baixe)( o)? outlook .{1,60}|mandad[oa] (?:desde|do) .{1,60}|"
    r"inviat[oa] (?:da|dal|dall['’]|con|tramite).{1,120}|(?:scarica|ottieni|scaricare) outlook .{1,60}|"
    r"(?:verzonden|verstuurd|gestuurd) (?:vanaf|van|via|met|vanuit|door).{1,120}|outlook (?:voor|for) .{1,60}|"
    r"(?:download|haal) outlook .{1,60}|"
    r"(?:skickat|skickades|sänt) (?:från|med|via).{1,100}|från min .{1,40}|(?:hämta|skaffa) outlook .{1,60}|"
    r"(?:sendt|afsendt|skrevet) (?:fra|via|med|på).{1,100}|(?:hent|få) outlook .{1,60}|"
    r"lähetetty .{1,80}|hanki outlook .{1,60}|"
    r"(?:wysłan[eoya]|wysłano) (?:z|ze|za|przy|od).{1,100}|(?:pobierz|uzyskaj) (?:aplikację )?outlook .{1,60}|"
    r"(?:odesláno|odoslané|odoslané z|poslané|poslano) (?:z|ze|pomocí|s|iz|sa|prostredníctvom).{0,100}|"
    r"(?:získat|stáhnout|získať|stiahnuť) (?:aplikaci )?outlook .{1,60}|"
    r"(?:отправлено|послано|отослано) (?:с|из|со|через|при|от).{1,100}|(?:скачать|получить|"
    r"загрузить) outlook .{1,60}|(?:надіслано|відправлено) (?:з|із|зі|через|за).{1,100}|(?:отримати|"
    r"завантажити) outlook .{1,60}|изпратено от .{1,60}|"
    r".{1,60}(?:umdan|ümden|imden|ımdan|dan|den|ten|tan) gönderildi.{0,20}|.{1,60} için outlook.{1,20}|"
    r"στάλθηκε από .{1,80}|εστάλη από .{1,80}|.{0,60}küldve.{0,20}|küldés .{1,60}|trimis (?:de pe|din|de la|"
    r"prin) .{1,80}|dikirim (?:dari|melalui) .{1,80}|dihantar dari .{1,60}|"
    r"(?:đã gửi|được gửi|gửi) từ .{1,80}|(?:tải|nhận) outlook .{1,60}|ส่งจาก.{1,80}|أ?ُ?رسلت من .{1,80}|"
    r"مرسل من .{1,80}|تم الإرسال من .{1,80}|נשלח מ.{1,80}|"
    r"(?:- ?)?(?:发自|發自|来自|來自|寄自|发送自|發送自|传自).{1,60}|(?:从|從|由|通过|透過).{1,50}(?:发送|發送|"
    r"传送|傳送|发出|寄出|發出|寄送).{0,4}|"
    r"(?:获取|獲取|取得|下载|下載).{0,20}outlook.{0,60}|.{0,10}签名由.{1,40}定制.{0,4}|"
    r".{0,40}网易邮箱大师.{0,20}|(?:发自|来自).{0,20}|"
    r".{1,40}から送信(?:されました|しました)?.{0,4}|.{0,30}outlook.{0,20}を(?:入手|取得|ダウンロード).{0,10}|"
    r".{1,40}에서 (?:보냄|보냈음|보냈습니다|전송함|보낸 메일입니다|작성됨).{0,4}|"
    r".{0,30}outlook.{0,20}(?:다운로드|받기|가져오기).{0,10}"
    r")",
    _options,
)
_DEVICE_HINT = re.compile(
    r"iphon|ipad|android|galaxy|samsung|huawei|xiaomi|小米|华为|華為|oppo|vivo|honor|荣耀|nokia|blackberry|htc|"
    r"sony|lg|pixel|phone|手机|手機|mobil|móvil|"
    r"móvel|celular|portable|smartphone|handy|outlook|yahoo|gmail|mail|邮箱|郵箱|郵件|邮件|メール|메일|windows|"
    r"mac|foxmail|aol|airmail|spark|proton|tablet|samsung|"
    r"телефон|смартфон|почт|пошт|поштов|airwatch|mobile|device|cell|wireless|gerät|téléphone|telefon|puhelim|"
    r"laite|galaxy|t-mobile|verizon|vodafone|telefono|teléfono|"
    r"スマート|スマホ|携帯|端末|휴대|스마트|điện thoại|máy|qq|163|126|sina|app|ios|pc|laptop|computer|treo|"
    r"nexus|boxer|bluemail|k-9|motorola|redmi|ti-85|oneplus|realme|lenovo",
    re.IGNORECASE,
)


def is_device_line(line: str) -> bool:
    """`Sent from my iPhone` and its like, in the whole line."""
    text = line.strip(" \t\xa0\u3000<>()[]*_-—–~|.。!")
    if not 4 <= len(text) <= 160:
        return False
    return _DEVICE.fullmatch(text) is not None and _DEVICE_HINT.search(text) is not None


def is_signature_mark(line: str) -> bool:
    """RFC 3676, 4.3, also without its space."""
    return line.rstrip("\xa0") in ("-- ", "--", "--  ") or line.strip() == "--"


_LIST_FOOT = re.compile(
    r"mailing list|listinfo|you received this message because|to unsubscribe|unsubscribe from this group|"
    r"google groups",
    re.IGNORECASE,
)
_LONG_RULE = re.compile(r"\s*[_\-=*]{5,}\s*\Z")
_HIDDEN = re.compile(
    r"\s*\[(?:quoted text hidden|texte des messages précédents masqué|citação oculta|texto citado oculto|"
    r"隐藏引用文字|隱藏引用文字|引用文字已隐藏|引用テキストを非表示|zitierter text ausgeblendet)\]\s*\Z",
    re.IGNORECASE,
)


def is_rule(line: str) -> bool:
    """A line of dashes or underscores."""
    return len(line) <= 200 and line.lstrip()[:1] in _RULED and _LONG_RULE.match(line) is not None


def is_list_footer(line: str) -> bool:
    return len(line) < 400 and _LIST_FOOT.search(line) is not None


def is_hidden_mark(line: str) -> bool:
    return len(line) < 80 and "[" in line and _HIDDEN.match(line) is not None


def begins_attribution(line: str) -> bool:
    """May begin an attribution that is broken over lines: a preposition, a date or weekday, a quoted name, or a CJK date."""
    text = line.lstrip(" \t-_*>~\xa0")
    return (
        _PREPOSITION.match(text + " ") is not None
        or _WEEKDAYS.match(text) is not None
        or text[:1].isdigit()
        or _CJK_AT.match(text) is not None
        or (_MAIL.search(text) is not None and len(text) < 120)
    )


_SHARED = re.compile(r"(.{1,300}?\S)\s+(?:On (?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}, .{8,300} wrote:)\s*\Z")
_DATED_NAME = re.compile(r"\s*On .{3,30}\b\d{4},? at \d{1,2}:\d\d\b.{0,100}\Z")
_MAIL_DATE = re.compile(
    r"(?:\w{2,12}[.,]*\s+)?\d{1,2}\.?\s+\w{3,12}\.?\s+\d{4}\b.{0,10}\d{1,2}:\d\d|\d{4}-\d\d-\d\d.{1,3}\d\d:\d\d"
)


def shared_line(line: str) -> str:
    """The reply's end where an attribution was put behind it in one line; else empty."""
    if "wrote:" not in line or len(line) > MAX_LINE:
        return ""
    match = _SHARED.match(line)
    return match[1].rstrip("- ") if match and not _PREPOSITION.match(line) else ""


def is_dated_name(line: str) -> bool:
    """`On Tue, Apr 11, 2017 at 10:07 PM Name`, the address on a line of its own (Polymail)."""
    return line.lstrip().startswith("On ") and _DATED_NAME.match(line) is not None


def is_mail_date(value: str) -> bool:
    """A date as a mail's header has it, with its time."""
    return _MAIL_DATE.match(value[:80]) is not None
