"""How the guide is asked for: a person's message in, how likely each section and case of it is the answer out.

What somebody did decides, and not the cake, the car or the mother that it happened to. Sentence vectors see the cake.
So the encoder is changed a little (a low-rank adapter) and given a head, trained with the messages of asked.tsv:
see scripts/train_asked.py. Beside it lie the sentence vectors of those messages, for the nearest to have their say.
"""

from __future__ import annotations

import contextlib
import math
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from coach.encoder import Array, Encoder, pooled
from coach.errors import ModelError

__all__ = ["NONE", "Asked", "Reading"]

NONE = "none"  # the section of messages that no guide of this kind answers


@dataclass(frozen=True, slots=True)
class Reading:
    """How likely each section and case is the answer to a message: log-likelihoods by section, then by case."""

    cells: Mapping[str, Mapping[str, float]]  # "" for none of the section's cases
    foreign: float = 0.0  # how likely it is that no guide of this kind answers it, 0 to 1

    def sections(self, names: Sequence[str]) -> list[float]:
        """The log-likelihood of each section; for one that is unknown the mean of the others, which says nothing."""
        known = {name: float(np.logaddexp.reduce(list(cases.values()))) for name, cases in self.cells.items()}
        return [known.get(name, sum(known.values()) / len(known)) for name in names]

    def case(self, section: str, case: str) -> float:
        """The log-likelihood of a case of a section, "" for none; of an unknown one that of the least likely."""
        cases = self.cells.get(section, {})
        return cases.get(case, min(cases.values(), default=0.0))


class Asked:
    """The trained reader, loaded at the first use (0.2 s). Safe to share between threads.

    Args:
        folder: The encoder, all-MiniLM-L6-v2 as published.
        weights: The adapter, the head and what it tells apart, and the messages' vectors, asked.npz.
    """

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder = folder
        self._weights = weights
        self._lock = threading.Lock()
        self._loaded: tuple[Encoder, Array, Array, list[tuple[str, str]]] | None = None

    def read(self, message: str) -> Reading:
        """What the guide is asked for in a message.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        with self._lock:
            encoder, head, bias, cells = self._loaded = self._loaded or self._load()
        (states,) = encoder.states(encoder.tokens([message])[0])
        found = head @ pooled(states) + bias
        found -= np.log(np.exp(found - found.max()).sum()) + found.max()
        by_section: dict[str, dict[str, float]] = {}
        for (section, case), score in zip(cells, found.tolist(), strict=True):
            by_section.setdefault(section, {})[case] = score
        foreign = by_section.pop(NONE, {"": -math.inf})
        return Reading(by_section, math.exp(foreign[""]))

    def messages(self) -> dict[str, Array]:
        """The vectors of people's messages by section, each of shape (messages, 384) and of unit length.

        Raises:
            ModelError: The weights are missing or damaged.
        """
        with self._stored() as stored:
            vectors = stored["messages"].astype(np.float32)
            sections = stored["messages.section"]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return {str(name): vectors[sections == name] for name in dict.fromkeys(sections.tolist())}

    def _load(self) -> tuple[Encoder, Array, Array, list[tuple[str, str]]]:
        with self._stored() as stored:
            cells = [(section, case) for section, _, case in (n.partition("\t") for n in stored["cells"].tolist())]
            head, bias = stored["cell.head"], stored["cell.bias"]
            adapter = {name: stored[name].astype(np.float32) for name in stored.files if name.startswith("encoder.")}
        return Encoder(self._folder, adapter), head, bias, cells

    @contextlib.contextmanager
    def _stored(self) -> Iterator[Any]:
        try:
            with np.load(self._weights) as stored:
                yield stored
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The guide's weights cannot be read: {error}.", hint=f"Restore {self._weights.name} in corpus."
            ) from error
