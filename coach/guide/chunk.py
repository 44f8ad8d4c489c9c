"""Documents in, chunks out: pieces short enough to cite, long enough to stand alone.

A chunk never crosses a section and never cuts a sentence. Its size is a trade: a small local model reads
about 75 tokens a second on two cores, so three passages of 100 words cost it some five seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from coach.guide.read import Block, Document, Section

__all__ = ["Chunk", "chunks", "sentences", "tells_of_a_study", "unquoted"]

TARGET_WORDS = 70  # a chunk is closed once it has this many
MAX_WORDS = 130  # a longer paragraph is cut between sentences


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of the guide and where it stands."""

    section: Section
    text: str
    start: int  # characters from the start of the source's text
    end: int
    page: int = 0  # from 1 in a PDF, 0 elsewhere
    case: str = ""  # what somebody says to whom it is the answer


def chunks(document: Document) -> Iterator[Chunk]:
    """Cut a document's sections into chunks, in reading order."""
    for section in document.sections:
        pieces = [piece for block in section.blocks for piece in _cut(block)]
        if not pieces and section.takeaway:
            pieces = [Block("text", section.takeaway, 0, 0)]
        group: list[Block] = []
        for i, piece in enumerate(pieces):
            group.append(piece)
            following = pieces[i + 1] if i + 1 < len(pieces) else None
            words = sum(len(b.text.split()) for b in group)
            if (
                following is None
                or following.label
                or words >= TARGET_WORDS
                or words + len(following.text.split()) > MAX_WORDS
            ):
                yield Chunk(
                    section=section,
                    text="\n".join(f"• {b.text}" if b.kind == "item" else b.text for b in group),
                    start=group[0].start,
                    end=group[-1].end,
                    page=group[0].page,
                    case=group[0].case,
                )
                group = []


def _cut(block: Block) -> Iterator[Block]:
    """A block as it is, or, when it is too long, in runs of whole sentences."""
    if len(block.text.split()) <= MAX_WORDS:
        yield block
        return
    run: list[str] = []
    label = block.label
    for sentence in sentences(block.text):
        if run and len(" ".join([*run, sentence]).split()) > MAX_WORDS:
            yield replace(block, text=" ".join(run), label=label)
            run, label = [], ""
        run.append(sentence)
    yield replace(block, text=" ".join(run), label=label)


_ABBREVIATIONS = r"(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)(?<!\bSt)(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bal)"
_END = re.compile(rf"{_ABBREVIATIONS}[.!?…][\"'”’)\]]*(?:\s*\[\d+\])*(?=\s+[\"'“‘(\[]?[A-Z0-9]|\s*\n|\s*$)")


def sentences(text: str) -> list[str]:
    """Split English prose into sentences; a citation like [2] stays with the sentence before it."""
    found = []
    start = 0
    for match in _END.finditer(text):
        sentence = text[start : match.end()].strip()
        if sentence:
            found.append(sentence)
        start = match.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def unquoted(text: str) -> list[str]:
    """The sentences of a text that are no part of a longer quotation; in a guide that may be a bad example."""
    found, inside = [], False
    for sentence in sentences(text):
        turns = sum(sentence.count(mark) for mark in '"“”') % 2 == 1
        if not inside and not turns:
            found.append(sentence)
        inside = inside != turns
    return found


_STUDY = re.compile(
    r"\b(?:stud(?:y|ies)|research\w*|psychologists?|scientists?|participants|samples?|experiments?|surveys?"
    r"|per cent|percent|(?:19|20)\d\d)\b|\d ?%",
    re.IGNORECASE,
)


def tells_of_a_study(sentence: str) -> bool:
    """Whether a sentence tells of research, or gives its figures: true, and no answer to a person who asks for help."""
    return bool(_STUDY.search(sentence))
