from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from coach import Coach
from coach.errors import GuideError, SearchIndexError
from coach.guide import read
from coach.guide.asked import Asked
from coach.guide.embed import Embedder, Vectors
from coach.guide.index import Index
from coach.guide.retrieve import Retriever
from coach.settings import CHECKOUT, Settings
from tests.conftest import READER, SETTINGS, write

ASKED = Asked(READER)
BRIDGE = """# Bikes

## Giving the bike back {#give-back}

**In short.** Bring it back clean, today, with a short thank you.

A borrowed bike goes back before anything else is said, because somebody who waits for it hears nothing else.

**People ask:**
- when do I return his bike
- i still have my brothers bicycle

## Broken things {#broken}

**In short.** Say that you broke it, and offer to replace it.

A vase is worth what it was to its owner. Do not speak of the price, and do not hide the pieces under the sofa.

**People ask:**
- i broke her vase
- should I buy a new one
"""


class Counting:
    """An embedder that counts what it is given, and can fail half-way as a killed program would."""

    def __init__(self, inner: Embedder, fail_after: int | None = None) -> None:
        self.name, self.seen, self._inner, self._fail_after = inner.name, 0, inner, fail_after

    def encode(self, texts: Sequence[str]) -> Vectors:
        if self._fail_after is not None and self.seen >= self._fail_after:
            raise KeyboardInterrupt
        self.seen += len(texts)
        return self._inner.encode(texts)


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    write(tmp_path / "guide", "bikes.md", BRIDGE)
    return tmp_path / "guide"


def make(tmp_path: Path, guide: Path, embedder: Embedder) -> Index:
    return Index(tmp_path / "index", guide=guide, extra=tmp_path / "guides", bridge=guide, embedder=embedder)


def test_only_what_changed_is_embedded_and_what_is_gone_is_removed(
    tmp_path: Path, guide: Path, embedder: Embedder
) -> None:
    counting = Counting(embedder)
    index = make(tmp_path, guide, counting)
    first = index.build()
    assert first.embedded == counting.seen > 10
    assert index.build().embedded == 0
    added = write(tmp_path / "guides", "fence.md", "# Fences\n\nPaint the fence together on a dry day in May.")
    assert not index.current()
    second = index.build()
    assert (second.sources, second.removed) == (2, 0)
    assert 0 < second.embedded < 6
    added.unlink()
    third = index.build()
    assert (third.sources, third.embedded, third.removed) == (1, 0, second.embedded)
    assert index.current()


def test_a_build_that_was_killed_goes_on_where_it_stopped(tmp_path: Path, guide: Path, embedder: Embedder) -> None:
    write(
        guide,
        "more.md",
        "# More\n\n" + "\n\n".join(f"Sentence number {n} about a bike and a bell." for n in range(150)),
    )
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, guide, Counting(embedder, fail_after=64)).build()
    index = make(tmp_path, guide, embedder)
    assert not index.current()
    whole = Counting(embedder)
    fresh = Index(tmp_path / "other", guide=guide, extra=tmp_path / "no", bridge=guide, embedder=whole)
    fresh.build()
    rest = index.build()
    assert 0 < rest.embedded <= whole.seen - 64
    assert index.current()


@pytest.mark.parametrize("victim", ["catalogue.sqlite3", "chroma/chroma.sqlite3"])
@pytest.mark.parametrize("damage", [b"this is not a database, it was damaged", b""])
def test_a_damaged_index_is_replaced_by_itself(
    tmp_path: Path, guide: Path, embedder: Embedder, victim: str, damage: bytes
) -> None:
    # A process of its own builds the index: Chroma keeps files open that are damaged here.
    code = (
        "import sys; from pathlib import Path; from coach.guide.embed import SentenceTransformerEmbedder as E;"
        "from coach.guide.index import Index; p = Path(sys.argv[1]); g = p / 'guide';"
        "Index(p / 'index', guide=g, extra=p / 'guides', bridge=g, embedder=E(Path(sys.argv[2]))).build()"
    )
    model = SETTINGS.models_dir / "all-minilm-l6-v2"
    subprocess.run([sys.executable, "-c", code, tmp_path, model], check=True, cwd=CHECKOUT)
    (tmp_path / "index" / victim).write_bytes(damage)
    index = make(tmp_path, guide, embedder)
    report = index.build()
    assert report.embedded > 10
    assert index.current()
    assert Retriever(index, embedder, ASKED).search("i still have his bike")[0].section == "give-back"


