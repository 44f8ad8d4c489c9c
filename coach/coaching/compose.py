"""An answer from the passages alone, for when no model is there or nothing it wrote could stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from coach.coaching.prompt import Prompts
from coach.guide.chunk import sentences, unquoted
from coach.types import Passage

__all__ = ["CITATION", "SURE", "UNSURE", "compose", "plain"]

POINTS = 3
POINT_WORDS = 75
SURE = 0.6  # likelihood of a section from which words that presume its deed are offered
UNSURE = 0.4  # likelihood of the best section below which the coach asks what was meant
CITATION = re.compile(r"\s*\[\s*\d+(?:\s*[,;]\s*\d+)*\s*\]")
_ASIDE = re.compile(r"[\"”]\s*\(.*$")  # a note to the reader after a quotation


def compose(
    passages: Sequence[Passage],
    prompts: Prompts,
    opening: str = "",
    said: Iterable[str] = (),
    form: int = 0,
    most: int = POINTS,
) -> str:
    """Put an answer together from the guide's own sentences, each paragraph with its number; "" if all were said.

    Args:
        passages: At least one, the best first, all of them to the point.
        prompts: Holds the form of such an answer, compose.j2.
        opening: A first line; "" for none.
        said: Sentences of earlier answers, which are not said again.
        form: Counts the answers, so that two in a row do not sound alike.
        most: Paragraphs of advice at most.
    """
    said = list(said)
    known = {plain(sentence) for sentence in said}
    points: list[tuple[str, int]] = []

    def add(text: str, number: int) -> None:
        """Add the sentences of a text that were not said yet, as far as there is room."""
        new = [part for part in sentences(text.strip()) if plain(part) not in known]
        while new and len(" ".join(new).split()) > POINT_WORDS:
            new.pop()
        if new and len(points) < most:
            known.update(plain(part) for part in new)
            points.append((" ".join(new), number))

    for passage in passages:
        if not passage.case:
            add(passage.takeaway, passage.number)
        add(passage.excerpt.removeprefix(passage.takeaway), passage.number)
    for passage in passages if not points else ():  # all of that was said before: what else stands there
        add(" ".join(unquoted(passage.text)), passage.number)
    if not points:
        return ""
    first = passages[0]
    speaking = next((p for p in passages if p.say and p.score >= SURE and not first.case), None)  # a case has its own
    lines = [_ASIDE.sub("", line) for line in speaking.say] if speaking else []
    before = " ".join(map(plain, said))
    say = next((line for line in lines if plain(line) not in before), "")
    return prompts.render(
        "compose",
        opening=opening,
        form=form,
        points=points,
        say=say,
        say_number=speaking.number if speaking else 0,
        ask=first.ask if plain(first.ask) not in before and first.score >= UNSURE else "",
        ask_number=first.number,
    )


def plain(sentence: str) -> str:
    """A sentence as it is compared with others: no citation, no signs, no capitals."""
    return re.sub(r"\W+", " ", CITATION.sub("", sentence)).strip().lower()
