"""A message somebody means to send in, a `Review` out: what would hurt, what is missing, whether to send it.

Rules and detectors only; no chat model is asked. The rewrite put together here uses the writer's own good
sentences; `coach.coaching.rewrite` may offer a smoother one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from coach.coaching.message import clean
from coach.coaching.prompt import Prompts
from coach.errors import InputError
from coach.guardrails.drafts import LONG, MIXED, Drafts, Judgement
from coach.guardrails.policy import Policy
from coach.guardrails.signals import Span
from coach.types import Contact, Criterion, Danger, Finding, Help, Passage, Review

__all__ = ["SORRY", "Reviewer", "compose", "made_how", "sentence_spans"]

MOST = 5  # findings shown; more cannot be taken in
SHORT = 130  # words up to which an apology is short
PART_NAMES = ("harm", "own", "impact", "remorse", "change", "free")
_END = re.compile(  # of a sentence; a line and an emoji end one, "Mrs." does not
    r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)[.!?…]+[\"'”’)]*(?=\s|$)"
    r"|\n+|(?<=[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\s+(?=\w)"
)
_SPEAKER = re.compile(r"^\s*(?:\[?\d[\d:., /apm-]*\]?\s*-?\s*)?([A-Za-z][\w ]{0,18}):\s+(.*)$")
_MINE = ("me", "i", "myself", "mine")
_GREETING = re.compile(
    r"\s*((?:hi|hey|hello|dear|yo|hiya)\b(?:(?:mrs?|ms|dr)\.|[^\n.!?]){0,32}?[,.!\n]|[A-Z]\w+,)\s*", re.IGNORECASE
)
SORRY = re.compile(
    r"\b(?:i['’ ]?a?m (?:(?:so|very|really|truly|deeply) )*(?:sorry|sry)|(?:so |very )?sorry|sry|i apologi[sz]e)\b",
    re.IGNORECASE,
)
_LOOSE = re.compile(
    r"^[\s,;:–-]*(?:(?:and|but|because|so|cause|cos|coz|since|although|though|or|then|while)\b[\s,]*)*"
    r"|[\s,;:–-]*(?:\b(?:and|but|because|so|cause|cos|coz|since|although|though|or|then|while|that)\b[\s,]*)*$",
    re.IGNORECASE,
)


Composed = tuple[str, Literal["", "draft", "outline"]]


class Reviewer:
    """Reviews drafts.

    Args:
        drafts: Judges them.
        policy: The tactics.
        prompts: Holds the words of a review.
        passage: Finds the passage of the guide that begins with a phrase, by section.
        help_for: Where to find help in a danger.
        foreign: Whether a text is in another language than English.
    """

    def __init__(
        self,
        drafts: Drafts,
        policy: Policy,
        prompts: Prompts,
        *,
        passage: Callable[[str, str], Passage | None],
        help_for: Callable[[Danger | None], Help | None],
        foreign: Callable[[str], bool],
    ) -> None:
        self._drafts = drafts
        self._policy = policy
        self._passage = passage
        self._help_for = help_for
        self._foreign = foreign
        self._words: dict[str, Any] = prompts.data("review")

    def review(self, draft: str, contact: Contact | str = Contact.TALKING, answers: str = "") -> Review:
        """Review a draft; see `coach.Coach.review`."""
        clean(draft)
        try:
            contact = Contact(contact)
        except ValueError as error:
            raise InputError(f"How things stand is unknown: {contact}.", hint=f"Use {', '.join(Contact)}.") from error
        if len(draft.split()) < 2:
            raise InputError(self._words["notes"]["one_word"], hint="A sentence is enough.")
        notes = []
        lines = own_lines(draft)
        if lines is None:
            notes.append(self._words["notes"]["log"])
        elif lines:
            draft = lines
        if self._foreign(draft):
            notes.append(self._words["notes"]["english"])
        if contact in (Contact.TALKING, Contact.SILENT) and self._drafts.asks_for_space(answers):
            contact = Contact.ASKED_FOR_SPACE
            notes.append(self._words["notes"]["space"])
        told = self._drafts.told(draft, contact)
        if told is not contact:
            contact = told
            notes.append(self._words["notes"]["told"])
        gaps: dict[str, str] = self._words["gaps"]
        filled = _blanked(draft, gaps)
        judged = self._drafts.judge(filled, contact)
        if filled != draft and (judged.verdict.action == "ready" or judged.reason == "vague"):
            judged = replace(judged, verdict=replace(judged.verdict, action="revise"), reason="gaps")
        if judged.reason == "mixed":
            start, end = mixed_in(filled, self._drafts)[0]
            notes.append(self._words["notes"]["mixed"].format(words=draft[start:end].strip()))
        words = self._words["reasons"][judged.reason]
        findings = merged(judged.verdict.findings)[:MOST]
        danger = judged.verdict.crisis or ("self_harm" if judged.reason == "lever" else self._drafts.fears(draft))
        if danger in ("self_harm", "violence_by_user") and judged.reason not in ("lever", "danger"):
            notes.insert(0, self._words["notes"][danger])
        rewrite, source = compose(draft, contact, judged, self._drafts, gaps) if filled == draft else ("", "")
        return Review(
            draft=draft,
            contact=contact,
            verdict=judged.verdict,
            reason=words["reason"],
            next_step=words["next"],
            findings=findings,
            accountability=self._criteria(draft, judged) if judged.apology else (),
            passages=self._passages(findings),
            rewrite=rewrite,
            rewrite_source=source,
            notes=tuple(notes),
            help=self._help_for(danger),
        )

    def _passages(self, findings: tuple[Finding, ...]) -> tuple[Passage, ...]:
        found: dict[str, Passage] = {}
        for finding in findings:
            tactic = self._policy[finding.tactic]
            passage = self._passage(tactic.section, tactic.passage)
            if passage and passage.id not in found:
                found[passage.id] = replace(passage, number=len(found) + 1)
        return tuple(found.values())

    def _criteria(self, draft: str, judged: Judgement) -> tuple[Criterion, ...]:
        """The eight things that a reader would look for."""
        best: dict[str, Span] = {}
        for part in judged.parts:
            if part.name != "ask" and _inside(part, judged.verdict.findings):
                continue  # "you made me do it" owns nothing
            if part.name not in best or part.confidence > best[part.name].confidence:
                best[part.name] = part
        quotes = {name: draft[part.start : part.end] for name, part in best.items()}
        asking = [f.quote for f in judged.verdict.findings if f.tactic in ("pressure", "ultimatum")]
        found = []
        for name, words in self._words["criteria"].items():
            quote, state = quotes.get(name, ""), "met" if name in quotes else "missing"
            if name == "asks_nothing":
                quote = (asking or [quotes.get("ask", "")])[0]
                state = "missing" if quote else "met"
            elif name == "short":
                count = len(draft.split())
                state = "met" if count <= SHORT else "partly" if count <= LONG else "missing"
            elif name == "change" and not quote and (promise := self._promise(judged)):
                quote, state = promise, "partly"
            elif name == "own" and state == "met" and any(f.tactic == "excuse" for f in judged.verdict.findings):
                state = "partly"
            hint = "" if state == "met" else words.get(state, words.get("missing", ""))
            found.append(Criterion(name, words["name"], state, quote, hint))  # type: ignore[arg-type]
        return tuple(found)

    def _promise(self, judged: Judgement) -> str:
        return next((f.quote for f in judged.verdict.findings if f.tactic == "future_faking"), "")


def _blanked(draft: str, gaps: Mapping[str, str]) -> str:
    """The draft with spaces in place of gaps that were taken over from a rewrite and not filled in."""
    marks = "|".join(re.escape(mark) for gap in gaps.values() for mark in re.findall(r"\[.+?\]", gap))
    return re.sub(marks, lambda gap: " " * len(gap[0]), draft, flags=re.IGNORECASE)


def _inside(part: Span, findings: Sequence[Finding]) -> bool:
    """Whether a part of an apology lies mostly in words that would hurt."""
    shared = max((min(part.end, f.end) - max(part.start, f.start) for f in findings), default=0)
    return shared > (part.end - part.start) / 2


def made_how(review: Review, words: Mapping[str, Any]) -> str:
    """How the rewrite was made, and whether there are gaps to fill, in the words of prompts/review.yaml."""
    notes = words["notes"]
    return f"{notes[review.rewrite_source]} {notes['gaps']}" if "[" in review.rewrite else notes[review.rewrite_source]


def merged(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The findings, the gravest first, without those that lie mostly inside a graver one."""
    kept: list[Finding] = []
    for finding in findings:
        size = finding.end - finding.start
        covered = max((min(k.end, finding.end) - max(k.start, finding.start) for k in kept), default=0)
        if covered <= size / 2:
            kept.append(finding)
    return tuple(kept)


