"""A process that writes until it is killed; `test_crash` starts it and reads what it said.

    crash_child.py URL FOLDER DRIVER TASKS

Each of TASKS tasks owns a conversation and adds messages to it: one batch with a message, the conversation's count and
an event. When a batch is committed, its message's id is printed: that is the acknowledgement.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from msgspec.structs import replace

from gateway.model.document import SystemClock
from gateway.store.batch import Batch
from gateway.store.collection import CONVERSATIONS, MESSAGES
from gateway.store.contract import Store
from gateway.store.open import open_store
from tests.store.sample import conversation, event, message


def say(word: str, value: str) -> None:
    sys.stdout.write(f"{word} {value}\n")
    sys.stdout.flush()


async def write(store: Store) -> None:
    batch = Batch()
    talk = batch.insert(CONVERSATIONS, conversation())
    await store.commit(batch)
    say("talk", talk.id)
    while True:
        batch = Batch()
        doc = batch.insert(MESSAGES, message(talk.id, external_id=f"{talk.id}-{talk.message_count}"))
        talk = batch.put(CONVERSATIONS, replace(talk, message_count=talk.message_count + 1))
        batch.emit(event("message.created", message_id=doc.id, conversation_id=talk.id))
        await store.commit(batch)
        say("done", doc.id)


async def main(url: str, folder: str, driver: str, tasks: str) -> None:
    store = open_store(url, Path(folder), SystemClock(), mongo_driver="motor" if driver == "motor" else "pymongo")
    await store.open()
    say("head", await store.head())
    async with asyncio.TaskGroup() as group:
        for _ in range(int(tasks)):
            group.create_task(write(store))


asyncio.run(main(*sys.argv[1:]))
