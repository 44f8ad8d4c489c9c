from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from coach import Coach, Conversation, Done, Sources, Token
from coach.coaching.opening import Openings
from coach.coaching.turn import Turns
from coach.errors import InputError, ModelError
from coach.guide.chunk import sentences
from coach.types import Found, Message, Usage
from tests.conftest import answer, told_where, unclear

QUESTION = "I lied to her about money for two years and she left. What do I do first?"


class Scripted:
    """An engine that writes a given text, to test what becomes of sentences that real models write at times."""

    def __init__(self, text: str, context: int = 4096, fail: bool = False) -> None:
        self.text, self.context, self.fail = text, context, fail
        self.prompts: list[Sequence[Message]] = []
        self.decoded = 0

    def count(self, messages: Sequence[Message]) -> int:
        return sum(len(m.content.split()) for m in messages)

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        begun: str = "",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str | Usage]:
        self.prompts.append(messages)
        self.begun = begun
        if self.fail:
            raise ModelError("The model failed.", hint="Try again.")
        for word in re.findall(r"\S+\s*", self.text)[:max_tokens]:
            if cancelled():
                break
            self.decoded += 1
            yield word
        yield Usage(1, 1, self.decoded, 0.0, 0.0)


def turns(coach: Coach, engine: Scripted | None) -> Turns:
    return Turns(
        search=coach,
        embedder=coach.embedder,
        gates=coach.gates,
        fixed=coach.fixed,
        drafts=coach.drafts,
        review=coach.review,
        openings=Openings(coach.prompts),
        situations=coach.situations,
        prompts=coach.prompts,
        engine=lambda: engine,
        passages=3,
        answer_tokens=400,
    )


def last(events: Iterator[object]) -> Done:
    *_, done = events
    assert isinstance(done, Done)
    return done


def test_the_starter_model_answers_with_citations_that_exist(coach: Coach) -> None:
    events = list(coach.reply(QUESTION))
    assert isinstance(events[0], Sources)
    assert isinstance(events[-1], Done)
    reply = events[-1].reply
    assert reply.text == "".join(e.text for e in events if isinstance(e, Token))
    cited = {int(n) for n in re.findall(r"\[(\d+)\]", reply.text)}
    assert cited
    assert cited <= {p.number for p in reply.passages}
    assert reply.usage is not None
    assert reply.usage.evaluated_tokens > 0


def test_without_a_model_the_guide_answers(guide_only: Coach) -> None:
    reply = answer(guide_only, QUESTION)
    assert reply.made_by == "guide"
    assert reply.usage is None
    assert "Put every account on the table" in reply.text
    assert reply.passages[0].section == "money"


def test_unsupported_sentences_are_left_out_and_citations_are_made_true(guide_only: Coach) -> None:
    engine = Scripted(
        "Put every account on the table, with papers, in one go [9]. Call her tonight and cry until she listens. "
        "There is a 60 % chance that she returns. Do not pay back with presents. "
    )
    reply = last(turns(guide_only, engine).reply(QUESTION)).reply
    assert reply.made_by == "model"
    said = "Put every account on the table, with papers, in one go"
    number = int(reply.text.split(f"{said} [")[1][0])
    assert said in next(f"{p.takeaway} {p.text}" for p in reply.passages if p.number == number)
    assert "Do not pay back with presents [" in reply.text
    assert "[9]" not in reply.text
    assert "tonight" not in reply.text
    assert "60" not in reply.text


def test_what_is_left_of_a_model_begins_with_sense_and_is_filled_up_from_the_guide(guide_only: Coach) -> None:
    engine = Scripted(
        "It shows the whole list with statements. I hid 14,000 of debt from you. "
        "Put every account on the table, with papers, in one go. Do not pay back with presents. "
    )
    reply = last(turns(guide_only, engine).reply(QUESTION)).reply
    assert reply.made_by == "model"
    first, *rest = reply.text.split("\n\n")
    assert first.startswith(sentences(reply.passages[0].text)[0].rstrip("."))  # the case's answer
    assert "Put every account on the table, with papers, in one go [" in first
    assert "It shows" not in first
    assert "14,000" not in first
    assert rest
    assert "Put every account" not in " ".join(rest)


@pytest.mark.parametrize("text", ["", "You are amazing and she will love it. " * 30, "Write to her at once!", "????"])
def test_when_nothing_stands_the_guide_answers(guide_only: Coach, text: str) -> None:
    engine = Scripted(text)
    reply = last(turns(guide_only, engine).reply(QUESTION)).reply
    assert reply.made_by == "guide"
    assert "Put every account on the table" in reply.text
    assert engine.decoded < 60  # a model that only errs is stopped


