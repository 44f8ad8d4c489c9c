from __future__ import annotations

import re

import pytest

from coach.coaching.prompt import Prompts
from coach.errors import PromptError
from coach.settings import load
from coach.types import Conversation, Passage, Turn

FOLDER = load().prompts
PASSAGE = Passage("a.1", 4, "Title", "Chapter", "Whole text.", "a.md", 0.5, excerpt="The excerpt.")


def test_every_template_renders_and_leaves_no_markup() -> None:
    prompts = Prompts(FOLDER)
    values: dict[str, dict[str, object]] = {
        "system": {},
        "hello": {},
        "not_covered": {"first": True},
        "turn": {"message": "m", "notes": [(1, "n")], "known": ["[2]"]},
        "compose": {
            "points": [("p", 1)],
            "say": "s",
            "say_number": 1,
            "ask": "a",
            "ask_number": 1,
        },
    }
    assert {path.stem for path in FOLDER.rglob("*.j2")} == values.keys()
    for name, given in values.items():
        text = prompts.render(name, **given)
        assert text
        assert not re.search(r"\{\{|\{%|\n\n\n", text)


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(PromptError, match=r"turn\.j2"):
        Prompts(FOLDER).render("turn", message="m")


def test_a_message_is_never_a_template() -> None:
    text = Prompts(FOLDER).turn("{{ 7 * 7 }} {% include 'system.j2' %}", [PASSAGE], [])
    assert text.startswith("{{ 7 * 7 }} {% include 'system.j2' %}")
    assert "[4] The excerpt." in text


def test_the_prompt_only_grows() -> None:
    prompts = Prompts(FOLDER)
    first = prompts.messages(Conversation(), "one")
    turn = Turn("one", "one", "answer [4].", (PASSAGE,))
    second = prompts.messages(Conversation((turn,)), "two")
    assert second[: len(first)] == first
    assert [m.role for m in second[-3:]] == ["user", "assistant", "user"]
