from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coach import Coach
from coach.encoder import Encoder
from coach.errors import ModelError
from coach.guide.embed import EncoderEmbedder, SentenceTransformerEmbedder
from coach.settings import Settings
from tests.conftest import SETTINGS

FOLDER = SETTINGS.models_dir / "all-minilm-l6-v2"


def test_the_vectors_are_those_of_sentence_transformers() -> None:
    texts = ["sorry", "I lied to her about money for two years and she left. 😔", "word " * 180, ""]
    theirs = SentenceTransformerEmbedder(FOLDER).encode(texts)
    assert np.abs(EncoderEmbedder(FOLDER).encode(texts) - theirs).max() < 1e-4


def test_the_states_are_those_of_transformers() -> None:
    import torch
    from transformers import AutoModel

    encoder, theirs = Encoder(FOLDER), AutoModel.from_pretrained(FOLDER)
    tokens, _ = encoder.tokens(["sorry", "I lied to her about money for two years and she left. 😔", "word " * 180, ""])
    for ids, found in zip(tokens, encoder.states(tokens), strict=True):
        with torch.no_grad():
            expected = theirs(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        assert np.abs(found - expected).max() < 1e-4


def test_an_answer_on_a_built_index_needs_no_pytorch(coach: Coach, settings: Settings) -> None:
    assert coach.index.current()
    code = (
        "import sys; from coach import Coach; from pathlib import Path\n"
        f"coach = Coach.open(data_dir=Path({str(settings.data_dir)!r}), model=None)\n"
        "*_, last = coach.reply('i lied to my wife about money, what do i do')\n"
        "assert last.reply.made_by == 'guide', last\n"
        "assert not {'torch', 'sentence_transformers', 'gradio'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_missing_or_damaged_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        Encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Encoder(tmp_path)
