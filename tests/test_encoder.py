from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coach.encoder import Encoder
from coach.errors import ModelError
from coach.guide.embed import SentenceTransformerEmbedder
from tests.conftest import SETTINGS

FOLDER = SETTINGS.models_dir / "all-minilm-l6-v2"


def test_the_vectors_are_those_of_sentence_transformers(embedder: SentenceTransformerEmbedder) -> None:
    texts = ["sorry", "I lied to her about money for two years and she left. 😔", "word " * 180, ""]
    assert np.abs(Encoder(FOLDER).encode(texts) - embedder.encode(texts)).max() < 1e-4


def test_a_missing_or_damaged_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        Encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Encoder(tmp_path)