def own_lines(draft: str) -> str | None:
    """What the writer wrote in a pasted conversation; "" if it is none; None if it cannot be told apart."""
    found = [match for line in draft.split("\n") if (match := _SPEAKER.match(line))]
    speakers = {match[1].strip().lower() for match in found}
    if (
        len(found) < 2
        or len(speakers) < 2
        or len(found) < len([line for line in draft.split("\n") if line.strip()]) / 2
    ):
        return ""
    return "\n".join(match[2] for match in found if match[1].strip().lower() in _MINE) or None


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Where the sentences of a message stand; lines and emoji end one, too."""
    spans, start = [], 0
    for match in [*_END.finditer(text), None]:
        end = match.end() if match else len(text)
        if text[start:end].strip():
            left = len(text[start:end]) - len(text[start:end].lstrip())
            spans.append((start + left, start + len(text[start:end].rstrip())))
        start = end
    return spans


def mixed_in(text: str, drafts: Drafts) -> list[tuple[int, int]]:
    """Which sentences of a message between parents speak of the two of them, the likeliest first; at least one."""
    chances = {span: drafts.mixed(text[slice(*span)]) for span in sentence_spans(text)}
    ranked = sorted(chances, key=lambda span: -chances[span])
    return [span for span in ranked if chances[span] >= MIXED] or ranked[:1]


def compose(draft: str, contact: Contact, judged: Judgement, drafts: Drafts, gaps: dict[str, str]) -> Composed:
    """The draft's own good sentences, with gaps where something is missing, and whether there were any.

    Both are empty unless the verdict is revise.
    """
    if judged.verdict.action != "revise":
        return "", ""
    practical = contact is Contact.CO_PARENTING
    text, now = draft, judged
    for _ in range(4):  # what is left is judged again, since a sentence may read otherwise without its neighbour
        drop = [(f.start, f.end) for f in now.verdict.findings]
        drop += [(p.start, p.end) for p in now.parts if p.name == "ask"]
        drop += mixed_in(text, drafts) if now.reason == "mixed" else []
        text = _without(text, drop, [(p.start, p.end) for p in now.parts if p.name in PART_NAMES and not practical])
        if not text:
            break
        now = drafts.judge(text, contact)
        if now.reason not in ("tactic", "mixed"):
            break
    if practical:
        return (text, "draft") if text and now.verdict.action == "ready" else ("", "")
    clear = bool(text) and not now.verdict.findings
    there = {part.name for part in now.parts} if clear else set()
    there |= {part.name for part in judged.parts if clear and draft[part.start : part.end] in text}
    greeting, rest = _greeting(text if clear else draft)
    hello = _greeting(draft)[0]
    if not greeting and all(f.end > len(hello) for f in judged.verdict.findings):  # it went with its sentence
        greeting = hello
    kept = _pieces(rest) if clear else []
    if not re.search(r"[A-Z]", draft):  # as the writer writes
        gaps = {name: gap.lower() for name, gap in gaps.items()}
    lines = kept or [_sorry(draft) or gaps["sorry"]]
    at = 1  # gaps stand after the first words, which greet or say sorry, and what was done before whose choice it was
    for name in ("harm", "own"):
        if name not in there:
            lines = [*lines[:at], gaps[name], *lines[at:]]
            at += 1
    return _joined([greeting, *lines]), "draft" if any(len(line.split()) > 3 for line in kept) else "outline"


def _sorry(draft: str) -> str:
    """The draft's own way to say sorry; "" if it does not."""
    match = SORRY.search(draft)
    return f"{match[0].strip()}." if match else ""


