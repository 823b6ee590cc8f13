"""Two gateways on one MongoDB: one polls the mailbox; when it is killed the other does. Nothing is lost or doubled."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.desk import Desk
from tests.e2e.post import Post
from tests.e2e.program import Program, until

pytestmark = pytest.mark.xdist_group("e2e-mongo")


@pytest.fixture
def nodes(mongodb_url: str, post: Post, tmp_path: Path) -> Iterator[list[Desk]]:
    key = base64.b64encode(os.urandom(32)).decode()
    programs = [
        Program(tmp_path / name, mongodb_url, OMNIGATE_NODE=name, OMNIGATE_SECRET_KEY=key) for name in ("one", "two")
    ]
    try:
        for program in programs:
            program.start()
        yield [Desk(program, post) for program in programs]
    finally:
        for program in programs:
            if program.running:
                program.kill()


@pytest.mark.timeout(90)
def test_one_polls_and_the_other_takes_over(nodes: list[Desk]) -> None:
    post = nodes[0].post
    nodes[0].prepare()
    inbox, customer = nodes[0].inbox(), post.dovecot.user()

    def polling() -> list[Desk]:
        port = post.dovecot.imap_port
        return [node for node in nodes if node.program.running and node.program.connections(port)]

    def write(*numbers: int) -> None:
        for number in numbers:
            headers = [f"Subject: s{number}", f"Message-Id: <n{number}@example.org>"]
            post.swaks(customer, inbox.address, f"text {number}", *headers)

    (first,) = until(polling, "a node polls")
    (other,) = [node for node in nodes if node is not first]
    write(0, 1, 2)
    other.comes(inbox, 3)
    for node in nodes:
        node.turns(inbox, "ok")
    other.call("POST", f"/inboxes/{inbox.id}/poll")  # asked of the node that does not poll
    assert polling() == [first]

    first.program.kill()
    write(3, 4, 5)
    found = other.comes(inbox, 6, 30)
    assert [message["text"].strip() for message in found] == [f"text {number}" for number in range(6)]
    assert polling() == [other]
    other.counts(inbox, {"messages": 6, "taken_in": 6, "older": 0, "waiting": 0})

    # the answer leaves once, from the node that is left
    answered = other.reply(found[-1]["conversation_id"], "Still here.")
    other.becomes(answered["id"], "sent", 30)
    post.arrives(customer)

    # the first comes back, and finds nothing to do; nor does what it knows cover what the other tells
    first.program.start()
    time.sleep(1)
    assert first.health(inbox)["state"] == "ok"
    write(6)
    first.comes(inbox, 7)
    assert polling() == [other]
