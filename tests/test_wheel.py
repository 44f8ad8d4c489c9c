from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from coach.settings import CHECKOUT


def test_a_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, check=True, capture_output=True, cwd=CHECKOUT)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "\n".join(
        (
            "import coach; print(coach.__file__)",
            "from coach.settings import load, BUILT_IN",
            "from coach.guide import read",
            "from coach.coaching.prompt import Prompts",
            "print(len(read.find(BUILT_IN)), len(Prompts(load().prompts).opening()))",
            "print(load().data_dir)",
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    place, counts, data = done.stdout.splitlines()
    assert place.startswith(str(tmp_path / "site"))
    assert counts == "12 5"
    assert data.startswith(str(tmp_path / "home"))
