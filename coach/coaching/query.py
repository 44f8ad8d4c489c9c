"""What to search for: a message as it is, or, where it leans on what was said before, together with that.

"And for how long?" means something only after the message before it, "the second thing you said" only after the answer
that said it. No model is asked.
"""

from __future__ import annotations

import re

from coach.coaching.compose import CITATION
from coach.guide.chunk import sentences
from coach.types import Conversation, Passage

__all__ = ["leans", "pointed_at", "query"]

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
_YOURS = re.compile(r"\byou(?:'ve| have)? (?:just )?(?:said|say|meant?|told|wrote|mentioned)\b|\byour\b", re.IGNORECASE)


def query(message: str, history: Conversation) -> tuple[str, str]:
    """The text to search the guide for, and what was said before it; "" for nothing.

    Args:
        message: What the person wrote; it is searched together with what it leans on.
        history: What was said before.
    """
    if not history.turns:
        return message, ""
    parts = [message]
    for turn in reversed(history.turns):
        if not leans(parts[0]) and not (len(parts) == 1 and pointed_at(message, history)):
            break
        parts.insert(0, turn.message)
    return "\n".join(parts), "" if len(parts) > 1 else history.turns[-1].message


def leans(message: str) -> bool:
    """Whether a message is likely to mean something only after the one before it."""
    return len(message.split()) <= SHORT or bool(_LEANS.match(message) and len(message.split()) <= 2 * SHORT)


def pointed_at(message: str, history: Conversation) -> Passage | None:
    """The passage behind the point of the last cited answer that a message speaks of by its place."""
    match = _POINT.search(message)
    if match is None or (len(message.split()) > 2 * SHORT and not _YOURS.search(message)):
        return None
    answer = next((turn.answer for turn in reversed(history.turns) if CITATION.search(turn.answer)), "")
    points = [part for part in re.split(r"\n\s*\n", answer) if CITATION.search(part)]
    if len(points) < 2:
        points = [part for part in sentences(answer) if CITATION.search(part)]
    place = _PLACES[match[1].lower()] if match[1] else int(match[2]) - 1
    if not -len(points) <= place < len(points):
        return None
    numbers = re.findall(r"\d+", " ".join(match[0] for match in CITATION.finditer(points[place])))
    return next((p for turn in history.turns for p in turn.passages if str(p.number) == numbers[-1]), None)
