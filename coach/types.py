"""The values that cross package borders. Nothing here does anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

__all__ = [
    "Contact",
    "Conversation",
    "Done",
    "Event",
    "Message",
    "Passage",
    "Reply",
    "Sources",
    "Timings",
    "Token",
    "Turn",
    "Usage",
]


class Contact(StrEnum):
    """How things stand between the writer and the person they hurt."""

    TALKING = "talking"
    SILENT = "silent"
    ASKED_FOR_SPACE = "asked_for_space"
    BLOCKED = "blocked"
    NO_CONTACT_ORDER = "no_contact_order"
    CO_PARENTING = "co_parenting"


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as a language model sees it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of the guide that answers, or helps to answer, a question."""

    id: str  # stable while the guide stays as it is: the section's id, a dot, the number within it
    number: int  # from 1; the number it is cited by, as [1]
    title: str  # the heading it stands under
    chapter: str
    text: str
    source: str  # the file, below its guide folder
    score: float  # 0 to 1, how likely it is that the section answers the question
    start: int = 0  # characters from the start of the source's text
    end: int = 0
    page: int = 0  # from 1 in a PDF, 0 elsewhere
    excerpt: str = ""  # the sentences nearest to the question, as the model is given them
    takeaway: str = ""  # the section in a sentence or two; "" where the guide gives none
    say: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    ask: str = ""  # a question to ask oneself

    @property
    def section(self) -> str:
        """The id of the section that the passage belongs to."""
        return self.id.rsplit(".", 1)[0]


@dataclass(frozen=True, slots=True)
class Usage:
    """What one generation cost."""

    prompt_tokens: int  # in the whole prompt
    evaluated_tokens: int  # of these, how many were not in the cache
    written_tokens: int
    prompt_seconds: float
    decode_seconds: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the message's arrival."""

    retrieved: float = 0.0
    first_token: float = 0.0  # 0 when no model wrote
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, the passages that came with it for the first time, and the answer."""

    message: str
    prompt: str  # the message as the model was given it, notes included; "" if it was not given to one
    answer: str
    passages: tuple[Passage, ...] = ()  # those that this turn's answer may cite


@dataclass(frozen=True, slots=True)
class Conversation:
    """A history that only grows. Pass the one from a `Reply` to the next call."""

    turns: tuple[Turn, ...] = ()

    @property
    def passages(self) -> dict[str, Passage]:
        """Every passage cited or offered so far, by id; its number never changes."""
        return {passage.id: passage for turn in self.turns for passage in turn.passages}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    text: str
    passages: tuple[Passage, ...]  # the sources of this answer, in the order of their numbers
    action: Literal["coach", "redirect", "crisis", "off_topic"]
    made_by: Literal["model", "guide", "fixed"]
    conversation: Conversation
    timings: Timings = field(default_factory=Timings)
    usage: Usage | None = None  # None when no model wrote
    note: str = ""  # a quiet line about how it was made, such as "The model could not be used."


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer draws on; comes before its text."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""

    reply: Reply


Event = Token | Sources | Done
