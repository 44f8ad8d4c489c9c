"""What a person wrote, made fit to read: control characters out, and a clear no where it cannot be answered."""

from __future__ import annotations

import re
import unicodedata

from coach.errors import InputError

__all__ = ["MAX_CHARACTERS", "clean"]

MAX_CHARACTERS = 6000  # about 1,500 tokens: 20 s of reading for a small model on two cores


# What chat models are steered with; a person means nothing by it.
_MARKUP = re.compile(r"<\|[^|<>\n]{1,40}\|>(?:system|user|assistant)?")


def clean(text: str) -> str:
    """The message without control characters and chat models' markup, with tidy line ends.

    Raises:
        InputError: It is empty, too long, holds no words, or is written in a script that the guide is not.
    """
    kept = "".join(c for c in text.replace("\r\n", "\n").replace("\r", "\n") if c in "\n\t" or _visible(c))
    kept = re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+", " ", _MARKUP.sub(" ", kept))).strip()
    if not kept:
        raise InputError("There is nothing to read yet.", hint="Write what happened, or ask a question.")
    if len(kept) > MAX_CHARACTERS:
        raise InputError(
            f"That is {len(kept):,} characters; the coach reads up to {MAX_CHARACTERS:,} at once.",
            hint="Send the part that matters most, or tell it in a few sentences.",
        )
    letters = [c for c in kept if c.isalpha()]
    if not letters:
        raise InputError("There are no words in that.", hint="Write it in a sentence, however short.")
    latin = sum(unicodedata.name(c, "").startswith(("LATIN", "FULLWIDTH LATIN", "MATHEMATICAL")) for c in letters)
    if latin < len(letters) / 2:
        raise InputError("The coach and its guide read English only.", hint="Try it in English, simple words are fine.")
    return kept


def _visible(character: str) -> bool:
    category = unicodedata.category(character)
    # Cf holds the joiners inside emoji, and also the marks that can turn a line's direction around.
    return category not in ("Cc", "Cs", "Co", "Cn") and (category != "Cf" or character in "\u200d\ufe0f")
