"""Guide files in, documents out: what was written, section by section, and where.

Markdown goes through markdown-it-py, PDF through pypdf, DOCX through python-docx. Plain text has no
markup, so its titles are found by their shape. All four end as the same blocks, and one function turns
blocks into sections. This module knows nothing of chunks, vectors or questions asked.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from coach.errors import GuideError

__all__ = ["Block", "Document", "Section", "digest", "find", "read"]

MAX_BYTES = 64 * 1024 * 1024  # a book of 10,000 pages is smaller
MOST_TITLES = 3  # lines in a row that may be titles, of a book, a chapter and a section; more of them are a list


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, a paragraph or a list item, with its place in the source's text."""

    kind: Literal["heading", "text", "item"]
    text: str
    start: int  # characters from the start of the source's text
    end: int
    level: int = 0  # 1 for the biggest heading; 0 for anything else
    label: str = ""  # the bold words that open a paragraph, such as "In short"
    page: int = 0  # from 1 in a PDF, 0 elsewhere
    case: str = ""  # what somebody says to whom the paragraph is the answer: bold words in quotation marks


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading."""

    id: str
    title: str
    chapter: str
    blocks: tuple[Block, ...]
    takeaway: str = ""
    say: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    ask: str = ""
    questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """One guide file as read."""

    source: str  # the file's path below the folder it was found in
    title: str
    sections: tuple[Section, ...]


@dataclass(slots=True)
class _Text:
    """A source's text and the blocks found in it, as a format's reader hands them on."""

    blocks: list[Block]
    meta: dict[str, object] = field(default_factory=dict)


def digest(path: Path, source: str) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        GuideError: The file is larger than 64 MB.
    """
    _check_size(path, source)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(root: Path) -> list[Path]:
    """All guide files at or below `root`, in a stable order; hidden files and READMEs are left out.

    Raises:
        GuideError: `root` does not exist, or is a file of a kind that cannot be read.
    """
    if root.is_file():
        if root.suffix.lower() not in _READERS:
            raise GuideError(f"{root.name} is not a kind of file that the guide can be read from.", hint=_KINDS)
        return [root]
    if not root.is_dir():
        raise GuideError(f"There is no file or folder {root}.", hint="Check the path and try again.")
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in _READERS
        and path.is_file()
        and path.stem.lower() != "readme"
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def read(path: Path, source: str = "") -> Document:
    """Read one guide file.

    Args:
        path: A Markdown, plain text, PDF or DOCX file of at most 64 MB.
        source: The name under which the file is cited; its own name by default.

    Raises:
        GuideError: The file cannot be opened, is damaged, or holds no text.
    """
    name = source or path.name
    try:
        _check_size(path, name)
        text = _READERS[path.suffix.lower()](path)
    except GuideError:
        raise
    except KeyError:
        raise GuideError(f"{name} is not a kind of file that the guide can be read from.", hint=_KINDS) from None
    except OSError as error:
        raise GuideError(
            f"{name} cannot be opened: {error.strerror or error}.", hint="Check that the file may be read."
        ) from error
    except Exception as error:  # the PDF and DOCX libraries raise many kinds for damaged files
        raise GuideError(
            f"{name} cannot be read as {path.suffix[1:].upper()}: {error or type(error).__name__}.",
            hint="Open it in its own program and save it again, or save it as plain text.",
        ) from error
    text.blocks = [replace(block, text=_writable(block.text)) for block in text.blocks if block.text.strip()]
    if not any(block.kind != "heading" for block in text.blocks):
        raise GuideError(
            f"{name} holds no text.", hint="A scanned PDF needs text recognition first; an empty file needs words."
        )
    return _document(name, text)


def _check_size(path: Path, name: str) -> None:
    if path.stat().st_size > MAX_BYTES:
        raise GuideError(f"{name} is larger than 64 MB.", hint="Split it into smaller files.")


