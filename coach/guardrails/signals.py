"""The detectors: a text in, what it asks for or does out, with the words that show it.

Two small readers, one for messages and one for drafts, and for messages the guide's larger one as a second opinion.
Their heads say what a message to the coach wants (classes and tactics), what kind of sentence the coach's model has
written, which words of a draft carry which tactic, which show a part of an apology, and whether it shows a closed door
or mixes two matters. They know nothing of the conversation; what follows from what they find is decided in
`coach.guardrails.gates` and `coach.guardrails.drafts`. The small ones were trained by `python -m
scripts.train_signals`, the larger one by `python -m scripts.train_reader`.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from coach.encoder import Array, Encoder
from coach.errors import ModelError
from coach.guardrails.normalise import normalise
from coach.reader import Piece, Reader, softmax

__all__ = [
    "ANY",
    "CLASSES",
    "CRITERIA",
    "DOORS",
    "MIXTURES",
    "REPLY_KINDS",
    "Reading",
    "Signals",
    "Span",
]

CLASSES = ("coach", "off_topic", "redirect", "self_harm", "violence_by_user", "violence_to_user", "legal_order")
CRITERIA = ("harm", "own", "impact", "remorse", "change", "free", "ask")
ANY = "any"  # the last column of the head for drafts: words that carry some tactic, whichever
DOORS = ("open", "closed")  # as far as a draft itself says
MIXTURES = ("plain", "mixed")  # whether parents speak of the two of them, too
REPLY_KINDS = ("fine", "tactic", "flattery", "prediction", "diagnosis", "leak")

HEADS = ("chat", "chat_tactics")  # for messages
PART = 0.5  # probability of a part of an apology
SURE = 0.4  # probability of a tactic from which a sentence is set apart from the one before it
NEAR = 4  # tokens from which a span is moved to where a clause begins or ends
SECOND = 0.3  # probability from which words carry a second tactic as well
JOINING = frozenset("and but because cos cause coz also then so pls please n".split())  # noqa: SIM905
FEWEST = 3  # tokens that can carry something
LOW = 0.25  # share of a span's best probability that its words must have
_NO_STOP = re.compile(r"(?:\d[.,]\d|\b(?:mr|mrs|ms|dr|st)\..?)$", re.IGNORECASE)  # ends no clause: a number, "Mrs."


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message to the coach wants. Probabilities, each group adding up to 1."""

    classes: dict[str, float]
    tactics: dict[str, float]  # which tactic it is about, if it is about one
    start: int  # the words that weigh most, in characters of the text as given
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Words that carry a tactic, or show a part of an apology."""

    name: str
    start: int
    end: int
    confidence: float  # that it carries a tactic at all, or shows the part


class Signals:
    """The detectors, loaded at the first use (0.3 s). Safe to share between threads.

    Args:
        folder: The encoder, all-MiniLM-L6-v2 as published.
        weights: The small readers' adapters and heads, signals.npz.
        tactics: The ids that the heads were trained with, in order.
        larger: The guide's reader, which has heads for messages, too.
    """

    def __init__(self, folder: Path, weights: Path, tactics: Sequence[str], larger: Reader) -> None:
        self._chat = Reader(Encoder, folder, weights, "chat")
        self._draft = Reader(Encoder, folder, weights, "draft")
        self._larger = larger
        self._tactics = tuple(tactics)

    def chat(self, text: str, *, second: bool = True) -> Reading:
        """Read a message to the coach. Of a long one, the part that is furthest from innocent counts.

        Args:
            text: The message.
            second: Ask the larger reader, too; it takes a few times as long.

        Raises:
            ModelError: The small encoder is missing or damaged.
        """
        plain = normalise(text)
        piece = self._furthest(self._chat.read(plain.text))
        heard = [piece]
        if second:
            with contextlib.suppress(ModelError):  # where it is missing, the small one must do
                heard.append(self._furthest(self._larger.read(plain.text)))
        classes, tactics = (softmax(np.mean([one.likelihoods(head) for one in heard], axis=0)) for head in HEADS)
        column = int(classes[1:].argmax()) + 1
        start, end = plain.place(*_peak(plain.text, piece.offsets, piece.weight("chat", column)))
        return Reading(
            dict(zip(CLASSES, classes.tolist(), strict=True)),
            dict(zip(self._tactics, tactics.tolist(), strict=True)),
            start,
            end,
        )

    def draft(self, text: str, threshold: float, outright: Mapping[str, float]) -> tuple[list[Span], list[Span]]:
        """The words of a draft that carry tactics, and those that show parts of an apology; in the text's order.

        Args:
            text: The draft.
            threshold: Probability that a span's strongest words must reach.
            outright: Tactics that a span has if, and only if, its strongest words carry them with this probability;
                which other tactic it is, is weighed over the span as a whole.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        plain = normalise(text)
        tactics: list[Span] = []
        parts: list[Span] = []
        for piece in self._draft.read(plain.text):
            clauses = _clauses(plain.text, piece.offsets)
            chances = piece.words("draft")
            for first, last, confidence in _runs(chances[:, -1], threshold):
                for a, b in _segments(piece, first, last, clauses, plain.text):
                    start, end = plain.place(*_whole(plain.text, piece.offsets[a][0], piece.offsets[b][1]))
                    named, each = piece.span("named", a, b), _strongest(chances[a : b + 1])
                    for tactic, least in outright.items():
                        at = self._tactics.index(tactic)
                        named[at] = each[at] >= least
                    best, second, *_ = map(int, np.argsort(-named))
                    for at in (best, second)[: 1 + int(named[second] >= SECOND)]:
                        tactics.append(Span(self._tactics[at], start, end, confidence))
            chances = piece.words("criteria")
            for column, name in enumerate(CRITERIA):
                for first, last, confidence in _runs(chances[:, column], PART):
                    a = _snapped(first, clauses)
                    b = _snapped(last + 1, [clause for clause in clauses if clause > last]) - 1
                    if b - a + 1 >= FEWEST or name == "remorse":  # "sorry" is one word
                        start, end = plain.place(*_whole(plain.text, piece.offsets[a][0], piece.offsets[b][1]))
                        parts.append(Span(name, start, end, confidence))
        return _merged(tactics), _merged(parts)

    def reply(self, sentence: str) -> dict[str, float]:
        """Which kind of sentence this is, for a coach to say; probabilities that add up to 1.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        kinds = self._chat.read(normalise(sentence).text)[0].texts("reply")
        return dict(zip(REPLY_KINDS, kinds.tolist(), strict=True))

    def closed(self, text: str) -> float:
        """How likely it is that a draft itself says that the other one wants no word from the writer, 0 to 1.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        return self._most("door", DOORS.index("closed"), text)

    def mixed(self, text: str) -> float:
        """How likely it is that a draft between parents speaks of the two of them beside the children, 0 to 1.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        return self._most("mixture", MIXTURES.index("mixed"), text)

    def _most(self, head: str, answer: int, text: str) -> float:
        """The probability of one answer of a head over drafts, in the piece of the text where it is highest."""
        return max(float(piece.texts(head)[answer]) for piece in self._draft.read(normalise(text).text))

    @staticmethod
    def _furthest(pieces: Sequence[Piece]) -> Piece:
        """The piece of a message that is furthest from innocent."""
        return max(pieces, key=lambda piece: float(piece.texts("chat")[2:].sum()))


def _runs(chances: Array, threshold: float) -> list[tuple[int, int, float]]:
    """Stretches of tokens that belong together: first, last, confidence."""
    runs: list[tuple[int, int, float]] = []
    low = threshold * LOW / 0.5
    position = 0
    while position < len(chances):
        if chances[position] < low:
            position += 1
            continue
        end = position
        while end + 1 < len(chances) and chances[end + 1 : end + 4].max() >= low:
            end += 1
        while chances[end] < low:
            end -= 1
        best = float(_strongest(chances[position : end + 1]))
        if best >= threshold:
            runs.append((position, end, best))
        position = end + 1
    return runs


def _strongest(chances: Array) -> Array:
    """The mean over the four tokens that are surest, along the first axis."""
    return np.asarray(np.sort(chances, axis=0)[-4:].mean(axis=0))


def _clauses(text: str, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The tokens with which sentences, clauses and lines begin, and the end; people who write no stops say "and"."""
    begun = [1]
    for at, ((_, end), (start, stop)) in enumerate(itertools.pairwise(offsets), start=1):
        stops = text[end - 1 : end] in ".!?;,…" and not _NO_STOP.search(text, 0, end + 1)
        if stops or "\n" in text[end:start] or text[start:stop].lower() in JOINING:
            begun.append(at)
    return [*begun, len(offsets) - 1]


