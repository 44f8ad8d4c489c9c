"""How people ask: messages in their own words, each with the section of the coach's guide that fits it.

A guide says "respect their decision", people type "she left me on read 4 days now". Vectors of the guide's
prose do not bridge that; vectors of other people's messages do. Those under `none` are about something
else. For guides that bring no such messages along, the coach's own guide is the bridge: see
`coach.guide.retrieve`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["NONE", "Phrase", "load_phrases"]

NONE = "none"  # the section of messages that no guide of this kind answers


class Phrase(NamedTuple):
    """A message, the last one of several where there are line breaks, and the first words of the case for it."""

    text: str
    case: str


def load_phrases(corpus: Path) -> dict[str, list[Phrase]]:
    r"""Read `asked.tsv` of a guide's folder: section id, message, case. An absent file is no messages.

    A line break is written \n; the case is "" where none answers the message.
    """
    file = corpus / "asked.tsv"
    phrases: dict[str, list[Phrase]] = {}
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            section, text, case = (*line.split("\t"), "", "")[:3]
            if text:
                phrases.setdefault(section, []).append(Phrase(text.replace("\\n", "\n"), case))
    return phrases
