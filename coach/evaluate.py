"""What the coach's answers are like, in figures: for `coach eval` and the benchmarks.

Nothing here judges whether an answer is good; that takes reading. It counts what can be counted: what became of a
message, how much of an answer is supported by the passage that it cites, who wrote it, how long and how plain it is,
what is said twice, and what should never be said.
"""

from __future__ import annotations

import re
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coach.app import Coach
from coach.coaching.compose import CITATION, plain
from coach.errors import InputError
from coach.guide.chunk import sentences
from coach.types import Conversation, Done, Passage, Reply

__all__ = ["Answered", "grade", "measured", "played", "share"]

SUPPORT = 0.6  # cosine similarity of a sentence to the nearest one of the passage it cites
_CITATIONS = re.compile(rf"(?:{CITATION.pattern})+")


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer and what it was an answer to."""

    message: str
    reply: Reply
    seconds: float


def played(coach: Coach, messages: Sequence[str]) -> list[Answered]:
    """The answers to a conversation's messages, without those that the coach could not read."""
    conversation: Conversation | None = None
    found = []
    for message in messages:
        started = time.perf_counter()
        try:
            *_, last = coach.reply(message, conversation)
        except InputError:  # such as a lone question mark: the page says so, and the person writes again
            continue
        assert isinstance(last, Done)
        found.append(Answered(message, last.reply, time.perf_counter() - started))
        conversation = last.reply.conversation
    return found


def measured(coach: Coach, found: Sequence[Answered]) -> dict[str, Any]:
    """Figures of single answers, by name: shares from 0 to 1, medians, counts."""
    coached = [a for a in found if a.reply.action == "coach" and a.reply.passages]
    cited = [claim for a in coached for claim in claims(a.reply)]
    supports = {claim: supported(coach, *claim) for claim in set(cited)}
    said = [[part for part in sentences(CITATION.sub("", a.reply.text)) if len(part.split()) > 2] for a in coached]
    return {
        "answers": len(found),
        "actions": " ".join(f"{k}:{n}" for k, n in Counter(a.reply.action for a in found).most_common()),
        "asks which case is meant": share(a.reply.asks for a in found),
        "written by the model": share(a.reply.made_by == "model" for a in coached),
        "citations that support their sentence": share(supports[claim] for claim in cited),
        "answers with a sentence that nothing supports": sum(
            not all(supports[claim] for claim in claims(a.reply)) for a in coached
        ),
        "sentences that the gate would stop": share(
            coach.gates.reply(part).action == "block" for parts in said for part in parts
        ),
        "words, median": _median(len(a.reply.text.split()) for a in coached),
        "reading grade, median": _median(grade(a.reply.text) for a in coached),
        "seconds, median": _median(a.seconds for a in coached),
    }


def claims(reply: Reply) -> Iterator[tuple[str, Passage]]:
    """Each sentence with the passage that it cites. In an answer from the guide a number stands for its paragraph."""
    numbered = {passage.number: passage for passage in reply.passages}
    for paragraph in re.split(r"\n\s*\n", reply.text):
        at = 0
        for match in _CITATIONS.finditer(paragraph):
            before = sentences(paragraph[at : match.start()].lstrip(" .!?"))
            for number in map(int, re.findall(r"\d+", match[0])):
                if number in numbered:
                    yield from ((part, numbered[number]) for part in before[-1 if reply.made_by == "model" else 0 :])
            at = match.end()


def supported(coach: Coach, sentence: str, passage: Passage) -> bool:
    """Whether the passage says something near enough to a sentence, in its case, its text or what it gives to say."""
    lines = [*sentences(f"{passage.takeaway}\n{passage.text}"), *passage.say, passage.ask, passage.case]
    said = re.split(r'(?::|rather) "', sentence, maxsplit=1)[-1]  # without the words that lead to a quotation
    words = re.sub(r"^\W+|\W+$", "", said.split(": ", 1)[-1])
    if plain(words) in plain(" ".join(lines)):
        return True
    vectors = coach.embedder.encode([words, *(line for line in lines if line)])
    return bool((vectors[1:] @ vectors[0]).max() >= SUPPORT)


def grade(text: str) -> float:
    """Flesch-Kincaid grade (Kincaid et al. 1975), syllables counted as groups of vowels."""
    words = re.findall(r"[a-z']+", CITATION.sub("", text).lower())
    syllables = sum(max(1, len(re.findall(r"[aeiouy]+", re.sub(r"e$", "", word)))) for word in words)
    return 0.39 * len(words) / max(1, len(sentences(text))) + 11.8 * syllables / max(1, len(words)) - 15.59


def share(found: Iterable[bool]) -> float:
    """The share of what is true; 0 of nothing."""
    counted = list(found)
    return round(sum(counted) / len(counted), 3) if counted else 0.0


def _median(values: Iterable[float]) -> float:
    counted = list(values)
    return round(statistics.median(counted), 1) if counted else 0.0
