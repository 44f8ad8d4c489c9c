"""The detectors: a text in, what it asks for or does out, with the words that show it.

One small encoder reads the text once. Heads on top of it say what a message to the coach wants (classes and
tactics), which words of a draft carry which tactic, and what kind of sentence the coach's model has written.
They were trained by `python -m scripts.train_signals` and know nothing of the conversation: `coach.guardrails.gates` decides.
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

__all__ = ["CLASSES", "REPLY_KINDS", "Reading", "Signals", "Span"]

CLASSES = ("coach", "off_topic", "redirect", "self_harm", "violence_by_user", "violence_to_user", "legal_order")
REPLY_KINDS = ("fine", "tactic", "flattery", "prediction", "diagnosis", "leak")

WINDOW = 200  # tokens read at once; longer texts are read in pieces that overlap
OVERLAP = 40
LOW = 0.35  # share of a span's best probability that its words must have


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message to the coach wants. Probabilities, each group adding up to 1."""

    classes: dict[str, float]
    tactics: dict[str, float]  # which tactic it is about, if it is about one
    start: int  # the words that weigh most, in characters of the text as given
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """Words that carry a tactic."""

    tactic: str
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
        self._encoder: Encoder | None = None
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
        for states, offsets in self._windows(plain):
            both = np.concatenate([states.mean(axis=0), states.max(axis=0)])
            classes = _softmax(self._head("chat", both))
            tactics = _softmax(self._head("chat_tactics", both))
            weight = states @ self._heads["chat.weight"][int(classes[1:].argmax()) + 1, : states.shape[1]]
            start, end = plain.place(*_peak(plain.text, offsets, weight))
            readings.append((float(classes[2:].sum()), classes, tactics, start, end))
        _, classes, tactics, start, end = max(readings, key=lambda reading: reading[0])
        return Reading(
            dict(zip(CLASSES, classes.tolist(), strict=True)),
            dict(zip(self._tactics, tactics.tolist(), strict=True)),
            start,
            end,
        )

    def draft(self, text: str, threshold: float) -> list[Span]:
        """The words of a draft that carry tactics, in the order of the text.

        Args:
            text: The draft.
            threshold: Probability that a span's strongest words must reach.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        plain = normalise(text)
        found: list[Span] = []
        for states, offsets in self._windows(plain):
            chances = 1 / (1 + np.exp(-self._head("draft", states)))
            for column, tactic in enumerate(self._tactics):
                for first, last, confidence in _runs(chances[:, column], threshold):
                    start, end = plain.place(offsets[first][0], offsets[last][1])
                    found.append(Span(tactic, start, end, confidence))
        return _merged(found)

    def reply(self, sentence: str) -> dict[str, float]:
        """Which kind of sentence this is, for a coach to say; probabilities that add up to 1.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        states, _ = self._windows(normalise(sentence))[0]
        both = np.concatenate([states.mean(axis=0), states.max(axis=0)])
        return dict(zip(REPLY_KINDS, _softmax(self._head("reply", both)).tolist(), strict=True))

    def _windows(self, plain: Normalised) -> list[tuple[Array, list[tuple[int, int]]]]:
        """Token states and places in the text, window by window, without the markers at the ends."""
        encoder = self._loaded()
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

    def _loaded(self) -> Encoder:
        with self._lock:
            if self._encoder is None:
                try:
                    with np.load(self._weights) as stored:
                        arrays = {name: stored[name].astype(np.float32) for name in stored.files}
                except (OSError, ValueError) as error:
                    raise ModelError(
                        f"The guardrails' weights cannot be read: {error}.", hint="Restore prompts/guardrails."
                    ) from error
                self._heads = {name: array for name, array in arrays.items() if not name.startswith("encoder.")}
                adapter = {name: array for name, array in arrays.items() if name.startswith("encoder.")}
                self._encoder = Encoder(self._folder, adapter, longest=4096)
            return self._encoder


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
            mean = float(weight[first : last + 1].mean())
            if mean > best and last - first >= 2:
                best, found = mean, (offsets[first][0], end)
            first = last + 1
    return found


def _merged(spans: list[Span]) -> list[Span]:
    """Spans of the same tactic that touch, made one."""
    merged: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.tactic, s.start)):
        last = merged[-1] if merged else None
        if last and last.tactic == span.tactic and span.start <= last.end + 2:
            confidence = max(last.confidence, span.confidence)
            merged[-1] = Span(span.tactic, last.start, max(last.end, span.end), confidence)
        else:
            merged.append(span)
    return sorted(merged, key=lambda s: s.start)
