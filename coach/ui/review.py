"""A review as HTML: verdict, the draft with its marked words, the checklist, the rewrite with what changed."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Mapping
from typing import Any

from coach.coaching.draft import made_how
from coach.guardrails.policy import Policy
from coach.types import Review
from coach.ui import render

__all__ = ["body", "rewrite"]

_SIGNS = {"met": "✓", "partly": "~", "missing": "○"}


def body(review: Review, words: Mapping[str, Any], policy: Policy, page: Mapping[str, str]) -> str:
    """Everything but the rewrite and the help card.

    Args:
        review: What was found.
        words: prompts/review.yaml.
        policy: The tactics, for their plain names and what to do instead.
        page: prompts/page.yaml.
    """
    action = review.verdict.action
    notes = "".join(f'<p class="quiet">{html.escape(note)}</p>' for note in review.notes)
    return (
        f'<div class="verdict {action}"><h3>{html.escape(words["verdicts"][action])}</h3>'
        f"<p>{html.escape(review.reason)}</p><p><b>{html.escape(review.next_step)}</b></p></div>{notes}"
        f"{_marked(review, policy)}{_why(review, policy, page)}{_list(review, page)}"
    )


def rewrite(review: Review, words: Mapping[str, Any], page: Mapping[str, str]) -> str:
    """The rewrite, how it was made, and what changed; "" if there is none."""
    if not review.rewrite:
        return ""
    text = re.sub(r"\[[^\]]+\]", lambda gap: f'<span class="gap">{gap[0]}</span>', html.escape(review.rewrite))
    return (
        f'<h3>{html.escape(page["rewrite"])}</h3><blockquote class="rewrite">{_lines(text)}</blockquote>'
        f'<p class="quiet">{html.escape(made_how(review, words))}</p>'
        f'<details class="why"><summary>{html.escape(page["changed"])}</summary><p>{_diff(review)}</p></details>'
    )


def _marked(review: Review, policy: Policy) -> str:
    """The draft, the words found in it underlined and labelled; a click opens why."""
    parts, at = [], 0
    order = {id(finding): number for number, finding in enumerate(review.findings, start=1)}
    for finding in sorted(review.findings, key=lambda f: f.start):
        start = max(at, finding.start)
        if start >= finding.end:
            continue
        number = order[id(finding)]
        label = html.escape(policy[finding.tactic].name)
        parts.append(html.escape(review.draft[at:start]))
        parts.append(
            f'<a class="mark mark-{number}" href="#" title="{label}">{html.escape(review.draft[start : finding.end])}'
            f"<sup>{number}</sup></a>"
        )
        at = finding.end
    return f'<div class="draft">{_lines("".join(parts) + html.escape(review.draft[at:]))}</div>'


def _why(review: Review, policy: Policy, page: Mapping[str, str]) -> str:
    found = ""
    for number, finding in enumerate(review.findings, start=1):
        tactic = policy[finding.tactic]
        title = html.escape(tactic.name[0].upper() + tactic.name[1:])
        found += (
            f'<details class="found found-{number}"><summary><b>{number}</b> {title}: '
            f"<q>{html.escape(finding.quote)}</q></summary><p>{html.escape(finding.reason)} "
            f"<b>{html.escape(tactic.mend)}</b></p></details>"
        )
    listed = "".join(render.source(passage, page) for passage in review.passages)
    return f'<div class="findings">{found}</div>{listed}' if found else ""


def _list(review: Review, page: Mapping[str, str]) -> str:
    rows = ""
    for criterion in review.accountability:
        quote = f" <q>{html.escape(criterion.quote)}</q>" if criterion.quote else ""
        hint = f'<div class="quiet">{html.escape(criterion.hint)}</div>' if criterion.hint else ""
        state = html.escape(page[criterion.state])
        rows += (
            f'<li class="{criterion.state}"><span aria-hidden="true">{_SIGNS[criterion.state]}</span> '
            f"{html.escape(criterion.name)} <i>({state})</i>{quote}{hint}</li>"
        )
    return f'<h3>{html.escape(page["criteria"])}</h3><ul class="criteria">{rows}</ul>' if rows else ""


def _diff(review: Review) -> str:
    old, new = review.draft.split(), review.rewrite.split()
    parts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(html.escape(" ".join(old[a:b])))
            continue
        if b > a:
            parts.append(f"<del>{html.escape(' '.join(old[a:b]))}</del>")
        if d > c:
            parts.append(f"<ins>{html.escape(' '.join(new[c:d]))}</ins>")
    return " ".join(parts)


def _lines(text: str) -> str:
    return text.replace("\n", "<br>")
