"""How things stand between two people, as far as one of them has said: blocked, asked for space, ordered away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from coach.guardrails.normalise import normalise
from coach.guardrails.patterns import Patterns
from coach.types import Contact, Standing

__all__ = ["Told"]


class Told:
    """Reads how things stand out of what a person says, by the patterns of prompts/guardrails/standing.yaml.

    Raises:
        PromptError: The file is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        self._patterns = Patterns(path)

    def after(self, text: str, before: Standing) -> Standing:
        """How things stand after a message. A court order ends only when it is said to have ended."""
        if before.contact is Contact.NO_CONTACT_ORDER:
            return replace(before, contact=None) if self._patterns.match("order_over", text) else before
        if self._said("blocked", text):
            return replace(before, contact=Contact.BLOCKED)
        if self._said("asked_for_space", text):
            return replace(before, contact=Contact.ASKED_FOR_SPACE)
        if self.in_touch(text):
            return replace(before, contact=None)
        return before

    def in_touch(self, text: str) -> bool:
        """Whether a message says that the two are in touch, or are again."""
        return self._said("changed", text)

    def reaches_out(self, text: str) -> bool:
        """Whether a message asks for a way to the other person, or says that the writer is about to take one."""
        return self._patterns.match("reaches_out", text)

    def _said(self, name: str, text: str) -> bool:
        """Whether it is said, and not only supposed."""
        if self._patterns.excused(name, text):
            return False
        plain = normalise(text).text
        return any(
            not self._patterns.places("supposed", plain[:start]) for start, _ in self._patterns.places(name, plain)
        )
