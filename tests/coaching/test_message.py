from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach.coaching.message import MAX_CHARACTERS, clean
from coach.errors import InputError


def test_control_and_direction_marks_go_and_emoji_stay() -> None:
    assert clean("i\x00 lied\u202e to\u200b her 👩‍👧 \r\n\r\n\r\n\r\nok") == "i lied to her 👩‍👧 \n\nok"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "nothing to read"),
        ("\x07\u200b  ", "nothing to read"),
        ("🙂🙂 !!! 123", "no words"),
        ("a" * (MAX_CHARACTERS + 1), "reads up to"),
        ("我骗了她", "English only"),
        ("لقد كذبت عليها", "English only"),
    ],
)
def test_what_cannot_be_answered_is_refused(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part) as caught:
        clean(text)
    assert caught.value.hint


@given(st.text(max_size=300))
def test_any_text_is_cleaned_or_refused_and_cleaning_twice_changes_nothing(text: str) -> None:
    try:
        once = clean(text)
    except InputError:
        return
    assert clean(once) == once
