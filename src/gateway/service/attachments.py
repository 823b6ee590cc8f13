"""Files of messages: checked, typed by content, fetched where only an address came, and kept durably.

The bytes are in the blob store before the message that names them is committed: a kill in between leaves bytes that
nothing names, never a message without its file.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connector import File
from gateway.content.files import media_type, safe_name
from gateway.errors import GatewayError, Permanent, Problem, Refused, Transient
from gateway.model.document import Ids
from gateway.model.message import Attachment
from gateway.service.fetch import Fetcher
from gateway.store.contract import Blobs

MAX_BYTES = 25_000_000
MAX_COUNT = 50


class Attachments:
    """`max_bytes`: of one file; `max_count`: of one message."""

    def __init__(
        self,
        blobs: Blobs,
        fetcher: Fetcher,
        ids: Ids,
        *,
        max_bytes: int = MAX_BYTES,
        max_count: int = MAX_COUNT,
    ) -> None:
        self._blobs = blobs
        self._fetcher = fetcher
        self._ids = ids
        self._max_bytes = max_bytes
        self._max_count = max_count

    def check(self, files: Sequence[File]) -> None:
        """Raises Refused, naming each, where there are too many files or one is too large."""
        problems = [
            Problem(f"attachments[{number}]", f"has {len(file.data)} bytes; {self._max_bytes} are taken")
            for number, file in enumerate(files)
            if file.data is not None and len(file.data) > self._max_bytes
        ]
        if len(files) > self._max_count:
            problems.append(Problem("attachments", f"are {len(files)}; {self._max_count} are taken"))
        if problems:
            raise Refused(*problems)

    async def keep(self, files: Sequence[File], *, lenient: bool = False) -> tuple[Attachment, ...]:
        """Keep the files durably. What is too much raises Refused, unless `lenient`: then, as for an address that
        cannot be fetched, a short text that says so stands in its place, because no message is lost for a file."""
        if not files:
            return ()
        if not lenient:
            self.check(files)
        kept = [await self._one(file) for file in files[: self._max_count]]
        if len(files) > self._max_count:
            left = "\n".join(safe_name(file.name) for file in files[self._max_count :][:1000])
            kept.append(await self._note("attachments", f"{len(files) - self._max_count} more were not kept:\n{left}"))
        return tuple(kept)

    async def _one(self, file: File) -> Attachment:
        name = safe_name(file.name)
        if file.data is not None:
            if len(file.data) > self._max_bytes:
                return await self._note(
                    name, f"was not kept: it has {len(file.data)} bytes, {self._max_bytes} are kept"
                )
            return await self._put(file, name, file.data, media_type(file.data, file.claimed_type))
        if file.url is None:
            return await self._note(name, "came without content")
        try:
            data, kind = await self._fetcher(file.url, self._max_bytes)
        except (Refused, Transient, Permanent) as error:
            return await self._note(name, f"could not be fetched from {file.url}: {_reason(error)}")
        return await self._put(file, name, data, kind)

    async def _put(self, file: File, name: str, data: bytes, kind: str) -> Attachment:
        return Attachment(
            id=self._ids(),
            name=name,
            type=kind,
            size=len(data),
            sha256=await self._blobs.put(data),
            claimed_type=file.claimed_type,
            content_id=file.content_id,
            inline=file.inline,
        )

    async def _note(self, name: str, text: str) -> Attachment:
        file = File(name=f"{name}.txt", claimed_type="text/plain")
        return await self._put(file, safe_name(file.name), f"{name}: {text}\n".encode(), "text/plain")


def _reason(error: GatewayError) -> str:
    if isinstance(error, Refused):
        return "; ".join(message for _, message in error.problems) or error.title
    return str(error)
