"""The detectors: a text in, what it asks for or does out, with the words that show it.

A small encoder, in two versions adapted to messages and to drafts, reads the text once. Heads on top of it say
what a message to the coach wants (classes and tactics), what kind of sentence the coach's model has written, which
words of a draft carry which tactic, and which show a part of an apology. They were trained by
`python -m scripts.train_signals` and know nothing of the conversation; what follows from what they find is decided
in `coach.guardrails.gates`.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coach.encoder import Array, Encoder
from coach.errors import ModelError
from coach.guardrails.normalise import Normalised, normalise

__all__ = ["CLASSES", "CRITERIA", "REPLY_KINDS", "Reading", "Signals", "Span"]

CLASSES = ("coach", "off_topic", "redirect", "self_harm", "violence_by_user", "violence_to_user", "legal_order")
CRITERIA = ("harm", "own", "impact", "remorse", "change", "free", "ask")
REPLY_KINDS = ("fine", "tactic", "flattery", "prediction", "diagnosis", "leak")

WINDOW = 200  # tokens read at once; longer texts are read in pieces that overlap
OVERLAP = 40
PART = 0.5  # probability of a part of an apology
LOW = 0.25  # share of a span's best probability that its words must have


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
    confidence: float


class Signals:
    """The detectors, loaded at the first use (0.2 s). Safe to share between threads.

    Args:
        folder: The encoder, all-MiniLM-L6-v2 as published.
        weights: The adapter and the heads, signals.npz.
        tactics: The ids that the heads were trained with, in order.
    """

    def __init__(self, folder: Path, weights: Path, tactics: Sequence[str]) -> None:
        self._folder = folder
        self._weights = weights
        self._tactics = tuple(tactics)
        self._encoders: dict[str, Encoder] = {}
        self._heads: dict[str, Array] = {}
        self._lock = threading.Lock()

    @property
    def available(self) -> bool:
        """Whether the encoder is there to be loaded."""
        return (self._folder / "model.safetensors").is_file() and self._weights.is_file()

    def chat(self, text: str) -> Reading:
        """Read a message to the coach. Of a long one, the part that is furthest from innocent counts.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        plain = normalise(text)
        readings = []
        for states, offsets in self._windows("chat", plain):
            both = np.concatenate([states.mean(axis=0), states.max(axis=0)])
            classes = _softmax(self._head("chat", both))
            tactics = _softmax(self._head("chat_tactics", both))
            weight = states @ self._heads["chat.weight"][int(classes[1:].argmax()) + 1, : states.shape[1]]
            start, end = plain.place(*_peak(plain.text, offsets, weight[: len(offsets)]))
            readings.append((float(classes[2:].sum()), classes, tactics, start, end))
        _, classes, tactics, start, end = max(readings, key=lambda reading: reading[0])
        return Reading(
            dict(zip(CLASSES, classes.tolist(), strict=True)),
            dict(zip(self._tactics, tactics.tolist(), strict=True)),
            start,
            end,
        )

    def draft(self, text: str, threshold: float) -> tuple[list[Span], list[Span]]:
        """The words of a draft that carry tactics, and those that show parts of an apology; in the text's order.

        Args:
            text: The draft.
            threshold: Probability that a span's strongest words must reach.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        plain = normalise(text)
        windows = self._windows("draft", plain)
        tactics = _strongest(self._spans(plain, windows, "draft", self._tactics, threshold))
        return tactics, self._spans(plain, windows, "criteria", CRITERIA, PART)

    def _spans(
        self,
        plain: Normalised,
        windows: Sequence[tuple[Array, Sequence[tuple[int, int]]]],
        head: str,
        names: Sequence[str],
        threshold: float,
    ) -> list[Span]:
        found: list[Span] = []
        for states, offsets in windows:
            chances = np.asarray(1 / (1 + np.exp(-self._head(head, states))), np.float32)
            for column, name in enumerate(names):
                for first, last, confidence in _runs(chances[:, column], threshold):
                    start, end = plain.place(offsets[first][0], offsets[last][1])
                    found.append(Span(name, start, end, confidence))
        return _merged(found)

    def reply(self, sentence: str) -> dict[str, float]:
        """Which kind of sentence this is, for a coach to say; probabilities that add up to 1.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        states, _ = self._windows("chat", normalise(sentence))[0]
        both = np.concatenate([states.mean(axis=0), states.max(axis=0)])
        return dict(zip(REPLY_KINDS, _softmax(self._head("reply", both)).tolist(), strict=True))

    def _windows(self, task: str, plain: Normalised) -> list[tuple[Array, list[tuple[int, int]]]]:
        """Token states and places in the text, window by window, without the markers at the ends."""
        encoder = self._loaded(task)
        (ids,), (offsets,) = encoder.tokens([plain.text])
        first, *inner, last = ids
        starts = range(0, max(1, len(inner) - OVERLAP), WINDOW - OVERLAP)
        windows = [[first, *inner[at : at + WINDOW], last] for at in starts]
        return [
            (states[1:-1] if len(states) > 2 else states, offsets[1 + at : 1 + at + WINDOW] or [(0, 0)] * len(states))
            for states, at in zip(encoder.states(windows), starts, strict=True)
        ]

    def _head(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self._heads[f"{name}.weight"].T + self._heads[f"{name}.bias"], np.float32)

    def _loaded(self, task: str) -> Encoder:
        with self._lock:
            if task not in self._encoders:
                try:
                    with np.load(self._weights) as stored:
                        arrays = {name: stored[name].astype(np.float32) for name in stored.files}
                except (OSError, ValueError) as error:
                    raise ModelError(
                        f"The guardrails' weights cannot be read: {error}.", hint="Restore prompts/guardrails."
                    ) from error
                self._heads = {name: array for name, array in arrays.items() if "/" not in name}
                changes = {n.split("/")[1]: array for n, array in arrays.items() if n.startswith(f"{task}/")}
                self._encoders[task] = Encoder(self._folder, changes, longest=4096)
            return self._encoders[task]


def _softmax(x: Array) -> Array:
    x = np.exp(x - x.max())
    return np.asarray(x / x.sum(), np.float32)


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
        best = float(np.sort(chances[position : end + 1])[-4:].mean())
        if best >= threshold:
            runs.append((position, end, best))
        position = end + 1
    return runs


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


def _strongest(spans: list[Span]) -> list[Span]:
    """The spans without those that lie mostly inside a likelier one: the same words rarely do two things."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: -s.confidence):
        covered = max((min(k.end, span.end) - max(k.start, span.start) for k in kept), default=0)
        if covered <= (span.end - span.start) / 2:
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)


def _merged(spans: list[Span]) -> list[Span]:
    """Spans of the same tactic that touch, made one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.name, s.start)):
        last = merged[-1] if merged else None
        if last and last.name == span.name and span.start <= last.end + 2:
            confidence = max(last.confidence, span.confidence)
            merged[-1] = Span(span.name, last.start, max(last.end, span.end), confidence)
        else:
            merged.append(span)
    return sorted(merged, key=lambda s: s.start)
