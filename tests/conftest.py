"""Real parts for the tests: the starter model, the search model, a built index. Built once a run."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.retrieval import load as load_questions
from coach import Coach
from coach.guide.embed import Embedder
from coach.llm.catalog import READER as LARGER
from coach.llm.llama import LlamaEngine
from coach.quantised import Quantised
from coach.reader import Reader
from coach.settings import BUILT_IN, Settings, load
from coach.types import Conversation, Done, Found, Reply

SETTINGS = load()
STARTER = SETTINGS.models_dir / "SmolLM2-135M-Instruct.Q4_1.gguf"
READER = Reader(Quantised, SETTINGS.models_dir / LARGER.name, BUILT_IN / "asked.npz")


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return SETTINGS.model_copy(update={"data_dir": tmp_path_factory.mktemp("data"), "model": "smollm2-135m"})


@pytest.fixture(scope="session")
def coach(settings: Settings) -> Iterator[Coach]:
    """The coach with the starter model and its own guide."""
    coach = Coach.open(settings=settings)
    coach.build_index()
    yield coach
    coach.close()


@pytest.fixture(scope="session")
def guide_only(coach: Coach, settings: Settings) -> Coach:
    """The same without a chat model."""
    return Coach.open(settings=settings.model_copy(update={"model": "none"}))


@pytest.fixture
def own_guide(guide_only: Coach, tmp_path: Path) -> Settings:
    """Settings with an index of their own, already built, to which a person's own files can be added."""
    shutil.copytree(guide_only.index.folder, tmp_path / "data" / guide_only.index.folder.name)
    return guide_only.settings.model_copy(update={"data_dir": tmp_path / "data"})


@pytest.fixture(scope="session")
def embedder(coach: Coach) -> Embedder:
    return coach.embedder


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(STARTER, context=2048, state_dir=tmp_path_factory.mktemp("state"))
    yield engine
    engine.close()


def answer(coach: Coach, message: str, conversation: Conversation | None = None) -> Reply:
    """Ask and return the whole reply."""
    *_, last = coach.reply(message, conversation)
    assert isinstance(last, Done)
    return last.reply


def told_where(coach: Coach, fits: Callable[[Found], bool]) -> str:
    """The first of the development messages for which the search finds what fits."""
    texts = (question.text for name in ("told_dev", "oblique_dev") for question in load_questions(name, "sections"))
    return next(text for text in texts if coach.check(text).action == "coach" and fits(coach.consult(text)))


@functools.cache  # the search is asked for each of them
def unclear(coach: Coach) -> str:
    """One of which the coach cannot tell which case is meant."""
    return told_where(coach, lambda found: found.doubtful)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
