"""One mail must not keep the gateway busy: long runs of the same, where a reader could begin again at each."""

from __future__ import annotations

import subprocess
import sys

import pytest

SIZE = 100_000
BOUNCE = "From: MAILER-DAEMON@example.org\nSubject: Undelivered Mail Returned to Sender\n\n"
REPORT = (
    "From: MAILER-DAEMON@example.org\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
    "--b\nContent-Type: message/delivery-status\n\n"
)
RUNS = {
    "separators of parameters": ("From: a@example.org\nContent-Type: text/plain;", ";", ""),
    "separators and blanks": ("From: a@example.org\nContent-Disposition: attachment;", "; ", ""),
    "blanks in a value": ("From: a@example.org\nContent-Type: text/plain; charset=x", " ", "1"),
    "empty lines in a bounce": (BOUNCE, "\n", "x"),
    "empty lines behind a field's name": (f"{BOUNCE}Message-ID:", "\n", "x"),
    "quoted empty lines": (BOUNCE, ">\n", "x"),
    "lines that are no fields in a status report": (REPORT, ">\n", "x"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_long_run_takes_no_time(name: str) -> None:
    head, run, tail = RUNS[name]
    code = (
        "from connectors.mail.inbound import to_inbound\n"
        f"source = ({head!r} + {run!r} * {SIZE // len(run)} + {tail!r}).encode()\n"
        "to_inbound(source, own_addresses=(), verify_token=lambda text: None)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=10)
