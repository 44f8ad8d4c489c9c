from __future__ import annotations

from coach.llm.lookup import LEAST, MOST, PROBE, Lookup, Pace


def test_what_followed_the_same_words_is_guessed() -> None:
    lookup = Lookup([1, 2, 3, 4, 5, 6, 7, 8, 9])
    for token in (2, 3):
        lookup.add(token)
    assert lookup.guess() == [4, 5, 6]


def test_the_longer_and_the_later_stretch_counts() -> None:
    lookup = Lookup([1, 2, 3, 10, 0, 2, 3, 20, 0, 2, 3, 30, 0])
    for token in (1, 2, 3):
        lookup.add(token)
    assert lookup.guess()[0] == 10
    lookup.add(7)
    for token in (2, 3):
        lookup.add(token)
    assert lookup.guess()[0] == 7


def test_nothing_is_guessed_after_words_that_were_not_read() -> None:
    assert Lookup([1, 2, 3, 4, 9, 8]).guess() == []


def test_guesses_grow_while_they_are_right() -> None:
    lookup = Lookup([*range(40), 0, 1, 2])
    sizes = []
    for right in (3, 6, 12, 5):
        sizes.append(len(lookup.guess()))
        lookup.learn(right, len(lookup.guess()))
    assert sizes == [LEAST, 2 * LEAST, MOST, MOST]
    assert len(lookup.guess()) == LEAST


def test_guessing_goes_on_only_where_it_is_as_quick() -> None:
    slow, quick = Pace(), Pace()
    for pace, seconds in ((slow, 0.14), (quick, 0.05)):
        for _ in range(5):
            pace.note(1, 0.04, guessed=False)
            pace.note(2, seconds, guessed=True)
    assert [quick.pays() for _ in range(PROBE)] == [True] * PROBE
    for pause in (PROBE, 2 * PROBE):  # a wrong guess is dear: it is tried again more and more rarely
        assert [slow.pays() for _ in range(pause)] == [False] * (pause - 1) + [True]


def test_guessing_is_tried_before_anything_is_known() -> None:
    assert Pace().pays()
