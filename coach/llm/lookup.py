"""Guesses the next tokens of an answer from what was read before it: prompt lookup (Saxena 2023).

An answer about some notes repeats stretches of them. Where its last tokens stand in the prompt, what follows there is a
good guess. Some machines check several guessed tokens in hardly more time than they take to write one, others need
nearly as long as to write them all: what pays is measured while it runs.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Lookup", "Pace"]

WORDS = (3, 2)  # tokens that must agree before a guess is made, the longer stretch first
KEPT = 0.95  # of what a pace was measured from, at each step
PROBE = 24  # steps after which guessing is tried again where it did not pay
LEAST, MOST = 3, 12  # tokens of a guess: more while guesses are right, few after a wrong one


class Lookup:
    """The tokens of a prompt and of the answer so far.

    Args:
        tokens: The prompt.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}  # where a stretch was last followed by something
        self._size = LEAST
        for token in tokens:
            self.add(token)

    def add(self, token: int) -> None:
        """A further token of the text."""
        at = len(self._tokens)
        for words in WORDS:
            if at >= words:
                self._after[tuple(self._tokens[-words:])] = at
        self._tokens.append(token)

    def guess(self) -> list[int]:
        """The tokens that may come next, at most `MOST`; none where nothing like it was read."""
        for words in WORDS:
            at = self._after.get(tuple(self._tokens[-words:]))
            if at is not None:
                return self._tokens[at : at + self._size]
        return []

    def learn(self, right: int, guessed: int) -> None:
        """How many tokens of the last guess were right."""
        if guessed:
            self._size = min(MOST, self._size * 2) if right == guessed else LEAST


class Pace:
    """How many tokens a second come with guesses and without."""

    def __init__(self) -> None:
        self._tokens = {True: 0.0, False: 0.0}
        self._seconds = {True: 0.0, False: 0.0}
        self._steps = 0

    def note(self, tokens: int, seconds: float, *, guessed: bool) -> None:
        """A step that gave so many tokens."""
        self._tokens[guessed] = KEPT * self._tokens[guessed] + tokens
        self._seconds[guessed] = KEPT * self._seconds[guessed] + seconds

    def pays(self) -> bool:
        """Whether the next step should guess: where that was as quick, or was not tried for a while."""
        self._steps += 1
        alone, together = (self._tokens[way] * self._seconds[not way] for way in (False, True))
        return together >= alone or self._steps % PROBE == 0
