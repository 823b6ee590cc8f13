"""The gateway is killed between the steps: no mail is lost or doubled, and what may have been sent twice is said so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.e2e.conftest import STORES
from tests.e2e.desk import Desk
from tests.e2e.post import Post
from tests.e2e.program import Gone, Program, until

TAKES_OVER = 30.0
"""On MongoDB the dead process's leases have to run out first."""


@pytest.fixture(params=STORES)
def frail(request: pytest.FixtureRequest, post: Post, tmp_path: Path) -> Iterator[Desk]:
    """A gateway of the test's own."""
    url = "" if request.param == "sqlite" else str(request.getfixturevalue("mongodb_url"))
    program = Program(tmp_path, url)
    try:
        yield Desk(program, post)
    finally:
        if program.running:
            program.kill()


@pytest.mark.timeout(120)
def test_killed_between_the_steps(frail: Desk) -> None:
    desk, post, program = frail, frail.post, frail.program
    program.start("outbox.claim.before")
    desk.prepare()
    inbox, first, second = desk.inbox(), post.dovecot.user(), post.dovecot.user()
    post.swaks(first, inbox.address, "A question.", "Subject: First", "Message-Id: <first@example.org>")
    question = desk.conversation(inbox)

    # killed after the reply is accepted, before it is sent; a mail arrives while nobody reads
    reply = "An answer."
    with suppress(Gone):
        desk.reply(question, reply, key="answer-1")
    program.died()
    post.swaks(second, inbox.address, "Another question.", "Subject: Second", "Message-Id: <second@example.org>")
    post.dovecot.append(inbox.address, [post.dovecot.sources(inbox.address)[0]])
    program.start("outbox.send.after:2")
    answered = desk.reply(question, reply, key="answer-1")
    assert post.arrives(first, seconds=TAKES_OVER)["In-Reply-To"] == "<first@example.org>"
    desk.becomes(answered["id"], "sent")
    texts = [message["text"].strip() for message in desk.comes(inbox, 2, TAKES_OVER)]
    assert texts == ["A question.", "Another question."]

    # killed when the mail server has the answer, and the gateway has not noted that
    other = next(one for one in desk.conversations(inbox) if one["id"] != question["id"])
    with suppress(Gone):
        desk.reply(other, "Perhaps twice.", key="answer-2")
    program.died()
    sent = post.arrives(second)
    program.start()
    message = desk.reply(other, "Perhaps twice.", key="answer-2")
    delivery = desk.becomes(message["id"], "unknown", TAKES_OVER)
    assert delivery["error"] == "the gateway stopped while it was being sent"
    shown = next(one for one in desk.messages(other) if one["id"] == message["id"])
    assert (shown["delivery"]["status"], shown["delivery"]["error"]) == ("unknown", delivery["error"])
    assert len(post.received(second)) == 1, "the agent decides; the gateway does not"

    # the agent has it sent again: the customer's mail program sees by its Message-ID that it is the same mail
    desk.call("POST", f"/deliveries/{message['id']}/retry")
    again = post.arrives(second, 2)
    assert again["Message-ID"] == sent["Message-ID"]
    assert desk.becomes(message["id"], "sent")["provider_id"] == sent["Message-ID"]
    assert len(post.received(first)) == 1
    assert len([one for one in desk.everything(inbox) if one["direction"] == "out"]) == 2
    program.stop()


@pytest.mark.parametrize("frail", STORES[:1], indirect=True)  # the outbox's own tests settle on both
def test_an_unknown_delivery_is_settled_by_the_agent(frail: Desk) -> None:
    desk, post, program = frail, frail.post, frail.program
    program.start("outbox.send.after:1")
    desk.prepare()
    inbox, customer = desk.inbox(), post.dovecot.user()
    post.swaks(customer, inbox.address, "A question.", "Subject: First")
    question = desk.conversation(inbox)
    with suppress(Gone):
        desk.reply(question, "An answer.", key="answer")
    program.died()
    program.start()
    message = desk.reply(question, "An answer.", key="answer")
    desk.becomes(message["id"], "unknown", TAKES_OVER)
    settled = desk.call("POST", f"/deliveries/{message['id']}/resolve", {"outcome": "sent"})
    assert (settled["status"], settled["error"]) == ("sent", None)
    until(lambda: desk.messages(question)[-1]["delivery"]["status"] == "sent", "the message shows it")
    assert len(post.received(customer)) == 1
    program.stop()
