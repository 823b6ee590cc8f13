"""A mail as fetched to the gateway's `Inbound`. Pure; never raises for what a mail holds."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_tz
from hashlib import sha256
from typing import Any

from connectors.mail import report
from connectors.mail.address import Address, first_address
from connectors.mail.classify import classify
from connectors.mail.mime import Mail, parse
from connectors.mail.signs import Verdict
from connectors.mail.subject import is_forward, normalised
from connectors.mail.visible import visible
from gateway.connector import Inbound, Sender, StatusUpdate, Threading

MAX_KEYS = 60
"""Message-IDs kept of References: the first and the nearest."""

MAX_SUBJECT = 1000
MAX_RECIPIENTS = 100

_ROBOT = re.compile(
    r"(?:no-?reply|do-?not-?reply|noreply|donotreply|mailer|notifications?|form|forms|website|wordpress|www-data|apache)\b"
)
_VIA = re.compile(r"\s+(?:via|über|通过|透過|経由|door|через)\s+.{1,100}\Z", re.IGNORECASE)
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


def to_inbound(
    source: bytes,
    *,
    own_addresses: Collection[str],
    verify_token: Callable[[str], str | None],
    now: datetime | None = None,
) -> Inbound:
    """Read a mail.

    `own_addresses`: the inbox's, in lower case · `verify_token`: the conversation a token in an address or Message-ID
    proves, or None · `now`: a Date behind it is taken for `now`.
    Message-IDs are given with angle brackets, as `Sent.provider_id` is.
    """
    mail = parse(source)
    verdict = classify(mail)
    original = report.original_id(mail) if verdict.kind in ("bounce", "receipt", "complaint") else ""
    about = f"<{original}>" if original else ""
    sender = _sender(mail, own_addresses)
    inbound_id = f"<{mail.message_id}>" if mail.message_id else _derived_id(mail)
    return Inbound(
        external_id=inbound_id,
        sender=sender,
        kind=verdict.kind,
        text=mail.text,
        visible_text=_visible(mail) if verdict.kind == "message" else None,
        html=mail.html,
        subject=mail.subject[:MAX_SUBJECT] or None,
        files=mail.files,
        sent_at=_sent_at(mail, now),
        thread=_threading(mail, verify_token, inbound_id, about),
        status=_status(mail, verdict, about),
        raw=source if mail.damaged else None,
        meta=_meta(mail, verdict),
    )


def _visible(mail: Mail) -> str | None:
    shown = visible(mail.text, None if mail.text_from_html else mail.html, forwarded=is_forward(mail.subject))
    return shown if shown.strip() != mail.text.strip() else None


def _sender(mail: Mail, own: Collection[str]) -> Sender:
    """Who wrote: From, except where it names only the way the mail took (a form, a list that rewrites From)."""
    address = mail.sender or Address("", "")
    reply = next((a for a in mail.reply_to if a.address and a.key not in own), None)
    original = _original_author(mail)
    name = address.name
    if original is not None and original.key not in own:
        address, name = original, original.name or _without_list(name)
    elif reply is not None and reply.key != address.key:
        ours = address.key in own
        listed = "list-id" in mail.fields and _VIA.search(name) is not None
        if ours or not address.address or listed or _ROBOT.match(address.key):
            name = reply.name or (_without_list(name) if listed else "")
            address = reply
    key = address.key or (f"unknown:{sha256(name.encode()).hexdigest()[:16]}" if name else "unknown")
    return Sender(address=key, namespace="email", name=name[:200], email=address.address or None)


def _without_list(name: str) -> str:
    """`'Jane' via List`: the name of who wrote."""
    return _VIA.sub("", name).strip("'\" ")


def _original_author(mail: Mail) -> Address | None:
    """The author's address where a list rewrote From because of DMARC (Google Groups, Mailman)."""
    for name in ("x-original-from", "x-original-sender", "x-mailfrom-original"):
        raw = mail.fields.raw(name)
        if raw is not None and "list-id" in mail.fields:
            found = first_address(raw)
            if found is not None and found.address:
                return found
    return None


_CANONICAL = ("from", "to", "cc", "date", "subject", "reply-to", "in-reply-to")


def _derived_id(mail: Mail) -> str:
    """For a mail without Message-ID: the same for each copy, whichever way it came (trace fields do not count)."""
    digest = sha256()
    for name in _CANONICAL:
        value = mail.fields.raw(name)
        digest.update(b"%s:%s\n" % (name.encode(), b" ".join((value or b"").split())))
    digest.update(mail.body.replace(b"\r", b"").strip())
    return f"sha256:{digest.hexdigest()}"


