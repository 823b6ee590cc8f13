"""Supervision: start, restart, stop, health, and one node per mailbox."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.connector import CheckResult, Inbound, Sender
from gateway.errors import Fenced, Problem, Refused, Transient, Unauthorized
from gateway.model.event import Event
from gateway.model.inbox import Health
from gateway.store.collection import CONNECTOR_STATES, INBOX_HEALTH
from tests.supervise.probe import Probe, running, scene, soon, until

HELLO = Inbound(external_id="e-1", sender=Sender(address="a"), text="hello")


async def test_what_is_configured_runs_and_ends_with_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        first, pushed = at.inbox(), at.inbox("pushed")
        async with running(at.supervisor()) as supervisor:
            await soon(lambda: at.script.running == 1)
            assert at.script.open == 2
            assert supervisor.connector(pushed.id) is not None
            assert (await at.until_state(pushed, "ok")).reason == ""
            later = at.inbox()
            await soon(lambda: at.script.running == 2)
            at.inboxes.remove(first.id)
            await soon(lambda: at.script.open == 2)
            assert supervisor.connector(first.id) is None
            at.inboxes.put(replace(later, enabled=False))
            await soon(lambda: at.script.open == 1)
            await at.until_state(later, "disabled")
        assert (at.script.open, at.script.running) == (0, 0)
        freed = await at.store.acquire([f"inbox:{later.id}"], "other", 5)
        assert freed, "the lease was not given back"


async def test_settings_arrive_in_the_clear_and_a_change_starts_anew(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        inbox = at.inbox(password="first-password")
        assert "first-password" not in repr(inbox)
        async with running(at.supervisor()) as supervisor:
            assert at.script.made[0].settings.password == "first-password"
            changed = at.seal.seal_settings(at.registry.spec("pulling"), {"password": "second-password"})
            ready: list[str] = []
            supervisor.when_ready(ready.append)
            at.inboxes.put(replace(inbox, settings=changed))
            await soon(lambda: len(at.script.made) == 2 and at.script.made[1].running == 1)
            assert at.script.made[1].settings.password == "second-password"
            assert not at.script.made[0].open
            assert ready == [inbox.id]


async def test_one_broken_inbox_hurts_no_other(tmp_path: Path) -> None:
    def create(settings: object) -> None:
        if getattr(settings, "name", "") == "refused":
            raise Refused(Problem("name", "cannot be used"))
        if getattr(settings, "name", "") == "broken":
            raise ZeroDivisionError("by pass-word-1")

    async with scene(tmp_path) as at:
        at.script.create = create
        refused, broken = at.inbox(name="refused"), at.inbox(name="broken", password="pass-word-1")
        other_key = at.inbox()
        at.inboxes.put(replace(other_key, settings={"password": {"$sealed": "v1.00000000.AAAA"}}))
        unknown = replace(at.inbox(), kind="nosuch")
        at.inboxes.put(unknown)
        good = at.inbox()
        async with running(at.supervisor()) as supervisor:
            await soon(lambda: at.script.running == 1)
            assert supervisor.connector(good.id) is not None
            assert (await at.until_state(refused, "failing")).reason == "name: cannot be used"
            health = await at.until_state(broken, "failing")
            assert health.reason == "ZeroDivisionError: by ****"
            assert "settings.password" in (await at.until_state(other_key, "failing")).reason
            assert "no such channel" in (await at.until_state(unknown, "failing")).reason
            for inbox in (refused, broken, unknown):
                assert (await at.until_state(inbox, "failing")).action


async def test_what_fails_is_restarted_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.service.inbox_keeper.FIRST_DELAY", 0.02)

    async def fails_twice(probe: Probe) -> None:
        if probe.runs <= 2:
            raise ExceptionGroup("tasks", [Transient("connection refused")])
        probe.context.report(Health(state="ok", details={"seen": 3}))
        await asyncio.Event().wait()

    async with scene(tmp_path) as at:
        at.script.run = fails_twice
        inbox = at.inbox()
        head = await at.store.head()
        async with running(at.supervisor()):
            health = await at.until_state(inbox, "ok")
            assert (health.restarts, health.details) == (2, {"seen": 3})
        events: list[Event] = []
        async with asyncio.timeout(5):
            async for items in at.store.follow(head):
                events += [item.event for item in items if item.event.type == "inbox.health"]
                if events and events[-1].data["state"] == "ok":
                    break
        assert all(event.audience == "admins" for event in events)
        assert len(events) <= 4


async def test_refused_credentials_stop_it_until_the_inbox_changes(tmp_path: Path) -> None:
    async def refused(probe: Probe) -> None:
        raise Unauthorized("AUTHENTICATIONFAILED")

    async with scene(tmp_path) as at:
        at.script.run = refused
        inbox = at.inbox()
        async with running(at.supervisor(lease_seconds=0.3)):
            health = await at.until_state(inbox, "failing")
            assert health.reason == "AUTHENTICATIONFAILED"
            assert "sign-in" in health.action
            await asyncio.sleep(0.4)
            assert [probe.runs for probe in at.script.made] == [1]
            at.inboxes.put(inbox)
            await soon(lambda: len(at.script.made) == 2 and at.script.made[1].runs == 1)


async def test_credentials_refused_while_sending_stop_sending_only(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        inbox = at.inbox()
        async with running(at.supervisor()) as supervisor:
            await soon(lambda: at.script.running == 1)
            connector = supervisor.connector(inbox.id)
            assert connector is not None
            supervisor.refused(inbox.id, connector, "535 refused")
            assert supervisor.connector(inbox.id) is None
            assert "535 refused" in (await at.until_state(inbox, "failing")).reason
            at.script.made[0].context.report(Health(state="ok"))
            await asyncio.sleep(0.3)
            assert (await at.until_state(inbox, "failing")).reason
            assert at.script.running == 1
            at.inboxes.put(inbox)
            await soon(lambda: supervisor.connector(inbox.id) is not None)


async def test_one_node_pulls_and_another_takes_over(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        inboxes = [at.inbox() for _ in range(5)]
        async with running(at.supervisor("a", lease_seconds=60)):
            await soon(lambda: at.script.running == 5)
            async with running(at.supervisor("b", lease_seconds=0.6)) as second:
                await asyncio.sleep(0.5)
                assert at.script.running == 5
                assert all(second.connector(inbox.id) is not None for inbox in inboxes), "both can send"
        # the leases were given back: nobody waits for them to run out
        async with running(at.supervisor("c", lease_seconds=60)):
            await soon(lambda: at.script.running == 5)


async def test_a_lost_lease_stops_the_run_before_it_would_have_run_out(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        inbox = at.inbox()
        async with running(at.supervisor(lease_seconds=3)):
            await soon(lambda: at.script.running == 1)
            assert not await at.store.acquire([f"inbox:{inbox.id}"], "another node", 60)
            await at.script.made[0].context.sink.accept([HELLO])
            fence = at.desk.calls[0][2]
            assert fence is not None
            await at.store.release([fence])
            assert await at.store.acquire([fence.name], "another node", 60)
            await soon(lambda: at.script.running == 0, timeout=1.5)


async def test_a_run_that_ends_slowly_is_over_before_the_next_begins(tmp_path: Path) -> None:
    async def ends_slowly(probe: Probe) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.5)

    async with scene(tmp_path) as at:
        at.script.run = ends_slowly
        at.inbox()
        async with running(at.supervisor()):
            await soon(lambda: at.script.running == 1)
            probe = at.script.made[0]
            await probe.context.sink.accept([HELLO])
            fence = at.desk.calls[0][2]
            assert fence is not None
            await at.store.release([fence])
            [taken] = (await at.store.acquire([fence.name], "another node", 60)).values()
            await at.store.release([taken])
            await soon(lambda: probe.runs == 2)
            assert at.script.overlaps == 0


async def test_details_alone_are_written_seldom_and_are_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.service.inbox_health.DETAILS_EVERY", 0.2)
    async with scene(tmp_path) as at:
        inbox = at.inbox("pushed")
        async with running(at.supervisor()) as supervisor:
            await at.until_state(inbox, "ok")
            head = await at.store.head()
            report = at.script.made[0].context.report
            for number in range(30):
                report(Health(state="ok", details={"seen": number}))
                await asyncio.sleep(0.01)

            async def all_seen() -> bool:
                known = await at.health(inbox)
                return known is not None and known.details == {"seen": 29}

            await until(all_seen)
            stored = await at.store.get(INBOX_HEALTH, inbox.id)
            assert stored is not None
            assert stored.version <= 6
            report(Health(state="degraded", reason="slow", details={"seen": 30}))
            health = await at.until_state(inbox, "degraded")
            assert health.details == {"seen": 30}
            since = health.since
            report(Health(state="degraded", reason="slower"))

            async def slower() -> bool:
                known = await at.health(inbox)
                return known is not None and known.reason == "slower" and known.since == since

            await until(slower)
            assert supervisor.health(inbox.id) is not None
        reasons = []
        async with asyncio.timeout(5):
            async for items in at.store.follow(head):
                reasons += [item.event.data["reason"] for item in items if item.event.type == "inbox.health"]
                if "slower" in reasons:
                    break
        assert reasons == ["slow", "slower"]


async def test_a_lost_lease_stops_the_run_and_what_it_would_keep(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        inbox = at.inbox()
        async with running(at.supervisor()):
            await soon(lambda: at.script.running == 1)
            probe = at.script.made[0]
            sink = probe.context.sink
            await sink.accept([HELLO])
            [(_, wait, fence)] = at.desk.calls
            assert wait
            assert fence is not None
            assert fence.name == f"inbox:{inbox.id}"
            await sink.save("cursor", {"uid": 1})
            assert await sink.load("cursor") == {"uid": 1}

            await at.store.release([fence])
            [taken] = (await at.store.acquire([fence.name], "another node", 60)).values()
            with pytest.raises(Fenced):
                await sink.save("cursor", {"uid": 2})
            await soon(lambda: at.script.running == 0)
            with pytest.raises(Fenced):
                await sink.accept([HELLO])
            kept = await at.store.get(CONNECTOR_STATES, f"{inbox.id}/cursor")
            assert kept is not None
            assert kept.data == {"uid": 1}
            await at.store.release([taken])
            await soon(lambda: at.script.running == 1)


async def test_a_connector_cannot_touch_the_gateway_s_own_states(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        at.inbox("pushed")
        async with running(at.supervisor()):
            with pytest.raises(ValueError, match="~receipts"):
                await at.script.made[0].context.sink.save("~receipts", {})


async def test_poll_now_wakes_the_node_that_pulls(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        inbox = at.inbox()
        async with running(at.supervisor("a")) as first:
            await soon(lambda: at.script.running == 1)
            wake = at.script.made[0].context.wake
            wake.clear()
            await first.poll_now(inbox.id)
            assert wake.is_set()
            wake.clear()
            head = await at.store.head()
            async with running(at.supervisor("b")) as second:
                await second.poll_now(inbox.id)
            async with asyncio.timeout(5):
                async for items in at.store.follow(head):
                    for item in items:
                        first.heard(item.event)
                    if wake.is_set():
                        break


async def test_check_proves_settings_without_taking_anything_in(tmp_path: Path) -> None:
    async def check(probe: Probe) -> list[CheckResult]:
        with pytest.raises(Refused):
            await probe.context.sink.accept([HELLO])
        return [
            CheckResult(name="sign-in", ok=False, detail=f"{probe.settings.password} is wrong", action="Try again.")
        ]

    async def hangs(probe: Probe) -> list[CheckResult]:
        raise TimeoutError

    async def breaks(probe: Probe) -> list[CheckResult]:
        raise ConnectionError(f"no way, {probe.settings.password}")

    async with scene(tmp_path) as at:
        supervisor = at.supervisor()
        at.script.check = check
        [result] = await supervisor.check("pulling", {"password": "hunter2-hunter2"})
        assert result.detail == "**** is wrong"
        at.script.check = hangs
        assert not (await supervisor.check("pulling", {}))[0].ok
        at.script.check = breaks
        assert (await supervisor.check("pulling", {"password": "hunter2-hunter2"}))[0].detail == (
            "ConnectionError: no way, ****"
        )
        [wrong] = await supervisor.check("pulling", {"nonsense": 1})
        assert "nonsense" in wrong.name
        with pytest.raises(Refused, match="there are"):
            await supervisor.check("nosuch", {})
        assert at.script.open == 0


async def test_a_thousand_inboxes_are_cheap(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        for number in range(1000):
            at.inbox("pulling" if number % 2 else "pushed")
        began = time.monotonic()
        async with running(at.supervisor(lease_seconds=15)):
            assert time.monotonic() - began < 10
            await soon(lambda: at.script.running == 500)
            # waiting for the pulls, the board, the leases and what is waited for here: nothing else
            assert len(asyncio.all_tasks()) < 500 + 15

            async def quiet() -> bool:
                spent = time.process_time()
                await asyncio.sleep(0.5)
                return time.process_time() - spent < 0.1

            await until(quiet, 20)
