"""From signals to a verdict on a message: crisis before legal order before tactic before topic.

The thresholds were chosen on the development set in benchmarks/cases/, never on the test set.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import replace
from pathlib import Path

from coach.errors import ModelError
from coach.guardrails.crisis import DANGERS, Sign, Signs
from coach.guardrails.patterns import Patterns
from coach.guardrails.policy import Policy
from coach.guardrails.signals import Reading, Signals
from coach.guardrails.standing import Told
from coach.types import CLOSED, Contact, Danger, Finding, Standing, Verdict

__all__ = ["Gates"]

CRISIS = 0.4  # probability of any danger from which the crisis page is shown
CRISIS_DOUBTFUL = 0.15  # the same, where innocence is less likely still, and a request not much likelier:
LEVER = 0.5  # share of a request's probability that it must reach, since a lever sounds like danger
SAID = 0.06  # the same, of danger that is said in so many words
CALM = 0.05  # probability of any danger below which a message speaks of none
LAST = 0.8  # probability of a wish to die below which, under an order, a last letter is rather one more letter
HINT = 0.03  # probability of one danger below which a message does not hint at it
HINT_ORDER = 0.05  # the same for a legal order, which words of law bring near
REDIRECT = 0.25
REDIRECT_CLOSED = 0.2  # when the other person has closed the door
OFF_TOPIC = 0.5
WITHIN = 0.1  # probability of another subject below which the guide is asked, whatever the search makes of it
FINE = 0.35  # probability that a sentence of the coach must have of being fine

_ENCODED = re.compile(r"[A-Za-z0-9+/]{20,}={0,2}")
_WARNS = re.compile(r"\W*(?:don['’]t|do not|never|avoid)\b", re.IGNORECASE)  # names a tactic so as to warn of it
_INVENTED = re.compile(r"https?:|www\.|\S@\S+\.\w|\b\w+\.(?:com|org|net|co\.uk)\b|\+?\d(?:[ ().-]?\d){6,}|<\|?\w")


class Gates:
    """Decides what to do with a message, or with a sentence of the coach's model.

    Args:
        policy: The tactics.
        prompts: The prompts/ folder, for what the coach's model must not say outright.
        told: Reads how things stand.
        signs: Danger that is said outright.
        signals: The detectors. Without their encoder, only danger that is said outright is found, and
            anything else raises ModelError.
    """

    def __init__(self, policy: Policy, prompts: Path, told: Told, signs: Signs, signals: Signals) -> None:
        self._policy = policy
        self._signs = signs
        self._told = told
        self._replies = Patterns(prompts / "guardrails" / "replies.yaml")
        self._signals = signals

    def chat(self, text: str, before: Standing | None = None, leans_on: str = "") -> tuple[Verdict, Standing]:
        """What to do with a message to the coach, and how things stand after it.

        Args:
            text: The message.
            before: How things stood.
            leans_on: The message before it, where this one means something only after that; a danger that is
                only hinted at must be there in both together, too.

        Raises:
            ModelError: The encoder is missing or damaged, and the message does not speak of danger outright.
        """
        now = self._told.after(text, before or Standing())
        said = self._signs.danger(text)
        try:
            reading = self._signals.chat(text)
        except ModelError:
            if said and said.meant:
                return _in_danger(said.danger, now)
            raise
        danger = _danger(reading, said)
        if danger == "self_harm" and not said and self._signs.mourning(text):
            danger = None
        if danger and not said and leans_on:
            danger = _danger(self._signals.chat(f"{leans_on}\n{text}"), None)
        ordered = before is not None and before.contact is now.contact is Contact.NO_CONTACT_ORDER
        if danger == "self_harm" and ordered and not said and reading.classes[danger] < LAST:
            danger = "legal_order" if self._told.reaches_out(text) else danger  # that page asks after them, too
        if danger is None and (hidden := _decoded(text)):
            verdict, after = self.chat(hidden, now)
            if verdict.action in ("crisis", "redirect"):  # found in what nobody could see: the whole message shows it
                found = (replace(finding, start=0, end=len(text), quote=text) for finding in verdict.findings)
                return replace(verdict, findings=tuple(found)), after
        if danger:
            return _in_danger(danger, replace(now, hinted=not said))
        if now.waiting and now.hinted and now.asked and sum(reading.classes[d] for d in DANGERS) < CALM:
            now = replace(now, waiting=False)  # they go on about something else; the help stays in sight
        closed = now.contact in CLOSED
        if reading.classes["redirect"] >= (REDIRECT_CLOSED if closed else REDIRECT):
            return Verdict("redirect", self._tactics(text, reading)), now
        if closed and before is not None and before.contact and self._told.reaches_out(text):
            if now.contact is Contact.NO_CONTACT_ORDER:
                return Verdict("crisis", crisis="legal_order"), now
            reason = "They have closed the door, as you said before, and this looks for a way to them."
            finding = Finding("boundary_violation", 0, len(text), text, reading.classes["redirect"], reason)
            return Verdict("redirect", (replace(finding, confidence=max(0.5, finding.confidence)),)), now
        if reading.classes["off_topic"] >= OFF_TOPIC:
            return Verdict("off_topic"), now
        hints = {danger for danger in DANGERS if reading.classes[danger] >= HINT}
        if reading.classes["legal_order"] < HINT_ORDER:
            hints.discard("legal_order")
        if said:
            hints.add(said.danger)
        return Verdict("coach", hints=frozenset(hints), within=reading.classes["off_topic"] < WITHIN), now

    def reply(self, sentence: str) -> Verdict:
        """Whether a sentence of the coach's model may be shown.

        Raises:
            ModelError: The encoder is missing or damaged.
        """
        if _INVENTED.search(sentence) or any(self._replies.match(group, sentence) for group in self._replies.groups):
            return Verdict("block")
        kinds = self._signals.reply(sentence)
        fine = kinds["fine"] + (kinds["tactic"] if _WARNS.match(sentence) else 0.0)
        return Verdict("pass" if fine >= FINE else "block")

    def _tactics(self, text: str, reading: Reading) -> tuple[Finding, ...]:
        """The tactic that a message asks for, and a second one if it is nearly as likely."""
        ranked = sorted(reading.tactics.items(), key=lambda item: -item[1])
        chosen = [item for item in ranked[:2] if item == ranked[0] or item[1] > 0.6 * ranked[0][1]]
        certain = reading.classes["redirect"]
        return tuple(
            Finding(
                tactic, reading.start, reading.end, text[reading.start : reading.end], certain, self._reason(tactic)
            )
            for tactic, _ in chosen
        )

    def _reason(self, tactic: str) -> str:
        found = self._policy[tactic]
        return f"{found.name[0].upper()}{found.name[1:]}. {found.reader}"


def _danger(reading: Reading, said: Sign | None) -> Danger | None:
    """The danger, if what is said and what is hinted at together make it likely enough."""
    likely = max(DANGERS, key=lambda danger: reading.classes[danger])
    total = sum(reading.classes[danger] for danger in DANGERS)
    if said and said.meant and (said.abroad or total >= SAID):
        return said.danger
    innocent = reading.classes["coach"] + reading.classes["off_topic"]
    lever = LEVER * reading.classes["redirect"]
    return likely if total >= CRISIS or total >= max(CRISIS_DOUBTFUL, innocent, lever) else None


def _in_danger(danger: Danger, now: Standing) -> tuple[Verdict, Standing]:
    if danger == "legal_order":  # what does not reach for the other person can be coached
        return Verdict("crisis", crisis=danger), replace(now, contact=Contact.NO_CONTACT_ORDER, danger=danger)
    return Verdict("crisis", crisis=danger), replace(now, danger=danger, waiting=True)


def _decoded(text: str) -> str:
    """What a stretch of Base64 in a text says; "" if there is none, or it says nothing."""
    for match in _ENCODED.finditer(text):
        try:
            hidden = base64.b64decode(match[0] + "=" * (-len(match[0]) % 4), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            continue
        if hidden.isprintable() and " " in hidden:
            return hidden
    return ""
