"""What taking in a mailbox is measured against: aioimaplib fetches all mails, the standard library parses them.

Runs in a process of its own: `python -m bench.bare_mail PORT USER PASSWORD POLICY`; prints seconds and how many mails
it read. POLICY is one of email.policy: `compat32` is the quick one, `default` the one that also decodes header fields.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import sys
import time

import uvloop
from aioimaplib import aioimaplib

AT_A_TIME = 50


async def read(port: int, user: str, password: str, policy: str) -> int:
    """How many mails there were: each was fetched, and its main fields and all its parts decoded."""
    chosen = getattr(email.policy, policy)
    client = aioimaplib.IMAP4("127.0.0.1", port)
    await client.wait_hello_from_server()
    await client.login(user, password)
    selected = await client.select("INBOX")
    count = next(int(line.split()[0]) for line in selected.lines if line.endswith(b" EXISTS"))
    parsed = 0
    for first in range(1, count + 1, AT_A_TIME):
        answer = await client.fetch(f"{first}:{min(first + AT_A_TIME - 1, count)}", "(UID BODY.PEEK[])")
        for line in answer.lines:
            if isinstance(line, bytearray):
                mail = email.message_from_bytes(bytes(line), policy=chosen)
                for name in ("from", "to", "subject", "date", "message-id", "references"):
                    mail.get(name)
                for part in mail.walk():
                    part.get_payload(decode=True)
                parsed += 1
    await client.logout()
    return parsed


if __name__ == "__main__":
    began = time.perf_counter()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(read(int(sys.argv[1]), *sys.argv[2:5]))
    print(time.perf_counter() - began, found)