def _whole(text: str, start: int, end: int) -> tuple[int, int]:
    """A stretch of a text, its ends moved out to those of the words."""
    while start > 0 and text[start - 1 : start + 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1 : end + 1].isalnum():
        end += 1
    return start, end


def _segments(piece: Piece, first: int, last: int, clauses: Sequence[int], text: str) -> list[tuple[int, int]]:
    """A stretch of tokens that carries something, its ends where people pause, cut where the tactic is another."""
    start = _snapped(first, [clause for clause in clauses if clause <= last])
    end = _snapped(last + 1, [clause for clause in clauses if clause > start])
    begun = [at for at in clauses if start < at < end and text[piece.offsets[at - 1][1] - 1] in ".!?…"]
    found: list[tuple[int, int]] = []
    names: list[int] = []
    for a, b in itertools.pairwise([start, *begun, end]):
        named = piece.span("named", a, b - 1)
        if found and (named.max() < SURE or named.argmax() == names[-1]):
            found[-1] = (found[-1][0], b - 1)
        else:
            found.append((a, b - 1))
            names.append(int(named.argmax()))
    return [(a, b) for a, b in found if b - a + 1 >= FEWEST or len(clauses) == 2]


def _snapped(at: int, clauses: Sequence[int]) -> int:
    """The beginning of a clause if one is near, else the place itself."""
    nearest = min(clauses, key=lambda clause: abs(clause - at), default=at)
    return nearest if abs(nearest - at) <= NEAR else at


def _peak(text: str, offsets: Sequence[tuple[int, int]], weight: Array) -> tuple[int, int]:
    """The sentence or line whose tokens weigh most on average."""
    best, found = -np.inf, (0, len(text))
    first = 0
    for last, (_, end) in enumerate(offsets):
        closing = last + 1 == len(offsets) or text[end - 1 : end] in ".!?\n" or "\n" in text[end : offsets[last + 1][0]]
        if closing:
            if last - first >= 2 and (mean := float(weight[first : last + 1].mean())) > best:
                best, found = mean, (offsets[first][0], end)
            first = last + 1
    return found


def _merged(spans: list[Span]) -> list[Span]:
    """Spans of the same tactic that touch, made one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.name, s.start)):
        last = merged[-1] if merged else None
        if last and last.name == span.name and span.start <= last.end + 2:
            surer = max(last, span, key=lambda s: s.confidence)
            merged[-1] = replace(surer, start=last.start, end=max(last.end, span.end))
        else:
            merged.append(span)
    return sorted(merged, key=lambda s: s.start)
