"""Customers' mail programs: swaks, the standard library's, and the mailboxes that answers arrive in."""

from __future__ import annotations

import email
import email.policy
import shutil
import smtplib
import subprocess
from email.message import EmailMessage
from typing import Any

from tests.e2e.program import until
from tests.servers.absent import absent
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix


class Post:
    """The mail servers, and who writes through them."""

    def __init__(self, dovecot: Dovecot, postfix: Postfix) -> None:
        self.dovecot = dovecot
        self.postfix = postfix

    def swaks(self, sender: str, recipient: str, body: str, *headers: str) -> None:
        """Write with a real mail program."""
        program = shutil.which("swaks") or absent("swaks")
        arguments = ["--from", sender, "--to", recipient, "--body", body]
        arguments += [text for header in headers for text in ("--header", header)]
        done = subprocess.run(
            [program, "--server", f"127.0.0.1:{self.postfix.port}", "--silent", "2", *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def send(self, mail: EmailMessage | bytes, sender: str, recipient: str) -> None:
        """Send a mail as composed."""
        with smtplib.SMTP("127.0.0.1", self.postfix.port, timeout=10) as line:
            source = mail if isinstance(mail, bytes) else mail.as_bytes(policy=email.policy.SMTP)
            line.sendmail(sender, [recipient], source)

    def received(self, user: str) -> list[Any]:
        """All mails in the mailbox, parsed."""
        sources = self.dovecot.sources(user)
        return [email.message_from_bytes(source, policy=email.policy.default) for source in sources]

    def arrives(self, user: str, count: int = 1, seconds: float = 20) -> Any:
        """The mailbox's `count`-th mail, once it is there; there must be no more."""
        found = until(
            lambda: mails if len(mails := self.received(user)) >= count else [], f"mail {count} for {user}", seconds
        )
        assert len(found) == count
        return found[-1]


def written(sender: str, recipient: str, subject: str, text: str, **headers: str) -> EmailMessage:
    """A mail; header names are given with `_` for `-`."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, subject
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    mail.set_content(text)
    return mail
