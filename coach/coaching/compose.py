"""An answer from the passages alone, for when no model is there or nothing it wrote could stand."""

from __future__ import annotations

from collections.abc import Sequence

from coach.coaching.prompt import Prompts
from coach.types import Passage

__all__ = ["compose"]


def compose(passages: Sequence[Passage], prompts: Prompts) -> str:
    """Put an answer together from the guide's own sentences, each with its number.

    Args:
        passages: At least one, the best first.
        prompts: Holds the form of such an answer, compose.j2.
    """
    points: list[tuple[str, int]] = []
    seen: set[str] = set()
    for passage in passages[:3]:
        if passage.takeaway and passage.section not in seen:
            points.append((passage.takeaway, passage.number))
        if passage.section not in seen or not passage.takeaway:
            points.append((passage.excerpt.removeprefix(passage.takeaway).strip() or passage.text, passage.number))
        seen.add(passage.section)
    first = passages[0]
    speaking = next((p for p in passages if p.say), None)
    return prompts.render(
        "compose",
        points=[point for point in points if point[0]][:4],
        say=speaking.say[0] if speaking else "",
        say_number=speaking.number if speaking else 0,
        ask=first.ask,
        ask_number=first.number,
    )
