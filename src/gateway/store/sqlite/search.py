"""The search index: a file of its own, so that merging it never holds up a commit.

FTS5 without content (the texts are in the messages). `entry` keeps what was indexed, because FTS5 can only forget a
text that it is shown again. Row numbers are made from message ids, which begin with their time: walking the index
backwards gives the newest first, and a page of 10 million messages' hits costs no more than one of a thousand's.
"""

from __future__ import annotations

import re
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import StoreTooNew
from gateway.store import terms
from gateway.store.contract import SearchEntry, SearchHit

SCHEMA = 1000 * 1 + terms.VERSION
"""The file's `user_version`: its own form, and that of the terms in it."""

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_CREATE = (
    "CREATE TABLE entry (at INTEGER PRIMARY KEY, message_id NOT NULL UNIQUE, conversation_id NOT NULL,"
    " terms BLOB NOT NULL)",
    # The terms are folded already, and marks belong to words: see gateway.store.terms.
    "CREATE VIRTUAL TABLE term USING fts5 (terms, content = '', columnsize = 0,"
    " tokenize = \"unicode61 remove_diacritics 0 categories 'L* N* M* Co'\")",
    f"PRAGMA user_version = {SCHEMA}",
)


def beside(path: Path) -> Path:
    """The index's file for the store's: `omnigate.db` → `omnigate.search.db`."""
    return path.with_name(f"{path.stem}.search{path.suffix}")


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables. Raises StoreTooNew for a file of a newer program."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA:
        raise StoreTooNew(f"{path} was written by a newer Omnigate: update the program")
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for sql in _CREATE:
                connection.execute(sql)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def index(connection: sqlite3.Connection, entries: Sequence[SearchEntry]) -> None:
    """Add or replace entries, in the writer's transaction."""
    for entry in entries:
        id = _pack(entry.message_id)
        at = _forget(connection, id)
        text = terms.index_text(entry.text)
        tokens = f"{text.words} {terms.GAP} {text.singles}" if text.singles else text.words
        if at is None:
            at = _free(connection, row_number(entry.message_id))
        kept = zlib.compress(tokens.encode(errors="surrogatepass"), 1)
        connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (at, id, _pack(entry.conversation_id), kept))
        connection.execute("INSERT INTO term (rowid, terms) VALUES (?, ?)", (at, tokens))


def unindex(connection: sqlite3.Connection, message_ids: Sequence[str]) -> None:
    for message_id in message_ids:
        _forget(connection, _pack(message_id))


def search(connection: sqlite3.Connection, query: str, limit: int, after: str | None) -> list[SearchHit]:
    wanted = terms.query_terms(query)
    if not wanted:
        return []
    match = " AND ".join(f'"{" ".join(term.tokens)}"' for term in wanted)
    start = 2**63 - 1
    if after is not None:
        row = connection.execute("SELECT at FROM entry WHERE message_id = ?", (_pack(after),)).fetchone()
        start = row_number(after) if row is None else row[0]
    rows = connection.execute(
        "SELECT e.message_id, e.conversation_id FROM term CROSS JOIN entry AS e ON e.at = term.rowid"
        " WHERE term.terms MATCH ? AND term.rowid < ? ORDER BY term.rowid DESC LIMIT ?",
        (match, start, limit),
    )
    return [SearchHit(_unpack(message), _unpack(conversation)) for message, conversation in rows.fetchall()]


def row_number(message_id: str) -> int:
    """63 bits that sort as the id does: of a UUIDv7, its milliseconds, its counter and three random bits."""
    if _UUID.fullmatch(message_id):
        first = int(message_id[:8] + message_id[9:13], 16)
        return first << 15 | int(message_id[15:18], 16) << 3 | int(message_id[19:21], 16) >> 3 & 0b111
    return int.from_bytes(message_id.encode()[:8].ljust(8, b"\0"), "big") >> 1


def _free(connection: sqlite3.Connection, at: int) -> int:
    """The first free number from `at`: two nodes may make ids with the same time and counter."""
    while connection.execute("SELECT 1 FROM entry WHERE at = ?", (at,)).fetchone() is not None:
        at += 1
    return at


def _forget(connection: sqlite3.Connection, id: bytes | str) -> int | None:
    """Remove the entry with this packed id; returns its row number."""
    row = connection.execute("SELECT at, terms FROM entry WHERE message_id = ?", (id,)).fetchone()
    if row is None:
        return None
    at, kept = row
    tokens = zlib.decompress(kept).decode(errors="surrogatepass")
    connection.execute("INSERT INTO term (term, rowid, terms) VALUES ('delete', ?, ?)", (at, tokens))
    connection.execute("DELETE FROM entry WHERE at = ?", (at,))
    return int(at)


def _pack(id: str) -> bytes | str:
    """A UUID as its 16 bytes: with three ids an entry, that is a gigabyte in ten million."""
    return bytes.fromhex(id.replace("-", "")) if _UUID.fullmatch(id) else id


def _unpack(packed: bytes | str) -> str:
    if isinstance(packed, str):
        return packed
    text = packed.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