def test_a_model_that_goes_on_and_on_is_ended(guide_only: Coach) -> None:
    passage = guide_only.search(QUESTION, 1)[0]
    parts = [f"{part} And so on it is." for part in sentences(f"{passage.takeaway} {passage.text}")]
    engine = Scripted(" ".join(parts * 3))
    reply = last(turns(guide_only, engine).reply(QUESTION)).reply
    assert reply.made_by == "model"
    assert len(re.findall(r"\[\d+\]", reply.text)) <= 6


def test_a_failing_model_is_said_and_the_guide_answers(guide_only: Coach) -> None:
    reply = last(turns(guide_only, Scripted("", fail=True)).reply(QUESTION)).reply
    assert (reply.made_by, reply.note) == ("guide", "The model failed.")


def test_a_passage_keeps_its_number_and_is_given_to_the_model_once(guide_only: Coach) -> None:
    engine = Scripted("Put every account on the table, with papers, in one go. Do not pay back with presents.")
    story = turns(guide_only, engine)
    first = last(story.reply(QUESTION)).reply
    second = last(story.reply("and what about the money i hid and the debts?", first.conversation)).reply
    shared = {p.id: p.number for p in first.conversation.passages.values()}
    assert any(p.id in shared for p in second.passages)
    assert all(shared.get(p.id, p.number) == p.number for p in second.passages)
    numbers = [p.number for p in second.conversation.passages.values()]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert engine.prompts[1][: len(engine.prompts[0])] == engine.prompts[0]
    excerpt = first.passages[0].excerpt
    assert sum(excerpt in m.content for m in engine.prompts[1] if m.role == "user") == 1


def test_when_the_context_is_full_the_oldest_turns_leave_and_the_opening_stays(guide_only: Coach) -> None:
    opening = len(guide_only.prompts.opening())
    engine = Scripted("Do not pay back with presents. Take your hands off joint accounts if they want that.", 1300)
    story = turns(guide_only, engine)
    conversation = Conversation()
    for n in range(10):
        message = f"the debts, number {n}: " + "i hid a loan and a card from her. " * 12
        conversation = last(story.reply(message, conversation)).reply.conversation
    final = engine.prompts[-1]
    assert tuple(final[:opening]) == guide_only.prompts.opening()
    assert "number 9" in final[-1].content
    assert not any("number 0:" in m.content for m in final)
    assert len(conversation.turns) == 10


def test_a_stop_keeps_what_was_said(guide_only: Coach) -> None:
    stop = threading.Event()
    engine = Scripted(
        "Put every account on the table, with papers, in one go. Do not pay back with presents. "
        "Ask for a free debt adviser in your country. Take your hands off joint accounts if they want that. End."
    )
    said = ""
    for event in turns(guide_only, engine).reply(QUESTION, cancelled=stop):
        if isinstance(event, Token):
            said += event.text
            if "presents" in said:
                stop.set()
        if isinstance(event, Done):
            assert event.reply.text == said
    assert "presents" in said
    assert "joint" not in said


def test_what_the_guide_does_not_cover_is_said(coach: Coach) -> None:
    reply = answer(coach, "how do I change the oil of a diesel engine")
    assert (reply.action, reply.made_by, reply.passages) == ("off_topic", "fixed", ())
    assert "does not cover" in reply.text


@pytest.mark.parametrize(
    ("message", "action"),
    [
        ("Le dije a mi novia que estaba trabajando y no era verdad, qué hago ahora", "coach"),
        ("Estoy cansado de todo y no quiero vivir", "crisis"),
    ],
)
def test_in_another_language_a_danger_is_heard_where_it_is_said_outright(
    guide_only: Coach, message: str, action: str
) -> None:
    reply = answer(guide_only, message)
    assert reply.action == action
    assert "findahelpline.com" in reply.text


def test_a_greeting_gets_one(coach: Coach) -> None:
    assert answer(coach, "Hello!").text.startswith("Hello.")


@pytest.mark.parametrize(("word", "said"), [("thanks", "You're welcome"), ("help", "Are you safe right now?")])
def test_a_thank_you_and_a_call_for_help_get_theirs_in_the_middle_too(guide_only: Coach, word: str, said: str) -> None:
    first = answer(guide_only, "I shouted at him and he was scared. How do I apologise?")
    assert said in answer(guide_only, word, first.conversation).text


