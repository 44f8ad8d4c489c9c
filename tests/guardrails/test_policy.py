from __future__ import annotations

from pathlib import Path

import pytest

from coach.errors import PromptError
from coach.guardrails.policy import Policy
from coach.guide.read import read
from coach.settings import BUILT_IN, load
from scripts.tactics_page import PAGE, render

FILE = load().prompts / "guardrails" / "policy.yaml"


def test_each_tactic_points_to_a_paragraph_of_the_guide() -> None:
    sections = {s.id: s for path in sorted(BUILT_IN.glob("*.md")) for s in read(path).sections}
    policy = Policy.load(FILE)
    assert len(policy.ids) == 21
    for tactic in policy:
        text = " ".join(block.text for block in sections[tactic.section].blocks)
        assert tactic.passage in text, tactic.id


def test_the_page_in_the_docs_is_the_policy() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(Policy.load(FILE))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  weight: 2\n", "  weight: heavy\n", "line 19: 0.weight"),
        ("- id: excuse\n", "- id: guilt_trip\n", "the id guilt_trip is there twice"),
        ("  reader: It asks them", "  raeder: It asks them", "0.reader: Field required"),
        ("  section: tactics-words\n", "  section: [\n", "line "),
    ],
)
def test_every_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "policy.yaml"
    broken.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(PromptError) as caught:
        Policy.load(broken)
    assert "line" in caught.value.message
    assert message in caught.value.message


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="cannot be read"):
        Policy.load(tmp_path / "policy.yaml")
