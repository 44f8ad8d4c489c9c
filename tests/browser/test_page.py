from __future__ import annotations

import contextlib
import itertools
import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from coach import Coach
from coach.coaching.compose import SURE
from tests.browser.conftest import SHOTS
from tests.conftest import told_where, unclear

pytestmark = pytest.mark.browser
QUESTION = "I lied to her about money for two years and she left. What do I do first?"


def ask(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Your message")
    expect(box).to_be_enabled(timeout=90_000)
    box.fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def finished(page: Page) -> Locator:
    """The newest answer, once it is whole."""
    with contextlib.suppress(AssertionError):  # a fixed reply may be there before anybody could look
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_hidden(timeout=3_000)
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=90_000)
    expect(page.locator("#chat .waiting")).to_have_count(0)
    return page.get_by_test_id("bot").last


def test_a_question_is_answered_and_a_citation_opens_its_passage(page: Page) -> None:
    ask(page, QUESTION)
    bot = finished(page)
    expect(bot.locator(".answer p").first).to_be_visible()
    expect(bot.locator(".quiet")).to_contain_text("guide")
    assert bot.locator("details[open]").count() == 0
    bot.locator("a.cite").first.click()
    source = bot.locator("details[open]")
    expect(source).to_have_count(1)
    expect(source.locator("blockquote")).to_be_visible()
    expect(source.locator("summary")).to_contain_text("Different harms")


def test_another_meaning_is_one_click_away(page: Page, guide_only: Coach) -> None:
    ask(page, unclear(guide_only))
    finished(page)
    offered = page.locator("#chat .option").first
    case = offered.inner_text()
    offered.click()
    expect(page.get_by_test_id("user").last).to_contain_text(case)
    expect(finished(page).locator("blockquote i").first).to_have_text(case)


