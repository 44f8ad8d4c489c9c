"""The page: a chat, and a tab for drafts. What a browser tab holds is its own and ends with it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import gradio as gr

from coach.app import Coach
from coach.coaching.situation import entry
from coach.errors import CoachError
from coach.types import Contact, Conversation, Danger, Done, Passage, Situation, Sources, Token, Wait
from coach.ui import render
from coach.ui.drafts import DraftTab
from coach.ui.parts import Running, error_line, help_card, place

__all__ = ["CSS", "HEAD", "Page", "theme"]

CSS = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
HEAD = f"<script>{(Path(__file__).parent / 'page.js').read_text(encoding='utf-8')}</script>"

History = tuple[dict[str, Any], ...]
NOTICED = 1.0  # seconds; of a longer wait the page says how long it is likely to be


@dataclass(frozen=True, slots=True, eq=False)
class Talk:
    """What a tab holds. It stays on this side: an event that had to wait for another finds what that one left."""

    conversation: Conversation = field(default_factory=Conversation)
    shown: History = ()  # the messages, two a turn
    danger: Danger | None = None  # whose help is in sight

    def __hash__(self) -> int:
        """Changes with the turns: by it Gradio sees that there is something to show, which a correction is not."""
        return id(self.conversation.turns)


def theme() -> gr.themes.Base:
    """System fonts and calm colours; the rest is in page.css."""
    return gr.themes.Base(
        primary_hue="teal",
        neutral_hue="stone",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )


class Page:
    """Builds the Gradio page and keeps what runs behind it.

    Args:
        coach: Answers. It is warmed in the background; the page says how far that is.
    """

    def __init__(self, coach: Coach) -> None:
        self._coach = coach
        self._words: dict[str, Any] = coach.prompts.data("page")
        self._running = Running()
        self._drafts = DraftTab(coach, self._words, self._running)
        self._corrected: dict[str, Situation] = {}  # by tab, what a person put right while an answer ran
        self._warm = False
        self._failure = ""

    def warm(self) -> None:
        """Load the guide and the model; runs in a thread of its own."""
        try:
            self._coach.warm()
            self._warm = True
        except Exception as error:
            self._failure = f"{self._words['not_ready']}: {error_line(error, self._words)}"

    def build(self) -> gr.Blocks:
        """The page itself."""
        words = self._words
        with gr.Blocks(title=words["title"], analytics_enabled=False, fill_height=True) as blocks:
            gr.Markdown(f"# {words['title']}\n{words['tagline']}", elem_id="head")
            status = gr.Markdown(self.status(), elem_id="status")
            card = place("help", visible=False)
            with gr.Tabs(elem_id="tabs") as tabs:
                with gr.Tab(words["tab_talk"], id="talk"):
                    chatbot = gr.Chatbot(
                        label=words["title"],
                        show_label=False,
                        buttons=[],
                        editable="user",
                        elem_id="chat",
                        height="60vh",
                        latex_delimiters=[],
                        line_breaks=False,
                        layout="bubble",
                        placeholder=words["placeholder"],
                        examples=[{"text": question} for question in words["first_questions"]],
                    )
                    box = gr.Textbox(
                        label=words["label"],
                        placeholder=words["placeholder"],
                        lines=1,
                        max_lines=8,
                        submit_btn=words["send"],
                        stop_btn=False,
                        elem_id="message",
                        autofocus=True,
                    )
                    known = self._build_known()
                    with gr.Row():
                        fresh = gr.Button(words["new"], size="sm", scale=0, min_width=160)
                        hand_over = gr.Button(words["look_at_draft"], size="sm", scale=0, min_width=230)
                with gr.Tab(words["tab_review"], id="review"):
                    editor, near, feared = self._drafts.build()
            with gr.Row(elem_id="foot"):
                gr.Markdown(f"{words['local']} {words['limit']}", elem_id="limit")
                country = gr.Dropdown(
                    [(words["country_none"], ""), *((name, code) for code, name in self._coach.countries.items())],
                    value=lambda: self._coach.country,
                    label=words["country"],
                    scale=0,
                    min_width=190,
                    elem_id="country",
                )
            state = gr.State(Talk())
            timer = gr.Timer(0.7)

            shown = [box, chatbot, state, card]
            box.submit(self._send, [box, state], shown, concurrency_id="answer")
            chatbot.example_select(self._example, state, shown, concurrency_id="answer")
            chatbot.option_select(self._offered, state, shown, concurrency_id="answer")
            chatbot.retry(self._retry, state, shown, concurrency_id="answer")
            chatbot.edit(self._edit, state, shown, concurrency_id="answer")
            box.stop(self._stop, None, None, queue=False)
            fresh.click(self._fresh, None, shown, queue=False)
            chatbot.clear(self._fresh, None, shown, queue=False)
            hand_over.click(self._hand_over, [box, state], [*editor, box, tabs], queue=False)
            state.change(self._known, state, known, show_progress="hidden", queue=False)
            for field in known[1:]:
                event = field.input if isinstance(field, gr.Dropdown) else field.blur
                event(self._correct, [state, *known[1:]], [state, card], show_progress="hidden", queue=False)
            country.input(self._choose_country, [country, state, feared], [card, near], queue=False)
            for event in (blocks.load, timer.tick):
                event(self._tick, None, [status, timer], show_progress="hidden", queue=False)
        return blocks

    def _build_known(self) -> list[Any]:
        """What the coach has understood of the two people, to be looked at and corrected."""
        words = self._words["known"]
        with gr.Accordion(words["title"], open=False, visible=False, elem_id="known") as known:
            gr.Markdown(words["how"])
            with gr.Row():
                who = gr.Textbox(label=words["who"], min_width=180)
                contact = gr.Dropdown(
                    [(label, name) for name, label in self._words["contacts"].items()],
                    label=self._words["contact"],
                    min_width=220,
                )
                children = gr.Textbox(label=words["children"], min_width=180)
            did = gr.Textbox(label=words["did"])
            wants = gr.Textbox(label=words["wants"])
        return [known, who, did, contact, children, wants]

    def _known(self, talk: Talk) -> list[Any]:
        """The fields of what is known; hidden while nothing is."""
        told = talk.conversation.situation
        shown = [told.who, told.did, told.contact.value if told.contact else None, told.children, told.wants]
        return [gr.Accordion(visible=told != Situation()), *shown]

    def _correct(
        self,
        talk: Talk,
        who: str,
        did: str,
        contact: str | None,
        children: str,
        wants: str,
        request: gr.Request,
    ) -> tuple[Talk, Any]:
        """The conversation with what the person put right; where that speaks of danger, help is shown."""
        told = Situation(entry(who), entry(did), Contact(contact) if contact else None, entry(children), entry(wants))
        if (tab := request.session_hash or "") in self._running:
            self._corrected[tab] = told
        said = ". ".join(part for part in (told.who, told.did, told.children, told.wants) if part)
        danger = None
        with contextlib.suppress(CoachError):  # a number alone, or another language, is no danger and is kept
            danger = self._coach.check(said).crisis
        talk = replace(talk, conversation=replace(talk.conversation, situation=told), danger=danger or talk.danger)
        return talk, help_card(self._coach.help(danger), self._words) if danger else gr.skip()

    def _hand_over(self, text: str, talk: Talk) -> list[Any]:
        """A text from the chat, and what is known, into the second tab."""
        told = talk.conversation.situation
        contact = told.contact.value if told.contact else gr.skip()
        return [text or gr.skip(), contact, told.did or gr.skip(), "", gr.Tabs(selected="review")]

    def status(self) -> str:
        """One line: what is being loaded, or what runs."""
        words, model = self._words, self._coach.model_name
        if self._failure:
            return self._failure
        if not self._warm:
            return str(words["warming_guide"])
        return str(words["ready_model"].format(model=model) if model else words["ready_guide"])

    # --- events -----------------------------------------------------------------------------------------------

    def _tick(self) -> tuple[str, Any]:
        return self.status(), gr.Timer(active=not (self._warm or self._failure))

    def _fresh(self, request: gr.Request) -> tuple[Any, list[Any], Talk, Any]:
        self._running.drop(request.session_hash or "")  # what is being answered is no longer wanted
        return self._idle(""), [], Talk(), help_card(None, self._words)

    def _choose_country(self, code: str, talk: Talk, feared: Danger | None) -> tuple[Any, Any]:
        """Keep the country, and show its numbers on the help cards that are in sight."""
        try:
            self._coach.choose_country(code)
        except CoachError as error:
            gr.Warning(error_line(error, self._words))
        return help_card(self._coach.help(talk.danger), self._words), help_card(self._coach.help(feared), self._words)

    def _busy(self) -> Any:
        return gr.Textbox(submit_btn=False, stop_btn=self._words["stop"])

    def _idle(self, text: str | None = None) -> Any:
        """The box ready for a message, with a text, or with what is being typed there."""
        given = {} if text is None else {"value": text}
        return gr.Textbox(submit_btn=self._words["send"], stop_btn=False, **given)

    def _stop(self, request: gr.Request) -> None:
        self._running.stop(request.session_hash or "")

    def _send(self, text: str, talk: Talk, request: gr.Request) -> Iterator[Any]:
        yield gr.Textbox(value=""), gr.skip(), gr.skip(), gr.skip()
        yield from self._answer(text, talk, request, lost=text)

    def _example(self, talk: Talk, chosen: gr.SelectData, request: gr.Request) -> Iterator[Any]:
        yield from self._answer(chosen.value["text"], talk, request)

    def _offered(self, talk: Talk, chosen: gr.SelectData, request: gr.Request) -> Iterator[Any]:
        yield from self._answer(str(chosen.value), talk, request)

    def _retry(self, talk: Talk, retry: gr.RetryData, request: gr.Request) -> Iterator[Any]:
        yield from self._again(retry.index, None, talk, request)

    def _edit(self, talk: Talk, edit: gr.EditData, request: gr.Request) -> Iterator[Any]:
        index = edit.index[0] if isinstance(edit.index, tuple | list) else edit.index
        yield from self._again(int(index), render.typed(str(edit.value)), talk, request)

    def _again(self, index: Any, text: str | None, talk: Talk, request: gr.Request) -> Iterator[Any]:
        """Go back to a message, its own or edited text, and answer it anew. Messages come in pairs."""
        turns = talk.conversation.turns
        turn = min(int(index) // 2, len(turns) - 1)
        if turn < 0:
            yield gr.skip(), list(talk.shown), gr.skip(), gr.skip()
            return
        again = turns[turn]
        guessed = again.before
        for later in turns[turn:]:
            guessed = self._coach.situations.after(later.message, guessed, later.standing)
        told = talk.conversation.situation
        put_right = {f.name: v for f in fields(told) if (v := getattr(told, f.name)) != getattr(guessed, f.name)}
        earlier = Conversation(turns[:turn], replace(again.before, **put_right))
        message = text if text is not None else again.message
        yield from self._answer(
            message, replace(talk, conversation=earlier, shown=talk.shown[: 2 * turn]), request, talk
        )

    def _answer(
        self, text: str, talk: Talk, request: gr.Request, failed: Talk | None = None, lost: str | None = None
    ) -> Iterator[Any]:
        """Show an answer as it comes.

        Args:
            text: The message.
            talk: What was said before it.
            request: From which tab.
            failed: What is shown again if there is no answer, if not `talk`.
            lost: What goes back into the box then.
        """
        words = self._words
        tab = request.session_hash or ""
        stop = self._running.begin(tab)
        self._corrected.pop(tab, None)
        before, said = [*talk.shown, _message("user", render.person(text.strip()))], ""
        passages: tuple[Passage, ...] = ()

        def so_far(html: str) -> tuple[Any, ...]:
            return gr.skip(), [*before, _message("assistant", html)], gr.skip(), gr.skip()

        try:
            reading = _message("assistant", render.waiting(words["reading"]))
            yield self._busy(), [*before, reading], gr.skip(), gr.skip()
            for event in self._coach.reply(text, talk.conversation, stop):
                if not self._running.is_on(tab, stop):
                    return
                if isinstance(event, Sources):
                    passages = event.passages
                    yield so_far(render.waiting(words["writing"]))
                elif isinstance(event, Wait) and event.seconds >= NOTICED:
                    yield so_far(render.waiting(words["writing_in"].format(seconds=math.ceil(event.seconds))))
                elif isinstance(event, Token):
                    said += event.text
                    yield so_far(render.answer(said, passages, words))
                elif isinstance(event, Done):
                    reply = event.reply
                    note = words["stopped"] if stop.is_set() else render.how(reply, self._coach.model_name, words)
                    final = render.answer(
                        reply.text,
                        reply.passages,
                        words,
                        note=note,
                        action=reply.action,
                        reasons=render.why(reply.verdict, words) if reply.action == "redirect" else "",
                        offers=bool(reply.nearby) and not reply.asks,
                        copy=True,
                    )
                    shown = (*before, _message("assistant", final, reply.nearby))
                    situation = self._corrected.pop(tab, reply.conversation.situation)
                    danger = reply.help.danger if reply.help else None
                    after = Talk(replace(reply.conversation, situation=situation), shown, danger)
                    yield self._idle(), list(shown), after, help_card(reply.help, self._words)
        except Exception as error:
            gr.Warning(error_line(error, self._words))
            yield self._idle(lost), list((failed or talk).shown), gr.skip(), gr.skip()
        finally:
            self._running.ended(tab, stop)


def _message(role: str, content: str, offered: Sequence[str] = ()) -> dict[str, Any]:
    """A message for the chat, with further ones to send at a click."""
    return {"role": role, "content": content, "options": [{"value": text} for text in offered]}
