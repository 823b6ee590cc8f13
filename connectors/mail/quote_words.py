"""The words in which mail programs announce a quote, a forward or themselves, by language. See quoting."""

from __future__ import annotations

import re

import re2

_options = re2.Options()
_options.log_errors = False
_options.case_sensitive = False

VERB = re2.compile(
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

ORIGINAL = frozenset("""
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

FORWARDED = frozenset("""
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


LABELS: dict[str, str] = {}
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
    "subject": "subject|betreff|objet|sujet|asunto|assunto|oggetto|onderwerp|ämne|emne|aihe|temat|předmět|predmet|"
    "tárgy|тема|konu|θέμα|subiect|主题|主旨|主題|标题|標題|件名|題名|제목|chủ đề|"
    "tiêu đề|perihal|subjek|เรื่อง|الموضوع|נושא|zadeva",
    "cc": "cc|kopie|copie|copia|cópia|kopia|kopi|kopio|копия|копія|bilgi|κοιν|másolatot kap|másolat|抄送|副本|抄送人|"
    "写し|참조|đồng gửi|dw|do wiadomości|cópia para|bcc|reply-to|antwort an|"
    "répondre à|responder a|rispondi a|attachments|importance|anlagen|wichtigkeit|pièces jointes|datei|"
    "attachment|organization|organisation|reply to|附件|重要性|添付ファイル|첨부",
}.items():
    for _name in _names.split("|"):
        LABELS.setdefault(re.sub(r"\s", "", _name), _kind)


DEVICE = re2.compile(
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

DEVICE_HINT = re.compile(
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

MINE = (
    "sent from my ", "sent from a ", "发自我的", "發自我的", "来自我的", "來自我的", "从我的", "從我的",
    "envoyé de mon", "von meinem",
    "von meiner", "enviado desde mi", "enviado do meu", "inviato dal mio", "verstuurd vanaf mijn",
    "verzonden vanaf mijn",
    "skickat från min", "sendt fra min", "wysłane z mojego", "отправлено с моего", "отправлено из моего", "私の",
    "나의", "내 ",
)  # fmt: skip
"""Beginnings of a device line that need no known device after them."""

QUOTE_CONTAINER = re2.compile(
    "gmail_quote|gmail_attr|divRplyFwdMsg|OutlookMessageHeader|moz-cite-prefix|yahoo_quoted|protonmail_quote|zmail_extra|"
    "isReplyContent|ntes_not_fresh_bg|OLK_SRC_BODY_SECTION|reply-intro|mailQuote|__QUOTED_TEXT__|appendonsend|wmmailcite|"
    "ms-outlook-mobile-reference-message|mail-editor-reference-message-container|zm_quote|foxmail_quote|quoted-text|"
    r"tutanota_quote|_origin_mail|history_container|border-top:\s*solid #(?:E1E1E1|B5C4DF)|type=[\"']?cite",
    _options,
)
"""What mail programs call the element that holds a quote, in its class, id, type or style."""
