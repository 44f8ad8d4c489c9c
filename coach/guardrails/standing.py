"""How things stand between two people, as far as one of them has said: blocked, asked for space, ordered away."""

from __future__ import annotations

import re
from dataclasses import replace

from coach.guardrails.normalise import normalise
from coach.types import Contact, Standing

__all__ = ["reaches_out", "told"]

_THEY = r"(?:she|he|they|(?:my |the )?(?:ex|wife|husband|girlfriend|boyfriend|partner|gf|bf|fianc[eé]e?)|[A-Z][a-z]+)"
_ADVERB = r"(?:'s|'ve|s|has|have|had|just|already|now|even|completely|then|also|both|finally|straight up| )*"
_BLOCKED = re.compile(
    rf"\b{_THEY} {_ADVERB}blocked (?:me|my (?:number|account|phone))\b|\b(?:i'?m|i am|im|i was|i got|i'?ve been|been) (?:now |still )?blocked\b"
    rf"|\b{_THEY} (?:still )?(?:has|have|got|keeps) me blocked\b",
    re.IGNORECASE,
)
_SPACE = re.compile(
    rf"\b{_THEY} {_ADVERB}(?:asked|asks|wants?|wanted|needs?|needed|begged|told|said|says|texted|wrote)\b[^.!?\n]{{0,40}}"
    r"\b(?:space|no (?:more )?contact|(?:be )?left alone|leave (?:her|him|them|me) alone|time (?:apart|alone|to think)"
    r"|(?:not to|don'?t|stop|never) (?:contact|text|call|writ|messag|reach|come|talk)\w*)",
    re.IGNORECASE,
)
_ORDER_OVER = re.compile(
    r"\border\b[^.!?\n]{0,30}\b(?:expired|lifted|dropped|ended|is over|has ended|was (?:lifted|dropped))\b", re.IGNORECASE
)
_CHANGED = re.compile(
    rf"\bunblocked me\b|\b{_THEY} {_ADVERB}(?:texted|wrote|called|messaged|rang|replied|answered|reached out|invited)\b(?: to)?(?: me)?(?: back| first| again| today| yesterday)?\b"
    r"|\bwe(?:'re| are|ve been|'ve been) (?:talking|texting|in touch|speaking|back)\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(r"\b(?:if|what if|in case|unless|afraid|scared|worried|imagine|suppose|hope|wish|until)\b[^.!?\n]*$", re.IGNORECASE)


def told(text: str, before: Standing) -> Standing:
    """How things stand after a message."""
    plain = normalise(text).text
    contact = before.contact
    if _said(_CHANGED, plain) and contact is not Contact.NO_CONTACT_ORDER:
        contact = None
    if _ORDER_OVER.search(plain) and contact is Contact.NO_CONTACT_ORDER:
        contact = None
    if contact is not Contact.NO_CONTACT_ORDER:
        if _said(_BLOCKED, plain):
            contact = Contact.BLOCKED
        elif _said(_SPACE, plain):
            contact = Contact.ASKED_FOR_SPACE
    return replace(before, contact=contact)


def _said(pattern: re.Pattern[str], text: str) -> bool:
    """Whether it is said, and not only supposed."""
    return any(not _SUPPOSED.search(text[: match.start()]) for match in pattern.finditer(text))


_WHOM = r"(?:her|him|them|my (?:ex|wife|husband|girlfriend|boyfriend|partner|gf|bf)|[A-Z][a-z]+)"
_ASKS = (
    r"(?:help me|can (?:you|u|i|we)|could (?:you|i|we)|should i|shall i|may i|how (?:do|can|could|should|would) i|what (?:do|should|can|could|would) i"
    r"|i (?:want|wanna|need|would like|will|am going|plan|have) (?:to)?|i'?(?:d|ll|m)|i (?:might|could|must)|let me|let'?s|going to|gonna|lemme|write|draft|give me|is it ok|would it be|thinking)"
)
_REACH = re.compile(
    rf"\b{_ASKS}\b[^.!?\n]{{0,60}}"
    rf"\b(?:(?:write|text|message|call|phone|ring|reach|contact|email|e-mail|dm|meet|visit|see|approach|send|post|mail|tell|ask|reply|answer|respond|talk|speak|apologi[sz]e|go|drive|bring|drop)\w*"
    rf"(?: (?:back|out|over|round|up))?(?: (?:to|for|by|at|with|in on))?(?: {_WHOM}\b| (?:a|an|one|my|the|this|some) ))",
    re.IGNORECASE,
)
_WONT = re.compile(
    r"\b(?:won'?t|will not|not going to|never|shouldn'?t|should not|not gonna|without|instead of|unsent|not (?:to )?send|for myself|stop myself|talk me out|keep (?:myself )?from|don'?t want to (?:write|text|call|contact|send))\b",
    re.IGNORECASE,
)


def reaches_out(text: str) -> bool:
    """Whether a message asks for a way to the other person, or says that the writer is about to take one."""
    plain = normalise(text).text
    return bool(_REACH.search(plain)) and not _WONT.search(plain)
