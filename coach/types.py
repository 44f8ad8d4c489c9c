"""The values that cross package borders."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

__all__ = [
    "CLOSED",
    "Action",
    "ChatAction",
    "Contact",
    "Conversation",
    "Criterion",
    "Danger",
    "Done",
    "DraftAction",
    "Event",
    "Finding",
    "Found",
    "Help",
    "Message",
    "Passage",
    "Reply",
    "Review",
    "Situation",
    "Sources",
    "Standing",
    "Timings",
    "Token",
    "Turn",
    "Usage",
    "Verdict",
]

Danger = Literal["self_harm", "violence_by_user", "violence_to_user", "legal_order"]
ChatAction = Literal["coach", "redirect", "crisis", "off_topic"]
DraftAction = Literal["ready", "revise", "hold"]
Action = ChatAction | DraftAction | Literal["pass", "block"]  # the last two: a sentence of an answer


class Contact(StrEnum):
    """How things stand between the writer and the person they hurt."""

    TALKING = "talking"
    SILENT = "silent"
    ASKED_FOR_SPACE = "asked_for_space"
    BLOCKED = "blocked"
    NO_CONTACT_ORDER = "no_contact_order"
    CO_PARENTING = "co_parenting"

    @classmethod
    def _missing_(cls, value: object) -> Contact | None:
        """A contact by its name with spaces or hyphens in it, such as "asked for space"."""
        name = re.sub(r"[\s-]+", "_", str(value).strip().lower())
        return next((contact for contact in cls if contact.value == name), None)


CLOSED = (Contact.BLOCKED, Contact.ASKED_FOR_SPACE, Contact.NO_CONTACT_ORDER)


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as a language model sees it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in a text where a tactic shows."""

    tactic: str  # an id of prompts/guardrails/policy.yaml
    start: int  # in characters of the text as it was given
    end: int
    quote: str  # text[start:end]
    confidence: float  # 0 to 1
    reason: str  # one sentence


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guardrails make of a text."""

    action: Action
    findings: tuple[Finding, ...] = ()  # the gravest first
    crisis: Danger | None = None
    hints: frozenset[Danger] = frozenset()  # what a coached message may touch on
    within: bool = field(default=False, compare=False)  # surely about what a guide of this kind covers


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that the reader of an apology would look for."""

    id: str  # harm, own, impact, remorse, change, asks_nothing, free, short
    name: str
    state: Literal["met", "partly", "missing"]
    quote: str  # the words that show it, or that speak against it; "" for none
    hint: str  # what to do, "" where it is met


@dataclass(frozen=True, slots=True)
class Review:
    """What a careful friend would say about a draft."""

    draft: str
    contact: Contact
    verdict: Verdict
    reason: str  # what the verdict rests on, in one sentence
    next_step: str
    findings: tuple[Finding, ...]  # the gravest first, overlaps merged
    accountability: tuple[Criterion, ...]  # empty for a message that is no apology
    passages: tuple[Passage, ...]  # one for each tactic found
    rewrite: str = ""  # only for revise
    rewrite_source: Literal["", "model", "draft", "outline"] = ""  # an outline has little of the draft in it
    notes: tuple[str, ...] = ()  # such as: the coach reads English only
    help: Help | None = None


