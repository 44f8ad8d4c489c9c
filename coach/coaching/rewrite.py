"""A better version of a draft by the model, or the one put together from the draft's own sentences.

The model may only put the writer's own words in order. What it writes is shown if it passes the same review,
says no name, number or date that the writer did not, and is neither an echo nor longer than the draft.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from coach.coaching.draft import SORRY
from coach.coaching.prompt import Prompts
from coach.errors import ModelError
from coach.guardrails.drafts import Drafts
from coach.llm.engine import Engine
from coach.types import Message, Review

__all__ = ["Rewriter", "faults"]

TRIES = 2
TOKENS = 220
OWN = 0.9  # share of the content words that must be the writer's own
KEPT = 0.95  # share of the writer's content words, in what was put together, that must still be there
_GAP = re.compile(r"\[[^\[\]\n]{3,60}\]")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_WHOSE = re.compile(r"\b(?:my|your|ur|his|her|their|our) \w+")
_SMALL = frozenset(
    """i a an the and or but to of in on at for with was is are were be been it that this what you your my me we our us
    not no don't do did didn't have has had so as if when there by from i'm it's you're will would can could am sorry
    wrong choice own answer need know truly please about how because want still again after before""".split()  # noqa: SIM905
)


class Rewriter:
    """Asks the model for a rewrite and checks it.

    Args:
        drafts: Judges what it writes.
        prompts: Holds rewrite.j2.
        engine: Gives the chat model, or None; may raise ModelError.
    """

    def __init__(self, drafts: Drafts, prompts: Prompts, engine: Callable[[], Engine | None]) -> None:
        self._drafts = drafts
        self._prompts = prompts
        self._engine = engine

    def rewrite(self, review: Review, about: str = "", cancelled: Callable[[], bool] = lambda: False) -> Review:
        """The review with the model's rewrite, if it wrote one that passes; else as it was."""
        if review.verdict.action != "revise" or review.rewrite_source != "draft":
            return review  # without a sentence of the writer's own, a model could only invent
        try:
            engine = self._engine()
            if engine is None:
                return review
            for attempt in range(TRIES):
                text = self._ask(engine, review, about, attempt, cancelled)
                if cancelled():
                    return review
                if not faults(text, review, about) and (
                    self._drafts.judge(text, review.contact).verdict.action == "ready"
                ):
                    return replace(review, rewrite=text, rewrite_source="model")
        except ModelError:
            pass
        return review

    def _ask(self, engine: Engine, review: Review, about: str, attempt: int, cancelled: Callable[[], bool]) -> str:
        prompt = self._prompts.render(
            "rewrite",
            draft=review.draft,
            about=about,
            start=review.rewrite,
            quotes=[finding.quote for finding in review.findings],
            attempt=attempt,
        )
        system = Message("system", self._prompts.render("rewrite_system"))
        pieces = engine.generate([system, Message("user", prompt)], max_tokens=TOKENS, cancelled=cancelled)
        text = "".join(piece for piece in pieces if isinstance(piece, str)).strip()
        text = re.sub(r"^(?:rewritten message|message|rewrite|better version)\s*:\s*", "", text, flags=re.IGNORECASE)
        return text.strip().strip('"').strip()


def faults(text: str, review: Review, about: str = "") -> list[str]:
    """What speaks against showing a rewrite; empty for nothing."""
    own = f"{about} {review.rewrite}"  # what had to go from the draft does not come back
    known = {word.lower() for word in _WORD.findall(own)}
    plain = _GAP.sub(" ", text)
    words = _words(text).split()
    content = [word for word in words if word not in _SMALL]
    found = []
    if sorted(_GAP.findall(text)) != sorted(_GAP.findall(review.rewrite)):
        found.append("other gaps")
    if len(words) < 4:
        found.append("too little")
    if len(words) > max(len(review.draft.split()), len(review.rewrite.split())) + 8:
        found.append("longer than the draft")
    if " ".join(words) in (_words(review.draft), _words(review.rewrite)):
        found.append("an echo")
    if {*re.findall(r"\d+", plain)} - {*re.findall(r"\d+", own)}:
        found.append("a number of its own")
    if [w for w in re.findall(r"(?<=[a-z,;] )[A-Z][a-z]+", plain) if w.lower() not in known]:
        found.append("a name of its own")
    if content and sum(word in known for word in content) / len(content) < OWN:
        found.append("too few of the writer's words")
    there = {word for word in _words(review.rewrite).split() if word not in _SMALL}
    if there and len(there & set(words)) / len(there) < KEPT:
        found.append("something of the writer's is lost")
    if SORRY.search(review.rewrite) and not SORRY.search(plain):
        found.append("the sorry is lost")
    if {*_WHOSE.findall(" ".join(words))} - {*_WHOSE.findall(_words(own))}:
        found.append("somebody else's thing")  # "my mother" for "your mother"
    return found


def _words(text: str) -> str:
    """The words of a text, without what stands in brackets."""
    return " ".join(word.lower() for word in _WORD.findall(_GAP.sub(" ", text)))
