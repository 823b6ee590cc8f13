"""aioimaplib's protocol with its traps closed; each was met with version 2.0.3 (tests/connectors/mail/test_wire.py).

- Response lines are handled in a loop: the library recurses, and a mailbox that is emptied while we wait (a thousand
  EXPUNGE lines in one read) ends in RecursionError and a client that hangs.
- A lost connection fails the commands under way at once, instead of at their time limit or never.
- The server's `+` with the reason why a token is refused is answered, so that the refusal arrives.
- Nothing that passes the line is written to the library's debug log: passwords and mails would be.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aioimaplib import aioimaplib

MAX_LINE = 32 * 1024 * 1024
"""Bytes of one response line; UIDs of a mailbox of some million mails arrive in one."""

_LITERAL = re.compile(rb"\{(\d{1,12})\}$")
_FETCH = re.compile(rb"\d+ FETCH \(")
_EXISTS = re.compile(rb"\* (\d+) EXISTS\s*$", re.IGNORECASE)


class Fetch(aioimaplib.FetchCommand):  # type: ignore[misc]  # the library has no types
    """FETCH that counts open brackets as lines come; the library counts all lines anew at each."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open = 0
        super().__init__(*args, **kwargs)

    def append_to_resp(self, line: Any, result: str = "Pending") -> None:
        if isinstance(line, bytes) and result == "Pending":
            if _FETCH.match(line):
                self._open = 0
            self._open += line.count(b"(") - line.count(b")")
        super().append_to_resp(line, result)

    def wait_data(self) -> bool:
        return self._open > 0


class Protocol(aioimaplib.IMAP4ClientProtocol):  # type: ignore[misc]  # the library has no types
    """One connection. `max_literal`: the largest literal that is read; a larger one ends the connection."""

    state: str
    transport: Any
    pending_sync_command: Any
    current_command: Any
    incomplete_line: bytes

    def __init__(self, loop: asyncio.AbstractEventLoop, max_literal: int) -> None:
        super().__init__(loop)
        self.greeting: asyncio.Future[bytes] = loop.create_future()
        self.changed = asyncio.Event()
        """Set when the server says how many messages there are, unasked."""
        self.lost: str | None = None
        """Why the connection ended; None: it is up."""
        self.bye = b""
        self.challenge = b""
        """What the server said to our token, in base64."""
        self._max_literal = max_literal

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.lost or self.bye.decode(errors="replace") or str(exc or "the server closed the connection")
        error = aioimaplib.Abort(self.lost)
        if not self.greeting.done():
            self.greeting.set_exception(error)
            self.greeting.exception()  # nobody may be waiting
        pending = [self.pending_sync_command, *self.pending_async_commands.values()]
        self.pending_sync_command = None
        self.pending_async_commands.clear()
        for command in pending:
            if command is not None:
                command._exception = error
                command.close(b"", "KO")
        self.changed.set()

    def give_up(self, reason: str) -> None:
        """Ends the connection at once."""
        self.lost = self.lost or reason
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, d: bytes) -> None:
        try:
            self._read(self.incomplete_line + d if self.incomplete_line else d)
        except Exception as error:  # whatever it is, the line is out of step and cannot be used again
            self.give_up(f"the server's answer cannot be understood ({error})")

    def _read(self, data: bytes) -> None:
        command, self.current_command, self.incomplete_line = self.current_command, None, b""
        at = 0
        while True:
            if command is not None and command.wait_literal_data():
                missing = command._expected_size - len(command._resp_literal_data)
                piece = data[at : at + missing]
                command.append_literal_data(piece)
                at += len(piece)
                if len(piece) < missing:
                    self.current_command = command
                    return
            if at >= len(data):
                if self.pending_sync_command is not None:
                    self.pending_sync_command.flush()
                self.current_command = command
                return
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > MAX_LINE:
                    raise ValueError("a line is too long")
                self.incomplete_line, self.current_command = data[at:], command
                return
            line, at = data[at:end], end + 2
            command = self._handle_line(line, command)
            literal = _LITERAL.search(line)
            if literal:
                size = int(literal[1])
                if size > self._max_literal:
                    raise ValueError(f"a literal of {size} bytes is too large")
                command = command or aioimaplib.Command("NIL", "unused", loop=self.loop)
                command.begin_literal_data(size)
            elif command is not None and not command.wait_data():
                command = None

    def _handle_line(self, line: bytes, current_cmd: Any) -> Any:
        if self.state == aioimaplib.CONNECTED and line:
            self.state = aioimaplib.AUTH if b"PREAUTH" in line else aioimaplib.NONAUTH
            if not self.greeting.done():
                self.greeting.set_result(line)
            return None
        return super()._handle_line(line, current_cmd)

    def _untagged_response(self, line: bytes) -> Any:
        if _EXISTS.match(line):
            self.changed.set()
        elif line.startswith(b"* BYE"):
            self.bye = line[5:205].strip()
        return super()._untagged_response(line)

    def _continuation(self, line: bytes) -> None:
        command = self.pending_sync_command
        if command is not None and command.name == "AUTHENTICATE":
            self.challenge = line[1:].strip()
            self.transport.write(b"\r\n")
            return
        super()._continuation(line)

    def send(self, line: str, scrub: str | None = None) -> None:
        if self.transport is None or self.transport.is_closing():
            raise aioimaplib.Abort(self.lost or "the connection is closed")
        self.transport.write(line.encode() + b"\r\n")
