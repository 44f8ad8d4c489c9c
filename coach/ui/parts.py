"""What both tabs of the page are made of: a place for markup, the help card, what an error says, what runs where."""

from __future__ import annotations

import html
import logging
import threading
from collections.abc import Mapping
from typing import Any

import gradio as gr

from coach.errors import CoachError
from coach.types import Help
from coach.ui import render

__all__ = ["Running", "error_line", "help_card", "place"]

_log = logging.getLogger(__name__)


class Running:
    """What runs at each place (a browser tab, or the drafts of one), so that it can be ended from elsewhere."""

    def __init__(self) -> None:
        self._stops: dict[str, threading.Event] = {}

    def __contains__(self, place: str) -> bool:
        return place in self._stops

    def begin(self, place: str) -> threading.Event:
        """End what runs there, and begin; the event that is returned is set when this is to end, too."""
        self.stop(place)
        stop = self._stops[place] = threading.Event()
        return stop

    def stop(self, place: str) -> None:
        """End what runs there; what it has so far is still shown."""
        if place in self._stops:
            self._stops[place].set()

    def drop(self, place: str) -> None:
        """End what runs there; nothing of it is wanted any more."""
        self.stop(place)
        self._stops.pop(place, None)

    def is_on(self, place: str, stop: threading.Event) -> bool:
        """Whether what began with this event is still what runs there."""
        return self._stops.get(place) is stop

    def ended(self, place: str, stop: threading.Event) -> None:
        """It is over, or its tab was closed while the model wrote."""
        stop.set()
        if self.is_on(place, stop):
            del self._stops[place]


def place(name: str, *, visible: bool = True) -> gr.Markdown:
    """A place for markup; Gradio's own HTML component evaluates scripts, which the page forbids."""
    return gr.Markdown(elem_id=name, visible=visible, latex_delimiters=[], container=False)


def help_card(found: Help | None, words: Mapping[str, Any]) -> Any:
    """The help card, hidden where there is no need for one."""
    return gr.Markdown(value=render.card(found, words), visible=found is not None)


def error_line(error: Exception, words: Mapping[str, Any]) -> str:
    """What an error says to a person, as HTML."""
    if isinstance(error, CoachError):
        return f"{html.escape(error.message)} {html.escape(error.hint)}"
    _log.error("An unexpected error", exc_info=error)
    return str(words["failed"].format(kind=type(error).__name__))
