"""The same labelled example, told otherwise each time that it is learnt from.

Among things that people tell besides, joined with a harmless text, without its punctuation, with slips of the keys,
with "she" for "he": what an example means stays what it was.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks.labelled import Chat, Draft, Mark, Sentence, among
from coach.types import Contact

__all__ = ["Retelling", "told_besides"]

EVERYDAY = 0.2  # share of the plain innocent messages in whose place comes a question made of parts
ASIDES = 0.5  # share of the messages that are told among other things
HOW_MANY = (1, 1, 2, 3, 4, 6)  # such things in a message
ENOUGH = 600  # characters; a longer message has things of its own besides, and would be cut off
JOINED = 0.2  # share of the texts that get another, harmless one before or after them


def told_besides(text: str, asides: Sequence[str], chance: random.Random) -> str:
    """A message among things that people tell besides, every other time, else ""."""
    return among(text, asides, chance, HOW_MANY) if len(text) < ENOUGH and chance.random() < ASIDES else ""


class Retelling:
    """Tells examples otherwise.

    Args:
        chance: What decides how.
        parts: The parts of everyday questions, plain.yaml.
        plain: Harmless messages to join others with.
        ready: Good drafts to join others with, by how things stand.
        asides: What people tell besides, asides.txt.
    """

    def __init__(
        self,
        chance: random.Random,
        parts: dict[str, list[str]],
        plain: Sequence[str],
        ready: Mapping[Contact, Sequence[str]],
        asides: Sequence[str],
    ) -> None:
        self._chance = chance
        self._parts = parts
        self._plain = plain
        self._ready = ready
        self._asides = asides

    def message(self, example: Chat) -> Chat:
        """A message to the coach."""
        example = self._asked(example)
        text = told_besides(example.text, self._asides, self._chance) or self._joined(example)
        return replace(example, text=self._roughened(self._renamed(text)))

    def draft(self, example: Draft) -> Draft:
        """A draft; its marks move with its words."""
        return self.unpointed(self._lengthened(example))

    def sentence(self, example: Sentence) -> Sentence:
        """A sentence of a coach's answer."""
        return replace(example, text=self._renamed(example.text))

    def _asked(self, example: Chat) -> Chat:
        """A plain innocent example, at times replaced by an everyday question put together from its parts."""
        if example.action != "coach" or example.how != "plain" or self._chance.random() > EVERYDAY:
            return example
        who, when, ask, deed, end = (self._chance.choice(self._parts[p]) for p in ("who", "when", "ask", "deed", "end"))
        text = f"{ask} {who} {when}" if self._chance.random() < 0.6 else f"{deed}. {end}"
        if self._chance.random() < 0.3:
            text = f"{deed}{self._chance.choice(['. ', ', ', ' and now '])}{ask} {who}"
        return replace(example, text=text.strip())

    def _joined(self, example: Chat) -> str:
        """A message with a harmless one before or after it, at times; what it wants stays what it was."""
        if self._chance.random() > JOINED or example.action == "off_topic" or len(example.text) > 400:
            return example.text
        parts = [example.text, self._chance.choice(self._plain)]
        self._chance.shuffle(parts)
        return self._chance.choice([" ", "\n", ". "]).join(parts)

    def _lengthened(self, draft: Draft) -> Draft:
        """A draft with a good one before or after it, at times."""
        if self._chance.random() > JOINED or len(draft.text) > 400 or draft.contact not in self._ready:
            return draft
        other = self._chance.choice(self._ready[draft.contact])
        if self._chance.random() < 0.5:
            return replace(draft, text=f"{draft.text} {other}")
        moved = tuple(Mark(m.tactics, m.start + len(other) + 1, m.end + len(other) + 1) for m in draft.marks)
        return replace(draft, text=f"{other} {draft.text}", marks=moved)

    def unpointed(self, draft: Draft) -> Draft:
        """A draft without its punctuation, at times; every character keeps its place."""
        return replace(draft, text=re.sub(r"[.,!?;:'’\"]", " ", draft.text)) if self._chance.random() < 0.2 else draft

    def _roughened(self, text: str) -> str:
        """The text as somebody in a hurry types it."""
        roll = self._chance.random()
        if roll < 0.25:
            return re.sub(r"[.,!?;:'’\"]", "", text)
        if roll < 0.4:
            letters = list(text)
            for _ in range(max(1, len(letters) // 40)):
                at = self._chance.randrange(len(letters))
                letters[at] = self._chance.choice(["", letters[at] * 2, letters[at - 1]])
            return "".join(letters)
        return text

    def _renamed(self, text: str) -> str:
        """The text with "she" for "he" and the other way round, in half of the cases: neither is the guilty one."""
        if self._chance.random() < 0.5:
            return text
        swap = {"she": "he", "he": "she", "her": "him", "him": "her", "his": "her", "hers": "his"}
        swap |= {"wife": "husband", "husband": "wife", "girlfriend": "boyfriend", "boyfriend": "girlfriend"}
        swap |= {"gf": "bf", "bf": "gf", "shes": "hes", "hes": "shes"}
        return re.sub(r"[A-Za-z]+", lambda m: swap.get(m[0].lower(), m[0]), text)
