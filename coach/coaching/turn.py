"""One turn: gate the message, look into the guide, let the model answer, gate each sentence, reply.

Everything is handed in. What a person sees are finished sentences that passed; the answer never depends on
the model being good, or being there at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from coach.coaching.compose import compose
from coach.coaching.fixed import Answer, Fixed
from coach.coaching.ground import Grounding
from coach.coaching.message import clean
from coach.coaching.opening import Openings
from coach.coaching.prompt import Prompts
from coach.coaching.query import leans, query
from coach.coaching.situation import Situations
from coach.errors import ModelError
from coach.guardrails.drafts import Drafts
from coach.guardrails.gates import Gates
from coach.guide.chunk import sentences
from coach.guide.embed import Embedder
from coach.llm.engine import Engine
from coach.types import (
    Contact,
    Conversation,
    Done,
    Event,
    Message,
    Passage,
    Reply,
    Review,
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
LONGEST = 6  # sentences of an answer by the model; small models go on for as long as they are let
PATIENCE = 3  # sentences in a row that may fall before the model is stopped
LEAVING = 4  # turns that leave the prompt together when the context window is full


class Search(Protocol):
    """Finds passages of the guide."""

    def search(self, question: str, k: int = 4, *, focus: bool = False) -> list[Passage]:
        """At most `k` passages, the best first; none if the guide does not cover the question."""
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
        situation = self._situations.after(text, history.situation, standing)
        told = replace(history, situation=situation)
        draft = self._drafts.pasted(text) if not verdict.crisis and not standing.waiting else ""
        if draft:
            contact = standing.contact or Contact.TALKING
            verdict = replace(verdict, action="coach", findings=())
            answered: Answer | None = self._fixed.review(self._review(draft, contact), standing, history)
        else:
            answered = self._fixed.gate(text, verdict, standing, history)
        if verdict.action == "off_topic" and not (history.turns and leans(text)):
            answered = answered or self._fixed.not_covered(text, standing, history)
        found = [] if answered else self._find(text, history)
        retrieved = time.perf_counter() - started
        if not found:
            answered = answered or self._fixed.not_covered(text, standing, history)
            yield from self._finish(text, verdict, answered, told, retrieved)
            return
        passages, new = _numbered(found, history)
        yield Sources(passages)
        due = situation != history.situation or len(history.turns) % LEAVING == 0  # so that no window lacks it
        about = self._situations.line(situation) if due else ""
        prompt = self._prompts.turn(text, new, [p for p in passages if p not in new], about)
        opening = self._openings(text, passages, history)
        opened = [opening] if opening else []
        said = [sentence for turn in history.turns for sentence in sentences(turn.answer)]
        shown: list[str] = []
        usage: Usage | None = None
        first = 0.0
        note = ""
        try:
            engine = self._engine()
            if engine is not None:
                told_so_far = " ".join([*(turn.message for turn in history.turns), text])
                checked = Grounding(passages, self._embedder, said, told_so_far)
                enough = threading.Event()
                fallen = 0
                for piece in self._sentences(engine, self._fit(engine, history, prompt), stop, enough):
                    if isinstance(piece, Usage):
                        usage = piece
                        break
                    if isinstance(piece, Wait):
                        yield piece
                        continue
                    good = checked.check(piece)
                    if good and self._gates.reply(piece).action == "block":
                        good = ""
                    fallen = 0 if good else fallen + 1
                    if fallen >= PATIENCE:
                        enough.set()
                    if good and not enough.is_set():
                        shown.append(good)
                        if len(shown) == LONGEST:
                            enough.set()
                        first = first or time.perf_counter() - started
                        if len(shown) == ENOUGH:
                            yield Token(" ".join([*opened, *shown]))
                        elif len(shown) > ENOUGH:
                            yield Token(" " + good)
        except ModelError as error:
            note = error.message
        made_by = "model" if len(shown) >= ENOUGH else "guide"
        if stop.is_set():
            answer, made_by = " ".join([*opened, *shown] if shown else []), "model"
            if 0 < len(shown) < ENOUGH:
                yield Token(answer)
        elif len(shown) >= ENOUGH:
            answer = " ".join([*opened, *shown])
            if len(answer.split()) < BRIEF and (
                more := compose(passages, self._prompts, "", [*said, *shown], len(history.turns), most=1)
            ):
                answer = f"{answer}\n\n{more}"
                yield Token(f"\n\n{more}")
        else:
            form = len(history.turns)
            answer = compose(passages, self._prompts, opening, said, form)
            answer = answer or self._prompts.render("all_said", form=form)
            yield Token(answer)
        turn = Turn(text, prompt, answer, tuple(new), standing)
        yield Done(
            Reply(
                text=answer,
                passages=_cited(answer, passages),
                action="coach",
                made_by="model" if made_by == "model" else "guide",
                conversation=replace(told, turns=(*history.turns, turn)),
                timings=Timings(retrieved, first, time.perf_counter() - started),
                usage=usage,
                note=note,
                verdict=verdict,
                help=self._fixed.help(standing.danger),
            )
        )

    def _find(self, text: str, history: Conversation) -> list[Passage]:
        found = self._search.search(query(text, history), self._passages, focus=True)
        return [passage for passage in found if passage.trusted or self._harmless(passage)]

    def _harmless(self, passage: Passage) -> bool:
        """Whether a passage of a person's own guide holds nothing that the coach would not say itself."""
        return all(self._gates.reply(sentence).action == "pass" for sentence in sentences(passage.text))

    def _finish(
        self, text: str, verdict: Verdict, answer: Answer, history: Conversation, retrieved: float
    ) -> Iterator[Event]:
        """The events of a fixed reply."""
        if answer.passages:
            yield Sources(answer.passages)
        yield Token(answer.text)
        turn = Turn(text, "", answer.text, answer.passages, answer.standing, answer.tactic)
        danger = answer.standing.danger or ("self_harm" if answer.tactic == "self_harm_leverage" else None)
        yield Done(
            Reply(
                text=answer.text,
                passages=answer.passages,
                action=answer.action,
                made_by="fixed",
                conversation=replace(history, turns=(*history.turns, turn)),
                timings=Timings(retrieved, 0.0, retrieved),
                verdict=verdict,
                help=self._fixed.help(danger),
            )
        )

    def _fit(self, engine: Engine, history: Conversation, prompt: str) -> list[Message]:
        """The messages, without as many of the oldest turns as the context window asks for.

        Turns leave several at a time, so that the prompt's beginning stays the same for a while.
        """
        start = 0
        while True:
            messages = self._prompts.messages(Conversation(history.turns[start:]), prompt)
            if start >= len(history.turns) or engine.count(messages) + self._answer_tokens <= engine.context:
                return messages
            start += LEAVING

    def _sentences(
        self, engine: Engine, messages: list[Message], stop: threading.Event, enough: threading.Event
    ) -> Iterator[str | Wait | Usage]:
        """What the model writes, a finished sentence at a time, until one of the events is set."""
        pending = ""
        stream = engine.generate(
            messages, max_tokens=self._answer_tokens, cancelled=lambda: stop.is_set() or enough.is_set()
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


def _numbered(found: Sequence[Passage], history: Conversation) -> tuple[tuple[Passage, ...], list[Passage]]:
    """The passages with the numbers they are cited by, and those of them that are new to the conversation."""
    known = history.passages
    following = max((p.number for p in known.values()), default=0)
    passages, new = [], []
    for passage in found:
        if passage.id in known:
            passages.append(replace(known[passage.id], score=passage.score))
            continue
        following += 1
        new.append(replace(passage, number=following))
        passages.append(new[-1])
    return tuple(passages), new


def _cited(answer: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Those passages that the answer cites, or all of them if it cites none."""
    cited = tuple(p for p in passages if f"[{p.number}]" in answer)
    return tuple(sorted(cited or passages, key=lambda p: p.number))