@dataclass(frozen=True, slots=True)
class Help:
    """Where somebody in danger finds help; see prompts/crisis/lines.yaml."""

    danger: Danger
    country: str  # its name; "" where it is not known
    emergency: str
    lines: tuple[tuple[str, str], ...]  # name and how to reach it
    finder: str  # lists lines of other countries
    checked: str  # the day on which the numbers were looked at


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person has said about how things stand, kept until they say that it changed."""

    contact: Contact | None = None  # only blocked, asked_for_space and no_contact_order are kept
    danger: Danger | None = None  # once there has been one, its help stays in sight
    waiting: bool = False  # nothing has been said yet that the danger has passed
    softened: bool = False  # they said once that they were misunderstood
    hinted: bool = False  # the danger was only hinted at, so that it may be a misreading
    asked: bool = False  # they were asked once whether they are safe


@dataclass(frozen=True, slots=True)
class Situation:
    """What a person has told about the two of them, in their own words; "" for what they have not."""

    who: str = ""  # whom they hurt
    did: str = ""
    contact: Contact | None = None
    children: str = ""
    wants: str = ""


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
    case: str = ""  # what somebody says to whom this passage is the answer; "" for general advice
    trusted: bool = True  # from the coach's own guide, not from a person's files

    @property
    def section(self) -> str:
        """The id of the section that the passage belongs to."""
        return self.id.rsplit(".", 1)[0]


@dataclass(frozen=True, slots=True)
class Found:
    """What the guide has for an answer."""

    passages: tuple[Passage, ...] = ()  # to answer from, the best first; none if it does not cover the question
    instead: Passage | None = None  # what may have been meant, if it was not the first
    nearby: tuple[str, ...] = ()  # further cases, in the words of those who ask, the likeliest first
    doubtful: bool = False  # whether the first passage is a guess; `nearby` then holds all cases that may be meant

    @property
    def sources(self) -> tuple[Passage, ...]:
        """All passages that an answer may cite."""
        return (*self.passages, self.instead) if self.instead else self.passages


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
    first_words: float = 0.0  # of the model that were shown; 0 when none were
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, the passages that came with it for the first time, and the answer."""

    message: str
    prompt: str  # the message as the model was given it, notes included; "" if it was not given to one
    answer: str
    passages: tuple[Passage, ...] = ()  # those that this turn's answer may cite
    standing: Standing = field(default_factory=Standing)  # after this turn
    tactic: str = ""  # that the answer turned down
    before: Situation = field(default_factory=Situation)  # what was known before this turn


@dataclass(frozen=True, slots=True)
class Conversation:
    """A history that only grows. Pass the one from a `Reply` to the next call."""

    turns: tuple[Turn, ...] = ()
    situation: Situation = field(default_factory=Situation)  # as far as they told, or as they corrected it

    @property
    def passages(self) -> dict[str, Passage]:
        """Every passage cited or offered so far, by id; its number never changes."""
        return {passage.id: passage for turn in self.turns for passage in turn.passages}

    def numbered(self, passages: Sequence[Passage]) -> tuple[Passage, ...]:
        """Passages with the numbers they are cited by here: those they have, or the next ones that are free."""
        known = self.passages
        free = itertools.count(1 + max((p.number for p in known.values()), default=0))
        return tuple(replace(p, number=known[p.id].number if p.id in known else next(free)) for p in passages)

    @property
    def standing(self) -> Standing:
        """How things stand after the last turn; what the person corrected counts."""
        last, contact = self.turns[-1].standing if self.turns else Standing(), self.situation.contact
        return last if contact is None else replace(last, contact=contact if contact in CLOSED else None)


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    text: str
    passages: tuple[Passage, ...]  # the sources of this answer, in the order of their numbers
    action: ChatAction
    made_by: Literal["model", "guide", "fixed"]
    conversation: Conversation
    timings: Timings = field(default_factory=Timings)
    usage: Usage | None = None  # None when no model wrote
    note: str = ""  # a quiet line about how it was made, such as "The model could not be used."
    verdict: Verdict = field(default_factory=lambda: Verdict("coach"))  # what the guardrails made of the message
    help: Help | None = None  # stays for the rest of a conversation in which there was danger
    nearby: tuple[str, ...] = ()  # what else may have been meant: cases of the guide, to be asked next

    @property
    def asks(self) -> bool:
        """Whether this is no answer but the question which of the cases `nearby` is meant."""
        return bool(self.nearby) and not self.passages


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer draws on; comes before its text."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """The model has begun to read; comes before the text, where it is known how long that takes."""

    seconds: float  # until its first word, by the speed of its last reading


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""

    reply: Reply


Event = Sources | Wait | Token | Done