def test_an_index_of_another_version_is_replaced(tmp_path: Path, guide: Path, embedder: Embedder) -> None:
    index = make(tmp_path, guide, embedder)
    index.build()
    other = Counting(embedder)
    other.name = "another-encoder"
    newer = make(tmp_path, guide, other)
    assert not newer.current()
    assert newer.build().rebuilt == "it was made by another version"


def test_two_builders_on_one_folder_take_turns(tmp_path: Path, guide: Path, embedder: Embedder) -> None:
    indexes = [make(tmp_path, guide, embedder) for _ in range(2)]
    reports: list[int] = []
    threads = [threading.Thread(target=lambda i=i: reports.append(i.build().embedded)) for i in indexes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(reports)[0] == 0 < sorted(reports)[1]


def test_an_unreadable_file_is_left_out_and_named(tmp_path: Path, guide: Path, embedder: Embedder) -> None:
    (guide / "broken.pdf").write_bytes(b"%PDF-1.4")
    index = make(tmp_path, guide, embedder)
    report = index.build()
    assert len(report.skipped) == 1
    assert "broken.pdf" in report.skipped[0]
    assert index.current()
    assert index.build().skipped == report.skipped
    write(guide, "broken.md", "")
    assert not index.current()


def test_what_another_process_builds_is_seen(own_guide: Settings) -> None:
    own = write(own_guide.guides, "fence.md", "# Fences\n\nPaint the old garden fence together on a dry day in May.")
    coach = Coach.open(settings=own_guide)
    assert any(p.source == "guides/fence.md" for p in coach.search("how do we paint the garden fence", 4))
    own.unlink()
    write(own_guide.guides, "kite.md", "# Kites\n\nA kite needs a long tail and a windy hill to fly.")
    code = "import sys; from coach import Coach; Coach.open(data_dir=sys.argv[1], model=None).build_index()"
    subprocess.run([sys.executable, "-c", code, own_guide.data_dir], check=True, cwd=CHECKOUT)
    found = [p.source for p in coach.search("how does a kite fly on a windy hill", 4)]
    assert "guides/kite.md" in found
    assert "guides/fence.md" not in found


def test_a_file_with_half_a_character_and_a_name_in_another_encoding_is_taken(
    tmp_path: Path, guide: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = guide / os.fsdecode(b"caf\xe9.md")
    odd.write_text("# Coffee\n\nBring coffee to somebody who lent you a bike.", encoding="utf-8")
    monkeypatch.setattr(read, "_decode", lambda data: data.decode("utf-8").replace("clean", "cl\ud835ean"))
    index = make(tmp_path, guide, embedder)
    assert index.build().skipped == ()
    assert index.current()


def test_a_guide_without_text_is_refused(tmp_path: Path, guide: Path, embedder: Embedder) -> None:
    empty = tmp_path / "empty"
    write(empty, "nothing.md", "")
    index = Index(tmp_path / "index", guide=empty, extra=tmp_path / "no", bridge=guide, embedder=embedder)
    with pytest.raises(GuideError, match=r"nothing\.md"):
        index.build()
    assert not index.current()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, guide: Path, embedder: Embedder) -> None:
    (tmp_path / "file").write_text("not a folder")
    index = Index(tmp_path / "file" / "index", guide=guide, extra=tmp_path / "no", bridge=guide, embedder=embedder)
    with pytest.raises(SearchIndexError, match="cannot be used"):
        index.build()


def test_another_guide_is_found_through_the_bridge_and_the_bridge_is_not(tmp_path: Path, embedder: Embedder) -> None:
    other = tmp_path / "other"
    text = "Handing back belongings\n\nLeave what is theirs at the door and ask for nothing.\n\n"
    write(other, "o.txt", text + "Anger after a parting\n\nLet them be angry with you, and do not defend yourself.\n")
    bridge = SETTINGS.corpus / "05-space.md"
    index = Index(tmp_path / "index", guide=other, extra=tmp_path / "no", bridge=bridge, embedder=embedder)
    index.build()
    found = Retriever(index, embedder, ASKED).search("i still have his bike and his winter coat here")
    assert [p.title for p in found] == ["Handing back belongings", "Anger after a parting"]
    assert Retriever(index, embedder, ASKED).search("weather in paris tomorrow?") == []