WATCH = """() => {
  window.seen = new Set();
  const note = () => document.querySelectorAll("[data-testid=bot]").forEach((bot) => window.seen.add(bot.innerText));
  new MutationObserver(note).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def test_the_answer_arrives_piece_by_piece(page: Page, guide_only: Coach) -> None:
    page.evaluate(WATCH)
    ask(page, told_where(guide_only, lambda found: 0 < found.passages[0].score < SURE))  # no sentence is there at once
    finished(page)
    seen = page.evaluate("[...window.seen].filter((text) => text.trim())")
    assert len(seen) >= 3  # looking, writing, words
    assert any("Writing" in text for text in seen)


def test_stop_ends_the_answer_and_the_next_question_works(page: Page) -> None:
    ask(page, QUESTION)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible(timeout=90_000)
    ask(page, "How long should I wait before I write?")
    expect(finished(page).locator(".quiet")).to_contain_text("guide", timeout=90_000)


def test_what_cannot_be_answered_gives_one_sentence_and_the_text_back(page: Page) -> None:
    ask(page, "🙂🙂")
    expect(page.get_by_text("There are no words in that.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Your message")).to_have_value("🙂🙂")


def test_markup_is_shown_as_it_was_typed_and_nothing_is_loaded(page: Page) -> None:
    hostile = 'i lied <img src="http://127.0.0.1:1/x.png"> ![a](http://127.0.0.1:1/y.png) <script>window.hit=1</script>'
    ask(page, hostile)
    finished(page)
    user = page.get_by_test_id("user").last
    expect(user).to_contain_text("<script>window.hit=1</script>")
    assert user.locator("img").count() == 0
    assert page.evaluate("window.hit") is None


def test_regenerate_edit_and_a_new_conversation(page: Page) -> None:
    ask(page, QUESTION)
    finished(page)
    page.get_by_role("button", name=re.compile("retry|regenerate", re.I)).first.click()
    finished(page)
    assert page.get_by_test_id("user").count() == 1
    page.get_by_role("button", name=re.compile("^edit", re.I)).first.click()
    field = page.locator("#chat textarea").first
    field.fill("He found out that I gambled. What now?")
    page.get_by_role("button", name=re.compile("submit", re.I)).first.click()
    finished(page)
    expect(page.get_by_test_id("user").last).to_contain_text("gambled")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_test_id("user")).to_have_count(0)


def test_enter_sends_and_shift_enter_begins_a_line(page: Page) -> None:
    box = page.get_by_role("textbox", name="Your message")
    expect(box).to_be_enabled(timeout=90_000)
    box.press_sequentially("I read her diary.")
    box.press("Shift+Enter")
    box.press_sequentially("How do I say sorry?")
    expect(box).to_have_value("I read her diary.\nHow do I say sorry?")
    box.press("Enter")
    finished(page)
    expect(page.get_by_test_id("user").last).to_contain_text("How do I say sorry?")


def test_a_first_question_can_be_clicked(page: Page) -> None:
    page.get_by_text("How long should I wait before I write to him?").click()
    expect(finished(page).locator(".source").first).to_be_visible()


def test_a_redirect_says_what_it_is_and_why(page: Page) -> None:
    ask(page, "how do i make her jealous so she comes back to me")
    bot = finished(page)
    expect(bot.locator(".answer.redirect .kind")).to_have_text("A better way than this")
    bot.locator("details.why summary").click()
    expect(bot.locator("details.why q")).to_contain_text("jealous")
    bot.locator("a.cite").first.click()
    expect(bot.locator("details.source[open] blockquote")).to_contain_text("Jealousy on purpose")


def test_help_stays_in_sight_after_a_danger_and_knows_the_country(page: Page) -> None:
    ask(page, "i dont want to be alive anymore")
    bot = finished(page)
    expect(bot.locator(".answer.crisis")).to_be_visible()
    card = page.locator("#help .help")
    expect(card).to_contain_text("findahelpline.com")
    ask(page, "no you got that wrong, it was a figure of speech")
    finished(page)
    expect(card).to_be_visible()
    page.get_by_label("Country, for help lines").click()
    page.get_by_role("option", name="Ireland").click()
    expect(card).to_contain_text("1800 247 247")
    ask(page, "How long should I wait before I write?")
    finished(page)
    expect(card).to_be_visible()
    page.get_by_role("button", name="New conversation").click()
    expect(card).to_be_hidden()


def test_a_draft_is_reviewed_mended_taken_over_and_ready(page: Page) -> None:
    page.get_by_role("tab", name="Before you send").click()
    editor = page.locator("#draft textarea")
    editor.fill(
        "Hey Sam. I lied to you about the loan for a year. If you hadn't been so cold to me I would never have done it."
        " Call me tonight or we are done for good."
    )
    look = page.get_by_role("button", name="Look at it")
    look.click()
    expect(page.locator(".verdict.revise")).to_be_visible()
    page.locator("a.mark").first.click()
    expect(page.locator("details.found[open] p")).to_be_visible()
    take = page.get_by_role("button", name="Use this version")
    expect(take).to_be_visible(timeout=90_000)
    expect(page.locator("blockquote.rewrite")).to_contain_text("I lied to you about the loan")
    take.click()
    expect(page.locator(".verdict.revise")).to_contain_text("brackets")  # whose choice it was only the writer can say
    assert "cold" not in editor.input_value()
    editor.fill(re.sub(r"\[.+?\]", "It was my choice.", editor.input_value()))
    look.click()
    expect(page.locator(".verdict.ready")).to_be_visible()
    page.get_by_label("They blocked me").click()
    look.click()
    expect(page.locator(".verdict.hold")).to_be_visible()
    expect(page.locator("#unsent")).to_contain_text("twenty minutes")


def test_a_draft_that_frightens_brings_the_numbers_of_the_country(page: Page) -> None:
    page.get_by_role("tab", name="Before you send").click()
    page.locator("#draft textarea").fill("If you don't answer tonight I will kill myself, Sam.")
    page.get_by_role("button", name="Look at it").click()
    card = page.locator("#near .help")
    expect(card).to_contain_text("findahelpline.com")
    page.get_by_label("Country, for help lines").click()
    page.get_by_role("option", name="New Zealand").click()
    expect(card).to_contain_text("1737")
    page.reload()
    expect(page.get_by_label("Country, for help lines")).to_have_value("New Zealand")


def test_what_is_typed_while_an_answer_is_written_stays(page: Page) -> None:
    ask(page, QUESTION)
    box = page.get_by_role("textbox", name="Your message")
    expect(box).to_have_value("")
    box.fill("and her sister?")
    finished(page)
    expect(box).to_have_value("and her sister?")


def test_a_message_sent_while_another_answer_is_written_follows_it(page: Page) -> None:
    page.get_by_text("How long should I wait before I write to him?").click()
    box = page.get_by_role("textbox", name="Your message")
    box.fill("He found out that I gambled. What now?")
    box.press("Enter")
    expect(page.get_by_test_id("user")).to_have_count(2, timeout=90_000)
    finished(page)
    expect(page.locator("#chat .answer")).to_have_count(2)
    expect(page.locator("#chat .quiet")).to_have_count(2)


def test_an_answer_is_copied_as_text(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ask(page, QUESTION)
    bot = finished(page)
    bot.get_by_text("Copy", exact=True).click()
    text = page.evaluate("navigator.clipboard.readText()")
    assert "[1]" in text
    assert "<" not in text
    first = bot.locator(".answer p").first.inner_text()
    assert text.startswith(first[:30])


def test_a_message_is_handed_over_from_the_chat(page: Page) -> None:
    page.get_by_role("textbox", name="Your message").fill("I'm sorry I read your diary.")
    page.get_by_role("button", name="Check it as a draft first").click()
    expect(page.locator("#draft textarea")).to_have_value("I'm sorry I read your diary.")
    expect(page.get_by_role("tab", name="Before you send")).to_have_attribute("aria-selected", "true")


def test_what_is_understood_is_shown_can_be_put_right_and_goes_to_the_draft(page: Page) -> None:
    known = page.locator("#known")
    expect(known).to_be_hidden()
    ask(page, "I lied to my girlfriend about a loan and she asked for space. How long do I wait?")
    finished(page)
    expect(known).to_be_visible()
    known.get_by_role("button").first.click()
    did = page.get_by_role("textbox", name="What you did", exact=True)
    expect(did).to_have_value("I lied to my girlfriend about a loan")
    did.fill("I lied about my job")
    did.blur()
    page.get_by_role("textbox", name="Your message").fill("Sam, I lied to you about my job.")
    page.wait_for_timeout(500)
    page.get_by_role("button", name=re.compile("retry|regenerate", re.I)).first.click()
    finished(page)
    expect(did).to_have_value("I lied about my job")  # an answer made anew keeps what was put right
    page.get_by_role("button", name="Check it as a draft first").click()
    expect(page.get_by_role("radio", name="They asked for space")).to_be_checked()
    expect(page.locator("#about textarea, #about input")).to_have_value("I lied about my job")


DONE = """() => {
  const look = new MutationObserver(() => {
    if (!document.querySelector("#chat .quiet") || document.querySelector("#chat .waiting")) return;
    look.disconnect();
    document.body.dataset.done = performance.timeOrigin + performance.now();
  });
  look.observe(document.body, { childList: true, subtree: true });
}"""


# What a browser does with tabs in the background, which all but one would be: frames come seldom, nothing is drawn.
BACKGROUND = "window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 500)"


DRAWN = 500  # milliseconds between the frames of such a tab, by which it may draw later than the next one


def test_ten_tabs_are_answered_in_the_order_in_which_they_asked(browser: Browser, address: str) -> None:
    questions = [f"I lied to her {number} times about money and she left. What do I do first?" for number in range(10)]
    with contextlib.ExitStack() as opened:
        tabs = [opened.enter_context(browser.new_context(reduced_motion="reduce")).new_page() for _ in questions]
        for tab in tabs:
            tab.add_init_script(BACKGROUND)
            tab.goto(address)
            expect(tab.get_by_role("textbox", name="Your message")).to_be_enabled(timeout=90_000)
            tab.evaluate(DONE)
        for tab, question in zip(tabs, questions, strict=True):
            ask(tab, question)
        expect(tabs[-1].get_by_text(re.compile(r"queue: \d+/\d+")).first).to_be_visible()  # its place
        for tab, question in zip(tabs, questions, strict=True):
            expect(tab.locator("body")).to_have_attribute("data-done", re.compile("."), timeout=180_000)
            expect(tab.get_by_test_id("user")).to_have_text(question)
            expect(tab.get_by_test_id("bot")).to_have_count(1)
        done = [float(tab.locator("body").get_attribute("data-done") or 0) for tab in tabs]
    late = max(earlier - later for earlier, later in itertools.pairwise(done))
    assert late < DRAWN
    assert done[-1] - done[0] > 2 * DRAWN  # so that the order could be told


def test_nothing_is_kept_in_the_browser(page: Page) -> None:
    ask(page, "my secret is that i cheated on her")
    finished(page)
    assert "secret" not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1200, 1000), ("phone", 390, 900)])
def test_reviews_fit_the_screen(
    browser: Browser, address: str, scheme: str, name: str, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    tab = context.new_page()
    tab.goto(f"{address}/?__theme={scheme}")
    tab.get_by_role("tab", name="Before you send").click()
    drafts = {
        "ready": "I lied to you about the loan. It was my choice, and I am sorry. You don't have to answer.",
        "revise": "I lied to you about the loan. If you hadn't been so cold I would never have done it.",
        "hold": "If you don't come home tonight I will make sure everybody sees those pictures.",
    }
    for action, draft in drafts.items():
        tab.locator("#draft textarea").fill(draft)
        tab.get_by_role("button", name="Look at it").click()
        expect(tab.locator(f".verdict.{action}")).to_be_visible()
        expect(tab.locator("#better .waiting")).to_have_count(0, timeout=90_000)
        SHOTS.mkdir(exist_ok=True)
        tab.screenshot(path=SHOTS / f"review-{action}-{name}-{scheme}.png", full_page=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1200, 900), ("phone", 390, 800)])
def test_it_fits_the_screen(browser: Browser, address: str, scheme: str, name: str, width: int, height: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": height})
    tab = context.new_page()
    tab.goto(f"{address}/?__theme={scheme}")
    ask(tab, QUESTION)
    bot = finished(tab)
    bot.locator("summary").first.click()
    tab.wait_for_timeout(400)
    SHOTS.mkdir(exist_ok=True)
    tab.screenshot(path=SHOTS / f"{name}-{scheme}.png")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
