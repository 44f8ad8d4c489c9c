"""Guesses the next tokens of an answer from what was read before it: prompt lookup (Saxena 2023).

An answer about some notes repeats stretches of them. Where its last tokens stand in the prompt, what follows there is a
good guess, and a model checks several guessed tokens in hardly more time than it takes to write one.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Lookup"]

WORDS = (3, 2)  # tokens that must agree before a guess is made, the longer stretch first
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
