"""What agents do: each change is decided on what is there, and leaves load and ownership in step."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from gateway.errors import Clash, NotFound, Refused
from gateway.model.conversation import Conversation
from gateway.model.team import AgentState, SlaPolicy
from gateway.routing.capacity import used
from gateway.service.conversations import Changes
from gateway.store.collection import AGENT_STATES, CONVERSATIONS, DECISIONS, DELIVERIES, MESSAGES, SLA_POLICIES

from .conftest import Desk


async def conversation(desk: Desk, id: str) -> Conversation:
    found = await desk.store.get(CONVERSATIONS, id)
    assert found is not None
    return found


async def load(desk: Desk, agent_id: str) -> int:
    return used(await desk.store.get(AGENT_STATES, agent_id) or AgentState(id=agent_id))


async def test_a_reply_is_committed_with_its_outbox_entry(desk: Desk) -> None:
    agent = await desk.add_agent("kim")
    said = await desk.say("hello")
    message = await desk.conversations.reply(said.conversation_id, agent, "hi there")
    delivery = await desk.store.get(DELIVERIES, message.id)
    assert delivery is not None
    assert delivery.status == "queued"
    assert message.delivery is not None
    assert message.delivery.status == "queued"
    found = await conversation(desk, said.conversation_id)
    assert (found.unread, found.waiting_since, found.assignee_id) == (0, None, "kim")
    assert found.first_response_at is not None
    assert await load(desk, "kim") == 1


async def test_answering_takes_the_conversation_only_if_there_is_room(desk: Desk) -> None:
    agent = await desk.add_agent("kim", capacity=1)
    first, second = await desk.say("a", "a"), await desk.say("b", "b")
    await desk.conversations.reply(first.conversation_id, agent, "hi")
    await desk.conversations.reply(second.conversation_id, agent, "hi")
    assert (await conversation(desk, second.conversation_id)).assignee_id is None
    assert await load(desk, "kim") == 1


async def test_an_empty_reply_is_refused(desk: Desk) -> None:
    agent = await desk.add_agent("kim")
    said = await desk.say("hello")
    with pytest.raises(Refused, match="text"):
        await desk.conversations.reply(said.conversation_id, agent, "   ")


async def test_only_one_of_many_agents_gets_a_claimed_conversation(desk: Desk) -> None:
    agents = [await desk.add_agent(f"agent{number}") for number in range(8)]
    said = await desk.say("hello")

    async def claim(number: int) -> bool:
        try:
            await desk.conversations.claim(said.conversation_id, agents[number])
        except Clash:
            return False
        return True

    won = await asyncio.gather(*(claim(number) for number in range(8)))
    assert sum(won) == 1
    assert [await load(desk, agent.id) for agent in agents] == [int(one) for one in won]


async def test_a_full_agent_cannot_claim_or_be_given_more(desk: Desk) -> None:
    kim, boss = await desk.add_agent("kim", capacity=1), await desk.add_agent("boss", role="supervisor")
    first, second = await desk.say("a", "a"), await desk.say("b", "b")
    await desk.conversations.claim(first.conversation_id, kim)
    with pytest.raises(Clash, match="kim is full"):
        await desk.conversations.claim(second.conversation_id, kim)
    with pytest.raises(Clash, match="kim is full"):
        await desk.conversations.transfer(second.conversation_id, boss, agent="kim")
    with pytest.raises(Clash, match="kim is full"):
        await desk.conversations.update(second.conversation_id, boss, Changes(assignee="kim"))


async def test_release_and_transfer_move_the_load(desk: Desk) -> None:
    kim, lee = await desk.add_agent("kim"), await desk.add_agent("lee")
    await desk.add_queue("money")
    said = await desk.say("hello")
    await desk.conversations.claim(said.conversation_id, kim)
    with pytest.raises(Clash, match="another agent"):
        await desk.conversations.release(said.conversation_id, lee)
    await desk.conversations.transfer(said.conversation_id, kim, agent="lee@example.org", note="please take over")
    assert (await load(desk, "kim"), await load(desk, "lee")) == (0, 1)
    moved = await desk.conversations.transfer(said.conversation_id, lee, queue="money")
    assert (moved.queue_id, moved.assignee_id) == ("q-money", None)
    assert moved.queued_at is not None
    assert await load(desk, "lee") == 0
    reasons = [d.queue_reason for d in (await desk.store.find(DECISIONS, {"conversation_id": moved.id})).items]
    assert reasons[1:] == ["claimed by kim", "transferred by kim", "moved to money by lee"]
    texts = [m.text for m in (await desk.store.find(MESSAGES, {"conversation_id": moved.id})).items]
    assert texts == ["hello", "please take over"]


async def test_agents_see_only_their_queues(desk: Desk) -> None:
    kim = await desk.add_agent("kim")
    await desk.add_queue("secret", agent_ids=("lee",))
    lee = await desk.add_agent("lee")
    boss = await desk.add_agent("boss", role="supervisor")
    said = await desk.say("hello")
    await desk.conversations.transfer(said.conversation_id, boss, queue="secret")
    with pytest.raises(NotFound):
        await desk.conversations.get(said.conversation_id, kim)
    with pytest.raises(NotFound):
        await desk.conversations.claim(said.conversation_id, kim)
    assert (await desk.conversations.claim(said.conversation_id, lee)).assignee_id == "lee"


async def test_snooze_wakes_at_its_time(desk: Desk) -> None:
    kim = await desk.add_agent("kim")
    said = await desk.say("hello")
    until = desk.clock.now() + timedelta(hours=2)
    snoozed = await desk.conversations.update(said.conversation_id, kim, Changes(snoozed_until=until))
    assert (snoozed.status, snoozed.queued_at) == ("snoozed", None)
    assert await desk.conversations.wake_snoozed(desk.clock.now()) == 0
    desk.clock.pass_by(hours=3)
    assert await desk.conversations.wake_snoozed(desk.clock.now()) == 1
    woken = await conversation(desk, said.conversation_id)
    assert (woken.status, woken.snoozed_until) == ("open", None)
    assert woken.queued_at is not None


async def test_refusals_name_the_field_and_change_nothing(desk: Desk) -> None:
    boss = await desk.add_agent("boss", role="supervisor")
    said = await desk.say("hello")
    before = await conversation(desk, said.conversation_id)
    for changes, path in (
        (Changes(queue="nowhere"), "queue"),
        (Changes(assignee="nobody"), "assignee"),
        (Changes(status="snoozed"), "snoozed_until"),
        (Changes(snoozed_until=desk.clock.now() - timedelta(hours=1)), "snoozed_until"),
    ):
        with pytest.raises(Refused) as refused:
            await desk.conversations.update(said.conversation_id, boss, changes)
        assert refused.value.problems[0][0] == path
    assert await conversation(desk, said.conversation_id) == before


# assignment


async def test_assignment_reacts_to_messages_presence_and_room(desk: Desk) -> None:
    kim = await desk.add_agent("kim", capacity=1)
    waiting = await desk.say("first", "a")
    await desk.online(kim)
    assert (await conversation(desk, waiting.conversation_id)).assignee_id == "kim"
    second = await desk.say("second", "b")
    assert (await conversation(desk, second.conversation_id)).assignee_id is None
    await desk.conversations.update(waiting.conversation_id, kim, Changes(status="resolved"))
    await desk.dispatcher.dispatch()
    assert (await conversation(desk, second.conversation_id)).assignee_id == "kim"


async def test_offline_and_away_agents_are_never_chosen(desk: Desk) -> None:
    kim, lee = await desk.add_agent("kim"), await desk.add_agent("lee")
    await desk.online(kim)
    await desk.dispatcher.set_presence("kim", "away", kim)
    said = await desk.say("hello")
    await desk.dispatcher.dispatch()
    assert (await conversation(desk, said.conversation_id)).assignee_id is None
    await desk.online(lee)
    assert (await conversation(desk, said.conversation_id)).assignee_id == "lee"


async def test_urgent_ones_come_first_and_old_ones_age_past_them(desk: Desk) -> None:
    kim = await desk.add_agent("kim", capacity=1)
    boss = await desk.add_agent("boss", role="supervisor", capacity=0)
    normal = await desk.say("normal", "a")
    urgent = await desk.say("urgent", "b")
    await desk.conversations.update(urgent.conversation_id, boss, Changes(priority="urgent"))
    await desk.online(kim)
    assert (await conversation(desk, urgent.conversation_id)).assignee_id == "kim"
    desk.clock.pass_by(hours=1)  # six steps of ageing: more than urgent
    newer = await desk.say("urgent too", "c")
    await desk.conversations.update(newer.conversation_id, boss, Changes(priority="urgent"))
    await desk.conversations.update(urgent.conversation_id, kim, Changes(status="resolved"))
    await desk.dispatcher.dispatch()
    assert (await conversation(desk, normal.conversation_id)).assignee_id == "kim"


async def test_many_messages_at_once_never_overfill_anybody(desk: Desk) -> None:
    agents = [await desk.add_agent(f"agent{number}", capacity=3) for number in range(4)]
    for agent in agents:
        await desk.online(agent)
    await asyncio.gather(*(desk.say("hello", f"customer{number}") for number in range(40)))
    assert [await load(desk, agent.id) for agent in agents] == [3, 3, 3, 3]
    page = await desk.store.find(CONVERSATIONS, {"queue_id": "q-support"}, limit=100)
    assert sum(found.assignee_id is not None for found in page.items) == 12


# response-time targets


async def test_targets_start_with_the_rule_and_are_met_by_the_answer(desk: Desk) -> None:
    kim = await desk.add_agent("kim")
    policy = SlaPolicy(id="p1", name="fast", first_response_seconds=600, resolution_seconds=3600)
    await desk._add(SLA_POLICIES, policy)
    await desk.rules("rules: [{id: all, when: {always: true}, then: {queue: support, sla: fast}}]")
    said = await desk.say("hello")
    clock = (await conversation(desk, said.conversation_id)).sla
    assert clock is not None
    assert clock.first_response_due is not None
    await desk.conversations.reply(said.conversation_id, kim, "hi")
    answered = (await conversation(desk, said.conversation_id)).sla
    assert answered is not None
    assert (answered.first_response_due, answered.breached) == (None, ())
    desk.clock.pass_by(hours=2)
    resolved = await desk.conversations.update(said.conversation_id, kim, Changes(status="resolved"))
    assert resolved.sla is not None
    assert (resolved.sla.resolution_due, resolved.sla.breached) == (None, ("resolution",))


async def test_nobody_moves_a_colleagues_conversation_by_changing_its_queue(desk: Desk) -> None:
    kim, lee = await desk.add_agent("kim"), await desk.add_agent("lee")
    boss = await desk.add_agent("boss", role="supervisor")
    await desk.add_queue("money")
    said = await desk.say("hello")
    await desk.conversations.claim(said.conversation_id, kim)
    with pytest.raises(Clash, match="another agent"):
        await desk.conversations.update(said.conversation_id, lee, Changes(queue="money"))
    moved = await desk.conversations.update(said.conversation_id, boss, Changes(queue="money"))
    assert (moved.queue_id, moved.assignee_id) == ("q-money", None)


@pytest.mark.parametrize("way", ["transfer", "update"])
async def test_what_is_moved_to_a_bot_is_handed_over_at_once_as_by_a_rule(desk: Desk, way: str) -> None:
    kim = await desk.add_agent("kim")
    await desk.add_queue("money")
    await desk.add_queue("robot", type="bot", fallback_queue_id="q-money")
    said = await desk.say("hello")
    if way == "transfer":
        await desk.conversations.transfer(said.conversation_id, kim, queue="robot")
    else:
        await desk.conversations.update(said.conversation_id, kim, Changes(queue="robot"))
    found = await conversation(desk, said.conversation_id)
    assert found.queue_id == "q-money"
    assert found.queued_at is not None
    page = await desk.store.find(DECISIONS, {"conversation_id": found.id}, order="-id", limit=1)
    assert page.items[0].queue_reason == "moved to robot by kim; the bot robot cannot answer yet: goes to money"


async def test_a_resolved_conversation_is_nobodys(desk: Desk) -> None:
    kim = await desk.add_agent("kim")
    said = await desk.say("hello")
    await desk.conversations.claim(said.conversation_id, kim)
    with pytest.raises(Clash, match="resolved"):
        await desk.conversations.update(said.conversation_id, kim, Changes(status="resolved", assignee="me"))
    assert await load(desk, "kim") == 1
    await desk.conversations.update(said.conversation_id, kim, Changes(status="resolved"))
    assert await load(desk, "kim") == 0


async def test_naming_who_has_it_already_changes_nothing(desk: Desk) -> None:
    kim = await desk.add_agent("kim")
    said = await desk.say("hello")
    before = await desk.conversations.claim(said.conversation_id, kim)
    count = await desk.store.count(DECISIONS)
    assert await desk.conversations.update(said.conversation_id, kim, Changes(assignee="kim@example.org")) == before
    assert await desk.store.count(DECISIONS) == count


# letting go


async def test_who_is_disabled_lets_go_of_everything(desk: Desk) -> None:
    kim = await desk.add_agent("kim")
    await desk.online(kim)
    said = await desk.say("hello")
    assert (await conversation(desk, said.conversation_id)).assignee_id == "kim"
    assert await desk.conversations.let_go_of_all("kim") == 1
    free = await conversation(desk, said.conversation_id)
    assert (free.assignee_id, free.preferred_agent_id) == (None, None)
    assert free.queued_at is not None
    assert await load(desk, "kim") == 0
    assert desk.directory.state_of("kim").presence == "offline"


async def test_what_is_snoozed_is_offered_to_nobody_when_it_is_moved(desk: Desk) -> None:
    boss = await desk.add_agent("boss", role="supervisor", capacity=0)
    kim = await desk.add_agent("kim")
    await desk.add_queue("money")
    said = await desk.say("hello")
    until = desk.clock.now() + timedelta(hours=2)
    await desk.conversations.update(said.conversation_id, boss, Changes(snoozed_until=until))
    await desk.conversations.transfer(said.conversation_id, boss, queue="money")
    await desk.online(kim)
    moved = await conversation(desk, said.conversation_id)
    assert (moved.status, moved.queued_at, moved.assignee_id) == ("snoozed", None, None)
