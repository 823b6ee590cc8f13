"""What kind of mail it is: a person's message, or which machine's.

Machine-readable parts and header fields decide first (RFC 3464, 3834, 5965, 8098); subjects and sentences only beside
signs that a machine wrote, since customers quote bounces and write "out of office" themselves. What is doubtful stays
a message: an agent sees it.
"""

from __future__ import annotations

import re

from connectors.mail import phrases, report
from connectors.mail.auto_reply import answered
from connectors.mail.bounce import bounced, is_delay
from connectors.mail.mime import Mail
from connectors.mail.signs import Signs, Verdict

_ARF_TYPE = re.compile(rb"^feedback-type\s*:", re.IGNORECASE | re.MULTILINE)


def classify(mail: Mail) -> Verdict:
    """Name the kind. Pure; looks at a bounded part of the text."""
    if mail.unparsed:
        return Verdict(kind="unparsed", automatic=True, why="not readable as a mail")
    signs = Signs(mail)
    found = _reported(mail, signs) or bounced(signs) or _complained(signs) or _read(signs) or answered(signs)
    if found is not None:
        return found
    return Verdict(kind="message", automatic=signs.machine or signs.bulk, bulk=signs.bulk)


def _reported(mail: Mail, signs: Signs) -> Verdict | None:
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
            if signs.challenges:
                return Verdict(kind="auto_reply", automatic=True, why="challenge")
            return _delivery_verdict(report.delivery(mail))
    elif is_report:
        if kind == "disposition-notification":
            return Verdict(kind="receipt", automatic=True, why="disposition notification")
        if kind == "feedback-report":
            return Verdict(kind="complaint", automatic=True, why="feedback report")
        if kind in ("delivery-status", "") and (signs.daemon or signs.postmaster or signs.machine or signs.bounces):
            return Verdict(kind="bounce", automatic=True, delayed=is_delay(signs), why="report without its status")
        if kind and kind != "delivery-status":
            return Verdict(kind="auto_reply", automatic=True, why=f"{kind[:40]} report")
    return None


def _delivery_verdict(found: report.Delivery | None) -> Verdict:
    if found is None or found.outcome in ("failed", "unknown"):
        return Verdict(kind="bounce", automatic=True, why="delivery status", delivery=found)
    if found.outcome == "delayed":
        return Verdict(kind="bounce", automatic=True, delayed=True, why="delivery is delayed", delivery=found)
    return Verdict(kind="receipt", automatic=True, why=f"delivery status: {found.outcome}", delivery=found)


_HOTMAIL = "x-hmxmroriginalrecipient"
_SENDERS = ("fbl", "feedbackloop", "abuse", "complaint", "jmrp")
_DESKS = ("spamcop.net", "feedback.smtp.com", "signal-spam.fr", "abusix.org")


def _complained(signs: Signs) -> Verdict | None:
    """Feedback loops without RFC 5965: Hotmail's, SpamCop's and the like."""
    mail = signs.mail
    if _HOTMAIL in mail.fields or any(
        _HOTMAIL in source[:5000].lower().decode("latin-1") for source in mail.nested[:1]
    ):
        return Verdict(kind="complaint", automatic=True, why="feedback loop")
    if any(
        f.data is not None and f.claimed_type.startswith(("text/", "message/")) and _ARF_TYPE.search(f.data[:2000])
        for f in mail.files[:5]
    ):
        return Verdict(kind="complaint", automatic=True, why="feedback loop")
    if mail.sender is not None and mail.sender.key.endswith(_DESKS):
        return Verdict(kind="complaint", automatic=True, why="abuse report")
    subject = phrases.COMPLAINT_SUBJECTS.within(signs.subject)
    sender = signs.local in phrases.COMPLAINT_SENDERS.words or signs.local.startswith(_SENDERS)
    if not (subject or sender):
        return None
    texts = phrases.COMPLAINT_TEXTS.within(signs.text[:4000])
    carried = signs.machine or bool(mail.nested)
    if (sender and (subject or texts)) or (subject and carried and (texts or mail.text_from_nested)):
        return Verdict(kind="complaint", automatic=True, why="abuse report")
    return None


def _read(signs: Signs) -> Verdict | None:
    """Read receipts in prose."""
    if signs.is_again or not signs.plain_subject.startswith(phrases.READ_SUBJECTS.words):
        return None
    lotus = "x-notes-item" in signs.mail.fields or "return receipt" in signs.subject
    if phrases.READ_TEXTS.within(signs.text[:3000]) or lotus or (signs.null_path and len(signs.text) < 1500):
        return Verdict(kind="receipt", automatic=True, why="read receipt in prose")
    return None
