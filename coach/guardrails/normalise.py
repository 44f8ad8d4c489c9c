"""A text as a reader hears it: look-alike letters, hidden characters and letter games undone.

Every character of the result knows where it came from, so that spans point into the text as it was given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Normalised", "normalise"]

# Letters of other scripts, and signs, that are drawn like Latin ones (from Unicode's confusables, UTS 39).
_ALIKE = dict(
    zip(
        "аеорсухіјѕԁһкмтвнгьАВЕКМНОРСТУХІЈЅΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυωɑɡıⅼ＠",
        "aeopcyxijsdhkmtbhrbABEKMHOPCTYXIJSABEZHIKMNOPTYXaiknoptuwagil@",
        strict=True,
    )
)
_ALIKE_SIGNS = {"\t": " ", "\r": " ", "’": "'", "‘": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"'}
_LEET = {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*]){3,}[^\W\d_](?!\w)")
_SPACED_OUT = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-_*])+[^\W\d_](?!\w)")  # where most words are written so
_LEETED = re.compile(r"(?<![\w$@!])(?=[\w$@!]*[A-Za-z]{2})(?=[\w$@!]*[A-Za-z][013457@$!][A-Za-z])[\w$@!]*[\w](?!\w)")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_LATIN_WORD = re.compile(r"\w*[A-Za-z]\w*")


@dataclass(frozen=True, slots=True)
class Normalised:
    """The text to read, and for each of its characters the place it came from."""

    text: str
    origin: tuple[int, ...]
    length: int  # of the text as given

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where text[start:end] stands in the text as given."""
        if start >= end or not self.origin:
            return 0, self.length
        last = self.origin[min(end, len(self.origin)) - 1]
        return self.origin[start], last + 1


@lru_cache(maxsize=32)  # each list of patterns asks for it
def normalise(text: str) -> Normalised:
    """Undo what makes words look other than they read."""
    characters: list[tuple[str, int]] = []
    for at, raw in enumerate(text):
        for character in unicodedata.normalize("NFKC", _ALIKE_SIGNS.get(raw, raw)):
            if unicodedata.category(character) not in ("Cf", "Cc", "Mn") or character == "\n":
                characters.append((character, at))
    characters = _unmask(characters)
    words = "".join(c for c, _ in characters).split()
    apart = sum(len(word) == 1 and word.isalpha() for word in words) > max(6, len(words) / 2)
    characters = _drop(characters, _SPACED_OUT if apart else _SPACED, lambda _, letter: letter.isalpha())
    if apart:  # the words stand two spaces apart
        text = "".join(c for c, _ in characters)
        characters = [pair for at, pair in enumerate(characters) if text[max(0, at - 1) : at + 1] != "  "]
    characters = _drop(characters, _REPEATED, lambda at, _: at < 2)
    characters = _unleet(characters)
    return Normalised("".join(c for c, _ in characters), tuple(at for _, at in characters), len(text))


def _unmask(characters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Look-alike letters inside words that also hold Latin ones; a word in Russian stays Russian."""
    text = "".join(c for c, _ in characters)
    found = list(characters)
    for word in _LATIN_WORD.finditer(text):
        for at in range(word.start(), word.end()):
            found[at] = (_ALIKE.get(text[at], text[at]), characters[at][1])
    return found


def _drop(
    characters: list[tuple[str, int]], pattern: re.Pattern[str], kept: Callable[[int, str], bool]
) -> list[tuple[str, int]]:
    """Without what a pattern matches, but for what is `kept`, by its place in the match and the character."""
    text = "".join(c for c, _ in characters)
    gone = {at for m in pattern.finditer(text) for at in range(*m.span()) if not kept(at - m.start(), text[at])}
    return [pair for at, pair in enumerate(characters) if at not in gone]


def _unleet(characters: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Digits and signs between letters of a word read as letters: "bl0ck"."""
    text = "".join(c for c, _ in characters)
    found = list(characters)
    for word in _LEETED.finditer(text):
        for at in range(word.start(), word.end()):
            found[at] = (_LEET.get(text[at], text[at]), characters[at][1])
    return found
