"""Watches the mailbox: takes in what is new, waits for more, comes back after a broken line.

A message is confirmed (the cursor moves) only after `accept` returned for all of its batch.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from connectors.mail import MailSettings
from connectors.mail.cursor import FolderCursor, begin, renew, widen
from connectors.mail.fetching import Fetched, Fetcher
from connectors.mail.flow import Read, flow
from connectors.mail.imap import Folder, LineLost, Refusal, Session
from connectors.mail.reading import Reader, is_bare, unread
from connectors.mail.trouble import shorten
from gateway.connector import Context, Inbound
from gateway.errors import GatewayError, Overloaded, Transient
from gateway.model.inbox import Health

IDLE_SECONDS = 240.0
"""A line that died without a word is found out after this long at most; servers end an IDLE after 30 minutes."""
STATE = "imap"
SHORT_LIFE = 30.0
SHORT_LIVES = 5
"""So many connections in a row that lasted less than that many seconds: let the supervisor wait."""


class Watcher:
    """One run of the mailbox. `connect` signs in, or raises a SendError. `warning`: tells of what will end soon."""

    def __init__(
        self,
        settings: MailSettings,
        context: Context,
        reader: Reader,
        connect: Callable[[], Awaitable[Session]],
        warning: Callable[[], tuple[str, str]],
    ) -> None:
        self._settings = settings
        self._context = context
        self._reader = reader
        self._connect = connect
        self._warning = warning
        self._fetcher = Fetcher(settings.max_message_mb * 1024 * 1024)
        self._account = f"{settings.imap_user or settings.address}@{settings.imap_host}"
        self._cursors: dict[str, FolderCursor] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._problems: dict[str, str] = {}
        self._reported: Health | None = None
        self._reported_at = 0.0

    async def run(self) -> None:
        """Until cancelled. Raises the SendErrors of `connect`, and what `accept` and `save` raise."""
        await self._load()
        short_lives = 0
        while True:
            session = await self._connect()
            began = time.monotonic()
            try:
                await self._watch(session)
            except LineLost as lost:
                self._report("degraded", f"the IMAP connection broke ({shorten(str(lost))})", "It is opened again.")
                self._context.channel_log.record("in", "IMAP connection lost", ok=False, response=shorten(str(lost)))
            finally:
                session.close()
            short_lives = short_lives + 1 if time.monotonic() - began < SHORT_LIFE else 0
            if short_lives >= SHORT_LIVES:
                raise Transient("the IMAP connection breaks again and again", code="line")
            await asyncio.sleep(random.uniform(0.1, 0.5) * 2**short_lives)

    async def _watch(self, session: Session) -> None:
        wake = self._context.wake
        first, *others = self._settings.folders
        next_look = 0.0
        while True:
            if wake.is_set() or time.monotonic() >= next_look:
                wake.clear()
                next_look = time.monotonic() + self._settings.poll_seconds
                for name in others:
                    await self._sync(session, name)
            selected = await self._sync(session, first)
            self._report_ok()
            polls = bool(others) or not selected or "IDLE" not in session.capabilities
            await session.wait(max(0.0, next_look - time.monotonic()) if polls else IDLE_SECONDS, wake, push=selected)

    async def _sync(self, session: Session, name: str) -> bool:
        """Takes in what is new in the folder; False if it cannot be opened."""
        try:
            folder = await session.examine(name)
        except Refusal as refusal:
            self._problems[name] = shorten(refusal.text)
            return False
        self._problems.pop(name, None)
        cursor = await self._cursor(session, name, folder)
        pending = cursor.pending(await session.search(f"UID {cursor.floor + 1}:*"))
        before = self._counts.get(name)
        if before is not None and folder.messages == before["messages"] - before["waiting"] + len(pending):
            older = before["older"]  # nothing went, so it need not be counted again
        else:
            older = len(await session.search(f"UID 1:{cursor.base}")) if cursor.base else 0
        self._counts[name] = {"messages": folder.messages, "older": older, "waiting": len(pending)}
        if pending:
            await self._take_in(session, name, pending)
        return True

    async def _cursor(self, session: Session, name: str, folder: Folder) -> FolderCursor:
        cursor = known = self._cursors.get(name)
        if cursor is None:
            everything = self._settings.since == "all"
            uidnext = folder.uidnext
            if uidnext is None:
                uidnext = max(await session.search("ALL"), default=0) + 1
            cursor = begin(folder.uidvalidity, uidnext, None if everything else self._context.clock.now())
        elif cursor.uidvalidity != folder.uidvalidity:
            self._context.log.warning("mail.uidvalidity_changed", folder=name)
            self._context.channel_log.record("in", f"{name}: the server renumbered all mails; looking at all again")
            cursor = renew(cursor, folder.uidvalidity)
        if self._settings.since == "all" and cursor.started is not None:
            cursor = widen(cursor)
        if cursor != known:
            self._cursors[name] = cursor
            await self._save()
        return cursor

    async def _take_in(self, session: Session, name: str, pending: Sequence[int]) -> None:
        cursor = self._cursors[name]
        await flow(
            self._fetcher.batches(session, name, cursor, pending),
            lambda mail: self._reader.read(mail, name, cursor.uidvalidity),
            lambda together: self._settle(name, together),
        )

    async def _settle(self, name: str, together: Sequence[Read]) -> None:
        began = time.monotonic()
        messages = [message for one in together for message in one.messages]
        uids = [uid for one in together for uid in one.batch.uids]
        if messages:
            await self._accept(messages, [mail for one in together for mail in one.batch.mails])
            self._context.channel_log.record(
                "in", f"{len(messages)} from {name}", elapsed_ms=(time.monotonic() - began) * 1000
            )
        self._cursors[name] = self._cursors[name].settle(uids, len(messages))
        await self._save()
        counts = self._counts[name]
        counts["waiting"] = max(0, counts["waiting"] - len(uids))
        if counts["waiting"] and time.monotonic() > self._reported_at + 1:
            self._report_ok()

    async def _accept(self, messages: Sequence[Inbound], mails: Sequence[Fetched]) -> None:
        """All of them, however long the gateway is full. One that alone makes it fail goes in as an unread source."""
        while True:
            try:
                await self._context.sink.accept(messages)
            except Overloaded as full:
                await asyncio.sleep(min(full.retry_after, 30))
            except GatewayError:
                raise
            except Exception as error:
                if len(messages) == 1 and is_bare(messages[0]):
                    raise
                self._context.log.error("mail.accept_failed", count=len(messages), error=type(error).__name__)
                if len(messages) == 1:
                    await self._accept([unread(messages[0], mails[0])], mails)
                else:
                    for message, mail in zip(messages, mails, strict=True):
                        await self._accept([message], [mail])
                return
            else:
                return

    async def _load(self) -> None:
        state = await self._context.sink.load(STATE)
        if state.get("account") == self._account:
            self._cursors = msgspec.convert(state.get("folders", {}), dict[str, FolderCursor])

    async def _save(self) -> None:
        folders: dict[str, Any] = msgspec.to_builtins(self._cursors)
        await self._context.sink.save(STATE, {"account": self._account, "folders": folders})

    def _report_ok(self) -> None:
        reason, action = self._warning()
        if self._problems:
            name, said = next(iter(self._problems.items()))
            reason, action = f"the folder {name} cannot be opened: {said}", "Check the folders in the settings."
        self._report("degraded" if reason else "ok", reason, action)

    def _report(self, state: Any, reason: str, action: str) -> None:
        folders = {
            name: {
                "messages": counts["messages"],
                "taken_in": max(0, counts["messages"] - counts["older"] - counts["waiting"]),
                "older": counts["older"],
                "waiting": counts["waiting"],
            }
            for name, counts in self._counts.items()
        }
        health = Health(state=state, reason=reason, action=action, details={"folders": folders})
        if health != self._reported:
            self._reported, self._reported_at = health, time.monotonic()
            self._context.report(health)