def test_a_pasted_draft_is_judged_by_how_things_stand_and_not_by_what_only_sounds_like_a_call(
    guide_only: Coach,
) -> None:
    draft = "is this ok: I'm sorry I lied to you about the money. It was my choice. You don't have to answer."
    blocked = answer(guide_only, "she blocked me last week. what now?")
    still = answer(guide_only, "She called me a liar that night, was that fair?", blocked.conversation)
    assert "blocked you" in answer(guide_only, draft, still.conversation).text
    parents = answer(guide_only, "we only talk about the kids now, co-parenting. how do i tell her i am sorry?")
    assert "message about the children" in answer(guide_only, draft, parents.conversation).text


def test_a_short_follow_up_is_understood_from_what_came_before(guide_only: Coach) -> None:
    first = answer(guide_only, "She blocked me everywhere after I kept texting her.")
    reply = answer(guide_only, "and for how long", first.conversation)
    assert reply.action == "coach"


@pytest.mark.parametrize("message", ["", "🙂", "z" * 100_000])
def test_bad_input_is_refused_before_anything_is_loaded(coach: Coach, message: str) -> None:
    with pytest.raises(InputError):
        list(coach.reply(message))


def test_a_case_leads_with_its_first_sentence_whatever_the_model_begins_with(guide_only: Coach) -> None:
    question = "ok she answered. she said thanks for saying that, i need time. do i reply or not"
    passage = guide_only.consult(question).passages[0]
    first, second, third, *_ = sentences(passage.text)
    assert passage.case
    reply = last(turns(guide_only, Scripted(f"{third} {first} {second} ")).reply(question)).reply
    assert reply.made_by == "model"
    words = reply.text.replace(" [1]", "")
    assert -1 < words.find(first) < words.find(third)
    assert words.count(first) == 1


def test_what_is_certain_is_there_before_the_model_writes(guide_only: Coach) -> None:
    engine = Scripted("Do not pay back with presents. ")
    events = turns(guide_only, engine).reply(QUESTION)
    said = next(event.text for event in events if isinstance(event, Token))
    assert engine.decoded == 0
    assert "[1]" in said
    reply = last(events).reply
    assert engine.begun == said
    assert reply.text.startswith(f"{said} Do not pay back with presents [")
    assert reply.made_by == "model"


def test_where_no_section_fits_well_the_coach_asks_what_was_meant(guide_only: Coach) -> None:
    class Unsure:
        def consult(self, question: str, most: int = 3, **more: Any) -> Found:
            found = guide_only.consult(question, most, **more)
            return Found(tuple(replace(passage, score=0.3) for passage in found.passages))

    asking = turns(guide_only, None)
    asking._search = Unsure()
    reply = last(asking.reply("well. thursday happened, and then the aunt")).reply
    assert "in one plain sentence" in reply.text
    asked = re.sub(r'"[^"]*"', "", reply.text)  # what the guide lets them say is no question to them
    assert asked.count("?") == 1


def test_where_an_answer_would_be_a_guess_the_coach_asks_once_which_case_is_meant(guide_only: Coach) -> None:
    asked = answer(guide_only, unclear(guide_only))
    assert not asked.passages
    assert 2 <= len(asked.nearby) <= 3
    assert all(f'"{case}"' in asked.text for case in asked.nearby)
    assert answer(guide_only, "i mean she knows, and it is all different", asked.conversation).passages
    chosen = answer(guide_only, asked.nearby[0], asked.conversation)
    assert chosen.passages[0].case == asked.nearby[0]


def test_what_may_have_been_meant_is_offered_and_answered_by_its_own_case(guide_only: Coach) -> None:
    first = answer(guide_only, told_where(guide_only, lambda found: found.instead is not None and bool(found.nearby)))
    assert 0 < len(first.nearby) <= 3
    assert not {passage.case for passage in first.passages}.intersection(first.nearby)
    assert first.passages[-1].case in first.text  # the nearest of them is answered at once
    for case in first.nearby:
        chosen = answer(guide_only, case, first.conversation)
        number = next(passage.number for passage in chosen.passages if passage.case == case)
        assert chosen.text.index(f"[{number}]") == chosen.text.index("[")  # it is what the answer begins with


def test_where_it_is_plain_what_was_meant_nothing_else_is_offered(guide_only: Coach) -> None:
    assert answer(guide_only, "They just walked out, should I go after them?").nearby == ()


def test_what_is_surely_about_two_people_is_never_called_another_subject(guide_only: Coach) -> None:
    message = "How to apologize to my father, we do not speak about feelings in our family and he is 81"
    reply = answer(guide_only, message)
    assert reply.action == "coach"
    assert reply.passages
