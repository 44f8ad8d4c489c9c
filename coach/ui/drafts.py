"""The second tab of the page: a draft, what the rules make of it, and a better version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from coach.app import Coach
from coach.types import Contact
from coach.ui import render
from coach.ui import review as review_page
from coach.ui.parts import Running, error_line, help_card, place

__all__ = ["DraftTab"]


class DraftTab:
    """Builds the tab, and reviews what is pasted there.

    Args:
        coach: Reviews and rewrites.
        words: What the page says, prompts/page.yaml.
        running: What runs in which browser tab.
    """

    def __init__(self, coach: Coach, words: Mapping[str, Any], running: Running) -> None:
        self._coach = coach
        self._words = words
        self._reviews: dict[str, Any] = coach.prompts.data("review")
        self._running = running

    def build(self) -> tuple[list[Any], Any, Any]:
        """The second tab: a draft, what the rules make of it, and a better version.

        Returns:
            What a draft can be handed over to, the place of its help card, and the danger that this is about.
        """
        words = self._words
        with gr.Row(elem_id="review"):
            with gr.Column(scale=5, min_width=300):
                draft = gr.Textbox(
                    label=words["draft"],
                    placeholder=words["draft_placeholder"],
                    lines=9,
                    max_lines=24,
                    elem_id="draft",
                    buttons=["copy"],
                )
                contact = gr.Radio(
                    [(label, name) for name, label in words["contacts"].items()],
                    value=Contact.TALKING.value,
                    label=words["contact"],
                    elem_id="contact",
                )
                about = gr.Textbox(label=words["about"], lines=1, max_lines=2, elem_id="about")
                answers = gr.Textbox(label=words["answers"], lines=1, max_lines=6, elem_id="answers")
                look = gr.Button(words["look"], variant="primary", elem_id="look")
            with gr.Column(scale=6, min_width=300):
                near = place("near")
                found = place("found")
                better = place("better")
                take = gr.Button(words["take"], visible=False, elem_id="take")
                unsent = gr.Markdown(words["unsent_how"], visible=False, elem_id="unsent")
        text, feared = gr.State(""), gr.State(None)
        shown = [near, found, better, take, unsent, text, feared]
        given = [draft, contact, about, answers]
        # A new look ends the one that runs, and none waits for another tab's model; the engine has a lock of its own.
        at_once: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "trigger_mode": "multiple"}
        look.click(self._review, given, shown, **at_once)
        taken = take.click(lambda rewrite: rewrite, text, draft, queue=False)
        taken.then(self._review, given, shown, **at_once)
        return [draft, contact, about], near, feared

    def _review(self, draft: str, contact: str, about: str, answers: str, request: gr.Request) -> Iterator[Any]:
        """The review at once, then the model's rewrite if there is to be one."""
        words, reviews = self._words, self._reviews
        here = f"review {request.session_hash}"
        stop = self._running.begin(here)  # and end the rewrite of what the tab asked for before
        try:
            review = self._coach.review(draft, contact, answers=answers)
            body = review_page.body(review, reviews, self._coach.policy, words)
            danger = review.help.danger if review.help else None
            near = help_card(review.help, words)
            letter = review.help is None and review.contact in (Contact.BLOCKED, Contact.ASKED_FOR_SPACE)
            hold = gr.Markdown(visible=letter and review.verdict.action == "hold")
            waiting = bool(review.rewrite and self._coach.model_name)
            better = render.waiting(words["rewriting"]) if waiting else review_page.rewrite(review, reviews, words)
            take = gr.Button(visible=bool(review.rewrite) and not waiting)
            yield near, body, better, take, hold, review.rewrite, danger
            if waiting:
                review = self._coach.rewrite(review, about, stop)
                if not self._running.is_on(here, stop):
                    return
                better = review_page.rewrite(review, reviews, words)
                yield gr.skip(), gr.skip(), better, gr.Button(visible=True), gr.skip(), review.rewrite, gr.skip()
        except Exception as error:
            gr.Warning(error_line(error, words))
            yield help_card(None, words), "", "", gr.Button(visible=False), gr.Markdown(visible=False), "", None
        finally:
            self._running.ended(here, stop)
