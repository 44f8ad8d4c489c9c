from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coach.settings import CHECKOUT, Settings

pytestmark = pytest.mark.browser

# Runs inside a network namespace that has loopback and nothing else: whatever the program asks for outside
# fails, and the page must come up and answer all the same.
INSIDE = """
ip link set lo up 2>/dev/null || ifconfig lo up
exec {python} tests/browser/offline_session.py "$@"
"""


def can_unshare() -> bool:
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "-n", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs the right to make a network namespace")
@pytest.mark.usefixtures("coach")
def test_the_whole_program_works_without_any_network(settings: Settings, tmp_path: Path) -> None:
    environment = {**os.environ, "COACH_DATA_DIR": str(settings.data_dir), "COACH_MODEL": settings.model}
    script = INSIDE.format(python=sys.executable)
    done = subprocess.run(
        ["unshare", "-n", "bash", "-c", script, "session", str(tmp_path)],
        capture_output=True, text=True, env=environment, cwd=CHECKOUT, check=False, timeout=240,
    )  # fmt: skip
    assert "answered in the page" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(not can_unshare(), reason="needs the right to make a network namespace")
def test_the_namespace_really_has_no_way_out() -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), 2)"
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "unreachable" in done.stderr
