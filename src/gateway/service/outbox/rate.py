"""Limits on the way out: a pace for the account and one for each chat, and pauses that the provider asks for. Pure:
the time (seconds, monotonic) is passed in."""

from __future__ import annotations

from collections import OrderedDict

LONGEST_PAUSE = 3600.0
"""A provider's Retry-After stops an inbox for an hour at most, then it is tried again."""
_CHATS = 10_000


class Pace:
    """At most `rate` a second, evenly: sends are 1/rate apart, so that no window of a second sees more than it.

    A bucket that fills up while idle would let twice the rate through around its first second, which is what providers
    punish.
    """

    def __init__(self, rate: float | None) -> None:
        self._gap = 1.0 / rate if rate else 0.0
        self._next = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until the next send is allowed."""
        return max(0.0, self._next - now)

    def take(self, now: float) -> None:
        """A send is made now."""
        self._next = max(now, self._next) + self._gap


class Limits:
    """The limits of one inbox."""

    def __init__(self, rate: float | None, chat_rate: float | None) -> None:
        self._all = Pace(rate)
        self._chat_rate = chat_rate
        self._chats: OrderedDict[str, Pace] = OrderedDict()
        self._paused_until = float("-inf")

    def pause(self, seconds: float, now: float) -> None:
        """The provider asks the account to wait."""
        self._paused_until = max(self._paused_until, now + min(seconds, LONGEST_PAUSE))

    def wait(self, now: float) -> float:
        """Seconds until the account may send at all."""
        return max(self._all.wait(now), self._paused_until - now, 0.0)

    def chat_wait(self, chat: str, now: float) -> float:
        """Seconds until this chat may be sent to."""
        pace = self._chats.get(chat)
        return pace.wait(now) if pace is not None else 0.0

    def take(self, chat: str, now: float) -> None:
        """A send to the chat is made now."""
        self._all.take(now)
        if self._chat_rate:
            pace = self._chats.setdefault(chat, Pace(self._chat_rate))
            self._chats.move_to_end(chat)
            pace.take(now)
            if len(self._chats) > _CHATS:
                self._chats.popitem(last=False)
