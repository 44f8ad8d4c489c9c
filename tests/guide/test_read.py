from __future__ import annotations

from pathlib import Path

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach.errors import GuideError
from coach.guide import read
from coach.guide.chunk import MAX_WORDS, chunks, sentences
from coach.settings import BUILT_IN
from tests.conftest import write

PLAIN = """Mending a fence with your neighbour

You broke it, and they know. This is about putting it right without making a show of it, step by step.

First things first

Looking at the damage

Go and look. Take a photo of each broken board and count them, so that nobody has to argue about the number.

• Count the boards.
• Count the posts.

What if they are angry?

Let them be. A fence is never only a fence, and what you hear may be about the years before it as well.
"""


def test_every_section_of_the_guide_has_a_takeaway_questions_and_a_unique_id() -> None:
    sections = [s for path in read.find(BUILT_IN) for s in read.read(path).sections]
    assert len({s.id for s in sections}) == len(sections) >= 25
    assert all(s.takeaway and len(s.questions) >= 4 for s in sections)
    words = sum(len(b.text.split()) for s in sections for b in s.blocks)
    assert 25_000 < words < 60_000


def test_titles_are_found_in_text_without_markup(tmp_path: Path) -> None:
    document = read.read(write(tmp_path, "fence.txt", PLAIN))
    assert document.title == "Mending a fence with your neighbour"
    assert [(s.chapter, s.title) for s in document.sections] == [
        ("Mending a fence with your neighbour", "Mending a fence with your neighbour"),
        ("First things first", "Looking at the damage"),
        ("First things first", "What if they are angry?"),
    ]
    assert [b.kind for b in document.sections[1].blocks] == ["text", "item", "item"]


def test_lines_in_a_row_without_full_stops_are_a_list_and_no_titles(tmp_path: Path) -> None:
    lines = ["Name what you did", "Say that it was yours", "Ask for nothing", "Wait", "Then let them be"]
    document = read.read(write(tmp_path, "list.txt", "\n\n".join(lines)))
    assert [block.text for section in document.sections for block in section.blocks] == lines


def test_a_picture_alone_is_no_text(tmp_path: Path) -> None:
    said = "The lake in May, with the old boat."
    document = read.read(write(tmp_path, "photos.md", f"# Photos\n\n![](a.png)\n\n{said}\n"))
    assert [block.text for section in document.sections for block in section.blocks] == [said]


def test_blocks_know_their_place_in_the_source(tmp_path: Path) -> None:
    for name, text in (("fence.txt", PLAIN), ("fence.md", PLAIN.replace("First", "# First", 1))):
        path = write(tmp_path, name, text)
        for section in read.read(path).sections:
            for block in section.blocks:
                assert " ".join(text[block.start : block.end].split()).endswith(block.text)


def test_bold_words_in_quotation_marks_are_a_case_and_no_part_of_its_answer(tmp_path: Path) -> None:
    path = write(tmp_path, "g.md", '# G\n\n## A {#a}\n\nGeneral.\n\n**"I broke it. What now?"** Say so.\n')
    general, case = chunks(read.read(path))
    assert (general.text, general.case) == ("General.", "")
    assert (case.text, case.case) == ("Say so.", "I broke it. What now?")


def test_docx_headings_become_sections(tmp_path: Path) -> None:
    file = docx.Document()
    file.add_heading("The fence", level=1)
    file.add_heading("Looking", level=2)
    file.add_paragraph("Go and look at it first.")
    file.save(str(tmp_path / "fence.docx"))
    (section,) = read.read(tmp_path / "fence.docx").sections
    assert (section.chapter, section.title, section.blocks[0].text) == (
        "The fence",
        "Looking",
        "Go and look at it first.",
    )


def test_pdf_headings_are_the_bigger_lines(tmp_path: Path) -> None:
    (section,) = read.read(_pdf(tmp_path / "fence.pdf")).sections
    assert section.title == "Looking at the damage"
    assert section.blocks[0].text.startswith("Go and look at it before")
    assert section.blocks[0].page == 1


def _pdf(path: Path) -> Path:
    """A one-page PDF with a heading of 20 points and three lines of 11, written by hand."""
    lines = [
        "Go and look at it before you say anything at all to them,",
        "count the boards that are broken and the posts,",
    ]
    lines.append("and write the number down where you can find it again.")
    stream = "BT /F1 20 Tf 50 750 Td (Looking at the damage) Tj ET\n"
    stream += "\n".join(f"BT /F1 11 Tf 50 {700 - 14 * i} Td ({line}) Tj ET" for i, line in enumerate(lines))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        " /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
    ]
    data = "%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start = len(data)
    data += f"xref\n0 5\n0000000000 65535 f \n{table}trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
    path.write_bytes(data.encode("latin-1"))
    return path


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("empty.md", b""),
        ("blank.txt", b" \n\n \t\n"),
        ("broken.pdf", b"%PDF-1.4 and then nothing"),
        ("broken.docx", b"PK\x03\x04 not a zip"),
        ("binary.txt", b"\x00\x01\x02" * 50),
        ("picture.png", b"\x89PNG"),
        ("only-titles.md", b"# One\n\n## Two\n"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_in_one_sentence_with_a_hint(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(GuideError) as caught:
        read.read(tmp_path / name)
    assert name in caught.value.message
    assert caught.value.hint


def test_other_encodings_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("Café rules\n\nBe kind to the waiter, naïve or not.".encode("cp1252"))
    (tmp_path / "b.txt").write_bytes("Café rules\n\nBe kind to the waiter, naïve or not.".encode("utf-16"))
    assert read.read(tmp_path / "a.txt").title == read.read(tmp_path / "b.txt").title == "Café rules"


def test_chunks_never_cross_a_section_or_cut_a_sentence() -> None:
    for path in read.find(BUILT_IN):
        document = read.read(path)
        for chunk in chunks(document):
            whole = " ".join(block.text for block in chunk.section.blocks)
            assert all(line.removeprefix("• ") in whole for line in chunk.text.split("\n"))
            assert len(chunk.text.split()) <= MAX_WORDS + 40


@given(
    st.lists(
        st.sampled_from(["I lied.", "She left [1].", "Why?", '"Go!"', "See e.g. the bank.", "Dr. Who came."]),
        min_size=1,
    )
)
def test_sentences_lose_nothing(parts: list[str]) -> None:
    text = " ".join(parts)
    assert " ".join(sentences(text)) == text
