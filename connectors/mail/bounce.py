"""Delivery failures in prose: by the sender, the subject and the sentences of mail systems."""

from __future__ import annotations

import re

from connectors.mail import phrases
from connectors.mail.signs import Signs, Verdict

_OFFICE = re.compile(r"(?:admin|administrator|support|mail|info|notification|webmaster|help)\b")
_FINAL = phrases.Phrases(
    "permanent", "giving up", "given up", "5.1.1", "user unknown", " 550 ", "could not be delivered to", "gave up"
)  # fmt: skip


def bounced(signs: Signs) -> Verdict | None:
    """A verdict if the mail says that one could not be delivered, or not yet."""
    if "x-failed-recipients" in signs.mail.fields:
        return bounce(signs, "X-Failed-Recipients")
    subject = signs.bounces
    machine = signs.daemon or signs.postmaster or signs.machine
    if not (subject or machine or signs.mail.nested):
        return None
    texts = phrases.BOUNCE_TEXTS.count(signs.text, 3)
    if signs.submitted.startswith("auto-replied") and not (signs.daemon or signs.postmaster):
        # vacation programs say so too
        return bounce(signs, "an automatic answer's bounce") if subject and texts >= 2 else None
    answer = not subject and phrases.AUTO_SUBJECTS.within(signs.plain_subject)
    if (
        signs.daemon
        and not (answer and texts < 2)
        and (signs.mail.text.strip() or signs.mail.files or subject or not signs.subject)
    ):
        return bounce(signs, "from a mail daemon")
    if (signs.postmaster or signs.null_path) and not answer:
        sure = (signs.null_path or signs.certain_postmaster) and not signs.is_again
        if (subject and (texts or sure)) or texts >= (2 if signs.null_path else 3):
            return bounce(signs, "from a postmaster" if signs.postmaster else "null return path")
    strong = texts > 0 and phrases.STRONG_BOUNCE_TEXTS.within(signs.text)
    carried = signs.machine or bool(signs.mail.nested)
    if subject and strong and not signs.is_again:
        return bounce(signs, "subject and text of a bounce")
    if texts and signs.subject.rstrip(" .!)").endswith(phrases.BOUNCE_ENDINGS.words):
        return bounce(signs, "a subject that ends in the failure")
    if subject and texts >= 2 and (carried or signs.precedence in ("bulk", "junk", "auto_reply")):
        return bounce(signs, "a machine's subject and text of a bounce")
    if subject and not signs.is_again and not signs.list and texts >= _texts_needed(signs):
        return bounce(signs, "subject and text of a bounce")
    if strong and texts >= 2 and carried and not signs.is_again:
        return bounce(signs, "text of a bounce")
    return None


def _texts_needed(signs: Signs) -> int:
    """How many sentences of a bounce it takes beside its subject, by the address it comes from."""
    if signs.robot:
        return 1
    return 2 if _OFFICE.match(signs.local) else 3


def bounce(signs: Signs, why: str) -> Verdict:
    return Verdict(kind="bounce", automatic=True, delayed=is_delay(signs), why=why)


def is_delay(signs: Signs) -> bool:
    """The mail system goes on trying."""
    if phrases.DELAYS.within(signs.subject):
        return True
    text = signs.text[:2500]
    return phrases.DELAYS.within(text) and not _FINAL.within(text)
