"""An IMAP server that misbehaves on purpose, for what Dovecot never does. Knows the commands the connector uses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ScriptedImap:
    """One folder of mails, UID → source, served in the test's own event loop."""

    def __init__(self) -> None:
        self.mails: dict[int, bytes] = {}
        self.uidvalidity = 7
        self.capabilities = "IMAP4rev1 IDLE"
        self.broken: set[int] = set()
        """Whole fetches of these break the line; their headers can be had."""
        self.lost: set[int] = set()
        """Any fetch of these breaks the line."""
        self.refused: set[int] = set()
        """Fetches that ask for one of these answer NO."""
        self.silent: set[int] = set()
        """Left out of every FETCH answer, though SEARCH finds them."""
        self.bodiless: set[int] = set()
        """Left out where their text is asked for."""
        self.style = "literal"
        """`quoted`: bodies as quoted strings; `reversed`: the UID after the body; `chatty`: news in between."""
        self.uidnext = True
        self.deaf_idle = False
        """IDLE is answered with `+` and then nothing, not even the end."""
        self.idle_refused = False
        self.commands: list[str] = []
        self.connections = 0
        self.port = 0
        self.idlers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedImap]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._writers: list[asyncio.StreamWriter] = []
        try:
            yield self
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await server.wait_closed()
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            writer.write(b"* OK scripted\r\n")
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                tag, _, rest = line.partition(" ")
                self.commands.append(rest)
                name, _, args = rest.partition(" ")
                if name == "UID":
                    name, _, args = args.partition(" ")
                await self._answer(reader, writer, tag, name, args)
        except (ConnectionError, BrokenPipeError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tag: str, name: str, args: str
    ) -> None:
        if name == "CAPABILITY":
            writer.write(f"* CAPABILITY {self.capabilities}\r\n".encode())
        elif name == "EXAMINE":
            next_uid = f"* OK [UIDNEXT {max(self.mails, default=0) + 1}] next\r\n" if self.uidnext else ""
            validity = f"* OK [UIDVALIDITY {self.uidvalidity}] v\r\n"
            writer.write(f"* FLAGS ()\r\n* {len(self.mails)} EXISTS\r\n{validity}{next_uid}".encode())
        elif name == "SEARCH":
            wanted = self._set(args.removeprefix("UID ")) if args.startswith("UID") else sorted(self.mails)
            writer.write(f"* SEARCH {' '.join(map(str, wanted))}\r\n".encode())
        elif name == "FETCH":
            if not self._fetch(writer, *args.split(" ", 1)):
                writer.write(f"{tag} NO [SERVERBUG] cannot read it\r\n".encode())
                return
        elif name == "IDLE":
            if self.idle_refused:
                writer.write(f"{tag} BAD no IDLE here\r\n".encode())
                return
            writer.write(b"+ idling\r\n")
            self.idlers.append(writer)
            await reader.readline()
            self.idlers.remove(writer)
            if self.deaf_idle:
                return
        writer.write(f"{tag} OK done\r\n".encode())
        await writer.drain()

    def _set(self, text: str) -> list[int]:
        found: set[int] = set()
        top = max(self.mails, default=0)
        for run in text.split(","):
            low, _, high = run.partition(":")
            end = top if high == "*" else int(high or low)
            found |= set(range(min(int(low), end), max(int(low), end) + 1))
        return sorted(found & set(self.mails))

    def _fetch(self, writer: asyncio.StreamWriter, uids: str, items: str) -> bool:
        wanted = self._set(uids)
        order = sorted(self.mails)
        whole, body = "BODY.PEEK[]" in items, "BODY" in items
        if body and set(wanted) & (self.lost | (self.broken if whole else set())):
            writer.transport.abort()
            raise ConnectionResetError
        if body and set(wanted) & self.refused and (whole or len(wanted) > 1):
            return False
        for uid in wanted:
            if uid in self.silent or (body and uid in self.bodiless):
                continue
            number, source = order.index(uid) + 1, self.mails[uid]
            if not body:
                writer.write(
                    f"* {number} FETCH (UID {uid} RFC822.SIZE {len(source)}"
                    ' INTERNALDATE "22-Nov-2026 10:00:00 +0000")\r\n'.encode()
                )
                continue
            section = "HEADER" if "HEADER" in items else ""
            if section:
                source = source.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            if part := re.search(r"<0\.(\d+)>", items):
                source = source[: int(part[1])]
            self._body(writer, number, uid, section, source)
        return True

    def _body(self, writer: asyncio.StreamWriter, number: int, uid: int, section: str, source: bytes) -> None:
        literal = b"{%d}\r\n%s" % (len(source), source)
        if self.style == "quoted" and b"\n" not in source:
            literal = b'"' + source.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        head, mark = b"* %d FETCH (" % number, b"BODY[%s] " % section.encode()
        if self.style == "chatty":
            writer.write(b"* %d EXISTS\r\n* %d FETCH (FLAGS (\\Recent))\r\n" % (len(self.mails), number))
        if self.style == "reversed":
            writer.write(head + mark + literal + b" UID %d)\r\n" % uid)
        else:
            writer.write(head + b"UID %d " % uid + mark + literal + b")\r\n")

    def push(self, text: str) -> None:
        """Says something to all who wait."""
        for writer in self.idlers:
            writer.write(text.encode())
