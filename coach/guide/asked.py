"""How the guide is asked for: a person's message in, how likely each section and case of it is the answer out.

What somebody did decides, and not the cake, the car or the mother that it happened to. Sentence vectors see the cake.
So a larger encoder is changed a little (a low-rank adapter) and given a head, trained with the messages of asked.tsv:
see scripts/train_reader.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from coach.reader import Reader

__all__ = ["NONE", "Asked", "Reading"]

NONE = "none"  # the section of messages that no guide of this kind answers
SHARPER = 1.35  # times the head's scores: what it says with 0.5 is then right in half, on the development questions
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


class Asked:
    """Hears what the guide is asked for.

    Args:
        reader: Has a head "cell" with an answer for each case of a section, and for none of its cases.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def read(self, message: str) -> Reading:
        """What the guide is asked for in a message; of a very long one, in its beginning.

        Raises:
            ModelError: The encoder or the weights are missing or damaged.
        """
        piece = self._reader.read(_MARKUP.sub(" ", message))[0]
        found = SHARPER * piece.scores("cell")
        found -= np.logaddexp.reduce(found)
        by_section: dict[str, dict[str, float]] = {}
        for name, score in zip(self._reader.names("cell"), found.tolist(), strict=True):
            section, _, case = name.partition("\t")
            by_section.setdefault(section, {})[case] = score
        foreign = by_section.pop(NONE, {"": -math.inf})
        return Reading(by_section, math.exp(foreign[""]))
