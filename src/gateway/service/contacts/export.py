"""All that is kept about a contact, as a zip: JSON for programs, and the files as they came."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gateway.content.files import safe_name
from gateway.model.contact import Contact
from gateway.model.message import Attachment
from gateway.service.contacts.jobs import every
from gateway.store.collection import CONVERSATIONS, DECISIONS, IDENTITIES, MERGES, MESSAGES
from gateway.store.contract import Store

ABOUT = """All that is kept about one contact.

contact.json         the contact, its addresses, and merges with other contacts
conversations/ID/    conversation.json, messages.jsonl (one message a line), decisions.jsonl
files/               attachments; messages name them by `sha256`, the first part of the file's name
"""


async def write_archive(store: Store, contact: Contact, path: Path) -> None:
    """Write the zip. The file appears whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    archive = await asyncio.to_thread(zipfile.ZipFile, partial, "w", zipfile.ZIP_DEFLATED)
    try:
        await _Export(store, archive).write(contact)
        await asyncio.to_thread(archive.close)
        await asyncio.to_thread(partial.replace, path)
    except BaseException:
        await asyncio.to_thread(_discard, archive, partial)
        raise


class _Export:
    def __init__(self, store: Store, archive: zipfile.ZipFile) -> None:
        self._store = store
        self._archive = archive
        self._files: set[str] = set()

    async def write(self, contact: Contact) -> None:
        await self._add("README.txt", ABOUT.encode())
        identities = [one async for one in every(self._store, IDENTITIES, {"contact_id": contact.id})]
        merges = [one async for one in every(self._store, MERGES, {"winner_id": contact.id})]
        about = {"contact": contact, "identities": identities, "merges": merges}
        await self._add("contact.json", msgspec.json.format(msgspec.json.encode(about)))
        async for conversation in every(self._store, CONVERSATIONS, {"contact_id": contact.id}):
            folder = f"conversations/{conversation.id}"
            pretty = msgspec.json.format(msgspec.json.encode(conversation))
            await self._add(f"{folder}/conversation.json", pretty)
            await self._lines(f"{folder}/messages.jsonl", MESSAGES, conversation.id, self._keep_files)
            await self._lines(f"{folder}/decisions.jsonl", DECISIONS, conversation.id, None)

    async def _lines(
        self, name: str, collection: Any, conversation_id: str, each: Callable[[Any], list[Attachment]] | None
    ) -> None:
        files: list[Attachment] = []
        member = await asyncio.to_thread(self._archive.open, name, "w", force_zip64=True)
        try:
            lines: list[bytes] = []
            async for document in every(self._store, collection, {"conversation_id": conversation_id}):
                lines.append(msgspec.json.encode(document) + b"\n")
                if each is not None:
                    files += each(document)
                if len(lines) == 100:
                    await asyncio.to_thread(member.write, b"".join(lines))
                    lines = []
            await asyncio.to_thread(member.write, b"".join(lines))
        finally:
            await asyncio.to_thread(member.close)
        for file in files:
            await self._file(file)

    def _keep_files(self, message: Any) -> list[Attachment]:
        return [*message.attachments, *([message.raw] if message.raw is not None else [])]

    async def _file(self, file: Attachment) -> None:
        if file.sha256 in self._files:
            return
        self._files.add(file.sha256)
        data = await self._store.blobs.get(file.sha256)
        if data is not None:
            await self._add(f"files/{file.sha256}-{safe_name(file.name)}", data)

    async def _add(self, name: str, data: bytes) -> None:
        await asyncio.to_thread(self._archive.writestr, name, data)


def _discard(archive: zipfile.ZipFile, partial: Path) -> None:
    archive.close()
    partial.unlink(missing_ok=True)
