"""One turn: gate the message, look into the guide, let the model answer, gate each sentence, reply.

Everything is handed in. What a person sees are finished sentences that passed; the answer never depends on
the model being good, or being there at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Protocol

from coach.coaching.compose import POINTS, SURE, UNSURE, compose, plain
from coach.coaching.fixed import Answer, Fixed
from coach.coaching.ground import Grounding, cited
from coach.coaching.message import clean
from coach.coaching.opening import Openings
from coach.coaching.prompt import Prompts
from coach.coaching.query import leans, pointed_at, query
from coach.coaching.situation import Situations
from coach.errors import ModelError
from coach.guardrails.drafts import Drafts
from coach.guardrails.gates import Gates
from coach.guide.chunk import sentences, unquoted
from coach.guide.embed import Embedder
from coach.llm.engine import Engine
from coach.types import (
    Contact,
    Conversation,
    Done,
    Event,
    Found,
    Message,
    Passage,
    Reply,
    Review,
    Situation,
    Sources,
    Timings,
    Token,
    Turn,
    Usage,
    Verdict,
    Wait,
)

__all__ = ["Search", "Turns"]

ENOUGH = 2  # sentences of the model that must stand for its answer to be used
BRIEF = 45  # words; a shorter answer of the model is filled up from the guide
LONGEST = 5  # sentences of an answer by the model; small models go on for as long as they are let
PATIENCE = 3  # sentences in a row that may fall before the model is stopped
GRAVE = ("violence", "hurt-by-them", "self-harm")  # sections that frighten where there is no danger
LEGAL = "orders"  # the section for people whom a court keeps away
OFFERED = 3  # other cases that are offered below an answer
REMEMBERED = 512  # passages of a person's own guide that were judged
LEAVING = 4  # turns that leave the prompt together when the context window is full


@dataclass(slots=True)
class _Written:
    """An answer while it is written."""

    text: str = ""  # what was shown
    needed: int = ENOUGH  # sentences of the model before any of them is shown
    stood: list[str] = field(default_factory=list)  # the model's sentences, with their citations
    usage: Usage | None = None

    def show(self, words: str, between: str = " ") -> Token:
        """Add words to what is shown."""
        piece = f"{between}{words}" if self.text else words
        self.text += piece
        return Token(piece)


class Search(Protocol):
    """Finds passages of the guide."""

    def consult(
        self, question: str, most: int = 3, *, before: str = "", without: Collection[str] = (), within: bool = False
    ) -> Found:
        """At most so many passages to answer from, and what else may have been meant."""
        ...


class Turns:
    """Answers messages.

    Args:
        search: The guide.
        embedder: The one that made the guide's index.
        gates: Decide what is coached and which sentences are shown.
        fixed: Replies to what is not coached.
        drafts: Know a draft that was pasted into the chat.
        review: Reviews it.
        openings: Give an answer its first line, where the message calls for one.
        situations: Keep what the person tells of the two of them.
        prompts: What is said to the model and to the person.
        engine: Gives the chat model, or None to answer from the guide alone. Called once a turn; it may wait
            for the model to be loaded, and may raise ModelError.
        passages: How many passages an answer may rest on.
        answer_tokens: An answer's length at most.
    """

    def __init__(
        self,
        *,
        search: Search,
        embedder: Embedder,
        gates: Gates,
        fixed: Fixed,
        drafts: Drafts,
        review: Callable[[str, Contact], Review],
        openings: Openings,
        situations: Situations,
        prompts: Prompts,
        engine: Callable[[], Engine | None],
        passages: int,
        answer_tokens: int,
    ) -> None:
        self._search = search
        self._embedder = embedder
        self._gates = gates
        self._fixed = fixed
        self._drafts = drafts
        self._review = review
        self._openings = openings
        self._situations = situations
        self._prompts = prompts
        self._engine = engine
        self._passages = passages
        self._answer_tokens = answer_tokens
        self._clean = lru_cache(REMEMBERED)(self._says_no_harm)

    def reply(
        self, message: str, conversation: Conversation | None = None, cancelled: threading.Event | None = None
    ) -> Iterator[Event]:
        """Answer a message, sentence by sentence; see `coach.Coach.reply`."""
        started = time.perf_counter()
        history = conversation or Conversation()
        stop = cancelled or threading.Event()
        text = clean(message)
        leans_on = history.turns[-1].message if history.turns and leans(text) else ""
        verdict, standing = self._gates.chat(message, history.standing, leans_on)  # as given: spaces may hide words
        if verdict.crisis and standing.hinted and self._fixed.foreign(text):
            verdict, standing = Verdict("coach"), history.standing  # what other languages hint at, nobody here can read
        situation = self._situations.after(text, history.situation, standing)
        draft = self._drafts.pasted(text) if not verdict.crisis and not standing.waiting else ""
        if draft:
            contact = standing.contact or situation.contact or Contact.TALKING
            verdict = replace(verdict, action="coach", findings=())
            answered: Answer | None = self._fixed.review(self._review(draft, contact), standing, history)
        else:
            answered = self._fixed.gate(text, verdict, standing, history) or self._fixed.greeting(text, standing)
        elsewhere = verdict.action == "off_topic" and not (history.turns and leans(text))
        if not answered and (elsewhere or self._fixed.foreign(text)):
            answered = self._fixed.not_covered(text, standing, history)
        found = Found() if answered else self._find(text, history, verdict)
        retrieved = time.perf_counter() - started
        if not found.passages:
            answered = answered or self._fixed.not_covered(text, standing, history)
            yield from self._finish(text, verdict, answered, history, situation, retrieved)
            return
        passages = found.passages
        opening = self._openings(text, () if found.doubtful else passages, history)
        answered_before = not history.turns or bool(history.turns[-1].passages)  # who was asked is not asked again
        if found.doubtful and answered_before:
            answered = self._fixed.which(opening, found.nearby[:OFFERED], standing, history)
            yield from self._finish(text, verdict, answered, history, situation, retrieved)
            return
        yield Sources(found.sources)
        due = situation != history.situation or len(history.turns) % LEAVING == 0  # so that no window lacks it
        about = self._situations.line(situation) if due else ""
        said = [sentence for turn in history.turns for sentence in sentences(turn.answer)]
        written, prompt, new, note, first, lead = _Written(), "", list(passages), "", 0.0, ""
        try:
            engine = self._engine()
            if engine is not None:
                messages, prompt, new = self._prompted(engine, history, text, passages, about)
                if lead := _lead(passages[0], said):
                    written.needed -= 1
                if begun := " ".join(filter(None, [opening, lead])):
                    yield written.show(begun)  # whatever the model is going to write
                wrote = " ".join([*(turn.message for turn in history.turns), text])
                checked = Grounding(passages, self._embedder, said, wrote, lead)
                for event in self._write(engine, messages, checked, stop, written):
                    if isinstance(event, Token):
                        first = first or time.perf_counter() - started
                    yield event
        except ModelError as error:
            note = error.message
        stopped, held = stop.is_set(), len(written.stood) >= written.needed
        if not stopped:
            yield from self._rest(written, found, opening, said, len(history.turns), " " if lead else "\n\n")
        elif written.stood and not held:
            yield written.show(" ".join(written.stood))
        answer = written.text
        numbered = tuple(dict.fromkeys((*new, *_sources(answer, found.sources))))
        turn = Turn(text, prompt, answer, numbered, standing, before=history.situation)
        yield Done(
            Reply(
                text=answer,
                passages=_sources(answer, found.sources),
                action="coach",
                made_by="model" if held or stopped else "guide",
                conversation=Conversation((*history.turns, turn), situation),
                timings=Timings(retrieved, first, time.perf_counter() - started),
                usage=written.usage,
                note=note,
                verdict=verdict,
                help=self._fixed.help(standing.danger),
                nearby=found.nearby[:OFFERED],
            )
        )

    def _write(
        self,
        engine: Engine,
        messages: list[Message],
        checked: Grounding,
        stop: threading.Event,
        written: _Written,
    ) -> Iterator[Wait | Token]:
        """Let the model write, note the sentences that stand, and show them once there are enough of them."""
        enough, fallen, stood = threading.Event(), 0, written.stood
        for piece in self._sentences(engine, messages, written.text, stop, enough):
            if isinstance(piece, Usage):
                written.usage = piece
            elif isinstance(piece, Wait):
                yield piece
            elif not enough.is_set():
                good = checked.check(piece)
                if not good or self._gates.reply(piece).action == "block":
                    fallen += 1
                    if fallen == PATIENCE:
                        enough.set()
                    continue
                fallen = 0
                stood.append(good)
                if len(stood) >= written.needed:
                    yield written.show(" ".join(stood) if len(stood) == written.needed else good)
                if len(stood) == LONGEST:
                    enough.set()

    def _rest(
        self, written: _Written, found: Found, opening: str, said: list[str], form: int, between: str
    ) -> Iterator[Token]:
        """What the guide adds: to a short answer of the model a paragraph, where too little of it stood the whole.

        Then, what may have been meant instead.
        """
        passages = found.passages
        held = len(written.stood) >= written.needed
        if not held or len(written.text.split()) < BRIEF:
            said = [*said, *sentences(written.text)]
            opening, most = "" if written.text else opening, 1 if held else POINTS
            more = compose(passages, self._prompts, opening, said, form, most)
            if more or not written.text:
                more = more or self._prompts.render("all_said", form=form)
                yield written.show(more, "\n\n" if held else between)
        known = set(map(plain, said))
        other = [part for part in sentences(found.instead.excerpt if found.instead else "") if plain(part) not in known]
        if found.instead and other:
            case, number = found.instead.case, found.instead.number
            text = self._prompts.render("instead", case=case, text=" ".join(other[:2]), number=number, form=form)
            yield written.show(text, "\n\n")
        elif passages[0].score < UNSURE and passages[0].trusted:
            yield written.show(self._prompts.render("unsure", form=form), "\n\n")

    def _find(self, text: str, history: Conversation, verdict: Verdict) -> Found:
        """What to answer from, numbered for the conversation; the point that a message speaks of comes first."""
        ordered = "legal_order" in verdict.hints or history.standing.contact is Contact.NO_CONTACT_ORDER
        harmed = verdict.hints - {"legal_order"} or history.standing.danger
        without = (*(() if harmed else GRAVE), *(() if ordered else (LEGAL,)))
        question, before = query(text, history)
        found = self._search.consult(question, self._passages, before=before, without=without, within=verdict.within)
        passages = [passage for passage in found.passages if passage.trusted or self._harmless(passage)]
        if point := pointed_at(text, history):
            point = replace(point, excerpt=" ".join(unquoted(point.text)))
            passages = [point, *(passage for passage in passages if passage.id != point.id)][: self._passages]
        instead = found.instead
        if not passages or instead is None or not (instead.trusted or self._harmless(instead)):
            return replace(found, passages=history.numbered(passages), instead=None)
        *numbered, instead = history.numbered([*passages, instead])
        return replace(found, passages=tuple(numbered), instead=instead)

    def _harmless(self, passage: Passage) -> bool:
        """Whether a passage of a person's own guide holds nothing that the coach would not say itself."""
        return self._clean(" ".join((passage.takeaway, passage.text, passage.ask, *passage.say)))

    def _says_no_harm(self, said: str) -> bool:
        return all(self._gates.reply(sentence).action == "pass" for sentence in sentences(said))

    def _finish(
        self, text: str, verdict: Verdict, answer: Answer, history: Conversation, situation: Situation, retrieved: float
    ) -> Iterator[Event]:
        """The events of a fixed reply."""
        if answer.passages:
            yield Sources(answer.passages)
        yield Token(answer.text)
        turn = Turn(
            text,
            "",
            answer.text,
            answer.passages,
            answer.standing,
            answer.tactic,
            before=history.situation,
        )
        danger = answer.standing.danger or ("self_harm" if answer.tactic == "self_harm_leverage" else None)
        yield Done(
            Reply(
                text=answer.text,
                passages=answer.passages,
                action=answer.action,
                made_by="fixed",
                conversation=Conversation((*history.turns, turn), situation),
                timings=Timings(retrieved, 0.0, retrieved),
                verdict=verdict,
                help=answer.help or self._fixed.help(danger),
                nearby=answer.nearby,
            )
        )

    def _prompted(
        self, engine: Engine, history: Conversation, text: str, passages: Sequence[Passage], about: str
    ) -> tuple[list[Message], str, list[Passage]]:
        """The messages for the model, the last of them, and the passages whose notes stand in it.

        As many of the oldest turns are left out as the context window asks for, several at a time, so that the
        prompt's beginning stays the same for a while.
        """
        start = 0
        while True:
            kept = history.turns[start:]
            given = {p.id for turn in kept for p in turn.passages if f"\n[{p.number}] " in turn.prompt}
            new = [passage for passage in passages if passage.id not in given]
            prompt = self._prompts.turn(text, new, [p for p in passages if p.id in given], about)
            messages = self._prompts.messages(Conversation(kept), prompt)
            full = engine.count(messages) + self._answer_tokens > engine.context
            if not full or not kept:
                return messages, prompt, new
            start += LEAVING

    def _sentences(
        self, engine: Engine, messages: list[Message], begun: str, stop: threading.Event, enough: threading.Event
    ) -> Iterator[str | Wait | Usage]:
        """What the model writes after what is begun, a finished sentence at a time, until one of the events is set."""
        pending = ""
        stream = engine.generate(
            messages,
            max_tokens=self._answer_tokens,
            begun=begun,
            cancelled=lambda: stop.is_set() or enough.is_set(),
        )
        for piece in stream:
            if isinstance(piece, Usage):
                if not stop.is_set() and not enough.is_set():
                    yield from sentences(pending)
                yield piece
                return
            if isinstance(piece, Wait):
                yield piece
                continue
            pending += piece
            # A sentence is finished when the next one has begun: a citation may still follow the full stop.
            *done, rest = sentences(pending) or [""]
            yield from done
            if done:
                pending = rest + pending[len(pending.rstrip()) :]


def _sources(answer: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Those passages that the answer cites, or all of them if it cites none."""
    cited = tuple(p for p in passages if f"[{p.number}]" in answer)
    return tuple(sorted(cited or passages, key=lambda p: p.number))


def _lead(passage: Passage, said: Sequence[str]) -> str:
    """The first sentence of a case that fits well, cited: it is the answer, and small models drop it."""
    if not passage.case or passage.score < SURE:
        return ""
    first = sentences(passage.excerpt)[0]
    return "" if plain(first) in map(plain, said) else cited(first, passage.number)
