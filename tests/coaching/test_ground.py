from __future__ import annotations

from dataclasses import replace

import pytest

from coach.coaching.ground import Grounding, cited, refuses
from coach.guide.chunk import sentences
from coach.guide.embed import Embedder
from coach.types import Passage

PASSAGE = Passage(
    "space.1", 3, "Space", "Space", "Do not write to her tonight. Give her several weeks at the least.", "s.md", 0.9
)


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Don't write to her tonight. [1]", "Don't write to her tonight [3]."),
        ("Write to her tonight.", ""),
        ("Give her several weeks.", "Give her several weeks [3]."),
        ("Do not give her several weeks.", ""),
        ("Give her 6 weeks at the least.", ""),
        ("Buy her a ring and take her to Venice.", ""),
        ("Give her several weeks, as a study says.", ""),
        ("Give her several weeks at the least, and give her several weeks at the least.", ""),
    ],
)
def test_a_sentence_is_shown_if_a_passage_says_it_and_in_the_same_direction(
    embedder: Embedder, sentence: str, shown: str
) -> None:
    assert Grounding([PASSAGE], embedder).check(sentence) == shown


def test_what_the_guide_quotes_supports_nothing(embedder: Embedder) -> None:
    text = 'Nobody wants to read: "I can\'t eat without you. Please just answer, even one word." Cut such lines.'
    passage = replace(PASSAGE, text=text)
    assert Grounding([passage], embedder).check("Please just answer, even one word.") == ""


def test_what_was_said_before_is_not_said_again(embedder: Embedder) -> None:
    assert Grounding([PASSAGE], embedder, ["Give her several weeks. [3]"]).check("Give her several weeks.") == ""


def test_whom_the_person_named_may_be_named(embedder: Embedder) -> None:
    sentence = "Do not write to her or her mother tonight."
    assert Grounding([PASSAGE], embedder).check(sentence) == ""
    assert Grounding([PASSAGE], embedder, told="her mother says I should wait").check(sentence)


def test_one_answer_does_not_say_the_same_twice(embedder: Embedder) -> None:
    checked = Grounding([PASSAGE], embedder)
    assert checked.check("Give her several weeks at the least.")
    assert checked.check("Give her several weeks, at least.") == ""


def test_two_noes_make_a_yes() -> None:
    assert refuses("Do not write")
    assert not refuses("Do not stop writing")
    assert not refuses("Write")


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Wait.", "Wait [2]."),
        ("Wait", "Wait [2]."),
        ('Say it once: "I read your diary."', 'Say it once: "I read your diary." [2]'),
    ],
)
def test_a_citation_stands_outside_of_what_is_quoted(sentence: str, shown: str) -> None:
    assert cited(sentence, 2) == shown
    assert sentences(f"{shown} Then listen [3].") == [shown, "Then listen [3]."]
