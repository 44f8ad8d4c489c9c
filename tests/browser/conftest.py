"""A real Chromium on the real page, served by a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from coach import Coach
from coach.settings import CHECKOUT, Settings

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SHOTS = Path(os.environ.get("COACH_SCREENSHOTS", ".screenshots"))

if CHROMIUM is None:
    collect_ignore_glob = ["test_*.py"]
    print("\nNo Chromium is installed: the browser tests are left out.")


def start(settings: Settings, log: Path, prefix: tuple[str, ...] = ()) -> tuple[subprocess.Popen[str], str]:
    """Start the page on a free port and wait for its address."""
    environment = {**os.environ, "COACH_DATA_DIR": str(settings.data_dir), "COACH_MODEL": settings.model}
    environment["COACH_SETTINGS_FILE"] = str(log.parent / "coach.toml")  # the country chosen is kept there
    command = [*prefix, sys.executable, "-m", "coach", "--no-browser", "--port", "7900"]
    with log.open("w") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out, env=environment, cwd=CHECKOUT, text=True)
    for _ in range(600):
        words = log.read_text().split()
        address = next((w.rstrip(".") for w in words if w.startswith("http://")), "")
        if address:
            return process, address
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise AssertionError(log.read_text())


@pytest.fixture(scope="package")
def address(coach: Coach, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert coach.index.current()  # built before the page starts
    process, url = start(settings, tmp_path_factory.mktemp("log") / "page.log")
    yield url
    process.terminate()
    process.wait(10)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for this folder; its event loop must be gone before other tests start theirs."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A fresh tab at the page, which fails the test if anything asks for another host."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    tab = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda r: outside.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else None)
    tab.on("pageerror", lambda e: errors.append(str(e)))
    tab.goto(address)
    tab.get_by_role("textbox", name="Your message").wait_for()
    yield tab
    context.close()
    assert outside == []
    assert errors == []
