from __future__ import annotations

from coach.types import Passage
from coach.ui import render

WORDS = {"sources": "From the guide", "in_short": "In short"}
PASSAGE = Passage("a.1", 2, "A <b>title</b>", "Chapter", "One.\n• Two & three.", "a.md", 0.9, takeaway="Short.")


def test_nothing_that_was_written_becomes_markup() -> None:
    shown = render.answer("<img src=x onerror=alert(1)> ![a](http://e.example/p.png) [2]", [PASSAGE], WORDS)
    assert "<img" not in shown
    assert "&lt;b&gt;title" in shown
    assert "\n" not in shown  # a blank line would hand the rest to the Markdown renderer
    said = render.person("<script>x</script> **b** `c` ![i](http://e.example)")
    assert "<script>" not in said
    assert "\\*\\*b\\*\\*" in said


def test_citations_open_their_source_and_unknown_ones_vanish() -> None:
    shown = render.answer("True [2]. Invented [7].", [PASSAGE], WORDS)
    assert 'class="cite cite-2"' in shown
    assert "7" not in shown
    assert 'class="source source-2"' in shown
