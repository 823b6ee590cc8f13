"""A readable line for a calendar part (RFC 5545, RFC 5546), so that an invitation is not an empty mail."""

from __future__ import annotations

import re

_FOLD = re.compile(r"\r?\n[ \t]")
_LINE = re.compile(r"^([A-Za-z-]{1,40})((?:;[^:;\n\"]{0,200}(?:\"[^\"\n]{0,200}\")?){0,20}):(.*)$", re.MULTILINE)
_WHEN = re.compile(r"(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})\d{2}(Z)?)?")
_ZONE = re.compile(r"TZID=\"?([^;:\"]+)")
_METHODS = {
    "REQUEST": "Invitation", "CANCEL": "Cancelled", "REPLY": "Answer to an invitation", "PUBLISH": "Event",
    "COUNTER": "Other time proposed", "ADD": "Added date", "REFRESH": "Update asked for",
    "DECLINECOUNTER": "Proposal declined",
}  # fmt: skip
MAX_CALENDAR = 500_000


def summary(text: str) -> str:
    """`Invitation: Subject, 2024-05-01 09:00 UTC to 10:00 UTC, Place`; empty if there is no event in it."""
    text = _FOLD.sub("", text[:MAX_CALENDAR])
    method = ""
    event: dict[str, tuple[str, str]] = {}
    inside = False
    for match in _LINE.finditer(text):
        name, parameters, value = match[1].upper(), match[2], match[3].strip()
        if name == "METHOD":
            method = value.upper()
        elif name == "BEGIN" and value.upper() in ("VEVENT", "VTODO"):
            inside = True
        elif name == "END" and value.upper() in ("VEVENT", "VTODO", "VALARM"):
            if event:
                break
        elif name == "BEGIN" and value.upper() == "VALARM":
            break
        elif inside:
            event.setdefault(name, (value, parameters))
    if not event:
        return ""
    pieces = [_unescape(event.get("SUMMARY", ("", ""))[0]) or "(no title)"]
    start, end = _when(event.get("DTSTART")), _when(event.get("DTEND") or event.get("DUE"))
    if start:
        pieces.append(f"{start} to {end}" if end else start)
    place = _unescape(event.get("LOCATION", ("", ""))[0])
    if place:
        pieces.append(place)
    return f"{_METHODS.get(method, 'Event')}: " + ", ".join(pieces)


def _when(entry: tuple[str, str] | None) -> str:
    if entry is None:
        return ""
    match = _WHEN.match(entry[0])
    if match is None:
        return ""
    day = f"{match[1]}-{match[2]}-{match[3]}"
    if match[4] is None:
        return day
    zone = _ZONE.search(entry[1])
    return f"{day} {match[4]}:{match[5]}" + (" UTC" if match[6] else f" ({zone[1]})" if zone else "")


def _unescape(value: str) -> str:
    return re.sub(r"\\([,;\\nN])", lambda m: " " if m[1] in "nN" else m[1], value).strip()[:500]
