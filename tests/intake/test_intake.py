"""What comes in is there once, in order, in the right conversation, with its explanation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.connector import Inbound, Sender, StatusUpdate, Threading
from gateway.errors import Overloaded
from gateway.model.conversation import Conversation
from gateway.model.decision import Decision
from gateway.model.message import Message
from gateway.model.team import Hours
from gateway.service.conversations import Changes
from gateway.store.collection import AGENT_STATES, CONTACTS, CONVERSATIONS, DECISIONS, MESSAGES

from .conftest import Desk

RULES = """
rules:
  - id: refunds
    when: {text: {contains: [refund, 退款]}}
    then: {queue: money, priority: high, tags: {add: [refund]}}
"""


async def conversation(desk: Desk, id: str) -> Conversation:
    found = await desk.store.get(CONVERSATIONS, id)
    assert found is not None
    return found


async def messages(desk: Desk, id: str) -> list[Message]:
    return (await desk.store.find(MESSAGES, {"conversation_id": id}, limit=200)).items


async def decisions(desk: Desk, id: str) -> list[Decision]:
    return (await desk.store.find(DECISIONS, {"conversation_id": id}, limit=200)).items


async def test_a_message_begins_a_conversation_and_the_next_joins_it(desk: Desk) -> None:
    first = await desk.say("hello")
    second = await desk.say("are you there?")
    assert second.conversation_id == first.conversation_id
    found = await conversation(desk, first.conversation_id)
    assert (found.status, found.unread, found.message_count) == ("open", 2, 2)
    assert [message.text for message in await messages(desk, found.id)] == ["hello", "are you there?"]


async def test_the_same_message_again_is_one_message(desk: Desk) -> None:
    first = await desk.say("hello", external_id="x1")
    again = await desk.say("hello", external_id="x1")
    assert not first.duplicate
    assert again.duplicate
    assert (again.message_id, again.conversation_id) == (first.message_id, first.conversation_id)
    assert len(await messages(desk, first.conversation_id)) == 1


async def test_the_same_message_many_times_at_once_is_one_message(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.say("hello", external_id="x1") for _ in range(20)))
    assert sum(not answer.duplicate for answer in answers) == 1
    assert len({answer.message_id for answer in answers}) == 1


async def test_the_same_id_in_another_inbox_is_another_message(desk: Desk) -> None:
    other = await desk.add_inbox("other")
    first = await desk.say("hello", external_id="x1")
    (second,) = await desk.intake.accept(other, [Inbound(external_id="x1", sender=Sender(address="anna"), text="hi")])
    assert not second.duplicate
    assert second.conversation_id != first.conversation_id


async def test_order_within_a_conversation_is_kept_under_load(desk: Desk) -> None:
    async def talk(sender: str) -> str:
        accepted = [await desk.say(f"{number}", sender) for number in range(20)]
        return accepted[0].conversation_id

    ids = await asyncio.gather(*(talk(f"customer{number}") for number in range(12)))
    for id in ids:
        assert [message.text for message in await messages(desk, id)] == [str(number) for number in range(20)]
        assert (await conversation(desk, id)).message_count == 20


async def test_messages_that_arrive_together_share_commits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = 0
    commit = desk.store.commit

    async def counted(batch: Any) -> str:
        nonlocal commits
        commits += 1
        return await commit(batch)

    monkeypatch.setattr(desk.store, "commit", counted)
    await asyncio.gather(*(desk.say("hello", f"customer{number}") for number in range(200)))
    assert commits < 20


async def test_a_rule_sends_it_to_its_queue_and_says_why(desk: Desk) -> None:
    await desk.add_queue("money")
    await desk.rules(RULES)
    refund = await desk.say("Where is my refund?")
    found = await conversation(desk, refund.conversation_id)
    assert (found.queue_id, found.priority, found.tags) == ("q-money", "high", ("refund",))
    (decision,) = await decisions(desk, found.id)
    assert (decision.kind, decision.matched, decision.rules_version) == ("route", ("refunds",), 7)
    assert decision.queue_id == "q-money"
    other = await desk.say("hello", "bert")
    assert (await conversation(desk, other.conversation_id)).queue_id == "q-support"


async def test_a_message_that_cannot_be_decided_is_kept_with_the_error(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.add_queue("money")
    await desk.rules(RULES)
    from gateway.routing.decide import decide
    from gateway.service.intake import plan

    def broken(ruleset: Any, facts: Any) -> Any:
        if "poison" in facts.text:
            raise ZeroDivisionError("a bug")
        return decide(ruleset, facts)

    monkeypatch.setattr(plan, "decide", broken)
    good, bad, fine = await asyncio.gather(
        desk.say("refund please", "a"), desk.say("poison", "b"), desk.say("hello", "c")
    )
    assert (await conversation(desk, bad.conversation_id)).queue_id == "q-support"
    (decision,) = await decisions(desk, bad.conversation_id)
    assert decision.kind == "error"
    assert "ZeroDivisionError: a bug" in (decision.error or "")
    assert (await conversation(desk, good.conversation_id)).queue_id == "q-money"
    assert (await conversation(desk, fine.conversation_id)).queue_id == "q-support"


async def test_a_full_queue_refuses_or_waits(desk: Desk) -> None:
    desk.intake._max_pending = 10

    async def at_once(number: int) -> str:
        inbound = Inbound(external_id=f"n{number}", sender=Sender(address=f"s{number}"), text="x")
        try:
            await desk.intake.accept(desk.inbox, [inbound], wait=False)
        except Overloaded as error:
            return "refused" if error.retry_after > 0 else "refused without a time"
        return "taken"

    results = await asyncio.gather(*(at_once(number) for number in range(50)))
    assert results.count("taken") == 10
    patient = await asyncio.gather(*(desk.say("x", f"p{number}") for number in range(50)))
    assert len({accepted.conversation_id for accepted in patient}) == 50
    assert desk.intake.pending == 0


async def test_a_resolved_conversation_is_reopened_and_passes_the_gate_again(desk: Desk) -> None:
    agent = await desk.add_agent("kim", capacity=1)
    await desk.online(agent)
    first = await desk.say("hello", "anna")
    assert (await conversation(desk, first.conversation_id)).assignee_id == "kim"
    await desk.conversations.update(first.conversation_id, agent, Changes(status="resolved"))
    assert (await conversation(desk, first.conversation_id)).assignee_id is None
    second = await desk.say("hello", "bert")
    assert (await conversation(desk, second.conversation_id)).assignee_id == "kim"
    again = await desk.say("one more thing", "anna")
    assert again.conversation_id == first.conversation_id
    reopened = await conversation(desk, again.conversation_id)
    assert (reopened.status, reopened.assignee_id, reopened.reopened) == ("open", None, 1)
    assert reopened.queued_at is not None
    (*_, decision) = await decisions(desk, reopened.id)
    assert [(c.agent_id, c.reason) for c in decision.candidates] == [("kim", "full 1/1")]


async def test_after_reopen_days_a_new_conversation_begins(desk: Desk) -> None:
    admin = await desk.add_agent("kim", role="admin")
    first = await desk.say("hello")
    await desk.conversations.update(first.conversation_id, admin, Changes(status="resolved"))
    desk.clock.pass_by(days=15)
    second = await desk.say("hello again")
    assert second.conversation_id != first.conversation_id


async def test_attributes_of_the_customer_are_kept_up_to_date(desk: Desk) -> None:
    async def write(number: int, tier: str) -> str:
        sender = Sender(address="anna", name="Anna", email="anna@example.org", attributes={"tier": tier})
        (accepted,) = await desk.intake.accept(
            desk.inbox, [Inbound(external_id=f"t{number}", sender=sender, text="hi")]
        )
        return accepted.conversation_id

    id = await write(1, "basic")
    await write(2, "gold")
    contact = await desk.store.get(CONTACTS, (await conversation(desk, id)).contact_id)
    assert contact is not None
    assert (contact.attributes, contact.email) == ({"tier": "gold"}, "anna@example.org")


async def test_html_is_made_safe_and_card_numbers_are_masked(desk: Desk) -> None:
    accepted = await desk.say(
        "my card is 4111 1111 1111 1111", html="<p onclick='x()'>my card<script>alert(1)</script></p>"
    )
    (message,) = await messages(desk, accepted.conversation_id)
    assert message.text == "my card is 4111 1111 1111 1111"
    assert "4111 1111 1111 1111" not in (message.masked_text or "4111 1111 1111 1111")
    assert "script" not in (message.html or "script")
    assert "onclick" not in (message.html or "")
    found = await conversation(desk, accepted.conversation_id)
    assert "4111 1111" not in found.last_message_preview


# threads


async def mail(desk: Desk, number: str, sender: str, **thread: Any) -> str:
    kind = thread.pop("kind", "message")
    status = thread.pop("status", None)
    inbound = Inbound(
        external_id=number,
        sender=Sender(address=sender, namespace="email", email=sender),
        text=f"mail {number}",
        kind=kind,
        status=status,
        thread=Threading(own_key=number, **thread),
    )
    (accepted,) = await desk.intake.accept(desk.inbox, [inbound])
    return accepted.conversation_id


async def test_a_reply_joins_by_what_it_refers_to(desk: Desk) -> None:
    first = await mail(desk, "a", "anna@example.org")
    assert await mail(desk, "b", "anna@example.org", keys=("a",)) == first
    assert await mail(desk, "c", "colleague@example.org", keys=("unknown", "b")) == first
    assert await mail(desk, "d", "anna@example.org") != first


async def test_a_parent_that_arrives_after_its_reply_joins_it(desk: Desk) -> None:
    reply = await mail(desk, "b", "anna@example.org", keys=("a",))
    assert await mail(desk, "a", "bert@example.org") == reply


async def test_two_replies_to_a_parent_that_never_came_share_a_conversation(desk: Desk) -> None:
    assert await mail(desk, "b", "anna@example.org", keys=("lost",)) == await mail(
        desk, "c", "bert@example.org", keys=("lost",)
    )


async def test_threads_never_lead_across_inboxes(desk: Desk) -> None:
    first = await mail(desk, "a", "anna@example.org")
    other = await desk.add_inbox("other")
    inbound = Inbound(
        external_id="b",
        sender=Sender(address="anna@example.org", namespace="email"),
        text="x",
        thread=Threading(own_key="b", keys=("a",), conversation_id=first),
    )
    (accepted,) = await desk.intake.accept(other, [inbound])
    assert accepted.conversation_id != first


async def test_the_same_subject_of_the_same_person_within_days_is_the_same_talk(desk: Desk) -> None:
    first = await mail(desk, "a", "anna@example.org", subject="card blocked")
    assert await mail(desk, "b", "anna@example.org", subject="card blocked") == first
    assert await mail(desk, "c", "bert@example.org", subject="card blocked") != first
    assert await mail(desk, "d", "anna@example.org", subject="another thing") != first
    desk.clock.pass_by(days=4)
    assert await mail(desk, "e", "anna@example.org", subject="card blocked") != first


async def test_our_token_wins_over_everything(desk: Desk) -> None:
    first = await mail(desk, "a", "anna@example.org")
    second = await mail(desk, "b", "anna@example.org")
    assert first != second
    assert await mail(desk, "c", "new@example.org", keys=("a",), conversation_id=second) == second


# automatic mail


async def test_automatic_mail_that_belongs_nowhere_shares_one_conversation_a_kind(desk: Desk) -> None:
    bounces = {await mail(desk, f"b{n}", f"mailer-daemon@host{n}.example", kind="bounce") for n in range(5)}
    assert len(bounces) == 1
    found = await conversation(desk, bounces.pop())
    assert (found.automatic, found.status, found.queued_at, found.message_count) == (True, "resolved", None, 5)
    away = await mail(desk, "v1", "anna@example.org", kind="auto_reply")
    assert away != found.id
    assert not await decisions(desk, found.id)
    # The person behind an automatic answer still gets a conversation of their own when they write.
    assert await mail(desk, "m1", "anna@example.org") not in (found.id, away)


async def test_a_bounce_fails_the_answer_it_speaks_of(desk: Desk) -> None:
    agent = await desk.add_agent("kim")
    first = await mail(desk, "a", "anna@example.org")
    answer = await desk.conversations.reply(first, agent, "here you are")
    status = StatusUpdate(status="failed", delivery_id=answer.id, reason="mailbox full", code="5.2.2")
    assert await mail(desk, "b", "mailer-daemon@example.org", kind="bounce", status=status) == first
    found = await desk.store.get(MESSAGES, answer.id)
    assert found is not None
    assert found.delivery is not None
    assert (found.delivery.status, found.delivery.error) == ("failed", "mailbox full")


async def test_an_automatic_answer_reopens_nothing(desk: Desk) -> None:
    agent = await desk.add_agent("kim")
    first = await mail(desk, "a", "anna@example.org")
    await desk.conversations.update(first, agent, Changes(status="resolved"))
    assert await mail(desk, "b", "anna@example.org", kind="auto_reply", keys=("a",)) == first
    assert (await conversation(desk, first)).status == "resolved"


async def test_a_rule_answers_once_and_never_a_robot(desk: Desk) -> None:
    await desk.rules("rules: [{id: hi, on: [new, message], when: {always: true}, then: {reply: 'Thank you'}}]")
    first = await desk.say("hello")
    await desk.say("hello?")
    written = [(m.direction, m.author.kind) for m in await messages(desk, first.conversation_id)]
    assert written.count(("out", "rule")) == 1
    robot = await desk.say("I am a robot", "robot", meta={"automatic": True})
    assert len(await messages(desk, robot.conversation_id)) == 1


async def test_a_closed_queue_passes_on_to_its_fallback_and_says_so(desk: Desk) -> None:
    night = await desk.add_queue("night")
    await desk.add_queue(
        "day", hours=(Hours(days=(0,), open="10:00", close="11:00"),), timezone="UTC", fallback_queue_id=night.id
    )
    await desk.rules("rules: [{id: all, when: {always: true}, then: {queue: day}}]")
    said = await desk.say("hello")
    found = await conversation(desk, said.conversation_id)
    assert found.queue_id == "q-night"
    (decision,) = await decisions(desk, found.id)
    assert "queue day is closed: goes to night" in decision.queue_reason


async def test_rules_can_ask_whether_a_queue_is_open_and_how_it_stands(desk: Desk) -> None:
    await desk.add_queue("day", hours=(Hours(days=(0,), open="10:00", close="11:00"),), timezone="UTC")
    await desk.rules(
        "rules: [{id: late, when: {all: [{queues.day.open: false}, {queues.support.online: 0}]},"
        " then: {queue: support, tags: {add: [late]}}}]"
    )
    said = await desk.say("hello")
    assert (await conversation(desk, said.conversation_id)).tags == ("late",)


async def test_a_rule_that_closes_gives_it_to_nobody(desk: Desk) -> None:
    agent = await desk.add_agent("kim")
    await desk.online(agent)
    await desk.rules("rules: [{id: spam, when: {text: {contains: [casino]}}, then: {queue: support, close: true}}]")
    said = await desk.say("casino!")
    found = await conversation(desk, said.conversation_id)
    assert (found.status, found.assignee_id, found.queued_at) == ("resolved", None, None)
    state = await desk.store.get(AGENT_STATES, "kim")
    assert state is not None
    assert state.assigned_count == 0


async def test_answers_go_to_the_customer_also_when_somebody_else_joins_the_thread(desk: Desk) -> None:
    first = await mail(desk, "a", "anna@example.org")
    before = await conversation(desk, first)
    assert await mail(desk, "b", "stranger@example.net", keys=("a",)) == first
    assert (await conversation(desk, first)).identity_id == before.identity_id
