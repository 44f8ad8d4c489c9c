"""A message somebody means to send, judged by its words and by how things stand between the two.

How things stand decides first: to somebody who has blocked the writer, the best apology in the world is a hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from coach.guardrails.crisis import Signs
from coach.guardrails.patterns import Patterns
from coach.guardrails.policy import Policy
from coach.guardrails.signals import Reading, Signals, Span
from coach.types import Contact, Danger, DraftAction, Finding, Verdict

__all__ = ["LONG", "MIXED", "Drafts", "Judgement"]

TACTIC = 0.85  # probability of a span's strongest words
GRAVE = {"threat": "threat", "self_harm_leverage": "lever"}  # tactics that make a hold, and the reason's name
OUTRIGHT = 0.8  # confidence of a phrase of phrases.yaml
GRAVE_TACTIC = 0.5  # probability from which words carry one of these, whatever else
SURE_LEVER = 0.85  # the same of a lever where the reader of messages hears no wish to die, nor a lever
HEARD = 0.08  # probability from which it hears them
WORRY = 0.9  # probability of a danger, as the reader of messages sees it, from which help is shown
ORDER, ORDER_PARENTS = 0.5, 0.9  # the same of a court order; parents write of courts that forbade nothing
CLOSED = 0.3  # probability that the draft itself says that the door is closed
LONG = 400  # words; beyond it a message asks for more time than it may
LONG_LOGISTICS = 150
MIXED = 0.25  # probability that parents speak of the two of them beside the children
_QUOTED = re.compile(r"^[\"“](.+)[\"”].*$", re.DOTALL)  # a draft in quotation marks, and a question about it
LETTER = 12  # words from which a message in the chat may be a draft though nothing says so


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules make of a draft."""

    verdict: Verdict
    reason: str  # a name in prompts/review.yaml
    parts: tuple[Span, ...]  # what it holds of an apology
    apology: bool  # whether it is one, or means to be


