"""Mail that machines write: bounces and out-of-office notes go where they belong, and no robot is answered twice."""

from __future__ import annotations

import time

from tests.e2e.desk import Desk
from tests.e2e.post import written

NOBODY = "o'brien@example.org"
"""Dovecot's LMTP knows no user with such a character, so Postfix, which took the mail, sends it back."""


def test_a_bounce_fails_the_reply(desk: Desk) -> None:
    post = desk.post
    inbox = desk.inbox()
    post.send(written(NOBODY, inbox.address, "Hello", "Where are you?"), NOBODY, inbox.address)
    conversation = desk.conversation(inbox)
    answered = desk.reply(conversation, "Here we are.")
    delivery = desk.becomes(answered["id"], "failed")
    assert "exist" in delivery["error"], delivery
    assert NOBODY in delivery["error"]
    assert delivery["error_code"].startswith("5.")
    bounce = desk.comes(inbox, 2)[1]
    assert bounce["kind"] == "bounce"
    only = desk.conversation(inbox)
    assert (only["id"], only["message_count"]) == (conversation["id"], 3)
    shown = next(message for message in desk.messages(only) if message["id"] == answered["id"])
    assert (shown["delivery"]["status"], shown["delivery"]["error"]) == ("failed", delivery["error"])
    assert [message["direction"] for message in desk.messages(only)] == ["in", "out", "in"]
    decisions = desk.call("GET", f"/conversations/{only['id']}/routing")["items"]
    assert bounce["id"] not in {decision["message_id"] for decision in decisions}


def test_a_refusal_fails_the_reply_at_once(desk: Desk) -> None:
    post = desk.post
    inbox, elsewhere = desk.inbox(), "customer@elsewhere.example"
    post.send(written(elsewhere, inbox.address, "Hello", "Where are you?"), elsewhere, inbox.address)
    answered = desk.reply(desk.conversation(inbox), "Here we are.")
    delivery = desk.becomes(answered["id"], "failed")
    assert "Relay access denied" in delivery["error"]
    assert (delivery["error_code"], delivery["dead"], delivery["attempts"]) == ("554", True, 1)


def test_an_out_of_office_note_joins_without_reopening(desk: Desk) -> None:
    post = desk.post
    inbox, customer = desk.inbox(), post.dovecot.user()
    post.swaks(customer, inbox.address, "I ask.", "Subject: Question")
    conversation = desk.conversation(inbox)
    desk.reply(conversation, "We answer.")
    received = post.arrives(customer)
    desk.call("PATCH", f"/conversations/{conversation['id']}", {"status": "resolved"})
    away = written(
        customer,
        inbox.address,
        f"Automatic reply: {received['Subject']}",
        "I am on holiday until Monday.",
        In_Reply_To=received["Message-ID"],
        Auto_Submitted="auto-replied",
    )
    post.send(away, customer, inbox.address)
    kinds = [message["kind"] for message in desk.comes(inbox, 2)]
    assert kinds == ["message", "auto_reply"]
    only = desk.conversation(inbox)
    assert (only["id"], only["status"], only["message_count"]) == (conversation["id"], "resolved", 3)
    assert len(post.received(customer)) == 1


def test_two_answering_machines_stop(desk: Desk) -> None:
    """Ours is marked, so a well-mannered one is silent; one that is not is answered so many times a day and no more."""
    post = desk.post
    inbox, customer = desk.inbox(automatic_per_day=2), post.dovecot.user()
    for number in range(4):
        post.swaks(customer, inbox.address, f"It is a holiday here ({number}).", f"Subject: number {number}")
        desk.comes(inbox, number + 1)
        if number < 2:
            note = post.arrives(customer, number + 1)
            assert note["Auto-Submitted"] == "auto-replied"
            assert note["X-Auto-Response-Suppress"] == "All"
            assert note.get_content().strip() == "We are closed on holidays."
    answers = [message for message in desk.everything(inbox) if message["direction"] == "out"]
    assert len(answers) == 4
    last = max(answers, key=lambda message: message["id"])
    assert "automatic answers went to this address" in desk.becomes(last["id"], "failed")["error"]
    assert len(post.received(customer)) == 2

    # two inboxes that answer each other: the second sees the first one's mark
    other = desk.inbox()
    post.swaks(other.address, inbox.address, "Happy holidays", "Subject: From an inbox to an inbox")
    (answer,) = desk.comes(other, 1)
    assert answer["kind"] == "auto_reply"
    time.sleep(0.5)
    assert len(desk.everything(other)) == 1
    assert len([message for message in desk.everything(inbox) if message["direction"] == "in"]) == 5


def test_lists_and_robots_get_no_automatic_answer(desk: Desk) -> None:
    post = desk.post
    inbox, customer = desk.inbox(), post.dovecot.user()
    post.swaks(
        customer, inbox.address, "Holiday offers", "Subject: News", "List-Id: <news.example.org>", "Precedence: bulk"
    )
    post.swaks(customer, inbox.address, "Holiday job", "Subject: Cron", "Auto-Submitted: auto-generated")
    desk.comes(inbox, 2)
    assert [message["direction"] for message in desk.everything(inbox)] == ["in", "in"]
    assert post.received(customer) == []
