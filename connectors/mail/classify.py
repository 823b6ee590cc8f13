"""What kind of mail it is: a person's message, or which machine's.

Machine-readable parts and header fields decide first (RFC 3464, 3834, 5965, 8098); subjects and sentences only beside
signs that a machine wrote, since customers quote bounces and write "out of office" themselves. What is doubtful stays
a message: an agent sees it.
"""

from __future__ import annotations

import re

import msgspec

from connectors.mail import phrases, report
from connectors.mail.mime import Mail
from connectors.mail.phrases import count, fold
from gateway.model.message import MessageKind

SAMPLE = 8000
"""Characters of the text that are looked at."""

_DAEMON = re.compile(
    r"(?:mailer[-_. ]?daemon|mail[-_. ]?daemon|mdaemon|mail\.delivery\.system|maildelivery|mail-delivery|ndr|"
    r"microsoftexchange[0-9a-f]*|mail[-_]?system|mailsystem|bouncehandler|dsn)\b.*",
)
_POSTMASTER = re.compile(
    r"(?:postmaster|systemadministrator|system[-_.]?administrator|administrator|postoffice|imss|inetgw|"
    r"bounces?|mailadmin|symantec_antivirus)\b.*"
)
_DAEMON_NAME = re.compile(
    r"mailer-daemon|mail delivery|delivery subsystem|delivery system|mail system|mailer daemon|"
    r"delivery service|delivery notification",
)
_POSTMASTER_NAME = re.compile(
    r"postmaster|system administrator|systemadministrator|mail administrator|microsoft outlook|"
    r"microsoft exchange|mail router|"
    r"administrateur syst|administrador del sistema|administrador do sistema|amministratore di sistema|systeembeheer|"
    r"系统管理员|系統管理員|システム管理者|시스템 관리자|邮件系统|系统邮件|系统退信|systemadministratör|"
    r"системный администратор|administrator systemu",
)
_AGAIN = re.compile(r"(?:re|fwd?|aw|wg|sv|antw|odp|回复|回覆|答复|转发|轉寄|返信|転送)\s*(?:\[\d+\])?\s*[:：]\s*")
_AUTO_FIELDS = (
    "x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-reply", "x-autoreply-from", "x-mail-autoreply",
    "x-auto-respond",
    "x-autoreply-domain", "x-autoresponse", "x-auto-responder", "x-vacation", "x-away", "x-ms-exchange-generated-oof",
)  # fmt: skip
_AUTO_PRECEDENCE = ("auto_reply", "auto-reply", "autoreply")
_BULK_PRECEDENCE = ("bulk", "junk", "list")
_ARF_TYPE = re.compile(rb"^feedback-type\s*:", re.IGNORECASE | re.MULTILINE)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`automatic`: no robot may answer it · `bulk`: sent to many · `why`: the sign that decided."""

    kind: MessageKind
    automatic: bool = False
    bulk: bool = False
    delayed: bool = False
    why: str = ""


def classify(mail: Mail) -> Verdict:
    """Name the kind. Pure; looks at a bounded part of the text."""
    if mail.unparsed:
        return Verdict(kind="unparsed", automatic=True, why="not readable as a mail")
    signs = _Signs(mail)
    found = _reported(mail, signs) or _bounced(signs) or _complained(signs) or _read(signs) or _answered(signs)
    if found is not None:
        return found
    return Verdict(kind="message", automatic=signs.machine or signs.bulk, bulk=signs.bulk)


class _Signs:
    """The mail, folded for comparison."""

    def __init__(self, mail: Mail) -> None:
        fields = mail.fields
        self.mail = mail
        self.subject = fold(mail.subject)
        self.plain_subject = self.subject
        while match := _AGAIN.match(self.plain_subject):
            self.plain_subject = self.plain_subject[match.end() :]
        self.is_again = self.plain_subject != self.subject
        sender = mail.sender
        self.local = sender.key.partition("@")[0].strip("\"' ") if sender else ""
        self.name = fold(sender.name) if sender else ""
        self.submitted = fields.text("auto-submitted").lower().strip()
        self.precedence = (
            (fields.text("precedence") or fields.text("x-precedence") or fields.text("preference")).lower().strip()
        )
        return_path = fields.raw("return-path")
        path = "" if return_path is None else return_path.strip().decode("latin-1").lower()
        self.null_path = path in ("<>", "<mailer-daemon>") or path.startswith(("<mailer-daemon@", "mailer-daemon@"))
        self.empty_path = path == "<>" or fields.text("envelope-from").strip() == "<>"
        self.daemon = bool(_DAEMON.match(self.local) or _DAEMON_NAME.search(self.name) or _DAEMON.match(self.name))
        self.postmaster = bool(_POSTMASTER.match(self.local) or _POSTMASTER_NAME.search(self.name))
        self.list = "list-id" in fields or "list-post" in fields or "mailing-list" in fields
        self.bulk = (
            self.list
            or self.precedence in _BULK_PRECEDENCE
            or "list-unsubscribe" in fields
            or "feedback-id" in fields
            or "x-campaign" in fields
        )
        suppress = fields.text("x-auto-response-suppress").lower()
        self.suppress = "all" in suppress or "autoreply" in suppress or "oof" in suppress
        self.machine = (
            (self.submitted not in ("", "no")) or self.null_path or self.suppress or "x-omnigate-automatic" in fields
        )
        self._text: str | None = None

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = fold(self.mail.text[:SAMPLE])
        return self._text


def _reported(mail: Mail, signs: _Signs) -> Verdict | None:
    """By a machine-readable part, where the mail itself is the report (a customer may attach one)."""
    kind = mail.parameters.get("report-type", "").lower()
    is_report = mail.media == "multipart/report"
    media = [r.media for r in mail.reports]
    if any(m.endswith("feedback-report") for m in media) and (is_report or signs.machine or not signs.is_again):
        return Verdict(kind="complaint", automatic=True, why="feedback report")
    if any(m.endswith("disposition-notification") for m in media) and (is_report or signs.machine or signs.daemon):
        if "reject" in signs.submitted or (
            signs.daemon and "rejected" in signs.subject
        ):  # RFC 5429: refused by a script
            return Verdict(kind="bounce", automatic=True, why="rejected by a filter")
        return Verdict(kind="receipt", automatic=True, why="disposition notification")
    if any(m.endswith("delivery-status") for m in media):
        if is_report or signs.daemon or signs.postmaster or signs.null_path or signs.submitted:
            if _is_challenge(signs):
                return Verdict(kind="auto_reply", automatic=True, why="challenge")
            return _delivery_verdict(report.delivery(mail))
    elif is_report:
        if kind == "disposition-notification":
            return Verdict(kind="receipt", automatic=True, why="disposition notification")
        if kind == "feedback-report":
            return Verdict(kind="complaint", automatic=True, why="feedback report")
        if kind in ("delivery-status", "") and (
            signs.daemon or signs.postmaster or signs.machine or _subject_bounces(signs)
        ):
            return Verdict(kind="bounce", automatic=True, delayed=_is_delay(signs), why="report without its status")
        if kind and kind != "delivery-status":
            return Verdict(kind="auto_reply", automatic=True, why=f"{kind[:40]} report")
    return None


def _delivery_verdict(found: report.Delivery | None) -> Verdict:
    if found is None or found.outcome in ("failed", "unknown"):
        return Verdict(kind="bounce", automatic=True, why="delivery status")
    if found.outcome == "delayed":
        return Verdict(kind="bounce", automatic=True, delayed=True, why="delivery is delayed")
    return Verdict(kind="receipt", automatic=True, why=f"delivery status: {found.outcome}")


def _subject_bounces(signs: _Signs) -> bool:
    return count(signs.plain_subject, phrases.BOUNCE_SUBJECTS) > 0


def _is_delay(signs: _Signs) -> bool:
    if count(signs.subject, phrases.DELAYS):
        return True
    text = signs.text[:2500]
    return count(text, phrases.DELAYS) > 0 and not count(
        text,
        (
            "permanent",
            "giving up",
            "given up",
            "failed permanently",
            "5.1.1",
            "user unknown",
            " 550 ",
            "could not be delivered to",
        ),
    )


def _is_challenge(signs: _Signs) -> bool:
    return "x-bluebottle-request" in signs.mail.fields or (
        not signs.daemon and count(signs.plain_subject + " " + signs.text[:3000], phrases.CHALLENGES) > 0
    )


def _bounced(signs: _Signs) -> Verdict | None:
    """Delivery failures in prose."""
    if (
        signs.submitted.startswith("auto-replied")
        and (signs.local or signs.name)
        and not (signs.daemon or signs.postmaster)
    ):
        if "rejected" not in signs.submitted and not (
            _subject_bounces(signs) and count(signs.text, phrases.BOUNCE_TEXTS, 2) == 2
        ):
            return None
    if "x-failed-recipients" in signs.mail.fields:
        return _bounce(signs, "X-Failed-Recipients")
    auto_subject = count(signs.plain_subject, phrases.AUTO_SUBJECTS) > 0
    subject = _subject_bounces(signs)
    if signs.daemon:
        if auto_subject and not subject and not count(signs.text, phrases.BOUNCE_TEXTS, 2):
            return None
        if signs.mail.text.strip() or signs.mail.files or subject or not signs.subject:
            return _bounce(signs, "from a mail daemon")
    texts = count(signs.text, phrases.BOUNCE_TEXTS, 3)
    if (signs.postmaster or signs.null_path) and not (auto_subject and not subject):
        sure = (
            signs.null_path or signs.local.startswith("postmaster") or _POSTMASTER_NAME.search(signs.name) is not None
        )
        if (subject and (texts or (sure and not signs.is_again))) or texts >= (2 if signs.null_path else 3):
            return _bounce(signs, "from a postmaster" if signs.postmaster else "null return path")
    strong = count(signs.text, phrases.STRONG_BOUNCE_TEXTS) > 0
    if subject and strong and not signs.is_again:
        return _bounce(signs, "subject and text of a bounce")
    if (
        subject
        and texts >= 2
        and (signs.machine or signs.precedence in ("bulk", "junk", "auto_reply") or signs.mail.nested)
    ):
        return _bounce(signs, "a machine's subject and text of a bounce")
    if subject and not signs.is_again and not signs.list and texts >= _texts_needed(signs):
        return _bounce(signs, "subject and text of a bounce")
    if strong and texts >= 2 and (signs.machine or signs.mail.nested) and not signs.is_again:
        return _bounce(signs, "text of a bounce")
    return None


_ROBOT = re.compile(
    r"(?:no-?reply|do-?not-?reply|system|root)\b|.*(?:virus|gateway|daemon|mailer|bounce|delivery|ndr|antispam|filter|smtp|"
    r"mail_service).*"
)
_OFFICE = re.compile(r"(?:admin|administrator|support|mail|info|notification|webmaster|help)\b")


def _texts_needed(signs: _Signs) -> int:
    """How many sentences of a bounce it takes beside its subject, by the address it comes from."""
    if _ROBOT.match(signs.local):
        return 1
    return 2 if _OFFICE.match(signs.local) else 3


def _bounce(signs: _Signs, why: str) -> Verdict:
    return Verdict(kind="bounce", automatic=True, delayed=_is_delay(signs), why=why)


def _complained(signs: _Signs) -> Verdict | None:
    """Feedback loops without RFC 5965: Hotmail's, SpamCop's and the like."""
    mail = signs.mail
    if "x-hmxmroriginalrecipient" in mail.fields or any(
        f.data is not None and f.claimed_type.startswith(("text/", "message/")) and _ARF_TYPE.search(f.data[:2000])
        for f in mail.files[:5]
    ):
        return Verdict(kind="complaint", automatic=True, why="feedback loop")
    subject = count(signs.subject, phrases.COMPLAINT_SUBJECTS) > 0
    sender = signs.local in phrases.COMPLAINT_SENDERS or signs.local.startswith(
        ("fbl", "feedbackloop", "abuse", "complaint", "jmrp")
    )
    texts = count(signs.text[:4000], phrases.COMPLAINT_TEXTS, 2)
    if ((subject and sender) or (subject and texts) or (sender and texts)) and (
        mail.nested or signs.machine or sender or mail.files
    ):
        return Verdict(kind="complaint", automatic=True, why="abuse report")
    if mail.sender is not None and mail.sender.key.endswith(
        ("spamcop.net", "feedback.smtp.com", "signal-spam.fr", "abusix.org")
    ):
        return Verdict(kind="complaint", automatic=True, why="abuse report")
    return None


def _read(signs: _Signs) -> Verdict | None:
    """Read receipts in prose."""
    if signs.is_again or not signs.plain_subject.startswith(phrases.READ_SUBJECTS):
        return None
    lotus = "x-notes-item" in signs.mail.fields or "return receipt" in signs.subject
    if count(signs.text[:3000], phrases.READ_TEXTS) or lotus or (signs.null_path and len(signs.text) < 1500):
        return Verdict(kind="receipt", automatic=True, why="read receipt in prose")
    return None


def _answered(signs: _Signs) -> Verdict | None:
    """Automatic answers (RFC 3834, and what came before it)."""
    fields = signs.mail.fields
    if signs.submitted.startswith(("auto-replied", "auto-notified", "auto_replied", "auto-reply", "autoreply", "yes")):
        return _auto("Auto-Submitted")
    if signs.precedence in _AUTO_PRECEDENCE:
        return _auto("Precedence")
    if any(name in fields and fields.text(name).strip().lower() not in ("no", "false") for name in _AUTO_FIELDS):
        return _auto("auto-reply field")
    if fields.text("x-fc-machinegenerated").lower() == "true" or fields.text("x-post-messageclass").startswith("9"):
        return _auto("machine generated")
    if fields.text("x-autogenerated").lower() in ("reply", "yes"):
        return _auto("X-Autogenerated")
    if any(value.strip().lower() == b"autoresponder" for value in fields.all("delivered-to")):
        return _auto("Delivered-To: Autoresponder")
    if "mailbox rules agent" in fields.text("x-ms-exchange-generated-message-source").lower():
        return _auto("Exchange's inbox rules")
    return _answered_in_prose(signs)


_AFTER = ":：])】.!-–—(,;、。 "


def _answered_in_prose(signs: _Signs) -> Verdict | None:
    """Automatic answers whose header does not say so, or only hints at it."""
    mail = signs.mail
    subject = signs.plain_subject.lstrip("[(【<* ")
    answers = bool(mail.in_reply_to or mail.references)
    generated = signs.submitted.startswith("auto-")
    weak = signs.null_path or signs.suppress or signs.precedence in ("bulk", "junk") or generated
    if signs.list and not signs.empty_path:
        weak = generated
    if not signs.is_again and any(
        subject.startswith(p) and subject[len(p) : len(p) + 1] in _AFTER for p in phrases.AUTO_SUBJECTS
    ):
        rest = subject[max(len(p) for p in phrases.AUTO_SUBJECTS if subject.startswith(p)) :]
        if not rest or rest[0] != " " or rest.lstrip()[:1] in (":", "：") or answers or weak:
            return _auto("subject of an automatic answer")
    texts = count(signs.text[:3000], phrases.AUTO_TEXTS, 2)
    if count(subject, phrases.AUTO_SUBJECTS) and (weak or texts or (answers and not signs.is_again)):
        return _auto("subject of an automatic answer, and another sign")
    if count(subject, phrases.AUTO_HINTS) and (weak or (answers and texts and not signs.is_again)):
        return _auto("subject and header")
    if weak and texts and (texts > 1 or signs.empty_path or generated or signs.precedence == "junk" or answers):
        return _auto("text of an automatic answer")
    if generated and answers:
        return _auto("generated answer")
    if _is_challenge(signs) and (
        signs.machine or signs.is_again or _ROBOT.match(signs.local) or "x-bluebottle-request" in mail.fields
    ):
        return _auto("challenge")
    if signs.empty_path and signs.is_again and not signs.list:
        return _auto("null return path and a reply's subject")
    return None


def _auto(why: str) -> Verdict:
    return Verdict(kind="auto_reply", automatic=True, why=why)
