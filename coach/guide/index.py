"""The guide's search index: a catalogue in SQLite, vectors in Chroma, both below one folder.

The catalogue says what stands in which source and which texts must have a vector. Each such text is an
entry, whose id is a hash of what was embedded. To build is therefore to compare two sets of ids: add what
is missing, remove what is gone. Killed half-way, the next build simply goes on. The entries of one origin
and kind are a collection of their own, since Chroma is quick only where it need not filter.

The coach's own guide is always in the index, as the bridge between people's words and any guide's. Where
another guide takes its place it is not listed: it helps to find, and is never found.
"""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import filelock
import numpy as np

from coach.errors import CoachError, GuideError, SearchIndexError
from coach.guide import read
from coach.guide.catalogue import BRIDGE, OWN, TABLES, forget, insert
from coach.guide.embed import Embedder, Vectors

__all__ = ["Index", "Neighbour", "Report"]

SCHEMA = 8  # raise it when the catalogue's or the entries' form changes
LEAST_SPACE = 8_000_000  # bytes; with less, Chroma fails in ways that look like damage
MOST_IDS = 10_000  # in one question to Chroma; SQLite counts them, and stops at some 32,000
BATCH = 64  # texts embedded and stored at a time
_T = TypeVar("_T")

# What SQLite and Chroma raise for damaged files.
_BROKEN = (sqlite3.Error, ValueError, KeyError, TypeError, RuntimeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Report:
    """What a build did."""

    sources: int
    sections: int
    passages: int
    embedded: int  # texts whose vectors were computed in this build
    removed: int
    skipped: tuple[str, ...] = ()  # one sentence for each file that could not be read
    rebuilt: str = ""  # why an older index was replaced


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry near a question."""

    section: str
    similarity: float  # cosine


class _Entry(NamedTuple):
    """A text that must have a vector."""

    id: str
    text: str
    section: str


class Index:
    """A guide's index in a folder.

    Args:
        folder: Where the index lies; created when it is built.
        guide: The guide's folder or file.
        extra: A folder of further guide files, which need not exist.
        bridge: The coach's own guide; may be the same as `guide`.
        embedder: Makes the vectors.
    """

    def __init__(self, folder: Path, *, guide: Path, extra: Path, bridge: Path, embedder: Embedder) -> None:
        self.folder = folder
        self.embedder = embedder
        self.bridge_listed = guide.resolve() == bridge.resolve()  # whether the bridge's sections may be found
        self._roots = [(BRIDGE, bridge, "")] + ([] if self.bridge_listed else [(OWN, guide, "")])
        self._roots.append((OWN, extra, "guides/"))
        self._client: Any = None
        self._collections: dict[str, Any] = {}

    # --- building ---------------------------------------------------------------------------------------------

    def build(self, report: Callable[[int, int], None] = lambda done, total: None) -> Report:
        """Bring the index up to date, whatever state it is in.

        Args:
            report: Called with how many texts are embedded and how many there are to embed.

        Raises:
            GuideError: There is nothing to index.
            SearchIndexError: The folder cannot be written to, or the disk is full.
        """
        with self._named_errors():
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder.parent / f"{self.folder.name}.lock"):
                reason = self._unusable()
                if reason:
                    self._discard()
                self.folder.mkdir(exist_ok=True)
                try:
                    with _chroma_errors():
                        return self._build(reason if reason != "new" else "", report)
                except _BROKEN as error:  # damage that a first look did not show
                    if self._disk_is_full(error):
                        raise
                    self._discard()
                    self.folder.mkdir()
                    return self._build(f"it was damaged ({type(error).__name__})", report)

    def _build(self, rebuilt: str, report: Callable[[int, int], None]) -> Report:
        with self.catalogue(create=True) as db:
            skipped = self._read_sources(db)
            wanted: dict[str, dict[str, _Entry]] = {name: {} for name in self._names()}
            for origin, kind, *row in db.execute("SELECT origin, kind, id, text, section FROM entries"):
                wanted.setdefault(f"{origin}-{kind}", {})[row[0]] = _Entry(*row)
            missing, removed = {}, 0
            for name, entries in wanted.items():
                present = set(self._collection(name).get(include=[])["ids"])
                gone = sorted(present - entries.keys())
                for ids in _batches(gone, 1000):
                    self._collection(name).delete(ids=ids)
                removed += len(gone)
                new = [entries[key] for key in entries.keys() - present]
                # texts of like length are embedded together, which is quicker
                missing[name] = sorted(new, key=lambda entry: (len(entry.text), entry.id))
            total, done = sum(map(len, missing.values())), 0
            report(done, total)
            for name, new in missing.items():
                for batch in _batches(new, BATCH):
                    self._collection(name).upsert(
                        ids=[entry.id for entry in batch],
                        embeddings=self.embedder.encode([entry.text for entry in batch]),
                        metadatas=[{"section": entry.section} for entry in batch],
                    )
                    done += len(batch)
                    report(done, total)
            with db:
                self._relate(db)
            listed = f"source IN (SELECT source FROM sources WHERE origin != '{'' if self.bridge_listed else BRIDGE}')"
            files, sections, passages = (
                int(db.execute(f"SELECT count(*) FROM {table} WHERE {listed}").fetchone()[0])
                for table in ("sources", "sections", "chunks")
            )
            if not passages:
                raise GuideError(
                    "There is no guide to index" + (f": {skipped[0]}" if skipped else "."),
                    hint="Put Markdown, text, PDF or DOCX files into the guide folder.",
                )
            with db:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('complete', ?)", (uuid.uuid4().hex,))
        return Report(files, sections, passages, total, removed, tuple(skipped), rebuilt)

    def _read_sources(self, db: sqlite3.Connection) -> list[str]:
        """Take changed files into the catalogue and drop those that are gone, in one transaction."""
        known = {row[0]: row[1:] for row in db.execute("SELECT source, digest, size, mtime_ns FROM sources")}
        seen = set()
        with db:
            db.execute("DELETE FROM skipped")
            for source, path, origin in self._files():
                mark = (0, 0)
                try:
                    stat = path.stat()
                    mark = (stat.st_size, stat.st_mtime_ns)
                    if source not in known or known[source][1:] != mark:
                        digest = read.digest(path, source)
                        if source in known and known[source][0] == digest:
                            db.execute("UPDATE sources SET size = ?, mtime_ns = ? WHERE source = ?", (*mark, source))
                        else:
                            document = read.read(path, source)
                            forget(db, source)
                            if origin == BRIDGE:
                                db.execute("DELETE FROM kin")
                            row = (source, origin, digest, *mark)
                            db.execute("INSERT INTO sources VALUES (?, ?, ?, ?, ?)", row)
                            insert(db, document, origin)
                    seen.add(source)
                except (GuideError, OSError) as error:
                    db.execute("INSERT INTO skipped VALUES (?, ?, ?, ?)", (source, *mark, str(error)))
            for source in known.keys() - seen:
                forget(db, source)
            db.execute("DELETE FROM meta WHERE key = 'complete'")
        return [row[0] for row in db.execute("SELECT reason FROM skipped ORDER BY source")]

    def _relate(self, db: sqlite3.Connection) -> None:
        """Compare each section of other guides with each of the bridge: what does it have to say on the same?

        The similarity is, averaged over the bridge section's texts (its own and its guide questions), that of
        the nearest text of the other section.
        """
        new = [row[0] for row in db.execute(
            "SELECT id FROM sections WHERE source IN (SELECT source FROM sources WHERE origin = ?)"
            " AND id NOT IN (SELECT section FROM kin)", (OWN,))]  # fmt: skip
        if not new:
            return
        bridge = self.vectors(origin=BRIDGE, kinds=["title", "text", "question"])
        kin = []
        for sections in _batches(new, 50):
            other = self.vectors(origin=OWN, kinds=["text", "sentence"], sections=sections)
            for section, vectors in other.items():
                source = db.execute("SELECT source FROM sections WHERE id = ?", (section,)).fetchone()[0]
                for key, texts in bridge.items():
                    kin.append((section, source, key, float((texts @ vectors.T).max(axis=1).mean())))
        db.executemany("INSERT OR REPLACE INTO kin VALUES (?, ?, ?, ?)", kin)  # the catalogue is read until here

    def _files(self) -> Iterator[tuple[str, Path, str]]:
        for origin, root, prefix in self._roots:
            if prefix and not root.exists():
                continue
            base = root if root.is_dir() else root.parent
            for path in read.find(root):
                name = prefix + path.relative_to(base).as_posix().encode("utf-8", "replace").decode()
                yield (f"own/{name}" if origin == OWN and not prefix else name), path, origin

    # --- reading ----------------------------------------------------------------------------------------------

    def current(self) -> bool:
        """Whether the index is complete, undamaged and made from the files as they are now.

        Raises:
            SearchIndexError: The folder cannot be read or written to.
        """
        with self._named_errors():
            return not self._unusable() and self._complete()

    def built(self) -> str:
        """What tells the last finished build from every other; "" while one runs, or before the first."""
        try:
            with self.catalogue() as db:
                row = db.execute("SELECT value FROM meta WHERE key = 'complete'").fetchone()
        except sqlite3.Error:
            return ""
        return str(row[0]) if row else ""

    def reopen(self) -> None:
        """See what another process has built; Chroma keeps what it has read."""
        from chromadb.api.shared_system_client import SharedSystemClient

        self._client, self._collections = None, {}
        SharedSystemClient.clear_system_cache()

    def _complete(self) -> bool:
        with self.catalogue() as db:
            if db.execute("SELECT 1 FROM meta WHERE key = 'complete'").fetchone() is None:
                return False
            tables = (db.execute(f"SELECT source, size, mtime_ns FROM {table}") for table in ("sources", "skipped"))
            known = {row for rows in tables for row in rows}
            now = {(source, (s := path.stat()).st_size, s.st_mtime_ns) for source, path, _ in self._files()}
            entries = db.execute("SELECT count(*) FROM entries").fetchone()[0]
            return known == now and bool(sum(self._collection(name).count() for name in self._names()) == entries)

    def nearest(self, vector: Vectors, k: int, *, kind: str, origin: str) -> list[Neighbour]:
        """The entries of one kind and origin nearest to a vector of shape (dimensions,), nearest first."""
        found = self._collection(f"{origin}-{kind}").query(
            query_embeddings=[vector.tolist()], n_results=k, include=["metadatas", "distances"]
        )
        pairs = zip(found["metadatas"][0], found["distances"][0], strict=True)
        # An entry that another process takes out meanwhile has no metadata any more.
        return [Neighbour(str(meta["section"]), 1.0 - float(far)) for meta, far in pairs if meta]

    def vectors(
        self,
        *,
        origin: str,
        kinds: Sequence[str],
        sections: Sequence[str] = (),
        by: Literal["section", "chunk"] = "section",
    ) -> dict[str, Vectors]:
        """The vectors of all entries of an origin and some kinds, or of those of some sections.

        Returns:
            By section, or by chunk with by="chunk": an array of shape (entries, dimensions), in reading order.
        """
        places = {"kind": kinds, "section": sections} if sections else {"kind": kinds}
        where = " AND ".join(f"{name} IN ({', '.join('?' * len(values))})" for name, values in places.items())
        query = f"SELECT id, kind, {by} FROM entries WHERE origin = ? AND {where} ORDER BY rowid"
        with self.catalogue() as db:  # Chroma finds by id, however much there is; by section it takes its time
            rows = db.execute(query, [origin, *(value for values in places.values() for value in values)]).fetchall()
        vectors: dict[str, Any] = {}
        for kind in kinds:
            for ids in _batches([row[0] for row in rows if row[1] == kind], MOST_IDS):
                found = self._collection(f"{origin}-{kind}").get(ids=ids, include=["embeddings"])
                vectors.update(zip(found["ids"], found["embeddings"], strict=True))
        gathered: dict[str, list[Any]] = {}
        for key, _, name in rows:
            if key in vectors:  # it may be taken out meanwhile by another process
                gathered.setdefault(name, []).append(vectors[key])
        return {key: np.asarray(rows, dtype=np.float32) for key, rows in gathered.items()}

    @contextmanager
    def catalogue(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """The catalogue, open for the length of a `with` block."""
        file = self.folder / "catalogue.sqlite3"
        if not create and not file.is_file():
            raise sqlite3.OperationalError("there is no catalogue")
        with closing(sqlite3.connect(file, timeout=30)) as db:
            if create and db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                db.executescript(TABLES)
                db.execute("INSERT INTO meta VALUES ('form', ?)", (self._form(),))
                db.commit()
            yield db

    def _form(self) -> str:
        return f"{SCHEMA} {self.embedder.name}"

    def _unusable(self) -> str:
        """Why the index on disk has to be replaced: "" if it need not, "new" if there is none."""
        if not (self.folder / "catalogue.sqlite3").exists():
            return "new"
        try:
            with self.catalogue() as db, _chroma_errors():
                form = db.execute("SELECT value FROM meta WHERE key = 'form'").fetchone()
                for name in self._names():
                    self._collection(name).count()
                    self._collection(name).peek(1)
        except _BROKEN as error:
            if self._disk_is_full(error):
                raise
            return f"it was damaged ({type(error).__name__})"
        return "" if form and form[0] == self._form() else "it was made by another version"

    def _collection(self, name: str) -> Any:
        """The entries of an origin and kind, "own-text" for example."""
        if name not in self._collections:
            # Without an embedding function of its own Chroma has no reason to fetch a model.
            self._collections[name] = self._opened().get_or_create_collection(
                name, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )
        return self._collections[name]

    def _names(self) -> list[str]:
        return [str(collection.name) for collection in self._opened().list_collections()]

    def _opened(self) -> Any:
        if self._client is None:
            import chromadb
            from chromadb.config import Settings

            self._client = chromadb.PersistentClient(
                path=str(self.folder / "chroma"), settings=Settings(anonymized_telemetry=False)
            )
        return self._client

    def _disk_is_full(self, error: BaseException) -> bool:
        """Whether an error is about the disk, full or read-only: then starting anew would only lose the index."""
        told = any(word in str(error).lower() for word in ("disk is full", "readonly", "read-only", "no space"))
        return told or shutil.disk_usage(self.folder.parent).free < LEAST_SPACE

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn what the disk, SQLite and Chroma raise into one sentence with a hint."""
        try:
            with _chroma_errors():
                yield
        except CoachError:
            raise
        except (OSError, *_BROKEN) as error:
            raise SearchIndexError(
                f"The index in {self.folder} cannot be used: {getattr(error, 'strerror', None) or error}.",
                hint="Free some space there, or choose another folder with COACH_DATA_DIR.",
            ) from error

    def _discard(self) -> None:
        self.reopen()
        if self.folder.exists():
            shutil.rmtree(self.folder)


@contextmanager
def _chroma_errors() -> Iterator[None]:
    """Turn Chroma's own errors, and panics of its Rust core, which are no Exceptions, into RuntimeErrors."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ == "PanicException" or type(error).__module__ == "chromadb.errors":
            raise RuntimeError(str(error)) from error
        raise


def _batches(items: Sequence[_T], size: int) -> Iterator[list[_T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
