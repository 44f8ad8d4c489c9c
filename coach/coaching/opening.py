"""The first line of an answer: what has to be said before any advice, by the rules of prompts/openings.yaml.

Somebody who asks to be agreed with, for odds, or what the other person feels gets an honest line first; somebody
who tells what happened is heard. No model writes these lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from coach.coaching.prompt import Prompts
from coach.guardrails.patterns import Patterns
from coach.types import Conversation, Passage

__all__ = ["Openings"]

_FILE = "openings"
_TOLD = re.compile(r"\b(?:i|we|he|she|they|my)\b", re.IGNORECASE)
_ASKED = re.compile(r"\?\s*$|^(?:how|what|when|should|can|is|does|do|why|who|where|will|would|could)\b", re.IGNORECASE)
SURE = 0.9  # likelihood of a section from which a line speaks of its kind of deed
SHORT = 8  # words; a shorter message tells too little to be answered to


class Openings:
    """Chooses first lines.

    Args:
        prompts: Holds their words, openings.yaml.

    Raises:
        PromptError: openings.yaml is missing or broken.
    """

    def __init__(self, prompts: Prompts) -> None:
        self._patterns = Patterns(prompts.folder / f"{_FILE}.yaml", beside=("told",))
        self._words: dict[str, Any] = prompts.data(_FILE)

    def __call__(self, message: str, passages: Sequence[Passage], history: Conversation) -> str:
        """The first line of the answer to a message; "" where none is called for, or all were said."""
        said = " ".join(turn.answer for turn in history.turns)
        for group in self._patterns.groups:
            if self._patterns.match(group, message):
                return next((line for line in self._words[group]["lines"] if line not in said), "")
        told = len(message.split()) >= SHORT and _TOLD.search(message) and not _ASKED.search(message)
        sure = told and passages and passages[0].score >= SURE
        line = str(self._words["told"].get(passages[0].section, "")) if sure else ""
        return "" if line in said else line
