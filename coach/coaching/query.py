"""What to search for: a message as it is, or, where it leans on what was said before, together with that.

"And for how long?" means something only after the message before it, "the second thing" only in the last answer. No
model is asked.
"""

from __future__ import annotations

import re

from coach.coaching.compose import CITATION
from coach.guide.chunk import sentences
from coach.types import Conversation

__all__ = ["leans", "query"]

SHORT = 6  # words; a message of no more leans on the one before it
_LEANS = re.compile(
    r"(?:and|but|so|or|ok(?:ay)?|yes|yeah|no|nah|then|why|what about|how about|what if|that|this|it|which|thanks)\b",
    re.IGNORECASE,
)
_POINT = re.compile(
    r"\b(?:(first|second|third|fourth|last) (?:thing|point|part|one|bit|step|idea|sentence)"
    r"|(?:point|number|thing) (\d))\b",
    re.IGNORECASE,
)
_PLACES = {"first": 0, "second": 1, "third": 2, "fourth": 3, "last": -1}


def query(message: str, history: Conversation) -> tuple[str, str]:
    """The text to search the guide for, and what was said before it; "" for nothing.

    Args:
        message: What the person wrote; it is searched together with what it leans on.
        history: What was said before.
    """
    if not history.turns:
        return message, ""
    if said := _said(message, history.turns[-1].answer):
        return f"{said}\n{message}", ""
    parts = [message]
    for turn in reversed(history.turns):
        if not leans(parts[0]):
            break
        parts.insert(0, turn.message)
    return "\n".join(parts), "" if len(parts) > 1 else history.turns[-1].message


def leans(message: str) -> bool:
    """Whether a message is likely to mean something only after the one before it."""
    return len(message.split()) <= SHORT or bool(_LEANS.match(message) and len(message.split()) <= 2 * SHORT)


def _said(message: str, answer: str) -> str:
    """The point of the last answer that a message speaks of by its place; "" for none."""
    match = _POINT.search(message)
    if match is None:
        return ""
    points = [part for part in re.split(r"\n\s*\n", answer) if CITATION.search(part)]
    if len(points) < 2:
        points = sentences(answer)
    place = _PLACES[match[1].lower()] if match[1] else int(match[2]) - 1
    return CITATION.sub("", points[place]) if -len(points) <= place < len(points) else ""
