"""What is beyond doubt in a draft, and what only begins like it."""

from __future__ import annotations

import pytest

from coach.guardrails.patterns import Patterns
from tests.conftest import SETTINGS

PHRASES = Patterns(SETTINGS.prompts / "guardrails" / "phrases.yaml")


def found(text: str) -> set[str]:
    return {name for name in PHRASES.groups if name != "reported" and PHRASES.match(name, text)}


@pytest.mark.parametrize(
    "text",
    [
        "I'll send you the school photos on Sunday.",
        "I'll tell my boss that I cannot work on Tuesdays, so I can pick her up.",
        "I will tell your parents that it was me and not you.",
        "I will tell everyone at the party that I lied about you.",
        "You have every right to be angry after everything I have done.",
        "I never said that I was proud of you, and I should have.",
        "I forgot your crazy week.",
        "sorry you took the blame for my lie",
        "The necklace was for you, it's at your mum's.",
        "I'm outside the school at three to pick up Mia.",
    ],
)
def test_honest_and_practical_words_are_no_tactic(text: str) -> None:
    assert found(text) == set()


@pytest.mark.parametrize(
    ("text", "tactic"),
    [
        ("I'll tell your boss what you did", "threat"),
        ("i will send the photos to your mum", "threat"),
        ("you're crazy", "gaslighting"),
        ("I hid the debt so you wouldnt worry", "excuse"),
        ("I lied because I didnt want to lose you", "excuse"),
        ("i never said that", "gaslighting"),
        ("after all i did for you", "obligation"),
        ("im outside, come down", "boundary_violation"),
        ("sorry you took it like that", "conditional_apology"),
    ],
)
def test_what_is_beyond_doubt_is_found(text: str, tactic: str) -> None:
    assert tactic in found(text)
