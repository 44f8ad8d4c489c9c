from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach.guardrails.normalise import normalise


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("how do i make her je4lous", "how do i make her jealous"),
        ("m a k e her pay", "make her pay"),
        ("b.l.o.c.k.e.d me", "blocked me"),
        ("t e l l  h e r  i  d i e d", "tell her i died"),
        ("sооооо јеalous", "soo jealous"),  # Cyrillic o, j and e
        ("gui\u200blt tr\u00adip", "guilt trip"),
        ("ｊｅａｌｏｕｓ", "jealous"),
        ("I’m “fine”", 'I\'m "fine"'),
        ("at 5pm, 3 times, 2nd", "at 5pm, 3 times, 2nd"),
        ("Привет", "Привет"),
        ("a b", "a b"),
    ],
)
def test_what_looks_other_than_it_reads_is_undone(text: str, reads: str) -> None:
    assert normalise(text).text == reads


@given(st.text(max_size=80))
def test_every_character_knows_where_it_came_from(text: str) -> None:
    plain = normalise(text)
    assert len(plain.origin) == len(plain.text)
    assert list(plain.origin) == sorted(plain.origin)
    for start in range(len(plain.text)):
        first, last = plain.place(start, start + 1)
        assert 0 <= first < last <= len(text)
