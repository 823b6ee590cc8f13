"""Limits on the way out, by a clock that the test turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.service.outbox.rate import LONGEST_PAUSE, Limits, Pace


@given(st.floats(0.2, 100), st.lists(st.floats(0, 2), min_size=1, max_size=200))
def test_no_second_sees_more_than_the_rate(rate: float, steps: list[float]) -> None:
    pace = Pace(rate)
    now, sent = 100.0, []
    for step in steps:
        now += step
        if pace.wait(now) == 0:
            pace.take(now)
            sent.append(now)
        else:
            now += pace.wait(now)
            pace.take(now)
            sent.append(now)
    for first in sent:
        assert sum(first <= at < first + 1.0 - 1e-6 for at in sent) <= max(1, rate) + 1


def test_it_keeps_up_with_the_rate() -> None:
    pace = Pace(30)
    now, count = 0.0, 0
    while now < 10:
        now += pace.wait(now)
        pace.take(now)
        count += 1
    assert 299 <= count <= 302


def test_no_rate_is_no_limit() -> None:
    limits = Limits(None, None)
    for _ in range(1000):
        assert limits.wait(1.0) == 0
        limits.take("chat", 1.0)
    assert limits.chat_wait("chat", 1.0) == 0


def test_chats_have_a_pace_of_their_own() -> None:
    limits = Limits(None, 1.0)
    limits.take("a", 10.0)
    assert limits.chat_wait("a", 10.25) == 0.75
    assert limits.chat_wait("b", 10.25) == 0
    assert limits.wait(10.25) == 0


def test_a_pause_stops_all_for_an_hour_at_most() -> None:
    limits = Limits(None, None)
    limits.pause(5, 10.0)
    limits.pause(1, 10.0)
    assert limits.wait(10.0) == 5
    limits.pause(1e9, 10.0)
    assert limits.wait(10.0) == LONGEST_PAUSE
