"""A trained reader: an encoder with an adapter and heads, which say what they were taught to hear in a text.

Several parts of the program ask the same reader about the same text; what it made of the last few is kept.
"""

from __future__ import annotations

import threading
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coach.encoder import Array, Encoder, pooled
from coach.errors import ModelError
from coach.quantised import Quantised

__all__ = ["Piece", "Reader", "softmax"]

REMEMBERED = 8  # texts
WINDOW = 400  # tokens read at once, of the 510 that the encoders can; longer texts are read in pieces that overlap
OVERLAP = 40
LONGEST = 4096  # tokens of a text


class Reader:
    """Reads texts, piece by piece where they are long. Loaded at the first use (0.3 s); safe to share between threads.

    Args:
        kind: The encoder.
        folder: Its folder.
        weights: A file of arrays: the adapter as `coach.encoder.Encoder` takes it, and for each head `name.head`
            (answers, states) and `name.bias` (answers,).
        task: Of the several readers in the file, that whose arrays are called `task/...`.
    """

    def __init__(self, kind: type[Encoder] | type[Quantised], folder: Path, weights: Path, task: str = "") -> None:
        self._kind = kind
        self._folder = folder
        self._file = weights
        self._prefix = f"{task}/" if task else ""
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None
        self.read = lru_cache(REMEMBERED)(self._read)

    def names(self, head: str) -> list[str]:
        """What the answers of a head are called, where the file says so in `head.names`.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        return list(map(str, self._load().arrays[f"{head}.names"].tolist()))

    def _read(self, text: str) -> list[Piece]:
        """What it makes of a text, at least one piece.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        encoder, arrays = self._load()
        (ids,), (offsets,) = encoder.tokens([text])
        first, *inner, last = ids
        starts = range(0, max(1, len(inner) - OVERLAP), WINDOW - OVERLAP)
        pieces = [[first, *inner[at : at + WINDOW], last] for at in starts]
        places = [
            [(0, 0), *offsets[1 + at : len(piece) - 1 + at], (0, 0)] for piece, at in zip(pieces, starts, strict=True)
        ]
        return [Piece(arrays, *found) for found in zip(encoder.states(pieces), places, strict=True)]

    def _load(self) -> _Loaded:
        with self._lock:
            if self._loaded is None:
                try:
                    with np.load(self._file) as stored:
                        mine = [name for name in stored.files if name.startswith(self._prefix)]
                        arrays = {name.removeprefix(self._prefix): stored[name] for name in mine}
                except (OSError, ValueError, zipfile.BadZipFile) as error:
                    raise ModelError(
                        f"The weights in {self._file.name} cannot be read: {error}.",
                        hint=f"Restore that file in {self._file.parent.name}.",
                    ) from error
                adapter = {name: a.astype(np.float32) for name, a in arrays.items() if name.startswith("encoder.")}
                heads = {name: a for name, a in arrays.items() if name not in adapter}
                self._loaded = _Loaded(self._kind(self._folder, adapter, longest=LONGEST), heads)
            return self._loaded


class _Loaded(NamedTuple):
    encoder: Encoder | Quantised
    arrays: dict[str, Array]  # of the heads, by name


class Piece:
    """A piece of a text as a reader sees it: token states, those of the two markers too, and their places."""

    def __init__(self, heads: dict[str, Array], states: Array, offsets: list[tuple[int, int]]) -> None:
        self._heads = heads
        self._states = states
        self.offsets = offsets

    def scores(self, head: str, first: int = 0, last: int | None = None) -> Array:
        """What a head gives each of its answers, for the tokens from first to last as a whole."""
        last = len(self._states) - 1 if last is None else last
        found: Array = self._heads[f"{head}.head"] @ pooled(self._states[first : last + 1])
        return found + self._heads[f"{head}.bias"]

    def likelihoods(self, head: str) -> Array:
        """The logarithms of the probabilities for the piece as a whole."""
        scores = self.scores(head)
        return np.asarray(scores - np.logaddexp.reduce(scores), np.float32)

    def texts(self, head: str) -> Array:
        """Probabilities for the piece as a whole."""
        return softmax(self.scores(head))

    def span(self, head: str, first: int, last: int) -> Array:
        """Probabilities for the tokens from first to last as a whole."""
        return softmax(self.scores(head, first, last))

    def words(self, head: str) -> Array:
        """Probabilities for each token, shape (tokens, names); none for the markers."""
        found = 1 / (1 + np.exp(-(self._states @ self._heads[f"{head}.head"].T + self._heads[f"{head}.bias"])))
        found[[0, -1]] = 0
        return np.asarray(found, np.float32)

    def weight(self, head: str, column: int) -> Array:
        """How much each token speaks for one answer of a head, shape (tokens,)."""
        weights = self._heads[f"{head}.head"][column, : self._states.shape[1]]
        return np.asarray(self._states @ weights, np.float32)


def softmax(x: Array) -> Array:
    """Scores as probabilities that add up to 1."""
    x = np.exp(x - x.max())
    return np.asarray(x / x.sum(), np.float32)
