"""How the guide is asked for: a person's message in, how likely each section and case of it is the answer out.

What somebody did decides, and not the cake, the car or the mother that it happened to. Sentence vectors see the cake.
So a larger encoder is changed a little (a low-rank adapter) and given a head, trained with the messages of asked.tsv:
see scripts/train_asked.py.
"""

from __future__ import annotations

import math
import re
import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coach.encoder import Array, Encoder, pooled
from coach.errors import ModelError

__all__ = ["NONE", "Asked", "Reading"]

NONE = "none"  # the section of messages that no guide of this kind answers
SHARPER = 1.5  # times the head's scores: what it says with 0.5 is then right in half, on the development questions
_MARKUP = re.compile(r"[{}<>|\[\]\\]")  # looks like program code, which is about something else


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


class _Weights(NamedTuple):
    """What asked.npz holds."""

    encoder: Encoder
    head: Array  # (cells, 2 x width)
    bias: Array  # (cells,)
    cells: list[tuple[str, str]]  # section and case of each answer of the head


class Asked:
    """The trained reader, loaded at the first use (0.2 s). Safe to share between threads.

    Args:
        folder: The encoder, all-mpnet-base-v2 as published.
        weights: The adapter, the head and what it tells apart, asked.npz.
    """

    def __init__(self, folder: Path, weights: Path) -> None:
        self._folder = folder
        self._weights = weights
        self._lock = threading.Lock()
        self._loaded: _Weights | None = None

    def read(self, message: str) -> Reading:
        """What the guide is asked for in a message.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        with self._lock:
            weights = self._loaded = self._loaded or self._load()
        (states,) = weights.encoder.states(weights.encoder.tokens([_MARKUP.sub(" ", message)])[0])
        found = SHARPER * (weights.head @ pooled(states) + weights.bias)
        found -= np.log(np.exp(found - found.max()).sum()) + found.max()
        by_section: dict[str, dict[str, float]] = {}
        for (section, case), score in zip(weights.cells, found.tolist(), strict=True):
            by_section.setdefault(section, {})[case] = score
        foreign = by_section.pop(NONE, {"": -math.inf})
        return Reading(by_section, math.exp(foreign[""]))

    def _load(self) -> _Weights:
        try:
            with np.load(self._weights) as stored:
                cells = [(section, case) for section, _, case in (n.partition("\t") for n in stored["cells"].tolist())]
                adapter = {n: stored[n].astype(np.float32) for n in stored.files if n.startswith("encoder.")}
                head, bias = stored["cell.head"], stored["cell.bias"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The guide's weights cannot be read: {error}.", hint=f"Restore {self._weights.name} in corpus."
            ) from error
        return _Weights(Encoder(self._folder, adapter), head, bias, cells)
