from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import coach
from coach import Coach, ModelError
from coach.app import choose_model
from coach.llm import catalog
from coach.settings import Settings
from coach.setup import fetch_best


def test_the_public_names_are_sorted_and_there() -> None:
    assert coach.__all__ == sorted(coach.__all__)
    assert all(hasattr(coach, name) for name in coach.__all__)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = "{'torch', 'sentence_transformers', 'chromadb', 'llama_cpp', 'gradio', 'transformers'}"
    code = f"import sys, coach.cli; from coach import Coach; Coach.open(model=None); print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_model_can_be_named_given_as_a_file_or_left_out(settings: Settings) -> None:
    starter = settings.models_dir / catalog.STARTER.files[0].path
    assert choose_model(settings.model_copy(update={"model": "smollm2-135m"})) == starter
    assert choose_model(settings.model_copy(update={"model": str(starter)})) == starter
    assert choose_model(settings.model_copy(update={"model": "none"})) is None


@pytest.mark.parametrize("name", ["gpt-5", "missing.gguf"])
def test_a_model_that_is_not_there_is_named_with_a_hint(settings: Settings, name: str) -> None:
    with pytest.raises(ModelError) as caught:
        Coach.open(settings=settings.model_copy(update={"model": name}))
    assert name in caught.value.message
    assert caught.value.hint


def test_a_damaged_model_is_noted_and_the_guide_answers(settings: Settings, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and then nothing")
    opened = Coach.open(settings=settings.model_copy(update={"model": str(broken)}))
    opened.warm()
    assert "broken.gguf" in opened.model_error
    assert opened.model_name == ""
    *_, done = opened.reply("I shouted at him. How do I apologise?")
    assert isinstance(done, coach.Done)
    assert done.reply.made_by == "guide"
    assert "broken.gguf" in done.reply.note


def test_the_best_model_for_the_memory_comes_first_and_the_starter_last() -> None:
    assert next(m.name for m in catalog.fitting(16 * 1024**3)) == "qwen3-4b"
    assert next(m.name for m in catalog.fitting(6 * 1024**3)) == "qwen2.5-1.5b"
    assert [m.name for m in catalog.fitting(2 * 1024**3)] == ["smollm2-135m"]


def test_setup_fetches_nothing_when_a_good_model_is_here(settings: Settings, tmp_path: Path) -> None:
    model = catalog.by_name("qwen2.5-coder-1.5b")
    with (tmp_path / model.files[0].path).open("wb") as file:
        file.truncate(model.size)  # a sparse file of the right size
    said: list[str] = []
    chosen = fetch_best(settings.model_copy(update={"models_dir": tmp_path}), 16 * 1024**3, said.append, lambda _: None)
    assert chosen is model
    assert said == [f"Model: {model.name} is here already ({model.about})."]
