"""What an admin and an agent do through the API, with a mailbox of their own for each test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.e2e.post import Post
from tests.e2e.program import Program, until
from tests.servers.dovecot import PASSWORD

RULES = """
rules:
  - id: holiday
    name: Who writes about holidays is answered at once
    when: {text: {contains: [holiday]}}
    then:
      reply: "We are closed on holidays."
    continue: true
  - id: refunds
    name: Refunds go to payments
    on: [new]
    when: {all: [{channel: mail}, {text: {contains: [refund, 退款]}}]}
    then: {queue: payments, priority: high, tags: [refund]}
"""


@dataclass(frozen=True, slots=True)
class Inbox:
    id: str
    address: str


class Desk:
    """A gateway with its mail servers."""

    def __init__(self, program: Program, post: Post) -> None:
        self.program = program
        self.post = post
        self.call = program.call

    def prepare(self) -> None:
        """Rules that do not hang on the time of day."""
        self.call("POST", "/rules/publish", {"files": [{"name": "mail.yaml", "text": RULES}]})

    def settings(self, address: str, **changes: Any) -> dict[str, Any]:
        return {
            "address": address,
            "display_name": "客服 Support",
            "imap_host": "127.0.0.1",
            "imap_port": self.post.dovecot.imap_port,
            "imap_security": "none",
            "imap_password": PASSWORD,
            "since": "all",
            "smtp_host": "127.0.0.1",
            "smtp_port": self.post.postfix.port,
            "smtp_security": "none",
            "smtp_auth": "none",
            "poll_seconds": 3600,
            **changes,
        }

    def inbox(self, address: str = "", **changes: Any) -> Inbox:
        """A new inbox, at a new mailbox if none is given."""
        address = address or self.post.dovecot.user()
        made = self.call(
            "POST", "/inboxes", {"kind": "mail", "name": address, "settings": self.settings(address, **changes)}
        )
        return Inbox(made["id"], address)

    def health(self, inbox: Inbox) -> dict[str, Any]:
        health: dict[str, Any] = self.call("GET", f"/inboxes/{inbox.id}")["health"]
        return health

    def turns(self, inbox: Inbox, state: str, seconds: float = 20) -> dict[str, Any]:
        """The inbox's health once it has that state."""
        return until(lambda: h if (h := self.health(inbox))["state"] == state else {}, f"health {state}", seconds)

    def counts(self, inbox: Inbox, wanted: dict[str, int]) -> None:
        """Wait until the inbox's health counts its mailbox so."""
        until(lambda: self.health(inbox)["details"].get("folders", {}).get("INBOX") == wanted, f"counts {wanted}")

    def conversations(self, inbox: Inbox) -> list[dict[str, Any]]:
        """Oldest first."""
        return sorted(self.program.each(f"/conversations?inbox={inbox.id}"), key=lambda one: str(one["id"]))

    def conversation(self, inbox: Inbox, seconds: float = 20) -> dict[str, Any]:
        """The inbox's only conversation, once there is one."""
        (only,) = until(lambda: self.conversations(inbox), "a conversation", seconds)
        return only

    def messages(self, conversation: dict[str, Any] | str) -> list[dict[str, Any]]:
        """Oldest first."""
        id = conversation if isinstance(conversation, str) else conversation["id"]
        return list(self.program.each(f"/conversations/{id}/messages?order=oldest"))

    def everything(self, inbox: Inbox) -> list[dict[str, Any]]:
        """All messages of the inbox."""
        return [message for conversation in self.conversations(inbox) for message in self.messages(conversation)]

    def comes(self, inbox: Inbox, count: int, seconds: float = 20) -> list[dict[str, Any]]:
        """The inbox's incoming messages in order of arrival, once there are so many; there must be no more."""

        def look() -> list[dict[str, Any]]:
            found = [message for message in self.everything(inbox) if message["direction"] == "in"]
            return sorted(found, key=lambda one: str(one["id"])) if len(found) >= count else []

        found = until(look, f"{count} messages in {inbox.address}", seconds)
        assert len(found) == count
        return found

    def reply(self, conversation: dict[str, Any] | str, text: str, *, key: str = "", **more: Any) -> dict[str, Any]:
        id = conversation if isinstance(conversation, str) else conversation["id"]
        body = {"kind": "reply", "text": text, **more}
        message: dict[str, Any] = self.call("POST", f"/conversations/{id}/messages", body, key=key)
        return message

    def delivery(self, message_id: str) -> dict[str, Any]:
        delivery: dict[str, Any] = self.call("GET", f"/deliveries/{message_id}")
        return delivery

    def becomes(self, message_id: str, status: str, seconds: float = 20) -> dict[str, Any]:
        """The delivery, once it has that status."""
        return until(lambda: d if (d := self.delivery(message_id))["status"] == status else {}, status, seconds)
