from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.retrieval import load
from coach.encoder import Array, pooled
from coach.errors import ModelError
from coach.quantised import Quantised, distances
from tests.conftest import SETTINGS

FOLDER = SETTINGS.models_dir / "all-mpnet-base-v2"
TEXTS = ["sorry", "I lied to her about money for two years and she left. 😔", load("long_test", "sections")[0].text]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model without what was made of it."""
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).symlink_to(FOLDER / name)
    return tmp_path


def test_the_states_are_nearly_those_of_transformers(folder: Path) -> None:
    import torch
    from transformers import AutoModel

    encoder, theirs = Quantised(folder), AutoModel.from_pretrained(FOLDER)
    tokens, _ = encoder.tokens(TEXTS)
    for ids, found in zip(tokens, encoder.states(tokens), strict=True):
        with torch.no_grad():
            expected = theirs(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
        assert found.shape == expected.shape
        assert _alike(found, expected) > 0.998


def test_distances_are_those_of_transformers() -> None:
    import torch
    from transformers import AutoModel

    theirs = AutoModel.from_pretrained(FOLDER).encoder
    expected = theirs.compute_position_bias(torch.zeros(1, 200, 768)).detach().numpy()
    assert np.abs(distances(theirs.relative_attention_bias.weight.detach().numpy(), 200) - expected).max() < 1e-6


def test_an_adapter_changes_the_weights(folder: Path) -> None:
    import torch
    from transformers import AutoModel

    chance = np.random.default_rng(1)
    down, up = (np.asarray(chance.normal(0, 0.1, shape), np.float32) for shape in ((4, 3072), (768, 4)))
    name = "encoder.layer.11.output.dense.weight"
    plain, changed = Quantised(folder), Quantised(folder, {f"{name}.down": down, f"{name}.up": up})
    theirs = AutoModel.from_pretrained(FOLDER)
    theirs.encoder.layer[11].output.dense.weight.data += torch.tensor(up @ down)
    (ids,), _ = plain.tokens(["i broke her cup and said the cat did it"])
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
    assert _alike(changed.states([ids])[0], expected) > 0.998 > _alike(plain.states([ids])[0], expected)


def test_what_was_made_is_kept_mended_and_replaced(folder: Path) -> None:
    Quantised(folder)
    (kept,) = folder.glob("quantised-*.onnx")
    made = kept.read_bytes()
    kept.write_bytes(b"cut off")
    Quantised(folder)
    assert kept.read_bytes() == made
    Quantised(folder, {"other": np.ones(1, np.float32)})
    assert kept not in folder.glob("quantised-*.onnx")
    assert len(list(folder.glob("quantised-*.onnx"))) == 1


def test_a_missing_or_damaged_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        Quantised(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Quantised(tmp_path)


def _alike(states: Array, others: Array) -> float:
    """The cosine of what heads read of a text."""
    one, other = pooled(states), pooled(others)
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
