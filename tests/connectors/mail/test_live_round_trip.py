"""A mail program writes through a real mail server; the answer finds its way back, threaded, and so does a reply."""

from __future__ import annotations

import asyncio
import email
import email.policy
import shutil
import subprocess
from typing import Any

import pytest

from connectors.mail.tokens import Tokens
from tests.conformance.sink import SECRET, Surroundings
from tests.connectors.mail.live import answer, settings, watching
from tests.servers.absent import absent
from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.postfix import Postfix, start_postfix

CONVERSATION = "0193b5c0-0000-7000-8000-0000000000aa"


async def swaks(postfix: Postfix, sender: str, recipient: str, body: str, *headers: str) -> None:
    program = shutil.which("swaks") or absent("swaks")
    arguments = ["--from", sender, "--to", recipient, "--body", body]
    arguments += [text for header in headers for text in ("--header", header)]
    done = await asyncio.to_thread(
        subprocess.run,
        [program, "--server", f"127.0.0.1:{postfix.port}", "--silent", "2", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


async def arrives(dovecot: Dovecot, user: str) -> Any:
    async with asyncio.timeout(10):
        while not (sources := await asyncio.to_thread(dovecot.sources, user)):
            await asyncio.sleep(0.05)
    return email.message_from_bytes(sources[-1], policy=email.policy.default)


@pytest.mark.parametrize("plus", [False, True])
async def test_question_answer_and_reply(plus: bool) -> None:
    dovecot, postfix = start_dovecot(), start_postfix()
    desk, customer = dovecot.user(), dovecot.user()
    around = Surroundings()
    config = settings(
        dovecot, desk, smtp_port=postfix.port, display_name="客服 Support", plus_addressing=plus, poll_seconds=3600
    )
    async with watching(config, around) as (connector, _):
        await swaks(
            postfix, customer, desk, "Where is my payment?", "Subject: 我的付款", "Message-Id: <question@example.org>"
        )
        (question,) = await around.sink.until_accepted(1)
        assert question.text.strip() == "Where is my payment?"
        assert question.sender.address == customer
        await connector.send(
            answer(
                conversation_id=CONVERSATION,
                address=customer,
                text="您好，it is on its way.",
                html="<p>您好，it is on its way.</p>",
                reply_to={**question.meta, "subject": question.subject, "text": question.text},
            )
        )
        received = await arrives(dovecot, customer)
        assert received["In-Reply-To"] == "<question@example.org>"
        assert received["References"] == "<question@example.org>"
        assert received["Subject"] == "Re: 我的付款"
        assert received["From"].addresses[0].display_name == "客服 Support"
        assert received.get_body(("html",)).get_content().strip() == "<p>您好，it is on its way.</p>"
        back = received["Reply-To"].addresses[0].addr_spec if plus else desk
        assert (back != desk) == plus
        headers = ["Subject: something else"] + ([] if plus else [f"In-Reply-To: {received['Message-ID']}"])
        await swaks(postfix, customer, back, "Thank you!", *headers)
        reply = (await around.sink.until_accepted(2))[1]
    assert reply.thread is not None
    assert reply.thread.conversation_id == CONVERSATION
    assert Tokens(SECRET).verify(received["Message-ID"]) == CONVERSATION
