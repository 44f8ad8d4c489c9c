"""Guesses the next tokens of an answer from what was read before it: prompt lookup (Saxena 2023).

An answer about some notes repeats stretches of them. Where its last tokens stand in the prompt, what follows there is a
good guess. Some machines check several guessed tokens in hardly more time than they take to write one, others need
nearly as long as to write them all: what pays is measured while it runs.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

__all__ = ["Ahead", "Lookup", "Pace"]

WORDS = (3, 2)  # tokens that must agree before a guess is made, the longer stretch first
KEPT = 0.95  # of what a pace was measured from, at each step
PROBE, RARELY = 16, 512  # guesses left out before one is tried again: the first time, and at most
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
    """How many tokens a second come with guesses and without.

    Where guessing does not pay it is tried again after a while, each time after twice as long: a wrong guess costs what
    three tokens do.
    """

    def __init__(self) -> None:
        self._tokens = {True: 0.0, False: 0.0}
        self._seconds = {True: 0.0, False: 0.0}
        self._left_out, self._pause = 0, PROBE

    def note(self, tokens: int, seconds: float, *, guessed: bool) -> None:
        """A step that gave so many tokens."""
        self._tokens[guessed] = KEPT * self._tokens[guessed] + tokens
        self._seconds[guessed] = KEPT * self._seconds[guessed] + seconds

    def pays(self) -> bool:
        """Whether a guess that is at hand should be checked: where that was as quick, or was not tried for a while."""
        alone, together = (self._tokens[way] * self._seconds[not way] for way in (False, True))
        if together >= alone:
            self._left_out, self._pause = 0, PROBE
            return True
        self._left_out += 1
        if self._left_out < self._pause:
            return False
        self._left_out, self._pause = 0, min(2 * self._pause, RARELY)
        return True


class Ahead:
    """An answer while it is written, with the tokens that were checked ahead of it.

    Args:
        prompt: Its tokens.
        pace: What guessing costs here; None where the model cannot take a wrong guess back.
    """

    def __init__(self, prompt: Sequence[int], pace: Pace | None) -> None:
        self._lookup = Lookup(prompt)
        self._pace = pace
        self._guess: list[int] = []
        self._seconds = 0.0  # that the last step took
        self.at = -1  # whose scores the next token is drawn from: the last one's, or those after that much of the guess

    def holds(self, token: int) -> bool:
        """Take the token that was drawn; whether it was guessed, so that the scores after it are there already."""
        self._lookup.add(token)
        right = self.at >= 0 and self._guess[self.at : self.at + 1] == [token]
        self.at += right
        return right

    @property
    def wrong(self) -> int:
        """Guessed tokens, the last ones checked, that the answer does not go on with."""
        return len(self._guess) - max(self.at, 0)

    @contextlib.contextmanager
    def step(self) -> Iterator[list[int]]:
        """A guess to be checked in one step with the last token; what it takes is measured."""
        if self._seconds and self._pace:
            self._lookup.learn(self.at, len(self._guess))
            self._pace.note(1 + self.at, self._seconds, guessed=bool(self._guess))
        self._guess, self.at = self._lookup.guess() if self._pace else [], 0
        if self._pace and self._guess and not self._pace.pays():
            self._guess = []
        started = time.perf_counter()
        yield self._guess
        self._seconds = time.perf_counter() - started
