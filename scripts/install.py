"""Makes .venv and installs the coach into it. Needs nothing but Python 3.11 or newer.

Two packages need care. PyTorch from the ordinary index brings gigabytes of CUDA on Linux, so its CPU index
is tried first. llama-cpp-python has ready-made wheels on an index of its own and is compiled where that
cannot be reached, which takes minutes and a C compiler; without it the coach answers from the guide alone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
TORCH = "torch==2.13.0"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
LLAMA_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/cpu"
LLAMA = "llama-cpp-python>=0.3.36,<0.4"
# No laptop has AMX, but some virtual machines announce it and end the process that uses it.
WITHOUT_AMX = {name: f"{os.environ.get(name, '')} -U__AMX_INT8__".strip() for name in ("CFLAGS", "CXXFLAGS")}


def main() -> int:
    """Install; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    options = parser.parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 - this is the message for those who have an older one
        print(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12")
        return 1
    started = time.time()
    if not (PYTHON.exists() and installed("pip")):
        say("virtual environment in .venv")
        make_environment()
        pip("install", "--quiet", "--upgrade", "pip>=24.1")
    if not installed("torch"):
        say("PyTorch for the CPU (about 200 MB)")
        cpu = sys.platform == "linux" and reachable(f"{TORCH_INDEX}/torch/")
        if not (cpu and pip("install", TORCH, "--index-url", TORCH_INDEX, check=False)):
            pip("install", TORCH)
    say("the coach and its packages")
    pip("install", "--quiet", "--editable", f"{ROOT}[dev]" if options.dev else str(ROOT))
    if not loads("llama_cpp"):
        install_llama()
    mark = VENV / ("ready-dev" if options.dev else "ready")
    (VENV / "ready").touch()
    mark.touch()
    say(f"installed in {time.time() - started:.0f} s")
    return 0


def make_environment() -> None:
    """Make .venv, in place of one that was left half made; end the program if Python cannot."""
    try:
        venv.create(VENV, with_pip=True, clear=VENV.exists())
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            f"Python could not make a virtual environment: {error}. On Debian and Ubuntu: apt install python3-venv"
        )


def install_llama() -> None:
    """Install llama-cpp-python, ready-made or compiled; go on without it if neither works."""
    say("llama.cpp, which runs the chat model")
    if reachable(f"{LLAMA_INDEX}/llama-cpp-python/") and pip(
        "install", LLAMA, "--only-binary", "llama-cpp-python", "--extra-index-url", LLAMA_INDEX, check=False
    ):
        if loads("llama_cpp"):
            return
        say("the ready-made build does not load here")
    if installed("llama_cpp"):
        pip("uninstall", "--quiet", "--yes", "llama-cpp-python", check=False)
    if not (shutil.which("cc") or shutil.which("gcc") or shutil.which("clang") or os.name == "nt"):
        say("no C compiler, so no chat model: the coach will answer from the guide alone")
        return
    say("no ready-made build can be reached; compiling it, which takes five to ten minutes, once")
    if not pip("install", LLAMA, check=False, env={**os.environ, **WITHOUT_AMX}):
        say("compiling failed, so no chat model: the coach will answer from the guide alone")


def installed(module: str) -> bool:
    """Whether the environment has a module, found without importing it."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return subprocess.run([PYTHON, "-c", code], check=False).returncode == 0


def loads(module: str) -> bool:
    """Whether the environment can import a module; a ready-made build may miss a library of the system."""
    return subprocess.run([PYTHON, "-c", f"import {module}"], check=False, capture_output=True).returncode == 0


def reachable(url: str) -> bool:
    """Whether a package index answers within a few seconds."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the two addresses above
            return bool(answer.status == 200)
    except OSError:
        return False


def pip(*arguments: str, check: bool = True, env: dict[str, str] | None = None) -> bool:
    """Run pip in the virtual environment; end the program if `check` and it failed."""
    command = [str(PYTHON), "-m", "pip", *arguments, "--disable-pip-version-check"]
    good = subprocess.run(command, check=False, env=env).returncode == 0
    if check and not good:
        sys.exit("pip could not install that; see above. Check the network and run the same command again.")
    return good


def say(line: str) -> None:
    """Tell what is being done."""
    print(f"== {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
