r"""The labelled messages, drafts and replies that the guardrails and the search are trained and measured on.

    chat     action <tab> tactics or kind of danger <tab> how <tab> text
    drafts   contact <tab> verdict <tab> text with [[tactic: the words that carry it]]
    criteria text with [[part of an apology: the words that show it]]
    replies  kind <tab> text
    asked    section of the guide <tab> text <tab> the case that answers it, if one does

Actions and verdicts are those of `coach.types`, tactics those of policy.yaml; a newline in a text is written \n.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coach.types import Contact

__all__ = [
    "Chat",
    "Draft",
    "Mark",
    "Question",
    "Sentence",
    "among",
    "rambling",
    "read_asked",
    "read_chat",
    "read_drafts",
    "read_marked",
    "read_replies",
]

_MARK = re.compile(r"\[\[([a-z_, ]+):\s?(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Chat:
    """A message to the coach."""

    action: str
    about: tuple[str, ...]  # tactics, the main one first, or a kind of danger
    how: str  # open, subtle, plain, near, near:confession ...
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Words of a draft that carry tactics; start and end in characters of the text without marks."""

    tactics: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A message somebody means to send."""

    contact: Contact
    verdict: str
    text: str
    marks: tuple[Mark, ...]

    @property
    def tactics(self) -> set[str]:
        """All tactics marked."""
        return {tactic for mark in self.marks for tactic in mark.tactics}


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a coach's answer."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody asks the guide; what was said before stands in front of it, with line breaks between."""

    text: str
    case: str  # "" where none answers it

    @property
    def alone(self) -> bool:
        """Whether nothing was said before."""
        return "\n" not in self.text


def among(text: str, asides: Sequence[str], chance: random.Random, counts: Sequence[int] = (1, 1, 2, 3)) -> str:
    """The text among a few things that people tell besides: ages, the dog, the night shift."""
    parts = re.split(r"(?<=[.!?])\s+", text)
    for aside in chance.sample(asides, chance.choice(counts)):
        parts.insert(chance.choice((0, 0, len(parts), chance.randrange(len(parts) + 1))), aside)
    between = chance.choice((" ", ", ", ". ", ". ", "\n"))
    return between.join(re.sub(r"\.$", "", part) if between.strip() else part for part in parts)


def rambling(texts: Sequence[str], split: str) -> list[str]:
    """Each text among other things, always the same ones; those of the development set are by another hand."""
    name = "asides_dev.txt" if split.endswith("dev") else "asides_test.txt"
    asides = (Path(__file__).parent / "cases" / name).read_text(encoding="utf-8").splitlines()
    chance = random.Random(20261130)
    return [among(text, asides, chance) for text in texts]


def read_asked(path: Path) -> dict[str, list[Question]]:
    """The messages of a file by the section that fits them, `coach.guide.asked.NONE` for what no section does."""
    found: dict[str, list[Question]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        section, text, case = (*line.split("\t"), "")[:3]
        found.setdefault(section, []).append(Question(text.replace("\\n", "\n"), case))
    return found


def read_chat(path: Path) -> list[Chat]:
    """The messages of a file."""
    found = []
    for action, about, how, text in _rows(path, 4):
        names = () if about == "-" else tuple(part.strip() for part in about.split(","))
        found.append(Chat(action, names, how, text))
    return found


def read_drafts(path: Path) -> list[Draft]:
    """The drafts of a file, their marks taken out of the text and given as spans."""
    found = []
    for contact, verdict, marked in _rows(path, 3):
        text, marks = _unmarked(marked)
        found.append(Draft(Contact(contact), verdict, text, marks))
    return found


def read_marked(path: Path) -> list[Draft]:
    """Apologies with the words that show what is in them; see `coach.guardrails.signals.CRITERIA`."""
    return [Draft(Contact.TALKING, "", *_unmarked(row[0])) for row in _rows(path, 1)]


def _unmarked(marked: str) -> tuple[str, tuple[Mark, ...]]:
    text, marks, at = "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[at : match.start()]
        names = tuple(part.strip() for part in match[1].split(","))
        marks.append(Mark(names, len(text), len(text) + len(match[2])))
        text += match[2]
        at = match.end()
    return text + marked[at:], tuple(marks)


def read_replies(path: Path) -> list[Sentence]:
    """The sentences of a file."""
    return [Sentence(kind, text) for kind, text in _rows(path, 2)]


def _rows(path: Path, fields: int) -> list[list[str]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        row = line.split("\t")
        if len(row) != fields:
            raise ValueError(f"{path.name}, line {number}: {len(row)} fields in place of {fields}.")
        rows.append([*row[:-1], row[-1].replace("\\n", "\n").strip()])
    return rows
