"""Mail: a mailbox of mixed messages taken in by the whole gateway, against bare libraries that fetch and parse it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.mailbox import mails
from bench.program import Server, gateway

ROUNDS = 3
WARM = 200
"""Mails of another mailbox that are taken in before, as by a gateway that has been running."""
PATIENCE = 600.0


def measure(full: bool) -> list[Figure]:
    """Both ways in turn, since the machine's speed drifts; each of the gateway's rounds on a new store."""
    from tests.servers.dovecot import running

    count = 5000 if full else 2000
    dovecot = running()
    if dovecot is None:
        raise RuntimeError("the benchmark of mail needs Dovecot: make servers")
    user, other = dovecot.user(), dovecot.user()
    dovecot.fill(user, mails(count, user))
    dovecot.fill(other, mails(WARM, other))
    bare_seconds(dovecot, user, count, "compat32")  # the server indexes the mailbox when it is first read
    shares: dict[str, list[float]] = {"compat32": [], "default": []}
    rates: list[float] = []
    health: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            bare = {policy: bare_seconds(dovecot, user, count, policy) for policy in shares}
            place = Path(folder) / str(number)
            place.mkdir()
            with gateway(place) as server:
                gateway_seconds(server, place, dovecot, other, WARM)
                taken = gateway_seconds(server, place, dovecot, user, count)
                health = counted(server, user, count)
            rates.append(count / taken)
            for policy, seconds in bare.items():
                shares[policy].append(seconds / taken)
    missing = health["messages"] - health["taken_in"]
    return [
        Figure(f"a mailbox of {count:,} mixed mails taken in", max(rates), "msg/s"),
        Figure("… share of aioimaplib's fetch and the stdlib's parse", max(shares["default"]), "×", 0.5),
        Figure("… the same, header fields left undecoded (compat32)", max(shares["compat32"]), "×"),
        Figure("… in the mailbox and not in the store", missing, "mails", 0, at_most=True),
    ]


def bare_seconds(dovecot: Any, user: str, count: int, policy: str) -> float:
    """What the bare library takes for the mailbox."""
    from tests.servers.dovecot import PASSWORD

    done = subprocess.run(
        [sys.executable, "-m", "bench.bare_mail", str(dovecot.imap_port), user, PASSWORD, policy],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    seconds, found = done.stdout.split()
    if int(found) != count:
        raise RuntimeError(f"the bare library read {found} mails of {count}")
    return float(seconds)


def gateway_seconds(server: Server, folder: Path, dovecot: Any, user: str, count: int) -> float:
    """From the making of the inbox until all its mails are durable and routed."""
    from tests.servers.dovecot import PASSWORD

    settings = {
        "address": user,
        "imap_host": "127.0.0.1",
        "imap_port": dovecot.imap_port,
        "imap_security": "none",
        "imap_password": PASSWORD,
        "since": "all",
        "smtp_host": "127.0.0.1",
        "smtp_port": 9,
        "smtp_security": "none",
        "smtp_auth": "none",
    }
    began = time.perf_counter()
    made = server.call("POST", "/inboxes", {"kind": "mail", "name": user, "settings": settings})
    path = folder / "data" / "omnigate.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as store:
        while True:
            (found,) = store.execute(
                "SELECT count(*) FROM messages WHERE inbox_id = ? AND external_id IS NOT NULL", (made["id"],)
            ).fetchone()
            if found >= count:
                return time.perf_counter() - began
            if time.perf_counter() - began > PATIENCE:
                raise RuntimeError(f"{found} of {count} mails after {PATIENCE:g} s")
            time.sleep(0.1)


def counted(server: Server, user: str, count: int) -> dict[str, int]:
    """The mailbox against the store, as the inbox's health shows it, once nothing waits."""
    end = time.monotonic() + 30
    while True:
        (inbox,) = (one for one in server.call("GET", "/inboxes")["items"] if one["name"] == user)
        found: dict[str, int] = inbox["health"]["details"].get("folders", {}).get("INBOX", {})
        if found.get("messages") == count and not found["waiting"]:
            return found
        if time.monotonic() > end:
            raise RuntimeError(f"the inbox counts {inbox['health']}")
        time.sleep(0.2)
