from __future__ import annotations

from pathlib import Path

import pytest

from coach import settings
from coach.errors import SettingsError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(settings, "settings_file", lambda: tmp_path / "coach.toml")
    return tmp_path / "coach.toml"


def test_a_flag_beats_the_environment_which_beats_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("port = 1111\nthreads = 3\nmodel = 'none'\n")
    monkeypatch.setenv("COACH_PORT", "2222")
    monkeypatch.setenv("COACH_THREADS", "4")
    loaded = settings.load(port=3333, model=None)
    assert (loaded.port, loaded.threads, loaded.model) == (3333, 4, "none")


@pytest.mark.parametrize("text", ["port = 'high'\n", "colour = 'red'\n", "port = \n"])
def test_a_wrong_setting_is_named_with_a_hint(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.load()
    assert "coach.toml" in caught.value.message + caught.value.hint


def test_remembering_one_setting_leaves_the_rest_of_the_file(file: Path) -> None:
    file.write_text("# mine\nport = 1234\n")
    settings.remember("model", "smollm2-135m")
    assert "# mine\nport = 1234" in file.read_text()
    assert settings.load().model == "smollm2-135m"
