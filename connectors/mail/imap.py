"""One IMAP connection, read-only: sign in, look at a folder, fetch mails, wait for news.

Folders are opened with EXAMINE and mails fetched with BODY.PEEK, so nothing is ever marked as seen. A connection that
timed out or broke is never used again: every method raises LineLost from then on, and the caller opens a new one.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
from collections.abc import Coroutine, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec
from aioimaplib import aioimaplib

from connectors.mail import folders, wire
from connectors.mail.cursor import to_ranges

CONNECT_SECONDS = 15.0
COMMAND_SECONDS = 60.0
"""Without a byte from the server; a large mail that keeps coming may take longer."""
IDLE_END_SECONDS = 10.0

_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_DATE = re.compile(rb'\bINTERNALDATE "([^"]{20,30})"')
_FETCH = re.compile(rb"\d+ FETCH \(")
_STRING = re.compile(rb'BODY\[[A-Z]*\](?:<\d+>)? (?:NIL|"((?:[^"\\]|\\.)*)")')


class LineLost(Exception):
    """The connection broke or timed out; nothing is known of the command under way."""


class Refusal(Exception):
    """The server answered NO or BAD. `code`: its response code (RFC 5530), in capitals, or empty."""

    def __init__(self, command: str, text: str) -> None:
        super().__init__(f"{command}: {text}")
        self.text = text
        found = re.match(r"\[([A-Z-]+)", text)
        self.code = found[1] if found else ""


class Folder(NamedTuple):
    """A folder as EXAMINE describes it."""

    messages: int
    uidvalidity: int
    uidnext: int | None


class Size(NamedTuple):
    uid: int
    size: int
    received: datetime | None


class Wake(Protocol):
    """What can end a wait: an asyncio.Event."""

    async def wait(self) -> Any: ...


class Session:
    """A signed-in connection. Made by `connect`, ended by `close`."""

    def __init__(self, protocol: wire.Protocol) -> None:
        self._line = protocol
        self.capabilities: frozenset[str] = frozenset()

    @classmethod
    async def connect(cls, host: str, port: int, tls: ssl.SSLContext | None, *, max_literal: int) -> Session:
        """Raises OSError, ssl.SSLError, TimeoutError or LineLost."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_SECONDS):
            _, protocol = await loop.create_connection(
                lambda: wire.Protocol(loop, max_literal), host, port, ssl=tls, server_hostname=host if tls else None
            )
            session = cls(protocol)
            try:
                await session._guarded(protocol.greeting)
                await session._read_capabilities()
            except BaseException:
                session.close()
                raise
        return session

    async def login(self, user: str, password: str) -> None:
        """Raises Refusal where the server does not want us."""
        if "LOGINDISABLED" in self.capabilities:
            raise Refusal("LOGIN", "[PRIVACYREQUIRED] the server takes passwords over TLS only")
        await self._run(self._command("LOGIN", folders.quoted(user), folders.quoted(password)))
        await self._signed_in()

    async def login_with_token(self, user: str, token: str) -> None:
        """XOAUTH2. Raises Refusal, with the server's own reason where it gave one."""
        answer = base64.b64encode(f"user={user}\1auth=Bearer {token}\1\1".encode()).decode()
        try:
            await self._run(self._command("AUTHENTICATE", "XOAUTH2", answer))
        except Refusal as refusal:
            raise Refusal("AUTHENTICATE", " ".join(filter(None, [refusal.text, self._token_error()]))) from None
        await self._signed_in()

    def _token_error(self) -> str:
        try:
            said = msgspec.json.decode(base64.b64decode(self._line.challenge))
        except (ValueError, msgspec.DecodeError):
            return ""
        return f"(status {said.get('status', '?')})" if isinstance(said, dict) else ""

    async def _signed_in(self) -> None:
        self._line.state = aioimaplib.AUTH
        await self._read_capabilities()
        if "ID" in self.capabilities:  # 163.com and its sisters open no folder for a program without a name
            with contextlib.suppress(Refusal):
                await self._run(self._command("ID", '("name" "Omnigate" "version" "1")'))

    async def _read_capabilities(self) -> None:
        lines = await self._run(self._command("CAPABILITY"))
        self.capabilities = frozenset(b" ".join(lines).decode("ascii", "replace").upper().split())

    async def examine(self, name: str) -> Folder:
        """Opens the folder for reading only. Raises Refusal where there is none of this name."""
        self._line.state = aioimaplib.AUTH  # a refusal leaves no folder open (RFC 3501, 6.3.2)
        lines = await self._run(self._command("EXAMINE", folders.quoted(folders.encode(name))))
        self._line.state = aioimaplib.SELECTED
        self._line.changed.clear()
        text = b"\n".join(lines)
        numbers = {
            key: int(found[1]) if (found := re.search(pattern, text)) else None
            for key, pattern in (
                ("messages", rb"(?m)^(\d+) EXISTS"),
                ("uidvalidity", rb"\[UIDVALIDITY (\d+)\]"),
                ("uidnext", rb"\[UIDNEXT (\d+)\]"),
            )
        }
        return Folder(numbers["messages"] or 0, numbers["uidvalidity"] or 1, numbers["uidnext"])

    async def search(self, criteria: str) -> list[int]:
        """UIDs that fit, in order."""
        lines = await self._run(self._command("SEARCH", criteria, prefix="UID"))
        return sorted({int(word) for line in lines for word in line.split() if word.isdigit()})

    async def sizes(self, uids: Sequence[int]) -> list[Size]:
        """Size and date of each mail that is still there, in order of UID. At most 250 UIDs."""
        lines = await self._fetch(uids, "(UID RFC822.SIZE INTERNALDATE)")
        found: dict[int, Size] = {}
        for line in lines:
            uid, size, date = _UID.search(line), _SIZE.search(line), _DATE.search(line)
            if uid and size:
                found[int(uid[1])] = Size(int(uid[1]), int(size[1]), _moment(date[1]) if date else None)
        return [found[uid] for uid in sorted(found) if uid in set(uids)]

    async def sources(self, uids: Sequence[int], section: str = "", part: str = "") -> dict[int, bytes]:
        """The mails as they are. At most 50 UIDs, of a size that may stand in memory together.

        `section`: `HEADER` for those only; `part`: `<0.1000>` for the first 1000 bytes.
        """
        lines = await self._fetch(uids, f"(UID BODY.PEEK[{section}]{part})")
        found: dict[int, bytes] = {}
        uid: int | None = None
        source: bytes | None = None
        for line in [*lines, b"0 FETCH ("]:
            if isinstance(line, bytearray):
                source = bytes(line)
                continue
            if _FETCH.match(line):
                if uid is not None and source is not None:
                    found[uid] = source
                uid = source = None
                if string := _STRING.search(line):
                    source = re.sub(rb"\\(.)", rb"\1", string[1] or b"")
            if number := _UID.search(line):
                uid = int(number[1])
        return found

    async def wait(self, seconds: float, wake: Wake, *, push: bool = True) -> None:
        """Returns when the open folder may have new mail, `wake` is set, or the time is up.

        Uses IDLE where the server has it; `push` False: no folder is open to wait on. Raises LineLost.
        """
        if push and self._line.changed.is_set() and self._line.lost is None:
            return
        idle = push and "IDLE" in self.capabilities
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(self._line.changed.wait()), group.create_task(wake.wait())]
            try:
                if idle:
                    await self._idle(group, seconds, waits)
                else:
                    await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waits:
                    task.cancel()
        if self._line.lost is not None:
            raise LineLost(self._line.lost)

    async def _idle(self, group: asyncio.TaskGroup, seconds: float, waits: list[asyncio.Task[Any]]) -> None:
        command = aioimaplib.IdleCommand(self._line.new_tag(), self._line.idle_queue, loop=self._line.loop)
        idling = group.create_task(self._outcome(self._line.execute(command)))
        started = group.create_task(self._line.wait_for_idle_response())
        try:
            await asyncio.wait([started, idling], timeout=COMMAND_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if idling.done():
                if self._line.lost is None:  # the server says IDLE and will not: never ask again
                    self.capabilities -= {"IDLE"}
                return
            if not started.done():
                self._line.give_up("no answer to IDLE")
                return
            await asyncio.wait([*waits, idling], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._line.lost is None and not idling.done():
                self._line.idle_done()
                await asyncio.wait([idling], timeout=IDLE_END_SECONDS)
                if not idling.done():
                    self._line.give_up("no answer to the end of IDLE")
            while not self._line.idle_queue.empty():
                self._line.idle_queue.get_nowait()
        finally:
            started.cancel()
            if not idling.done() and self._line.lost is None:
                self._line.give_up("ended while waiting")

    @staticmethod
    async def _outcome(work: Coroutine[Any, Any, Any]) -> None:
        with contextlib.suppress(aioimaplib.AioImapException, OSError):  # `lost` tells why
            await work

    async def logout(self) -> None:
        """Says good-bye where the line is up; `close` ends it all the same."""
        try:
            async with asyncio.timeout(2):
                await self._run(self._command("LOGOUT"))
        except (LineLost, Refusal, TimeoutError):
            pass
        self.close()

    def close(self) -> None:
        """Ends the connection at once."""
        self._line.give_up("closed")

    def _command(self, name: str, *args: str, prefix: str | None = None) -> Any:
        try:
            return aioimaplib.Command(
                name, self._line.new_tag(), *args, prefix=prefix, loop=self._line.loop, timeout=COMMAND_SECONDS
            )
        except ValueError:
            raise Refusal(name, "a setting holds a line break or null character") from None

    async def _fetch(self, uids: Sequence[int], items: str) -> list[Any]:
        command = wire.Fetch(
            self._line.new_tag(), to_ranges(uids), items, prefix="UID", loop=self._line.loop, timeout=COMMAND_SECONDS
        )
        return await self._run(command)

    async def _run(self, command: Any) -> list[Any]:
        """The answer's lines without the last, tagged one."""
        response = await self._guarded(self._line.execute(command))
        lines: list[Any] = response.lines
        status = lines.pop()
        if response.result != "OK":
            raise Refusal(command.name, bytes(status).decode(errors="replace")[:300])
        return lines

    async def _guarded(self, work: Any) -> Any:
        if self._line.lost is not None:
            if isinstance(work, Coroutine):
                work.close()
            raise LineLost(self._line.lost)
        try:
            return await work
        except aioimaplib.CommandTimeout as timeout:
            self._line.give_up(f"no answer to {timeout.command.name}")
            raise LineLost(f"no answer to {timeout.command.name} within {COMMAND_SECONDS:.0f} s") from None
        except (aioimaplib.AioImapException, OSError) as error:
            self._line.give_up(str(error))
            raise LineLost(self._line.lost or str(error)) from None
        except asyncio.CancelledError:
            self._line.give_up("given up")
            raise


def _moment(internal: bytes) -> datetime | None:
    try:
        return datetime.strptime(internal.decode().strip(), "%d-%b-%Y %H:%M:%S %z")
    except ValueError:
        return None
