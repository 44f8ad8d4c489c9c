"""How the guide's sections are asked for: a person's message in, how well each section fits it out.

What somebody did decides, and not the cake, the car or the mother that it happened to. Sentence vectors see the cake.
So the encoder is changed a little (a low-rank adapter) and given a head, trained with the messages of asked.tsv:
see scripts/train_asked.py.
"""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coach.encoder import Array, Encoder, pooled
from coach.errors import ModelError

__all__ = ["Asked"]


class Asked:
    """The trained reader, loaded at the first use (0.2 s). Safe to share between threads.

    Args:
        folder: The encoder, all-MiniLM-L6-v2 as published.
        weights: The adapter, the head and the names of its sections, asked.npz.
    """

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder = folder
        self._weights = weights
        self._lock = threading.Lock()
        self._loaded: tuple[Encoder, Array, Array, list[str]] | None = None

    def scores(self, message: str, sections: Sequence[str]) -> Array:
        """How well each section fits a message, shape (sections,): log-likelihoods but for a constant.

        A section that the reader was not trained with gets the mean of the others, which says nothing about it.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        with self._lock:
            encoder, head, bias, names = self._loaded = self._loaded or self._load()
        (states,) = encoder.states(encoder.tokens([message])[0])
        found = head @ pooled(states) + bias
        known = {name: float(score) for name, score in zip(names, found, strict=True)}
        return np.array([known.get(section, float(found.mean())) for section in sections], np.float32)

    def _load(self) -> tuple[Encoder, Array, Array, list[str]]:
        try:
            with np.load(self._weights) as stored:
                names = stored["names"].tolist()
                arrays = {name: stored[name].astype(np.float32) for name in stored.files if name != "names"}
            head, bias = arrays.pop("section.head"), arrays.pop("section.bias")
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The guide's weights cannot be read: {error}.", hint=f"Restore {self._weights.name} in corpus."
            ) from error
        return Encoder(self._folder, arrays), head, bias, names