def _writable(text: str) -> str:
    """The text with halves of characters, which a damaged PDF may hold and no file can, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- formats -----------------------------------------------------------------------------------------------


def _decode(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    if "\0" in text:
        raise ValueError("it is not a text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _markdown(path: Path) -> _Text:
    import yaml
    from markdown_it import MarkdownIt

    source = _decode(path.read_bytes())
    meta: dict[str, object] = {}
    matter = re.match(r"---\n(.*?\n)---\n", source, re.DOTALL)
    if matter:
        loaded = yaml.safe_load(matter[1])
        meta = loaded if isinstance(loaded, dict) else {}
        source = re.sub(r"[^\n]", " ", matter[0]) + source[matter.end() :]
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    blocks = []
    tokens = MarkdownIt("commonmark", {"html": False}).parse(source)
    depth = 0
    for i, token in enumerate(tokens):
        depth += {"list_item_open": 1, "list_item_close": -1}.get(token.type, 0)
        if token.type not in ("heading_open", "paragraph_open", "fence", "code_block") or token.map is None:
            continue
        start, end = starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)]
        if token.type in ("fence", "code_block"):
            blocks.append(Block("text", token.content.strip(), start, end))
            continue
        children = tokens[i + 1].children or []
        words = "".join("\n" if c.type in ("softbreak", "hardbreak") else c.content for c in children)
        label = ""
        if children and children[0].type in ("text", "strong_open") and source[start : start + 2] == "**":
            label = next((c.content for c in children if c.content), "").strip(" .:")
        level = int(token.tag[1]) if token.type == "heading_open" else 0
        kind: Literal["heading", "text", "item"] = "heading" if level else "item" if depth else "text"
        blocks.append(Block(kind, " ".join(words.split()), start, end, level, label))
    return _Text(blocks, meta)


_BULLET = re.compile(r"^\s*(?:[•*·▪–-]|\d{1,2}[.)])\s+")


def _plain(path: Path) -> _Text:
    source = _decode(path.read_bytes())
    return _Text(list(_untitled(_pieces(source), title_of=_looks_like_title)))


def _pieces(source: str) -> Iterator[tuple[str, int, int]]:
    """Paragraphs between blank lines; a line that opens with a bullet begins a piece of its own."""
    for match in re.finditer(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*", source):
        start = match.start()
        lines: list[str] = []
        for line in match[0].splitlines(keepends=True):
            if lines and _BULLET.match(line):
                piece = "".join(lines)
                yield piece, start, start + len(piece)
                start += len(piece)
                lines = []
            lines.append(line)
        yield "".join(lines), start, match.end()


def _looks_like_title(piece: str, following: str) -> bool:
    """Whether a piece without markup is a title: one short line, no full stop, prose below it."""
    line = piece.strip()
    return (
        "\n" not in line
        and len(line) <= 90
        and len(line.split()) <= 14
        and line[:1].isupper()
        and line[-1] not in '.!,;:…”"'
        and not _BULLET.match(piece)
        and len(following) > 0
    )


def _untitled(pieces: Iterator[tuple[str, int, int]], title_of: Callable[[str, str], bool]) -> Iterator[Block]:
    known = list(pieces)
    titles = [title_of(piece, known[i + 1][0] if i + 1 < len(known) else "") for i, (piece, *_) in enumerate(known)]
    runs: list[int] = []  # how many titles stand in a row there
    for titled, group in itertools.groupby(titles):
        size = len(list(group))
        runs += [size * titled] * size
    for i, (piece, start, end) in enumerate(known):
        text = " ".join(piece.split())
        if 0 < runs[i] <= MOST_TITLES:
            # A title right above another title stands for a whole chapter.
            yield Block("heading", text, start, end, level=1 if i == 0 or titles[i + 1] else 2)
        elif _BULLET.match(piece):
            yield Block("item", _BULLET.sub("", text), start, end)
        else:
            yield Block("text", text, start, end)


def _pdf(path: Path) -> _Text:
    from pypdf import PdfReader

    lines: list[tuple[str, float, int]] = []  # text, font size in points, page from 1
    for number, page in enumerate(PdfReader(path).pages, start=1):
        sizes: list[tuple[str, float]] = []

        def visit(text: str, _cm: object, matrix: list[float], _font: object, size: float) -> None:
            sizes.append((text, size * (abs(matrix[3]) or 1.0)))  # noqa: B023 - called within this turn

        words = page.extract_text(visitor_text=visit)
        biggest = {piece.strip(): size for text, size in sizes for piece in text.splitlines() if piece.strip()}
        lines += [(line, biggest.get(line.strip(), 0.0), number) for line in words.splitlines()]
    body = statistics.median([size for line, size, _ in lines if size and len(line) > 40] or [0.0])
    blocks: list[Block] = []
    place = 0
    for line, size, number in lines:
        start, place = place, place + len(line) + 1
        text = " ".join(line.split())
        if not text or re.fullmatch(r"(page )?\d+( of \d+)?", text, re.IGNORECASE):
            continue
        last = blocks[-1] if blocks else None
        if body and size > body * 1.12 and len(text) < 120:
            blocks.append(Block("heading", text, start, place, level=1 if size > body * 1.6 else 2, page=number))
        elif _BULLET.match(line):
            blocks.append(Block("item", _BULLET.sub("", text), start, place, page=number))
        elif last is None or last.kind == "heading" or (last.text[-1] in '.!?:”"' and len(last.text) > 400):
            blocks.append(Block("text", text, start, place, page=number))
        else:  # a PDF keeps lines, not paragraphs: go on with the one above
            joined = last.text[:-1] + text if last.text.endswith("-") else f"{last.text} {text}"
            blocks[-1] = Block(last.kind, joined, last.start, place, page=last.page)
    return _Text(blocks)


def _docx(path: Path) -> _Text:
    import docx

    blocks: list[Block] = []
    place = 0
    for paragraph in docx.Document(str(path)).paragraphs:
        start, place = place, place + len(paragraph.text) + 1
        text = " ".join(paragraph.text.split())
        if not text:
            continue
        style = (paragraph.style.name if paragraph.style else "") or ""
        heading = re.match(r"Heading (\d)|Title$", style)
        if heading:
            blocks.append(Block("heading", text, start, place, level=int(heading[1] or 1)))
        else:
            blocks.append(Block("item" if style.startswith("List") else "text", text, start, place))
    return _Text(blocks)


_READERS: dict[str, Callable[[Path], _Text]] = {
    ".md": _markdown,
    ".markdown": _markdown,
    ".txt": _plain,
    ".text": _plain,
    ".pdf": _pdf,
    ".docx": _docx,
}
_KINDS = "Use Markdown (.md), plain text (.txt), PDF or DOCX."


# --- blocks to sections ------------------------------------------------------------------------------------

_ANCHOR = re.compile(r"\s*\{#([\w-]+)\}\s*$")
_CASE = re.compile(r'"(.+)"$')
_LABELS = {  # bold words that open a paragraph -> the section's field that it fills
    "in short": "takeaway",
    "say": "say",
    "do not say": "avoid",
    "ask yourself": "ask",
    "people ask": "questions",
}


def _document(name: str, text: _Text) -> Document:
    meta = text.meta
    stem = str(meta.get("id") or Path(name).with_suffix("").as_posix())
    tops = [b for b in text.blocks if b.kind == "heading" and b.level == 1]
    title = str(meta.get("title") or (tops[0].text if tops else Path(name).stem.replace("-", " ").replace("_", " ")))
    title = _ANCHOR.sub("", title)
    sections: list[Section] = []
    heading: Block | None = None
    chapter = title
    gathered: list[Block] = []

    def close() -> None:
        if any(b.kind != "heading" for b in gathered):
            sections.append(_section(stem, heading.text if heading else title, chapter, gathered, len(sections)))
        gathered.clear()

    for block in text.blocks:
        if block.kind != "heading":
            gathered.append(block)
            continue
        close()
        heading = block
        if block.level == 1:
            chapter = _ANCHOR.sub("", block.text)
    close()
    return Document(source=name, title=title, sections=tuple(sections))


def _section(stem: str, heading: str, chapter: str, blocks: list[Block], position: int) -> Section:
    anchor = _ANCHOR.search(heading)
    title = _ANCHOR.sub("", heading)
    slug = re.sub(r"\W+", "-", title.lower()).strip("-")[:60] or "section"
    fields: dict[str, list[str]] = {name: [] for name in _LABELS.values()}
    body: list[Block] = []
    current = ""
    for block in blocks:
        if block.label:
            current = _LABELS.get(block.label.lower(), "")
            rest = re.sub(rf"^{re.escape(block.label)}[.:]?\s*", "", block.text)
            if current and rest:
                fields[current].append(rest)
            if current:
                continue
        elif current and block.kind == "item":
            fields[current].append(block.text)
            continue
        current = ""
        if case := _CASE.match(block.label):
            block = replace(block, text=block.text.removeprefix(block.label).lstrip(), case=case[1])
        body.append(block)
    return Section(
        id=anchor[1] if anchor else f"{stem}-{position + 1}-{slug}",
        title=title,
        chapter=chapter,
        blocks=tuple(body),
        takeaway=" ".join(fields["takeaway"]),
        say=tuple(t.strip('"“”') for t in fields["say"]),
        avoid=tuple(t.strip('"“”') for t in fields["avoid"]),
        ask=" ".join(fields["ask"]),
        questions=tuple(fields["questions"]),
    )
