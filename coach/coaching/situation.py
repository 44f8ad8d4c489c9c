"""What a person has told about the two of them: who, what happened, how things stand, children, what they hope for.

Read by the patterns of prompts/situation.yaml, in the person's own words. It is shown to the person, who can correct
it, and told to the model; what they have put in stays, but for how things stand, which follows the latest word.
"""

from __future__ import annotations

import re
from dataclasses import replace

from coach.coaching.prompt import Prompts
from coach.guardrails.patterns import Patterns
from coach.guardrails.standing import Told
from coach.types import CLOSED, Contact, Situation, Standing

__all__ = ["Situations", "entry"]

_FILE = "situation"
_OPEN = tuple(contact for contact in Contact if contact not in CLOSED)  # the closed ones are a `Standing`'s to know
_TURN = re.compile(  # where the words about the deed end, and something else begins
    r"[,\s–-]*\b(?:and (?:now|then|she|he|they|we|i|my|how|what)|so (?:now|how|what|she|he|they)|but|does any"
    r"|i just want|(?:how|what|where|when) (?:do|to|can|should)|should i|can i|now"
    r"|(?:she|he|they) (?:won|hasn|has|left|is|blocked|found|says?|said|told|asked|just|doesn))\b.*$",
    re.IGNORECASE | re.DOTALL,
)
MOST = 14  # words of an entry; a person sees it at a glance


def entry(text: str) -> str:
    """A person's own words, as far as they are kept and told to the model: one line, a few words."""
    shown = "".join(c for c in text if c.isprintable() or c.isspace())
    return " ".join(shown.split()[:MOST]).strip(" ,-–")


class Situations:
    """Keeps what a person tells.

    Args:
        prompts: Holds the patterns and words, situation.yaml.
        told: Reads whether the two are in touch.

    Raises:
        PromptError: situation.yaml is missing or broken.
    """

    def __init__(self, prompts: Prompts, told: Told) -> None:
        self._patterns = Patterns(prompts.folder / f"{_FILE}.yaml", beside=("names",))
        self._told = told
        self._names: dict[str, str] = prompts.data(_FILE)["names"]

    def after(self, text: str, before: Situation, standing: Standing) -> Situation:
        """What is known after a message: what was empty is filled, and how things stand follows the latest word."""
        found = {name: getattr(before, name) or self._said(name, text) for name in ("who", "did", "children", "wants")}
        kept = before.contact if before.contact in _OPEN else None
        latest = Contact.TALKING if self._told.in_touch(text) else kept
        for contact in _OPEN:
            latest = contact if self._patterns.match(contact, text) else latest
        return replace(before, **found, contact=standing.contact or latest)

    def line(self, situation: Situation) -> str:
        """The situation in one line, as it is told to the model; "" for nothing known."""
        contact = self._names[situation.contact] if situation.contact else ""
        parts = [situation.who, situation.did, contact, situation.children, situation.wants]
        return "; ".join(part for part in parts if part)

    def _said(self, name: str, text: str) -> str:
        if self._patterns.excused(name, text):
            return ""
        places = self._patterns.places(name, text)
        if not places:
            return ""
        said = _TURN.sub("", text[slice(*places[0])]) if name in ("did", "wants") else text[slice(*places[0])]
        return entry(said)
