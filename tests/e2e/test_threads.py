"""Which mails make one conversation, as a mailbox brings them: late, parentless, doubled, in two folders or inboxes."""

from __future__ import annotations

from tests.e2e.desk import Desk
from tests.e2e.post import written


def test_a_reply_that_arrives_before_its_parent(desk: Desk) -> None:
    post = desk.post
    inbox, customer, colleague = desk.inbox(), post.dovecot.user(), post.dovecot.user()
    reply = written(
        colleague, inbox.address, "Re: Plans", "The reply.", Message_ID="<b@example.org>", In_Reply_To="<a@example.org>"
    )
    parent = written(customer, inbox.address, "Plans", "The parent.", Message_ID="<a@example.org>")
    post.send(reply, colleague, inbox.address)
    desk.comes(inbox, 1)
    post.send(parent, customer, inbox.address)
    desk.comes(inbox, 2)
    assert desk.conversation(inbox)["message_count"] == 2


def test_siblings_of_a_parent_that_never_came(desk: Desk) -> None:
    post = desk.post
    inbox = desk.inbox()
    for number in range(2):
        sender = post.dovecot.user()
        mail = written(
            sender,
            inbox.address,
            f"Re: Missing {number}",
            f"sibling {number}",
            Message_ID=f"<sibling{number}@example.org>",
            References="<older@example.org> <missing@example.org>",
        )
        post.send(mail, sender, inbox.address)
        desk.comes(inbox, number + 1)
    assert desk.conversation(inbox)["message_count"] == 2


def test_two_inboxes_never_share_a_thread(desk: Desk) -> None:
    post = desk.post
    inbox, other, customer = desk.inbox(plus_addressing=True), desk.inbox(), post.dovecot.user()
    post.send(
        written(customer, inbox.address, "Both", "One.", Message_ID="<both@example.org>"), customer, inbox.address
    )
    conversation = desk.conversation(inbox)
    desk.reply(conversation, "An answer.")
    answer = post.arrives(customer)
    # the same mail, and an answer to what the first inbox wrote, reach the second
    post.send(
        written(customer, inbox.address, "Both", "One.", Message_ID="<both@example.org>"), customer, other.address
    )
    back = written(
        customer,
        other.address,
        "Re: Both",
        "To the wrong one.",
        In_Reply_To=answer["Message-ID"],
        References=f"<both@example.org> {answer['Message-ID']}",
        Cc=answer["Reply-To"],
    )
    post.send(back, customer, other.address)
    assert {message["conversation_id"] for message in desk.comes(other, 2)} == {desk.conversation(other)["id"]}
    assert desk.conversation(other)["id"] != conversation["id"]
    assert desk.conversation(inbox)["message_count"] == 2


def test_the_same_mail_twice_and_in_two_folders_is_one_message(desk: Desk) -> None:
    post = desk.post
    address, customer = post.dovecot.user(), post.dovecot.user()
    post.dovecot.create(address, "Spam")
    named = written(customer, address, "Once", "Only once.", Message_ID="<once@example.org>").as_bytes()
    nameless = written(
        customer, address, "Nameless", "Without a name.", Date="Sun, 22 Nov 2026 10:00:00 +0000"
    ).as_bytes()
    post.dovecot.append(address, [named, nameless, named])
    post.dovecot.append(address, [nameless, named], "Spam")
    post.dovecot.deliver(address, nameless)  # with other trace headers
    inbox = desk.inbox(address, folders=["INBOX", "Spam"])
    found = desk.comes(inbox, 2)
    assert sorted(message["text"].strip() for message in found) == ["Only once.", "Without a name."]
    assert next(m for m in found if "name" in m["text"])["external_id"]
    desk.counts(inbox, {"messages": 4, "taken_in": 4, "older": 0, "waiting": 0})
    post.dovecot.append(address, [named])
    post.swaks(customer, address, "Another one.", "Subject: Later", "Message-Id: <later@example.org>")
    assert desk.comes(inbox, 3)[2]["text"].strip() == "Another one."


def test_the_subject_joins_only_the_same_customer(desk: Desk) -> None:
    post = desk.post
    inbox, customer, stranger = desk.inbox(), post.dovecot.user(), post.dovecot.user()
    post.swaks(customer, inbox.address, "first", "Subject: My card")
    desk.comes(inbox, 1)
    post.swaks(stranger, inbox.address, "not the same", "Subject: My card")
    desk.comes(inbox, 2)
    post.swaks(customer, inbox.address, "second", "Subject: Re: My card")
    desk.comes(inbox, 3)
    assert sorted(conversation["message_count"] for conversation in desk.conversations(inbox)) == [1, 2]
