"""What the command line prints: progress, JSON, an answer, a review. Answers go to standard output, remarks do not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from coach.types import Passage, Reply, Review

__all__ = ["AsJson", "counting", "downloading", "dump", "err", "out", "place", "show_reply", "show_review"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def counting(what: str) -> Iterator[Any]:
    """A progress bar for a number of things; call what it gives with how many are done and how many there are."""
    columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}")]
    with Progress(*columns, TimeRemainingColumn(), console=err) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def downloading() -> Iterator[Any]:
    """Progress bars for downloads, one a file and source; call what it gives with each `download.Progress`."""
    from coach.llm.download import Progress as Step

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()]
    with Progress(*columns, TimeRemainingColumn(), console=err) as progress:
        tasks: dict[str, Any] = {}

        def show(step: Step) -> None:
            name = f"{step.file} from {step.source}"
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=step.total)
            progress.update(tasks[name], completed=step.done)

        yield show


def dump(value: Any) -> None:
    """A value as JSON."""

    def plain(item: Any) -> Any:
        return dataclasses.asdict(item) if dataclasses.is_dataclass(item) and not isinstance(item, type) else str(item)

    print(json.dumps(value, default=plain, ensure_ascii=False, indent=2))


def place(passage: Passage) -> str:
    """The line that says where a passage stands."""
    page = f", page {passage.page}" if passage.page else ""
    chapter = "" if passage.chapter == passage.title else f"{passage.chapter} > "
    return f"[{passage.number}] {chapter}{passage.title} ({passage.source}{page})"


def show_reply(coach: Any, reply: Reply) -> None:
    """The sources of an answer that is printed already, help lines, and how it was made."""
    print()
    if reply.passages:
        print()
        for passage in reply.passages:
            print(place(passage))
    if reply.nearby and not reply.asks:
        print("\n" + coach.prompts.data("page")["nearby"] + "".join(f"\n- {case}" for case in reply.nearby))
    if reply.help and reply.action != "crisis":
        numbers = [reach for _, reach in reply.help.lines]
        print(f"\nHelp: {'; '.join([reply.help.emergency, *numbers, reply.help.finder])}")
    if reply.help and not reply.help.country:
        err.print("[dim]For the numbers of your country, once: coach --country US[/dim]")
    how = {"model": f"Written by {coach.model_name}, checked against the guide", "guide": "Put together from the guide"}
    if reply.made_by in how:
        note = f" ({reply.note})" if reply.note else ""
        err.print(f"[dim]{escape(how[reply.made_by] + note)}, {reply.timings.total:.1f} s.[/dim]")


def show_review(found: Review, words: dict[str, Any], policy: Any) -> None:
    """A review in the terminal: the marked draft, what would hurt, what is missing, the rewrite."""
    from coach.coaching.draft import made_how

    colours = {"ready": "green", "revise": "yellow", "hold": "red"}
    action = found.verdict.action
    out.print(
        f"[bold {colours[action]}]{words['verdicts'][action]}.[/] {escape(found.reason)} {escape(found.next_step)}"
    )
    for note in found.notes:
        out.print(f"[dim]{escape(note)}[/dim]")
    marked, at = "", 0
    for number, finding in sorted(enumerate(found.findings, start=1), key=lambda pair: pair[1].start):
        start = max(at, finding.start)
        marked += escape(found.draft[at:start]) + f"[underline yellow]{escape(found.draft[start : finding.end])}[/]"
        marked += f"[bold]\\[{number}][/bold]"
        at = max(at, finding.end)
    out.print(f"\n{marked}{escape(found.draft[at:])}\n")
    for number, finding in enumerate(found.findings, start=1):
        tactic = policy[finding.tactic]
        out.print(f"[bold]\\[{number}][/bold] {escape(f'{tactic.name}. {finding.reason} {tactic.mend}')}")
    for criterion in found.accountability:
        sign = {"met": "+", "partly": "~", "missing": "-"}[criterion.state]
        out.print(f"{sign} {escape(criterion.name)}{'. ' + escape(criterion.hint) if criterion.hint else ''}")
    if found.rewrite:
        out.print(f"\n[bold]{escape(found.rewrite)}[/bold]\n[dim]{escape(made_how(found, words))}[/dim]")
    if found.help:
        numbers = [f"{name}: {reach}" for name, reach in found.help.lines]
        out.print("\n" + escape("; ".join([found.help.emergency, *numbers, found.help.finder])))
