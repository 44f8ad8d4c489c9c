from __future__ import annotations

import numpy as np
import pytest

from benchmarks.labelled import read_asked
from coach.guide import read
from coach.guide.asked import NONE, Asked
from coach.settings import BUILT_IN
from tests.conftest import READER

ASKED = Asked(READER)
CASES = {
    section.id: [block.case for block in section.blocks if block.case]
    for path in read.find(BUILT_IN)
    for section in read.read(path).sections
}


def test_the_reader_was_trained_with_every_case_of_the_guide() -> None:
    reading = ASKED.read("i lied to her")
    assert {section: sorted(cases) for section, cases in reading.cells.items()} == {
        section: sorted(["", *cases]) for section, cases in CASES.items()
    }


def test_every_message_names_one_case_of_its_section_or_none() -> None:
    for section, phrases in read_asked(BUILT_IN / "asked.tsv").items():
        for phrase in phrases:
            assert phrase.case in ("", *CASES.get(section, [])), (section, phrase)
            assert section in CASES or section == NONE


def test_likelihoods_add_up_to_one_and_an_unknown_section_says_nothing() -> None:
    reading = ASKED.read("he asked me straight out and i said no and it was a yes")
    assert sum(np.exp(score) for cases in reading.cells.values() for score in cases.values()) == pytest.approx(
        1, abs=1e-3
    )
    lies, unknown = reading.sections(["lies", "my-own"])
    assert lies > unknown
    assert reading.case("lies", "They asked me straight out and I lied to their face.") > reading.case("lies", "")
