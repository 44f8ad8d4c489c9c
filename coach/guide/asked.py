"""How the guide is asked for: a person's message in, how likely each section and case of it is the answer out.

What somebody did decides, and not the cake, the car or the mother that it happened to. Sentence vectors see the cake.
So the encoder is changed a little (a low-rank adapter) and given a head, trained with the messages of asked.tsv:
see scripts/train_asked.py. Beside it lie those messages as this encoder sees them, and the nearest have their say.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coach.encoder import Array, Encoder, pooled
from coach.errors import ModelError

__all__ = ["NONE", "Asked", "Reading"]

NONE = "none"  # the section of messages that no guide of this kind answers
NEAREST = 5  # messages of a case by which its nearness is measured
W_NEAR = 20.0  # of that nearness (a mean cosine) beside the head's scores; chosen on the development questions
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
    messages: Array  # (messages, width), of unit length, those of a cell together
    starts: list[int]  # where those of each cell begin, and the end


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
        self._loaded: _Weights | None = None

    def read(self, message: str) -> Reading:
        """What the guide is asked for in a message.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        with self._lock:
            weights = self._loaded = self._loaded or self._load()
        (states,) = weights.encoder.states(weights.encoder.tokens([_MARKUP.sub(" ", message)])[0])
        found = weights.head @ pooled(states) + weights.bias + W_NEAR * _nearness(weights, states.mean(axis=0))
        found -= np.log(np.exp(found - found.max()).sum()) + found.max()
        by_section: dict[str, dict[str, float]] = {}
        for (section, case), score in zip(weights.cells, found.tolist(), strict=True):
            by_section.setdefault(section, {})[case] = score
        foreign = by_section.pop(NONE, {"": -math.inf})
        return Reading(by_section, math.exp(foreign[""]))

    def _load(self) -> _Weights:
        with self._stored() as stored:
            cells = [(section, case) for section, _, case in (n.partition("\t") for n in stored["cells"].tolist())]
            adapter = {name: stored[name].astype(np.float32) for name in stored.files if name.startswith("encoder.")}
            messages, cell = stored["messages"].astype(np.float32), stored["messages.cell"]
            head, bias = stored["cell.head"], stored["cell.bias"]
        messages /= np.linalg.norm(messages, axis=1, keepdims=True)
        starts = np.searchsorted(cell, np.arange(len(cells) + 1)).tolist()
        return _Weights(Encoder(self._folder, adapter), head, bias, cells, messages, starts)

    @contextlib.contextmanager
    def _stored(self) -> Iterator[Any]:
        try:
            with np.load(self._weights) as stored:
                yield stored
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The guide's weights cannot be read: {error}.", hint=f"Restore {self._weights.name} in corpus."
            ) from error


def _nearness(weights: _Weights, vector: Array) -> Array:
    """How near a message is to those of each cell, shape (cells,); where there are none, the mean of the others."""
    similarity = weights.messages @ (vector / np.linalg.norm(vector))
    places = itertools.pairwise(weights.starts)
    near = np.array([np.sort(similarity[a:b])[-NEAREST:].mean() if a < b else np.nan for a, b in places], np.float32)
    near[np.isnan(near)] = np.nanmean(near)
    return near