def _sent_at(mail: Mail, now: datetime | None) -> datetime | None:
    """The Date, else the time of the last hop; None where neither is sane."""
    candidates = [mail.date]
    received = mail.fields.raw("received")
    if received is not None:
        candidates.append(received.rpartition(b";")[2])
    for raw in candidates:
        moment = _moment(raw)
        if moment is not None:
            if now is not None and moment > now + timedelta(minutes=10):
                return now
            return moment
    return None


def _moment(raw: bytes) -> datetime | None:
    text = raw[:200].decode("latin-1").strip()
    if not text:
        return None
    try:
        parsed = parsedate_tz(text)
        if parsed is None:
            return None
        moment = datetime(*parsed[:6], tzinfo=UTC) - timedelta(seconds=parsed[9] or 0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return moment if _EARLIEST <= moment < datetime(2100, 1, 1, tzinfo=UTC) else None


def _threading(mail: Mail, verify: Callable[[str], str | None], own_key: str, about: str) -> Threading:
    nearest = [*mail.in_reply_to, *reversed(mail.references)]
    keys = list(dict.fromkeys(f"<{key}>" for key in nearest if f"<{key}>" != own_key))
    if len(keys) > MAX_KEYS:
        keys = [*keys[: MAX_KEYS - 1], keys[-1]]
    conversation = None
    for text in (*_own_recipients(mail), *keys, about):
        conversation = verify(text) if text else None
        if conversation is not None:
            break
    return Threading(conversation_id=conversation, own_key=own_key, keys=tuple(keys), subject=normalised(mail.subject))


def _own_recipients(mail: Mail) -> list[str]:
    """Addresses the mail was sent to: a reply address of ours has its conversation's token in it."""
    found = [a.address for a in (*mail.to, *mail.cc)][:MAX_RECIPIENTS]
    for name in ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to"):
        found += [value[:500].strip().strip(b"<>").decode("latin-1") for value in mail.fields.all(name)[:5]]
    return list(dict.fromkeys(found))


def _status(mail: Mail, verdict: Verdict, about: str) -> StatusUpdate | None:
    """What a report says of a mail of ours; None where nothing changed (a delay) or the mail is not named."""
    if verdict.kind not in ("bounce", "receipt") or verdict.delayed or not about:
        return None
    if verdict.kind == "receipt":
        found = verdict.delivery
        if found is not None:
            return StatusUpdate(
                status="delivered" if found.outcome == "delivered" else "sent", provider_id=about, code=found.code
            )
        return StatusUpdate(status="read", provider_id=about) if _was_displayed(mail) else None
    found = verdict.delivery or report.prose(mail.text)
    reason = found.reason
    if found.recipient and found.recipient not in reason:
        reason = f"{found.recipient}: {reason}" if reason else found.recipient
    return StatusUpdate(status="failed", provider_id=about, reason=reason[:1000], code=found.code)


_DISPOSITION = re.compile(rb"^disposition\s*:[^;\r\n]*;\s*([a-z-]+)", re.IGNORECASE | re.MULTILINE)


def _was_displayed(mail: Mail) -> bool:
    """RFC 8098, 3.2.6: only `displayed` says that someone has seen it; `deleted` may mean unread."""
    for item in mail.reports:
        match = _DISPOSITION.search(item.data[:10_000])
        if match:
            return match[1].lower() == b"displayed"
    return False


def _meta(mail: Mail, verdict: Verdict) -> dict[str, Any]:
    """Notes for the reply (`references`, `reply_to` …) and for whoever looks into the message."""
    meta: dict[str, Any] = {"kind": verdict.kind}
    if mail.message_id:
        meta["message_id"] = f"<{mail.message_id}>"
    refers = mail.references or mail.in_reply_to
    if refers:
        kept = refers if len(refers) <= MAX_KEYS else (refers[0], *refers[1 - MAX_KEYS :])
        meta["references"] = [f"<{key}>" for key in kept]
    for name, addresses in (("to", mail.to), ("cc", mail.cc), ("reply_to", mail.reply_to)):
        if addresses:
            meta[name] = [a.address or a.name for a in addresses[:MAX_RECIPIENTS]]
    if mail.sender is not None and mail.sender.address:
        meta["from"] = mail.sender.address
    for name in ("list-id", "auto-submitted", "precedence", "return-path"):
        value = mail.fields.text(name)
        if value:
            meta[name.replace("-", "_")] = value[:300]
    if verdict.automatic:
        meta["automatic"] = True
    if verdict.bulk:
        meta["bulk"] = True
    if verdict.delayed:
        meta["delayed"] = True
    if verdict.why:
        meta["why"] = verdict.why
    if mail.defects:
        meta["defects"] = list(mail.defects[:20])
    return meta
