"""Started by test_offline inside a namespace without a network: opens the page, asks, prints what came."""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from coach.settings import load
from tests.browser.conftest import CHROMIUM, SWITCHES, start

process, address = start(load(), Path(sys.argv[1]) / "page.log")
try:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        page = browser.new_page()
        page.goto(address)
        page.get_by_role("textbox", name="Your message").fill("I lied to him and he left. What do I do first?")
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator(".quiet").wait_for(timeout=90_000)
        assert page.locator(".source").count() > 0
        print("answered in the page:", page.get_by_test_id("bot").last.inner_text()[:200])
        browser.close()
finally:
    process.terminate()
    process.wait(10)
