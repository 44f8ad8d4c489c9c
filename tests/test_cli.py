from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coach.settings import CHECKOUT, Settings
from tests.conftest import write


def run(settings: Settings, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COACH_DATA_DIR": str(settings.data_dir), "COACH_MODEL": settings.model}
    command = [sys.executable, "-m", "coach", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, input=stdin, env=environment, cwd=CHECKOUT, check=False
    )


@pytest.mark.usefixtures("coach")
def test_ask_prints_an_answer_and_its_sources(settings: Settings) -> None:
    done = run(settings, "ask", "She blocked me. What may I still do?", "--model", "none")
    assert done.returncode == 0
    assert "A no is an answer" in done.stdout
    assert "[1] Space > They said no, or blocked you (05-space.md)" in done.stdout


@pytest.mark.usefixtures("coach")
def test_ask_as_json_is_one_object(settings: Settings) -> None:
    done = run(settings, "ask", "-", "--json", stdin="I gambled our savings away")
    reply = json.loads(done.stdout)
    assert reply["action"] == "coach"
    assert reply["passages"][0]["title"] == "When you lied about money"
    assert reply["usage"]["evaluated_tokens"] > 0


@pytest.mark.usefixtures("coach")
def test_chat_goes_on_and_ends_with_the_input(settings: Settings) -> None:
    done = run(settings, "chat", "--model", "none", stdin="i cheated\n🙂\nshould i tell her everything\n")
    assert done.returncode == 0
    assert done.stdout.count("When you cheated") >= 2
    assert "There are no words in that." in done.stderr


@pytest.mark.usefixtures("coach")
def test_chat_shows_what_it_understood_and_takes_a_correction(settings: Settings) -> None:
    said = "i lied to my wife about a loan\n/\n/did I hid a loan\n/contact blocked\n/nonsense\n"
    shown = run(settings, "chat", "--model", "none", stdin=said).stderr
    assert "my wife; i lied to my wife about a loan" in shown
    assert "my wife; I hid a loan; they blocked me" in shown
    assert "Begin with one of /who" in shown


@pytest.mark.usefixtures("coach")
def test_search_and_its_json(settings: Settings) -> None:
    assert "When you were drinking" in run(settings, "search", "i relapsed, do i have to tell her").stdout
    rows = json.loads(run(settings, "search", "i relapsed, do i have to tell her", "--json", "-k", "2").stdout)
    assert [row["number"] for row in rows] == [1, 2]
    assert "does not cover" in run(settings, "search", "pasta recipe with basil").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["ask", ""], 1, "nothing to read"),
        (["ask", "hello", "--model", "gpt-5"], 1, "no model called"),
        (["search", "x", "--guide", "/nowhere"], 1, "no file or folder"),
        (["index", "/nowhere"], 1, "no file or folder"),
        (["models", "pull", "gpt-5"], 1, "no model called"),
        (["ask"], 2, "Missing argument"),
        (["dance"], 2, "No such command"),
    ],
)
def test_errors_are_one_sentence_and_a_hint(settings: Settings, arguments: list[str], code: int, part: str) -> None:
    done = run(settings, *arguments)
    assert done.returncode == code
    assert part in done.stderr
    assert "Traceback" not in done.stderr


def test_index_takes_files_in_and_the_search_finds_them(settings: Settings, tmp_path: Path) -> None:
    own = settings.model_copy(update={"data_dir": tmp_path / "data"})
    letter = (
        "# Letters from prison\n\nLetters from prison are read by guards. Say sorry for the years she waited alone."
    )
    done = run(own, "index", str(write(tmp_path, "prison.md", letter)), "--json")
    report = json.loads(done.stdout)
    assert (report["sources"], report["sections"]) == (13, 47)
    found = json.loads(run(own, "search", "i write letters to her from prison, how do i say sorry", "--json").stdout)
    assert "Letters from prison" in [row["title"] for row in found]
    assert (tmp_path / "data" / "guides" / "prison.md").exists()
    again = json.loads(run(own, "index", "--json").stdout)
    assert (again["embedded"], again["removed"]) == (0, 0)


def test_doctor_says_what_is_missing_and_what_to_do(settings: Settings, tmp_path: Path) -> None:
    done = run(settings.model_copy(update={"data_dir": tmp_path}), "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert done.returncode == 1
    assert not checks["index"]["good"]
    assert checks["index"]["remedy"] == "Run `coach index`."
    assert checks["search models"]["good"]


@pytest.mark.usefixtures("coach")
def test_eval_measures_the_answers_to_a_list_of_questions(settings: Settings) -> None:
    asked = "i cheated, should i tell her everything?\nhow long do i wait before i write\nwho won the world cup\n"
    done = run(settings, "eval", "-", "--model", "none", "--json", stdin=asked)
    found = json.loads(done.stdout)
    assert found["figures"]["answers"] == len(found["answers"]) == 3
    assert found["figures"]["actions"] == "coach:2 off_topic:1"
    assert found["figures"]["citations that support their sentence"] == 1.0
    assert found["figures"]["written by the model"] == 0.0
