"""What stands in the guide's files, as tables in SQLite, and which of its texts must have a vector."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence

from coach.guide.chunk import Chunk, chunks, sentences
from coach.guide.read import Document, Section

__all__ = ["BRIDGE", "OWN", "TABLES", "forget", "insert"]

BRIDGE = "bridge"  # the origin of the coach's own guide
OWN = "own"  # the origin of any other

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE sources (source TEXT PRIMARY KEY, origin TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER,
    mtime_ns INTEGER);
CREATE TABLE skipped (source TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, reason TEXT NOT NULL);
CREATE TABLE sections (id TEXT PRIMARY KEY, source TEXT NOT NULL, title TEXT, chapter TEXT, takeaway TEXT, say TEXT,
    avoid TEXT, ask TEXT);
CREATE TABLE chunks (id TEXT PRIMARY KEY, section TEXT NOT NULL, source TEXT NOT NULL, text TEXT, start INTEGER,
    "end" INTEGER, page INTEGER, said TEXT);
CREATE TABLE entries (id TEXT PRIMARY KEY, section TEXT NOT NULL, chunk TEXT NOT NULL, source TEXT NOT NULL,
    origin TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX entries_by_section ON entries (section);
CREATE TABLE kin (section TEXT NOT NULL, source TEXT NOT NULL, bridge TEXT NOT NULL, similarity REAL NOT NULL,
    PRIMARY KEY (section, bridge));
"""


def insert(db: sqlite3.Connection, document: Document, origin: str) -> None:
    """Take a document in: its sections, chunks, and the texts that must have a vector.

    Args:
        db: The catalogue, in a transaction of the caller's.
        document: As read.
        origin: `BRIDGE` or `OWN`.
    """
    taken = {row[0] for row in db.execute("SELECT id FROM sections")}
    pieces: dict[str, list[Chunk]] = {}
    for chunk in chunks(document):
        pieces.setdefault(chunk.section.id, []).append(chunk)
    for section in document.sections:
        if section.id not in pieces:
            continue
        key = section.id
        while key in taken:  # two files may use the same headings
            key += "_"
        taken.add(key)
        lists = (json.dumps(section.say), json.dumps(section.avoid))
        row = (key, document.source, section.title, section.chapter, section.takeaway, *lists, section.ask)
        db.execute("INSERT INTO sections VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        for number, chunk in enumerate(pieces[section.id], start=1):
            place = (f"{key}.{number}", key, document.source, chunk.text, chunk.start, chunk.end, chunk.page)
            db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*place, chunk.case))
        for name, kind, text in _texts(section, key, pieces[section.id]):
            _insert_entry(db, key, name, document.source, origin, kind, text)


def forget(db: sqlite3.Connection, source: str) -> None:
    """Drop all that came from a source, and, for one of the coach's own guide, what other guides have in common."""
    db.execute("DELETE FROM kin WHERE EXISTS (SELECT 1 FROM sources WHERE source = ? AND origin = ?)", (source, BRIDGE))
    for table in ("sources", "sections", "chunks", "entries", "kin"):
        db.execute(f"DELETE FROM {table} WHERE source = ?", (source,))


def _insert_entry(
    db: sqlite3.Connection, section: str, chunk: str, source: str, origin: str, kind: str, text: str
) -> None:
    """Note that a text must have a vector; the entry's id is a hash of what is embedded."""
    key = hashlib.sha256("\0".join((section, chunk, origin, kind, text)).encode()).hexdigest()[:32]
    row = (key, section, chunk, source, origin, kind, text)
    db.execute("INSERT OR IGNORE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def _texts(section: Section, key: str, pieces: Sequence[Chunk]) -> Iterator[tuple[str, str, str]]:
    """What is embedded for a section: the chunk or "", the kind, the text."""
    yield "", "title", section.title
    if section.takeaway:
        yield "", "title", section.takeaway
    for number, piece in enumerate(pieces, start=1):
        chunk = f"{key}.{number}"
        yield chunk, "text", f"{section.title}. {piece.text}"
        if piece.case:
            yield chunk, "case", piece.case
        for sentence in sentences(piece.text):
            yield chunk, "sentence", f"{section.title}: {sentence}"
    for question in section.questions:
        yield "", "question", question
