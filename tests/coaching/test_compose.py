from __future__ import annotations

from dataclasses import replace

from coach.coaching.compose import compose, plain
from coach.coaching.opening import Openings
from coach.coaching.prompt import Prompts
from coach.guide.chunk import sentences, unquoted
from coach.settings import load
from coach.types import Conversation, Passage, Turn

PROMPTS = Prompts(load().prompts)
OPENINGS = Openings(PROMPTS)


def passage(section: str, number: int, text: str, *, takeaway: str = "", score: float = 0.9, ask: str = "") -> Passage:
    return Passage(
        f"{section}.{number}", number, section, "c", text, "f.md", score, excerpt=text, takeaway=takeaway, ask=ask
    )


MONEY = passage("money", 1, "Make one list. Leave nothing out.", takeaway="Put it on the table.", ask="What is left?")


def test_an_answer_leads_with_the_takeaway_and_cites_every_paragraph() -> None:
    answer = compose([MONEY], PROMPTS, "This is hard.")
    first, *rest = answer.split("\n\n")
    assert first == "This is hard."
    assert rest[0] == "Put it on the table. [1]"
    assert all("[1]" in part for part in rest)


def test_a_case_is_answered_first_and_by_its_own_example() -> None:
    case = replace(
        MONEY, id="money.2", text='Say so: "I hid it."', excerpt='Say so: "I hid it."', case="I hid it. Now?"
    )
    general = replace(MONEY, number=2, excerpt="Put it on the table. Make one list.", say=("I owe nine.",))
    answer = compose([case, general], PROMPTS)
    assert answer.startswith('Say so: "I hid it." [1]')
    assert "Put it on the table. [2]" in answer
    assert "I owe nine" not in answer


def test_nothing_is_said_twice_in_a_conversation() -> None:
    first = compose([MONEY], PROMPTS)
    again = compose([MONEY], PROMPTS, said=sentences(first))
    assert not {plain(s) for s in sentences(first)} & {plain(s) for s in sentences(again)}
    assert again == ""


def test_who_asks_to_be_agreed_with_gets_an_honest_line_first() -> None:
    history = Conversation()
    for message, word in [
        ("she's overreacting isn't she", "won't say who was right"),
        ("does he still love me", "won't guess"),
        ("what are my chances", "odds"),
        ("how do i get her back", "want them back"),
    ]:
        assert word in OPENINGS(message, [MONEY], history), message


def test_an_opening_is_not_said_twice_and_a_plain_question_gets_none() -> None:
    first = OPENINGS("what are my chances", [MONEY], Conversation())
    second = OPENINGS("so what are my chances", [MONEY], Conversation((Turn("m", "", first),)))
    assert second
    assert second != first
    assert OPENINGS("How do I pay it back?", [MONEY], Conversation()) == ""
    assert OPENINGS("i hid two loans from my wife and she found out", [MONEY], Conversation()).startswith(
        "There is the money"
    )


def test_a_bad_example_of_the_guide_is_no_advice() -> None:
    text = 'People send: "I can\'t eat without you. Please answer. One word." Cut it. Say "sorry" once.'
    assert unquoted(text) == ["Cut it.", 'Say "sorry" once.']
