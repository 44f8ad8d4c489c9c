from __future__ import annotations

from dataclasses import replace

import pytest

from coach.coaching.query import pointed_at, query
from coach.types import Conversation, Passage, Turn

FIRST = Turn("I lied about our savings and she found the letters", "", "Put it all on the table. [1]\n\nHelp her. [2]")


def passage(number: int) -> Passage:
    return Passage(f"money.{number}", number, "Money", "Different harms", "Help her.", "money.md", 0.9)


def test_a_first_message_and_one_that_stands_alone_are_searched_as_they_are() -> None:
    assert query("and then what", Conversation()) == ("and then what", "")
    alone = "my son heard us shouting last night and now he doesn't want to come on Sunday"
    assert query(alone, Conversation((FIRST,))) == (alone, FIRST.message)  # which still counts


@pytest.mark.parametrize("message", ["and for how long", "should i tell her", "what about her parents then"])
def test_a_message_that_leans_is_searched_with_the_one_before_it(message: str) -> None:
    assert query(message, Conversation((FIRST,))) == (f"{FIRST.message}\n{message}", "")


def test_leaning_messages_reach_back_to_one_that_stands() -> None:
    second = Turn("and then what", "", "Wait. [1]")
    assert query("ok how long", Conversation((FIRST, second))) == (f"{FIRST.message}\nand then what\nok how long", "")


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("what did you mean with the second thing", 2),
        ("tell me more about point 1", 1),
        ("the last point is hard", 2),
        ("i have been turning over in my head the first thing you said and i do not see how to do that here", 1),
        ("the fourth point", 0),
        ("the first thing she did when she came in was to take the ring off and put it on the hall table", 0),
    ],
)
def test_a_point_of_the_last_answer_is_known_by_its_place(message: str, number: int) -> None:
    notes = tuple(passage(at) for at in (1, 2))
    talk = Conversation((replace(FIRST, passages=notes), Turn("hm", "", "I can only talk about this.")))
    found = pointed_at(message, talk)
    assert (found.number if found else 0) == number


def test_sentences_are_the_points_of_an_answer_in_one_paragraph() -> None:
    turn = replace(FIRST, answer="That is hard. Tell her [1]. Help her [2].", passages=(passage(1), passage(2)))
    found = pointed_at("the second thing", Conversation((turn,)))
    assert found is not None
    assert found.number == 2
    assert query("the second thing", Conversation((turn,))) == (f"{FIRST.message}\nthe second thing", "")
