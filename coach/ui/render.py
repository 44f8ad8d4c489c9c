"""What the coach says, as HTML for the chat. Everything is escaped; nothing a person or a model wrote is markup."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from coach.types import Passage, Reply

__all__ = ["answer", "how", "person", "waiting"]

Words = Mapping[str, str]


def person(text: str) -> str:
    """A person's message, so that the chat shows it as it was typed."""
    return re.sub(r"([\\`*_\[\]#~|$!])", r"\\\1", html.escape(text, quote=False))


def waiting(line: str) -> str:
    """A line that stands in for an answer to come."""
    return f'<div class="waiting">{html.escape(line)}</div>'


def answer(text: str, passages: Sequence[Passage], words: Words, *, note: str = "") -> str:
    """An answer with its sources below it.

    Args:
        text: Plain text with citations like [1].
        passages: Its sources.
        words: What the page says, from prompts/page.yaml.
        note: A quiet line at the end.
    """
    numbers = {passage.number for passage in passages}
    paragraphs = "".join(f"<p>{_cite(part, numbers)}</p>" for part in re.split(r"\n\s*\n", text.strip()) if part)
    sources = "".join(_source(passage, words) for passage in passages)
    listed = f'<div class="sources"><div class="sources-title">{html.escape(words["sources"])}</div>{sources}</div>'
    quiet = f'<div class="quiet">{html.escape(note)}</div>' if note else ""
    return f'<div class="answer">{paragraphs}</div>{listed if sources else ""}{quiet}'


def how(reply: Reply, model: str, words: Words) -> str:
    """The line that says how a reply was made."""
    if reply.made_by == "model":
        return words["made_by_model"].format(model=model)
    if reply.made_by == "guide":
        return " ".join(part for part in (words["made_by_guide"], reply.note) if part)
    return ""


def _cite(text: str, numbers: set[int]) -> str:
    def link(match: re.Match[str]) -> str:
        number = int(match[1])
        return f'<a class="cite cite-{number}" href="#">{number}</a>' if number in numbers else ""

    return re.sub(r"\[(\d+)\]", link, html.escape(text)).replace("\n", "<br>")


def _source(passage: Passage, words: Words) -> str:
    chapter = "" if passage.chapter == passage.title else f"<span>{html.escape(passage.chapter)}</span> "
    page = f", {passage.page}" if passage.page else ""
    short = ""
    if passage.takeaway:
        short = f"<p><b>{html.escape(words['in_short'])}:</b> {html.escape(passage.takeaway)}</p>"
    body = "".join(f"<p>{html.escape(line)}</p>" for line in passage.text.split("\n"))
    return (
        f'<details class="source source-{passage.number}"><summary><b>{passage.number}</b> {chapter}'
        f"{html.escape(passage.title)}</summary>{short}<blockquote>{body}</blockquote>"
        f'<div class="file">{html.escape(passage.source)}{page}</div></details>'
    )