class Drafts:
    """Judges drafts.

    Args:
        policy: The tactics.
        prompts: The prompts/ folder, for the patterns.
        signs: Danger that is said outright.
        signals: The detectors.

    Raises:
        PromptError: A file of patterns is missing or broken.
    """

    def __init__(self, policy: Policy, prompts: Path, signs: Signs, signals: Signals) -> None:
        self._policy = policy
        self._patterns = Patterns(prompts / "guardrails" / "drafts.yaml")
        self._phrases = Patterns(prompts / "guardrails" / "phrases.yaml")
        self._signs = signs
        self._signals = signals

    def judge(self, text: str, contact: Contact) -> Judgement:
        """The verdict with its reason; a door that the draft itself says is closed counts as closed.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        contact = self.told(text, contact)
        heard = self._heard(text)
        lever = heard.classes["self_harm"] + heard.classes["redirect"] * heard.tactics["self_harm_leverage"]
        outright = {"threat": GRAVE_TACTIC, "self_harm_leverage": GRAVE_TACTIC if lever >= HEARD else SURE_LEVER}
        spans, parts = self._signals.draft(text, GRAVE_TACTIC, outright)
        spans = [span for span in spans if span.confidence >= TACTIC or span.name in GRAVE]
        spans = [*spans, *self._outright(text, spans)]
        findings = tuple(sorted((self._finding(text, span) for span in spans), key=self._gravity))
        there = {part.name for part in parts}
        apology = bool(there & {"harm", "own"}) or self._patterns.match("sorry", text)
        action, reason, danger = self._decide(text, contact, findings, there, apology)
        return Judgement(Verdict(action, findings, danger), reason, tuple(parts), apology)

    def _heard(self, text: str) -> Reading:
        """A draft as if it were a message to the coach, by the reader for which the thresholds here were chosen."""
        return self._signals.chat(text, second=False)

    def _outright(self, text: str, found: list[Span]) -> list[Span]:
        """Phrases that say it outright, where nothing as grave was found and they are not only told of."""
        spans = []
        for tactic in self._phrases.groups:
            if tactic not in self._policy.ids:
                continue
            for start, end in self._phrases.places(tactic, text):
                there = [span for span in found if min(span.end, end) - max(span.start, start) > 0]
                seen = any(tactic not in GRAVE or span.name in GRAVE for span in there)
                if not seen and not self._phrases.places("reported", text[:start]):
                    spans.append(Span(tactic, start, end, OUTRIGHT))
        return spans

    def pasted(self, message: str) -> str:
        """The draft in a message that hands one over ("can I send this: ..."), or is one; "" if there is none."""
        places = self._patterns.places("pasted", message)
        draft = _QUOTED.sub(r"\1", message[places[0][1] :].lstrip(": \n")).strip(' \n"“”') if places else ""
        if not draft and len(message.split()) >= LETTER and self._patterns.match("letter", message):
            draft = message
        return draft if len(draft.split()) >= 4 else ""

    def told(self, text: str, contact: Contact) -> Contact:
        """How things stand, where the draft knows better than what was chosen: "I know you blocked me, but".

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        sure = ORDER_PARENTS if contact is Contact.CO_PARENTING else ORDER
        if self._patterns.match("court", text) and self._heard(text).classes["legal_order"] >= sure:
            return Contact.NO_CONTACT_ORDER
        if contact in (Contact.TALKING, Contact.SILENT):
            if self._patterns.match("closed_blocked", text):
                return Contact.BLOCKED
            if self._patterns.match("closed_space", text) or self._signals.closed(text) >= CLOSED:
                return Contact.ASKED_FOR_SPACE
        return contact

    def fears(self, text: str) -> Danger | None:
        """The danger that the draft lets fear, though nothing says so outright: for the writer, or of them.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        classes = self._heard(text).classes
        if classes["self_harm"] >= WORRY:
            return "self_harm"
        violent = classes["violence_by_user"] >= WORRY or self._patterns.match("violence", text)
        return "violence_by_user" if violent else None

    def mixed(self, text: str) -> float:
        """How likely it is that words between parents are about the two of them, 0 to 1.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        return 1.0 if self._patterns.match("longing", text) else self._signals.mixed(text)

    def asks_for_space(self, message: str) -> bool:
        """Whether the message that a draft answers asks the writer to keep away."""
        return self._patterns.match("space", message)

    def _decide(
        self, text: str, contact: Contact, findings: tuple[Finding, ...], parts: set[str], apology: bool
    ) -> tuple[DraftAction, str, Danger | None]:
        words = len(text.split())
        if contact is Contact.NO_CONTACT_ORDER:
            return "hold", "order", "legal_order"
        danger = self._danger(text)
        for finding in findings:
            if finding.tactic in GRAVE:
                return "hold", GRAVE[finding.tactic], danger
        if danger:
            return "hold", "danger", danger
        if contact is Contact.BLOCKED:
            return "hold", "blocked", None
        amends = bool(parts & {"remorse", "ask"}) or {"harm", "impact"} <= parts
        logistics = self._patterns.match("logistics", text)
        if contact is Contact.ASKED_FOR_SPACE:
            practical = logistics and not self._patterns.match("longing", text)
            fine = practical and not amends and not findings
            return ("ready", "practical", None) if fine else ("hold", "space", None)
        if findings:
            return "revise", "tactic", None
        if contact is Contact.CO_PARENTING:
            about_children = logistics or self._patterns.match("third", text)
            if self.mixed(text) >= MIXED or (amends and not about_children):
                return "revise", "mixed", None
            return ("revise", "long", None) if words > LONG_LOGISTICS else ("ready", "practical", None)
        named = parts & {"harm", "impact"} or self._patterns.match("specific", text)
        if (apology and not named) or self._patterns.match("nobody_did", text):
            return "revise", "vague", None
        if words > LONG:
            return "revise", "long", None
        return "ready", "apology" if "harm" in parts else "message", None

    def _danger(self, text: str) -> Danger | None:
        """Danger to somebody's life; that the other one did harm is a complaint here, and no call for help."""
        said = self._signs.danger(text)
        if self._patterns.match("past_danger", text):
            return None
        return said.danger if said and said.meant and said.danger in ("self_harm", "violence_by_user") else None

    def _finding(self, text: str, span: Span) -> Finding:
        quote = text[span.start : span.end]
        return Finding(span.name, span.start, span.end, quote, span.confidence, self._policy[span.name].reader)

    def _gravity(self, finding: Finding) -> tuple[int, float]:
        return -self._policy[finding.tactic].weight, -finding.confidence
