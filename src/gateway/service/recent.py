"""The documents that were last written or read on the way in, newest version each, bounded.

They spare intake a read for every message of a talk that goes on. Nothing is trusted to be current: a batch decided on
one that another writer changed meanwhile fails its version check, and is decided again on what the store has.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from gateway.model.contact import Contact, Identity
from gateway.model.conversation import Conversation

K = TypeVar("K")
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A dict that drops what was not asked for the longest."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def pop(self, key: K) -> None:
        self._kept.pop(key, None)

    def clear(self) -> None:
        self._kept.clear()

    def __len__(self) -> int:
        return len(self._kept)


class Recent:
    """identities by (namespace, address); contacts and conversations by id; `current`: the newest conversation of a
    contact in an inbox; `threads`: conversation ids by thread key."""

    def __init__(self, size: int = 5_000) -> None:
        self.identities: Bounded[tuple[str, str], Identity] = Bounded(size)
        self.contacts: Bounded[str, Contact] = Bounded(size)
        self.conversations: Bounded[str, Conversation] = Bounded(size)
        self.current: Bounded[tuple[str, str], str] = Bounded(size)
        self.threads: Bounded[str, str] = Bounded(size * 4)

    def saw(self, conversation: Conversation) -> None:
        """Another service wrote the conversation: keep it, if it is kept and this is newer."""
        known = self.conversations.get(conversation.id)
        if known is not None and known.version < conversation.version:
            self.conversations.put(conversation.id, conversation)

    def clear(self) -> None:
        """Forget all: what follows is read from the store."""
        self.identities.clear()
        self.contacts.clear()
        self.conversations.clear()
        self.current.clear()
        self.threads.clear()
