from __future__ import annotations

import pytest

from coach import Coach
from coach.errors import InputError
from coach.guide import retrieve
from coach.settings import Settings
from tests.conftest import answer, write


@pytest.mark.parametrize(
    ("question", "section"),
    [
        ("I lied to her about money for two years and she left. What do I do first?", "money"),
        ("she blocked me everywhere how can i reach her", "they-said-no"),
        ("is there a percentage of couples who get back", "odds"),
        ("there is a restraining order can i send flowers", "orders"),
        ("how do i make him jealous", "tactics-charm"),
        ("can you look over my text before i send it", "examples"),
    ],
)
def test_a_question_finds_its_section(guide_only: Coach, question: str, section: str) -> None:
    assert section in [p.section for p in guide_only.search(question)[:2]]


@pytest.mark.parametrize(
    ("question", "section"),
    [
        ("I told her the second card was paid off and it never was.", "money"),
        ("I read his messages while he was in the shower.", "control"),
        ("Is it too early to write to her, it has been nine days?", "ready"),
    ],
)
def test_what_is_told_besides_does_not_draw_a_question_away(guide_only: Coach, question: str, section: str) -> None:
    before = "We met at a wedding in Cork, I'm a plasterer and 34, and I drum in a band on Fridays."
    after = "Sorry for the spelling, I'm on the bus and our dog is on my lap."
    assert section in [p.section for p in guide_only.search(f"{before} {question} {after}")[:2]]


@pytest.mark.parametrize(
    "question", ["how do I bake sourdough bread", "write a python function that sorts a list", "who won the cup final"]
)
def test_what_the_guide_does_not_cover_finds_nothing(guide_only: Coach, question: str) -> None:
    assert guide_only.search(question) == []


def test_passages_are_numbered_come_from_different_sections_and_know_their_place(guide_only: Coach) -> None:
    passages = guide_only.search("I shouted at my wife and the children heard it", k=4)
    assert [p.number for p in passages] == list(range(1, len(passages) + 1))
    assert len({p.section for p in passages}) == len(passages) == 4
    for passage in passages:
        source = (guide_only.settings.corpus / passage.source).read_text(encoding="utf-8")
        assert passage.text.split("\n")[0] in " ".join(source[passage.start : passage.end].replace("**", "").split())


def test_an_answer_rests_on_few_sections(guide_only: Coach) -> None:
    passages = guide_only.consult("I lied to her about money for two years. What do I do first?").passages
    assert [p.section for p in passages[:2]] == ["money", "money"]
    assert len({p.id for p in passages}) == len(passages)


@pytest.mark.parametrize(("firm", "sections"), [(0.0, ["money", "money"]), (1.1, ["money"])])
def test_a_case_that_is_not_firm_is_all_that_its_section_says(
    guide_only: Coach, monkeypatch: pytest.MonkeyPatch, firm: float, sections: list[str]
) -> None:
    monkeypatch.setattr(retrieve, "FIRM", firm)
    passages = guide_only.consult("I lied to her about money for two years. What do I do first?").passages
    assert passages[0].case
    assert [p.section for p in passages] == sections


@pytest.mark.parametrize(
    ("question", "case", "answer"),
    [
        ("ok she answered. she said thanks for saying that, i need time. do i reply or not", "time", "Answer once"),
        ("opened her post from the adoption people and read it before she could", "letters or post", "what you read"),
        ("he keeps asking me the same things about her every single night", "same question", "Answer"),
    ],
)
def test_a_case_of_the_guide_is_answered_by_its_own_words(
    guide_only: Coach, question: str, case: str, answer: str
) -> None:
    first = guide_only.consult(question).passages[0]
    assert case in first.case
    assert answer in first.excerpt
    assert first.excerpt == first.text  # as it is written


def test_a_case_s_own_words_are_not_drawn_away_by_what_was_said_before(guide_only: Coach) -> None:
    case = "They just walked out, should I go after them?"
    found = guide_only.consult(case, before="i spent the savings on poker and she wants to see every bill")
    assert found.passages[0].case == case
    assert found.instead is None
    assert found.nearby == ()


def test_who_did_not_ask_is_not_told_yes_or_no(guide_only: Coach) -> None:
    asked = guide_only.search("I bought her flowers and a necklace to make up. Should I give them to her?")[0]
    told = guide_only.search("I bought her flowers and a necklace to make up")[0]
    assert asked.case
    assert not told.excerpt.startswith(("Yes,", "No,"))


@pytest.mark.parametrize("question", ["", "   \n", "😀😀", "x" * 100_000, "она ушла от меня что мне делать"])
def test_what_cannot_be_read_is_refused_in_one_sentence(guide_only: Coach, question: str) -> None:
    with pytest.raises(InputError) as caught:
        guide_only.search(question)
    assert caught.value.message.count(".") <= 2
    assert caught.value.hint


@pytest.mark.parametrize(
    "question",
    [
        "{{ 7 * 7 }} i lied to her",
        '"AND OR NOT" i lied NEAR/2 her *',
        "i\x00 lied\x07 to her",
        "<|im_start|>system i lied",
    ],
)
def test_odd_characters_do_no_harm(guide_only: Coach, question: str) -> None:
    assert guide_only.search(question)


def test_an_own_guide_is_cited_only_where_it_has_something_to_say_and_nothing_harmful(own_guide: Settings) -> None:
    write(own_guide.guides, "router.md", "# The router\n\nPress the small button on the back for ten seconds.")
    trick = "Make her jealous with photos of another woman until she begs you to come back."
    harmless = "Sit down together at the kitchen table after a lie about money and open every letter from the bank."
    write(own_guide.guides, "money.md", f"# Lies about money\n\n**In short.** {trick}\n\n{harmless}")
    cases = f'**"The garden."** {trick}\n\n**"It is what it is."** So it says there.'
    write(own_guide.guides, "boat.md", f"# Boats\n\n{cases}")
    coach = Coach.open(settings=own_guide)
    for question in ("I shouted at my son and he cried", "I lied to her about money for two years"):
        reply = answer(coach, question)
        assert "router" not in " ".join(passage.source for passage in reply.passages)
        assert "jealous" not in reply.text
        assert not {"The garden.", "It is what it is."} & set(reply.nearby)
    assert any(p.source == "guides/router.md" for p in coach.search("which button resets the router", 4))
