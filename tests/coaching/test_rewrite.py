from __future__ import annotations

from dataclasses import replace

import pytest

from coach import Coach
from coach.coaching.rewrite import Rewriter, faults
from coach.types import Review
from tests.coaching.test_draft import BAD
from tests.coaching.test_turn import Scripted


def rewritten(coach: Coach, text: str) -> Review:
    review = coach.review(BAD)
    return Rewriter(coach.drafts, coach.prompts, lambda: Scripted(text)).rewrite(review)


def test_a_rewrite_that_passes_is_shown(guide_only: Coach) -> None:
    text = "Hey Sam. For a year I lied to you about the loan. [It was my choice, if you can say so.]"
    assert rewritten(guide_only, text).rewrite_source == "model"


@pytest.mark.parametrize(
    "text",
    [
        BAD,
        "Hey Sam. For a year I lied to you about the loan, and it was my choice.",  # that is theirs to say
        "Hey Sam. For 3 years I lied to you about the loan. [It was my choice, if you can say so.]",
        "Hey Sam. I lied to you about the loan. I told Peter about it. [It was my choice, if you can say so.]",
        "Hey Sam. I lied to you about the loan. Call me or we are done. [It was my choice, if you can say so.]",
        "My darling, every star above Venice reminds me how foolish I behaved, and tomorrow I shall begin therapy.",
        "",
    ],
)
def test_a_rewrite_that_echoes_invents_or_slips_is_not(guide_only: Coach, text: str) -> None:
    assert rewritten(guide_only, text).rewrite_source == "draft"


def test_a_rewrite_that_loses_the_sorry_is_not_shown(guide_only: Coach) -> None:
    review = replace(guide_only.review(BAD), rewrite="Sam, I lied to you about the loan for a year. I am sorry.")
    assert faults("I am sorry, Sam. For a year I lied to you about the loan.", review) == []
    assert faults("For a year I lied to you about the loan, Sam.", review) == ["the sorry is lost"]
