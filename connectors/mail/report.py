"""What reports say: delivery status (RFC 3464), dispositions (RFC 8098), feedback (RFC 5965), and bounces in prose.

The mail that a report is about is found by its Message-ID in what was returned.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from connectors.mail import charset
from connectors.mail.mime import Mail, ids
from connectors.mail.structure import parse_fields

Outcome = Literal["failed", "delayed", "delivered", "relayed", "unknown"]

MAX_RECIPIENTS = 200
MAX_SKIPPED = 200
"""Lines of a status report that are no fields; behind so many nothing is sought."""
MAX_GROUP = 20_000
"""Bytes of such a block."""
MAX_REASON = 1000
MAX_PROSE = 20_000

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.])([45][0-7]\d)(?=[ \-#:])")
_RETURNED_ID = re.compile(
    r"^[> \t]*+(?:x-)?(?:original-)?message-id:\s*+<([^<>\s]{3,900})>", re.IGNORECASE | re.MULTILINE
)
_ADDRESS = re.compile(r"[A-Za-z0-9._%+=/-]{1,64}@[A-Za-z0-9.-]{1,200}\.[A-Za-z]{2,24}")
_ACTIONS: dict[str, Outcome] = {
    "failed": "failed", "failure": "failed", "delayed": "delayed", "delivered": "delivered", "relayed": "relayed",
    "expanded": "relayed", "deliverable": "delivered", "expired": "failed", "error": "failed", "failedfor": "failed",
}  # fmt: skip
_RANK: dict[Outcome, int] = {"failed": 4, "delayed": 3, "unknown": 2, "delivered": 1, "relayed": 0}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The worst that a report says of a recipient. `code` is an RFC 3463 status or an SMTP reply code, if any."""

    outcome: Outcome
    recipient: str = ""
    code: str = ""
    reason: str = ""


def delivery(mail: Mail) -> Delivery | None:
    """What a machine-readable report says; None if the mail has none that names a recipient or an action."""
    worst: Delivery | None = None
    for report in mail.reports:
        if not report.media.endswith("delivery-status"):
            continue
        for group in _groups(report.data):
            found = _recipient(group)
            if found is not None and (worst is None or _RANK[found.outcome] > _RANK[worst.outcome]):
                worst = found
    return worst


def _groups(data: bytes) -> list[dict[str, str]]:
    """The blocks of fields of a status report, the per-message one first."""
    groups: list[dict[str, str]] = []
    at = skipped = 0
    while at < len(data) and len(groups) < MAX_RECIPIENTS and skipped < MAX_SKIPPED:
        fields, after = parse_fields(data, at, min(at + MAX_GROUP, len(data)))
        if len(fields):
            groups.append({name: fields.text(name) for name in dict.fromkeys(fields.order)})
        if after <= at:
            line_end = data.find(b"\n", at)
            if line_end < 0:
                break
            after = line_end + 1
            skipped += 1
        at = after
    return groups


def _recipient(group: dict[str, str]) -> Delivery | None:
    recipient = group.get("final-recipient") or group.get("original-recipient") or ""
    action = group.get("action", "").lower().split("(")[0].strip()
    status = group.get("status", "")
    if not recipient and not action:
        return None
    code = _STATUS.search(status)
    outcome: Outcome = _ACTIONS.get(action) or _ACTIONS.get(action.split(" ")[0], "unknown")
    diagnostic = group.get("diagnostic-code", "") or group.get("x-display-name", "")
    if outcome == "unknown":
        digit = (code[1] if code else "")[:1]
        outcome = "failed" if digit == "5" else "delayed" if digit == "4" else "delivered" if digit == "2" else "failed"
    found = code[1] if code else ""
    better = _STATUS.search(diagnostic)  # many systems say 5.0.0 and the reason in the diagnostic
    if better and (not found or found.endswith(".0.0")) and better[1][0] == (found or better[1])[0]:
        found = better[1]
    reason = re.sub(r"^\s*[A-Za-z0-9-]+\s*;\s*", "", diagnostic) or status
    return Delivery(
        outcome=outcome, recipient=recipient.rpartition(";")[2].strip(), code=found, reason=reason[:MAX_REASON].strip()
    )


def prose(text: str) -> Delivery:
    """What a bounce without a machine-readable part says: the first status code, and the line it stands in."""
    text = text[:MAX_PROSE]
    match = _STATUS.search(text)
    if match is None or match[1].startswith("2"):
        match = _REPLY.search(text) or (match if match and not match[1].startswith("2") else None)
    address = _ADDRESS.search(text)
    if match is None:
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        return Delivery(outcome="failed", recipient=address[0] if address else "", reason=" ".join(lines[:6])[:300])
    begin = text.rfind("\n", 0, match.start()) + 1
    end = text.find("\n", match.end())
    line = text[begin : end if end >= 0 else len(text)].strip()
    return Delivery(outcome="failed", recipient=address[0] if address else "", code=match[1], reason=line[:MAX_REASON])


def original_id(mail: Mail) -> str:
    """The Message-ID (without brackets) of the mail a report is about; `""` if nothing names it."""
    for report in mail.reports:
        if report.media.endswith(("headers", "disposition-notification", "delivery-status", "feedback-report")):
            found = _id_in(report.data)
            if found:
                return found
    for source in mail.nested:
        fields, _ = parse_fields(source, 0, len(source))
        found = next(iter(ids(fields.raw("message-id"))), "")
        if found:
            return found
    match = _RETURNED_ID.search(mail.text[: 10 * MAX_PROSE])
    if match:
        return match[1]
    for file in mail.files:  # returned as a plain attachment
        if (
            file.data
            and len(file.data) < 1_000_000
            and file.claimed_type.startswith(("text/", "message/", "application/octet"))
        ):
            found = _id_in(file.data[:50_000])
            if found:
                return found
    named = mail.in_reply_to or mail.references[-1:]
    return named[0] if named else ""


def _id_in(data: bytes) -> str:
    if b"essage-i" not in data and b"essage-I" not in data and b"ESSAGE-I" not in data:
        return ""
    match = _RETURNED_ID.search(charset.decode(data[:200_000], "utf-8")[0])
    return match[1] if match else ""