def _without(text: str, drop: list[tuple[int, int]], keep: list[tuple[int, int]]) -> str:
    """The text without the sentences that hold a span of `drop`; a good part of such a sentence stays."""
    lines: list[str] = []
    for (start, end), whole in zip(sentence_spans(text), _pieces(text), strict=True):
        bad = [(max(a, start), min(b, end)) for a, b in drop if a < end - 3 and b > start + 3]
        if not bad:
            lines.append(whole)
            continue
        first, last = min(a for a, _ in bad), max(b for _, b in bad)
        for left, right in ((start, first), (last, end)):
            piece = _LOOSE.sub("", text[left:right]).strip()
            if len(piece.split()) >= 3 and any(a < right and b > left and b - a >= 3 for a, b in keep):
                lines.append(piece if piece[-1] in ".!?…" else f"{piece}.")
    return _joined(lines)


def _pieces(text: str) -> list[str]:
    """The sentences of a text, those that begin a line with the break before them."""
    found, at = [], 0
    for start, end in sentence_spans(text):
        found.append("\n" * ("\n" in text[at:start]) + text[start:end])
        at = end
    return found


def _joined(lines: list[str]) -> str:
    return " ".join(line for line in lines if line).replace(" \n", "\n").strip()


def _greeting(text: str) -> tuple[str, str]:
    """A first line such as "Hi Sam," apart from the rest."""
    match = _GREETING.match(text)
    if match is None:
        return "", text
    return match[1].strip(), "\n" * ("\n" in match[0]) + text[match.end() :]
