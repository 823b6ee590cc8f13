"""A customer's mail comes in, is routed and explained; the answer reaches their mailbox, and what they answer joins."""

from __future__ import annotations

from tests.e2e.desk import Desk
from tests.servers.dovecot import PASSWORD


def test_question_answer_and_replies(desk: Desk) -> None:
    post = desk.post
    inbox, customer = desk.inbox(plus_addressing=True), post.dovecot.user()
    health = desk.turns(inbox, "ok")
    assert health["details"]["folders"]["INBOX"] == {"messages": 0, "taken_in": 0, "older": 0, "waiting": 0}
    checks = desk.call("POST", f"/inboxes/{inbox.id}/check", {})
    assert checks["ok"], checks
    assert [check["name"] for check in checks["checks"]] == ["IMAP sign-in", "Folder INBOX", "SMTP sign-in"]

    question = "I would like a refund.\n\nOn Monday, Support <support@example.org> wrote:\n> What can we do for you?\n"
    headers = ["Subject: 我的付款", f"From: A customer <{customer}>", "Message-Id: <question@example.org>"]
    post.swaks(customer, inbox.address, question, *headers)
    conversation = desk.conversation(inbox)
    assert (conversation["channel"], conversation["subject"]) == ("mail", "我的付款")
    assert (conversation["queue"], conversation["priority"], conversation["tags"]) == ("payments", "high", ["refund"])
    assert (conversation["contact_name"], conversation["unread"]) == ("A customer", 1)
    (message,) = desk.messages(conversation)
    assert message["text"].strip() == question.strip()
    assert message["visible_text"].strip() == "I would like a refund."
    assert message["external_id"] == "<question@example.org>"

    (decision,) = desk.call("GET", f"/conversations/{conversation['id']}/routing")["items"]
    assert (decision["queue"], decision["matched"], decision["message_id"]) == ("payments", ["refunds"], message["id"])
    results = {rule["rule"]: (rule["result"], rule["condition"]) for rule in decision["rules"]}
    assert results["refunds"][0] == "matched"
    assert results["holiday"][0] == "failed"
    assert "holiday" in str(results["holiday"][1])

    answered = desk.reply(conversation, "您好，it is on its way.")
    received = post.arrives(customer)
    assert received["In-Reply-To"] == received["References"] == "<question@example.org>"
    assert received["Subject"] == "Re: 我的付款"
    assert received["From"].addresses[0].addr_spec == inbox.address
    assert received["From"].addresses[0].display_name == "客服 Support"
    assert received["To"].addresses[0].addr_spec == customer
    assert received["Auto-Submitted"] is None
    assert received.get_content().strip() == "您好，it is on its way."
    delivery = desk.becomes(answered["id"], "sent")
    assert delivery["provider_id"] == received["Message-ID"]

    # the customer answers: as a mail program does; only to the reply address; only with the subject
    back = received["Reply-To"].addresses[0].addr_spec
    assert back != inbox.address
    post.swaks(customer, inbox.address, "Thank you!", "Subject: other", f"In-Reply-To: {received['Message-ID']}")
    post.swaks(customer, back, "One more thing.", "Subject: quite another")
    post.swaks(customer, inbox.address, "And this.", "Subject: 回复：我的付款")
    texts = [message["text"].strip() for message in desk.comes(inbox, 4)]
    assert set(texts[1:]) == {"Thank you!", "One more thing.", "And this."}
    only = desk.conversation(inbox)
    assert (only["id"], only["message_count"]) == (conversation["id"], 5)

    # the second answer goes to the latest mail, and names all that went before
    desk.reply(conversation, "Is it there?")
    second = post.arrives(customer, 2)
    latest = max(desk.comes(inbox, 4), key=lambda message: message["id"])
    assert second["In-Reply-To"] == latest["external_id"]
    assert second["References"].split()[-1] == latest["external_id"]

    desk.counts(inbox, {"messages": 4, "taken_in": 4, "older": 0, "waiting": 0})
    assert not [flag for flag in post.dovecot.flags(inbox.address) if b"Seen" in flag]


def test_what_an_admin_sees_of_a_wrong_password(desk: Desk) -> None:
    inbox = desk.inbox(imap_password="wrong")
    health = desk.turns(inbox, "failing")
    assert "refuses the sign-in" in health["reason"]
    assert "password" in health["action"]
    checks = desk.call("POST", f"/inboxes/{inbox.id}/check", {})
    assert not checks["ok"]
    good = desk.call("POST", f"/inboxes/{inbox.id}/check", {"settings": {"imap_password": PASSWORD}})
    assert good["ok"], good
    desk.call("PATCH", f"/inboxes/{inbox.id}", {"settings": {"imap_password": PASSWORD}})
    desk.turns(inbox, "ok")
    shown = desk.call("GET", f"/inboxes/{inbox.id}")["settings"]["imap_password"]
    assert shown == {"$secret": True}
    log = list(desk.program.each(f"/inboxes/{inbox.id}/log"))
    assert log
    assert PASSWORD not in str(log)
    assert PASSWORD not in desk.program.log()


def test_older_mail_is_left_alone_and_counted(desk: Desk) -> None:
    post = desk.post
    address, customer = post.dovecot.user(), post.dovecot.user()
    post.swaks(customer, address, "long ago", "Subject: old")
    post.arrives(address)
    inbox = desk.inbox(address, since="now")
    desk.counts(inbox, {"messages": 1, "taken_in": 0, "older": 1, "waiting": 0})
    post.swaks(customer, address, "just now", "Subject: new")
    (message,) = desk.comes(inbox, 1)
    assert message["text"].strip() == "just now"
