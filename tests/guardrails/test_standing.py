"""How things stand, as people say it and as they do not."""

from __future__ import annotations

import pytest

from coach.guardrails.standing import Told
from coach.types import Contact, Standing
from tests.conftest import SETTINGS

TOLD = Told(SETTINGS.prompts / "guardrails" / "standing.yaml")
BLOCKED, SPACE = Contact.BLOCKED, Contact.ASKED_FOR_SPACE


@pytest.mark.parametrize(
    ("text", "contact"),
    [
        ("maya blocked me everywhere", BLOCKED),
        ("he's blocked my number", BLOCKED),
        ("im blocked", BLOCKED),
        ("She has asked that I don't write", SPACE),
        ("she's asked me for space", SPACE),
        ("she told me not to call", SPACE),
        ("she said she needs time. can i write to her tomorrow?", SPACE),
        ("he wants a break from me", SPACE),
        ("she wants some time to herself", SPACE),
        ("my wife said she needed time", SPACE),
    ],
)
def test_a_closed_door_is_heard(text: str, contact: Contact) -> None:
    assert TOLD.after(text, Standing()).contact is contact


@pytest.mark.parametrize(
    "text",
    [
        "She hasn't blocked me and we still talk",
        "shes not blocked me, i just want to do it myself",
        "My bank blocked my account because I gambled",
        "I was blocked in by a truck",
        "My wife says I never talk to her about feelings",
        "He said I don't text him back",
        "he said we don't talk enough",
        "She wants more space in the wardrobe",
        "She said please don't stop talking to me",
        "My wife needed a break from the kids and I went out drinking instead",
        "he needs more time with me",
        "she said take your time",
    ],
)
def test_what_only_sounds_like_a_closed_door_is_none(text: str) -> None:
    assert TOLD.after(text, Standing()).contact is None


@pytest.mark.parametrize(
    ("text", "still"),
    [
        ("She called me a liar that night, was that fair?", True),
        ("he called the police on me", True),
        ("she wrote down everything I did wrong", True),
        ("she texted her sister about it", True),
        ("she called me back", False),
        ("he's answered me", False),
        ("she wrote to me that she misses the dog", False),
        ("she unblocked me", False),
    ],
)
def test_a_door_is_open_again_when_the_other_one_opened_it(text: str, still: bool) -> None:
    assert (TOLD.after(text, Standing(contact=BLOCKED)).contact is BLOCKED) == still
