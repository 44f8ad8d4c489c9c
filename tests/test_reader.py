from __future__ import annotations

import pytest

from coach.encoder import Encoder
from coach.errors import ModelError
from coach.guardrails.signals import CLASSES
from coach.reader import WINDOW, Reader
from coach.settings import BUILT_IN
from tests.conftest import READER, SETTINGS

SMALL = SETTINGS.models_dir / "all-minilm-l6-v2"
SIGNALS = SETTINGS.prompts / "guardrails" / "signals.npz"


def test_a_head_gives_each_of_its_answers_a_likelihood() -> None:
    (piece,) = READER.read("i told her friends what she had told me")
    assert piece.texts("chat").shape == (len(CLASSES),)
    assert piece.texts("chat").sum() == pytest.approx(1, abs=1e-4)
    assert piece.scores("cell").shape == (len(READER.names("cell")),)


def test_a_text_is_read_once_for_all_who_ask() -> None:
    assert READER.read("he found the letters") is READER.read("he found the letters")


def test_a_long_text_is_read_to_its_end_in_pieces_that_overlap() -> None:
    text = "i was late again and she had waited for an hour in the rain " * 60
    pieces = Reader(Encoder, SMALL, SIGNALS, "chat").read(text)
    assert len(pieces) > 1
    assert all(len(piece.offsets) <= WINDOW + 2 for piece in pieces)
    assert pieces[0].offsets[-2][1] > pieces[1].offsets[1][0]
    assert pieces[-1].offsets[-2][1] == len(text.rstrip())


def test_the_tasks_of_a_file_are_readers_of_their_own() -> None:
    chat, draft = (Reader(Encoder, SMALL, SIGNALS, task).read("please come home")[0] for task in ("chat", "draft"))
    assert chat.texts("reply").sum() == pytest.approx(1, abs=1e-4)
    with pytest.raises(KeyError):
        draft.texts("reply")


def test_damaged_weights_are_named_with_a_hint() -> None:
    with pytest.raises(ModelError, match=r"asked\.tsv") as caught:
        Reader(Encoder, SMALL, BUILT_IN / "asked.tsv").read("hello")
    assert "Restore" in caught.value.hint
