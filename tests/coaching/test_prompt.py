from __future__ import annotations

import itertools
import re

import pytest

from coach.coaching.prompt import Prompts
from coach.errors import PromptError
from coach.guardrails.policy import Policy
from coach.settings import load
from coach.types import Conversation, Passage, Turn

FOLDER = load().prompts
POLICY = Policy.load(FOLDER / "guardrails" / "policy.yaml")
PASSAGE = Passage("a.1", 4, "Title", "Chapter", "Whole text.", "a.md", 0.5, excerpt="The excerpt.")


def test_every_template_renders_and_leaves_no_markup() -> None:
    prompts = Prompts(FOLDER)
    values: dict[str, dict[str, object]] = {
        "system": {"tactics": ["a threat"]},
        "hello": {"kind": "hello"},
        "not_covered": {"form": 0},
        "other_language": {},
        "all_said": {"form": 0},
        "unsure": {"form": 0},
        "which": {"opening": "o.", "cases": ("c", "d"), "form": 0},
        "rewrite_system": {},
        "rewrite": {"draft": "d", "about": "a", "start": "s", "quotes": ["q"], "attempt": 0},
        "review_chat": {
            "verdict": "Not yet",
            "reason": "r.",
            "next_step": "n.",
            "findings": [("q", "why.", "mend.", 1)],
            "notes": ["o."],
            "missing": ["m."],
            "rewrite": "w",
        },
        "guardrails/redirect": {"tactic": POLICY["threat"], "form": 1, "number": 2, "closed": ["They have gone."]},
        "crisis/help": {"emergency": "112", "country": "", "lines": [("Line", "116 123")], "finder": "f.example"},
        "crisis/misunderstood": {},
        "crisis/safer": {},
        "crisis/waiting": {"danger": "self_harm", "softened": False, "form": 0},
        **{
            f"crisis/{name}": {"form": form, "help": "Numbers"}
            for form in (0, 1)
            for name in ("self_harm", "self_harm_other", "violence_by_user", "violence_to_user", "legal_order")
        },
        "instead": {"case": "c", "text": "t.", "number": 1, "form": 0},
        "turn": {"message": "m", "notes": [(1, "n")], "known": ["[2]"], "about": "my wife"},
        "compose": {
            "opening": "o.",
            "form": 0,
            "points": [("p", 1)],
            "say": "s",
            "say_number": 1,
            "ask": "a",
            "ask_number": 1,
        },
    }
    assert {path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.j2")} == values.keys()
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


def test_every_form_of_every_redirect_reads_as_whole_sentences() -> None:
    prompts = Prompts(FOLDER)
    for tactic in POLICY:
        forms = [
            prompts.render("guardrails/redirect", tactic=tactic, form=form, number=1, closed=()) for form in range(6)
        ]
        for text, following in itertools.pairwise(forms):
            assert text.endswith("?")
            assert "[1]" in text
            assert not set(text.split("\n\n")) & set(following.split("\n\n"))
