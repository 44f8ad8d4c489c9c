"""What the coach says, as HTML for the chat. Everything is escaped; nothing a person or a model wrote is markup."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from coach.types import Help, Passage, Reply, Verdict

__all__ = ["answer", "card", "how", "person", "source", "typed", "waiting", "why"]

Words = Mapping[str, str]


def person(text: str) -> str:
    """A person's message, so that the chat shows it as it was typed."""
    return re.sub(r"([\\`*_\[\]#~|])", r"\\\1", html.escape(text, quote=False))


def typed(text: str) -> str:
    """The inverse of `person`: what was typed."""
    return html.unescape(re.sub(r"\\([\\`*_\[\]#~|])", r"\1", text))


def waiting(line: str) -> str:
    """A line that stands in for an answer to come."""
    return f'<div class="waiting">{html.escape(line)}</div>'


def answer(
    text: str,
    passages: Sequence[Passage],
    words: Words,
    *,
    note: str = "",
    action: str = "coach",
    reasons: str = "",
    offers: bool = False,
    copy: bool = False,
) -> str:
    """An answer with its sources below it.

    Args:
        text: Plain text with citations like [1].
        passages: Its sources.
        words: What the page says, from prompts/page.yaml.
        note: A quiet line at the end.
        action: What the guardrails decided; a redirect and a crisis look different.
        reasons: HTML from `why`.
        offers: Whether a line leads over to other questions, to be asked at a click.
        copy: Whether there is a link to copy the text.
    """
    numbers = {passage.number for passage in passages}
    paragraphs = "".join(f"<p>{_cite(part, numbers)}</p>" for part in re.split(r"\n\s*\n", text.strip()) if part)
    label = f'<div class="kind">{html.escape(words[action])}</div>' if action in ("redirect", "crisis") else ""
    sources = "".join(source(passage, words) for passage in passages)
    listed = f'<div class="sources"><div class="sources-title">{html.escape(words["sources"])}</div>{sources}</div>'
    link = f'<a class="copy" href="#">{html.escape(words["copy"])}</a>' if copy else ""
    quiet = f'<div class="quiet">{html.escape(note)} {link}</div>' if note or link else ""
    body = f'<div class="answer {action}">{label}{paragraphs}{reasons}</div>'
    nearby = f'<div class="nearby">{html.escape(words["nearby"])}</div>' if offers else ""
    return f"{body}{listed if sources else ''}{quiet}{nearby}"


def why(verdict: Verdict, words: Words) -> str:
    """What the guardrails found in a message, folded away; "" if they found nothing."""
    found = "".join(
        f"<p><q>{html.escape(finding.quote)}</q><br>{html.escape(finding.reason)}</p>" for finding in verdict.findings
    )
    return f'<details class="why"><summary>{html.escape(words["why"])}</summary>{found}</details>' if found else ""


def card(found: Help | None, words: Words) -> str:
    """The help card, that stays in sight; "" if there is no need for one."""
    if found is None:
        return ""
    lines = "".join(f"<li>{html.escape(name)}: <b>{html.escape(reach)}</b></li>" for name, reach in found.lines)
    place = f" ({html.escape(found.country)})" if found.country else ""
    hint = "" if found.country else f"<p>{html.escape(words['help_country'])}</p>"
    checked = html.escape(words["help_checked"].format(day=found.checked))
    return (
        f'<section class="help" aria-label="{html.escape(words["help"])}"><h2>{html.escape(words["help"])}</h2><ul>'
        f"<li>{html.escape(words['help_now'])}{place}: <b>{html.escape(found.emergency)}</b></li>{lines}"
        f"<li>{html.escape(words['help_finder'])}: <b>{html.escape(found.finder)}</b></li></ul>"
        f"{hint}<p>{checked}</p></section>"
    )


def how(reply: Reply, model: str, words: Words) -> str:
    """The line that says how a reply was made."""
    if reply.made_by == "model":
        return words["made_by_model"].format(model=model)
    if reply.made_by == "guide":
        return " ".join(part for part in (words["made_by_guide"], reply.note) if part)
    return ""


def _cite(text: str, numbers: set[int]) -> str:
    """A paragraph with its citations as links; sentences in a row on one passage show it once, after the last."""

    def link(match: re.Match[str]) -> str:
        number = int(match[1])
        return f'<a class="cite cite-{number}" href="#">{number}</a>' if number in numbers else ""

    once = re.sub(r"\s*(\[\d+\])(?=[^\[]*\1)", "", text)
    return re.sub(r"\[(\d+)\]", link, html.escape(once)).replace("\n", "<br>")


def source(passage: Passage, words: Words) -> str:
    """A passage, folded, with where it comes from."""
    chapter = "" if passage.chapter == passage.title else f"<span>{html.escape(passage.chapter)}</span> "
    page = f", {passage.page}" if passage.page else ""
    short = ""
    if passage.takeaway:
        short = f"<p><b>{html.escape(words['in_short'])}:</b> {html.escape(passage.takeaway)}</p>"
    case = f"<p><i>{html.escape(passage.case)}</i></p>" if passage.case else ""
    body = "".join(f"<p>{html.escape(line)}</p>" for line in passage.text.split("\n"))
    return (
        f'<details class="source source-{passage.number}"><summary><b>{passage.number}</b> {chapter}'
        f"{html.escape(passage.title)}</summary>{short}<blockquote>{case}{body}</blockquote>"
        f'<div class="file">{html.escape(passage.source)}{page}</div></details>'
    )
