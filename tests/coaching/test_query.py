from __future__ import annotations

import pytest

from coach.coaching.query import query
from coach.types import Conversation, Turn

FIRST = Turn("I lied about our savings and she found the letters", "", "Put it all on the table. [1]\n\nHelp her. [2]")


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
    ("message", "point"),
    [
        ("what did you mean with the second thing", "Help her."),
        ("tell me more about point 1", "Put it all on the table."),
        ("the last point is hard", "Help her."),
    ],
)
def test_a_point_of_the_last_answer_is_known_by_its_place(message: str, point: str) -> None:
    assert query(message, Conversation((FIRST,))) == (f"{point}\n{message}", "")


def test_a_point_that_is_not_there_is_no_point() -> None:
    assert query("the fourth point", Conversation((FIRST,))) == (f"{FIRST.message}\nthe fourth point", "")
