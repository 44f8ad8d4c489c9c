from __future__ import annotations

from dataclasses import replace

import pytest

from coach import Coach
from coach.types import Contact, Situation, Standing
from tests.conftest import answer


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            "i cheated on my girlfriend and now she wont talk to me",
            "my girlfriend; i cheated on my girlfriend; they don't",
        ),
        ("My ex-husband has our daughter at weekends", "My ex-husband; our daughter"),
        ("I read her diary, but she doesn't know", "I read her diary"),
        ("I want to make it right with my wife", "my wife; I want to make it right with my wife"),
        ("what if i cheated and never said", ""),
        ("how long do i wait", ""),
    ],
)
def test_what_a_person_tells_is_kept_in_their_words(guide_only: Coach, message: str, line: str) -> None:
    found = guide_only.situations.after(message, Situation(), Standing())
    assert guide_only.situations.line(found).startswith(line)
    assert bool(line) == (found != Situation())


def test_what_was_corrected_stays(guide_only: Coach) -> None:
    corrected = Situation(who="my friend Sam", did="I hid his letters")
    found = guide_only.situations.after("i lied to my boyfriend", corrected, Standing())
    assert (found.who, found.did) == ("my friend Sam", "I hid his letters")


def test_a_closed_door_is_known_and_opens_when_the_person_says_that_it_did(guide_only: Coach) -> None:
    first = answer(guide_only, "She blocked me after I lied about the money. I feel so ashamed.")
    assert first.conversation.situation.contact is Contact.BLOCKED
    opened = replace(first.conversation, situation=replace(first.conversation.situation, contact=Contact.TALKING))
    assert opened.standing.contact is None
    assert answer(guide_only, "should i write to her tonight", first.conversation).action == "redirect"
    assert answer(guide_only, "should i write to her tonight", opened).action == "coach"


def test_the_model_is_told_who_it_talks_to(coach: Coach) -> None:
    reply = answer(coach, "I lied to my wife about a debt for two years, where do I start?")
    assert "(About me: my wife; I lied to my wife about a debt for two years.)" in reply.conversation.turns[0].prompt
    following = answer(coach, "How long do people usually wait before they believe it?", reply.conversation)
    assert "About me" not in following.conversation.turns[1].prompt  # it has not changed
    assert following.conversation.situation == reply.conversation.situation
