"""A sentence of the model in, a supported sentence with a true citation out, or nothing.

Small models invent. A sentence is shown only if it stands close in meaning to a sentence of the passages at
hand that says it in the same direction ("wait" is near to "do not wait", and its opposite), names no number that they
do not, and no time, person or place that neither they nor the person named, and was not said before, in other words
neither; it carries the number of the passage that it is closest to, whatever the model wrote. The first one must make
sense without a sentence before it, none speaks as "I", and none tells of a study, which a small model takes for advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from coach.coaching.compose import CITATION, plain
from coach.guide.chunk import sentences, tells_of_a_study, unquoted
from coach.guide.embed import Embedder, Vectors
from coach.types import Passage

__all__ = ["Grounding", "cited", "refuses"]

SUPPORT = 0.62  # cosine similarity; below it, sentences of the 1.5B model were more often wrong than right
SAME = 0.82  # cosine similarity of two sentences that say the same
SCRAP = 3  # words; shorter sentences are mostly leftovers of a label or a list
_NO = re.compile(
    r"n['’]t\b|\b(?:not|never|no|nobody|nothing|none|nor|neither|without|stop|avoid|refrain|leave out|instead of)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“][^\"“”]*[\"”]")
_ITS_OWN = re.compile(r"\b(?:I|I['’]\w+|me|my|mine)\b")  # what the guide lets somebody say, taken for the coach's words
_DANGLING = re.compile(r"\W*(?:It|This|That|These|Those|And|But|Or|So|Then|Each|Both|The (?:second|other|same))\b")
_STUTTER = re.compile(r"\b(\w+(?: \w+){3,})\b.*\b\1\b")  # four words in a row, twice in one sentence
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")  # a capital in the middle of a sentence
_CLAIMED = re.compile(  # who and when, of which a small model is sure without having been told
    r"\b(?:wi(?:fe|ves)|husband|(?:girl|boy)?friend|mother|father|mum|mom|dad|parent|sister|brother|son|daughter|child"
    r"|children|kid|baby|boss|colleague|neighbour|doctor|therapist|counsellor|lawyer|judge|police|priest|pastor"
    r"|minute|hour|day|week|month|year|weekend|tonight|today|tomorrow|morning|evening|night)s?\b",
    re.IGNORECASE,
)


def refuses(sentence: str) -> bool:
    """Whether a sentence speaks against something; two noes make a yes."""
    return len(_NO.findall(sentence)) % 2 == 1


def cited(sentence: str, number: int) -> str:
    """The sentence with a citation before its full stop, or after the quotation or bracket that it ends with."""
    if sentence.endswith(tuple("\"'”’)")):
        return f"{sentence} [{number}]"
    end = re.search(r"[.!?…]$", sentence)
    body, stop = (sentence[: end.start()], end[0]) if end else (sentence, ".")
    return f"{body} [{number}]{stop}"


class Grounding:
    """The passages that one answer may rest on. They are embedded when the first sentence is checked.

    Args:
        passages: With their numbers.
        embedder: The one that made the index.
        said: Sentences of earlier answers; what was said is not said again.
        told: What the person wrote.
        begun: The sentence that the answer begins with already; "" for none.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        embedder: Embedder,
        said: Iterable[str] = (),
        told: str = "",
        begun: str = "",
    ) -> None:
        self._embedder = embedder
        self._begun = begun
        self._said_there: dict[str, int] = {}  # the passages' own sentences, with quotations in them
        pairs = []
        for passage in passages:
            # What the guide quotes may be what one should not say: it supports nothing.
            parts = sentences(_QUOTED.sub("", f"{passage.takeaway} {passage.text}"))
            pairs += [(passage.number, part) for part in parts]
            self._said_there.update((plain(part), passage.number) for part in unquoted(passage.text))
        self._numbers = [number for number, _ in pairs]
        self._refusing = np.array([refuses(text) for _, text in pairs])
        self._texts = [text for _, text in pairs]
        self._said = {plain(sentence) for sentence in (*said, begun)}
        text = " ".join(f"{p.title} {p.takeaway} {p.text}" for p in passages)
        self._digits = set(_NUMBER.findall(text))
        self._named = _claims(f"{text} {told}")

    @cached_property
    def _vectors(self) -> Vectors:
        return self._embedder.encode(self._texts)

    @cached_property
    def _shown(self) -> Vectors:
        """Of the sentences of this answer."""
        return self._embedder.encode([CITATION.sub("", self._begun)] if self._begun else [])

    def check(self, sentence: str) -> str:
        """The sentence with its citation, or "" if it must not be shown."""
        words = CITATION.sub("", sentence).strip()
        key = plain(words)
        if not self._texts:
            return ""
        if len(key.split()) < SCRAP or key in self._said or not set(_NUMBER.findall(words)) <= self._digits:
            return ""
        if _ITS_OWN.search(_QUOTED.sub("", words)) or (not len(self._shown) and _DANGLING.match(words)):
            return ""
        if tells_of_a_study(words) or not _claims(words) <= self._named:
            return ""
        if _STUTTER.search(key) and key not in self._said_there:
            return ""
        vector = self._embedder.encode([words])[0]
        if (self._shown @ vector > SAME).any():
            return ""
        similarity = self._vectors @ vector
        similarity = np.where(self._refusing == refuses(words), similarity, 0.0)
        best = int(similarity.argmax())
        if similarity[best] < SUPPORT and key not in self._said_there:
            return ""
        self._said.add(key)
        self._shown = np.vstack([self._shown, vector])
        return cited(words, self._said_there.get(key, self._numbers[best]))


def _claims(text: str) -> set[str]:
    """The names, people and times in a text, in one form."""
    return {word.lower().rstrip("s") for word in (*_NAME.findall(text), *_CLAIMED.findall(text))}
