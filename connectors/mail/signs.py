"""A mail as its kind is judged by: its fields and texts folded for comparison, and what they hint at."""

from __future__ import annotations

import re

import msgspec

from connectors.mail import phrases
from connectors.mail.mime import Mail
from connectors.mail.phrases import fold
from connectors.mail.report import Delivery
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
_BULK_PRECEDENCE = ("bulk", "junk", "list")
_ROBOT = re.compile(
    r"(?:no-?reply|do-?not-?reply|system|root)\b|.*(?:virus|gateway|daemon|mailer|bounce|delivery|ndr|antispam|filter|smtp|"
    r"mail_service).*"
)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`automatic`: no robot may answer it · `bulk`: sent to many · `why`: the sign that decided."""

    kind: MessageKind
    automatic: bool = False
    bulk: bool = False
    delayed: bool = False
    why: str = ""
    delivery: Delivery | None = None
    """What a delivery report says, where the mail is one."""


class Signs:
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
        self.certain_postmaster = self.local.startswith("postmaster") or _POSTMASTER_NAME.search(self.name) is not None
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

    @property
    def robot(self) -> bool:
        """The address is a machine's."""
        return _ROBOT.match(self.local) is not None

    @property
    def challenges(self) -> bool:
        """It asks the writer to prove that they are one, before their mail is let through."""
        if "x-bluebottle-request" in self.mail.fields:
            return True
        return not self.daemon and phrases.CHALLENGES.within(f"{self.plain_subject} {self.text[:3000]}")

    @property
    def bounces(self) -> bool:
        """The subject is a bounce's, perhaps answered or forwarded."""
        return phrases.BOUNCE_SUBJECTS.within(self.plain_subject)
