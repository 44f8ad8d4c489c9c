"""The command line. The only module besides `ui` that shows anything; errors are one sentence and a hint."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from coach.errors import CoachError, InputError
from coach.types import Contact, Conversation, Done, Passage, Review, Situation, Sources, Token

__all__ = ["app", "main"]

app = typer.Typer(
    help="A coach for honest amends. Everything stays on this machine. Without a command it opens the page.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="Chat models: which there are, fetch one, choose one, remove one.", no_args_is_help=True)
app.add_typer(models_app, name="models")

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Model = Annotated[str | None, typer.Option("--model", "-m", help="A model's name, the path of a GGUF file, or none.")]
Guide = Annotated[Path | None, typer.Option("--guide", help="Another guide in place of the built-in one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Number = Annotated[int, typer.Option("-k", min=1, max=4, help="How many passages at most.")]


def main() -> None:
    """Run the command line and turn errors into one sentence, a hint, and exit code 1."""
    try:
        app()
    except CoachError as error:
        err.print(f"[bold]{escape(error.message)}[/bold]\n{escape(error.hint)}")
        sys.exit(1)
    except KeyboardInterrupt:
        err.print("Stopped.")
        sys.exit(130)


def _open(model: str | None = None, guide: Path | None = None) -> Any:
    from coach.app import Coach

    if guide is not None and not guide.exists():
        raise InputError(f"There is no file or folder {guide}.", hint="Check the path and try again.")
    return Coach.open(corpus=guide, model=model or "auto")


def _read(file: str) -> str:
    """A text file, or standard input for "-"."""
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{file} cannot be read: {error}.", hint="Give a text file, or - for standard input."
        ) from error


@contextmanager
def _bar(what: str, *, size: bool) -> Iterator[Any]:
    """A progress bar on the terminal: bytes with speed and time left, or a count."""
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn()]
    columns += [DownloadColumn(), TransferSpeedColumn()] if size else [TextColumn("{task.completed}/{task.total}")]
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=False) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _index(coach: Any) -> Any:
    from coach.guide.index import Report

    with _bar("Indexing the guide", size=False) as show:
        report: Report = coach.build_index(show)
    for problem in report.skipped:
        err.print(f"Left out: {escape(problem)}")
    return report


def _dump(value: Any) -> None:
    def plain(item: Any) -> Any:
        return dataclasses.asdict(item) if dataclasses.is_dataclass(item) and not isinstance(item, type) else str(item)

    print(json.dumps(value, default=plain, ensure_ascii=False, indent=2))


def _place(passage: Passage) -> str:
    page = f", page {passage.page}" if passage.page else ""
    chapter = "" if passage.chapter == passage.title else f"{passage.chapter} > "
    return f"[{passage.number}] {chapter}{passage.title} ({passage.source}{page})"


@app.callback(invoke_without_command=True)
def page(
    context: typer.Context,
    model: Model = None,
    guide: Guide = None,
    port: Annotated[
        int | None, typer.Option(help="Where to serve the page; the next free port if it is taken.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser tab.")] = True,
    country: Annotated[
        str | None, typer.Option(help="Your country, for the help lines: a code such as US. It is kept.")
    ] = None,
) -> None:
    """Open the page in the browser."""
    if country is not None:
        _open("none").choose_country(country)
    if context.invoked_subcommand is not None:
        return
    from coach.ui.server import serve

    coach = _open(model, guide)
    serve(coach, port or coach.settings.port, open_browser=open_browser, say=err.print)


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads it from standard input.")],
    model: Model = None,
    guide: Guide = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question and print the answer with its sources."""
    coach = _open(model, guide)
    _answer(coach, sys.stdin.read() if question == "-" else question, None, as_json)


@app.command()
def chat(model: Model = None, guide: Guide = None) -> None:
    """Talk with the coach in the terminal. An empty line or Ctrl-D ends it; nothing is kept.

    A line that is only / shows what the coach has understood; "/did I read her diary" puts it right.
    """
    coach = _open(model, guide)
    conversation: Conversation | None = None
    err.print(coach.prompts.render("hello", kind="hello"))
    while True:
        try:
            message = input("\n> ")
        except EOFError:
            return
        if not message.strip():
            return
        if message.startswith("/"):
            conversation = _corrected(coach, message[1:], conversation or Conversation())
            continue
        try:
            conversation = _answer(coach, message, conversation, as_json=False)
        except InputError as error:
            err.print(f"{escape(error.message)} {escape(error.hint)}")


def _corrected(coach: Any, said: str, conversation: Conversation) -> Conversation:
    """The conversation after a line such as "/did I read her diary"; a bare "/" shows what is known."""
    fields = [field.name for field in dataclasses.fields(Situation)]
    name, _, value = said.strip().partition(" ")
    told: dict[str, Any] = {name: value.strip()} if name in fields else {}
    if name == "contact":
        told = {name: Contact(value)} if value in list(Contact) else {}
    if told:
        conversation = replace(conversation, situation=replace(conversation.situation, **told))
    elif said.strip():
        err.print(f"Begin with one of /{', /'.join(fields)}. Contact is one of {', '.join(Contact)}.")
    err.print(f"[dim]{escape(coach.situations.line(conversation.situation) or 'Nothing yet.')}[/dim]")
    return conversation


def _answer(coach: Any, message: str, conversation: Conversation | None, as_json: bool) -> Conversation:
    stop = threading.Event()
    reply = None
    try:
        for event in coach.reply(message, conversation, stop):
            if isinstance(event, Token) and not as_json:
                print(event.text, end="", flush=True)
            elif isinstance(event, Sources) and not as_json and err.is_terminal:
                err.print("[dim]The guide has something on this. Writing ...[/dim]")
            elif isinstance(event, Done):
                reply = event.reply
    except KeyboardInterrupt:
        stop.set()
        raise
    assert reply is not None
    if as_json:
        shown = dataclasses.asdict(reply)
        del shown["conversation"]
        _dump(shown)
        return reply.conversation
    print()
    if reply.passages:
        print()
        for passage in reply.passages:
            print(_place(passage))
    if reply.help and reply.action != "crisis":
        numbers = [reach for _, reach in reply.help.lines]
        print(f"\nHelp: {'; '.join([reply.help.emergency, *numbers, reply.help.finder])}")
    if reply.help and not reply.help.country:
        err.print("[dim]For the numbers of your country, once: coach --country US[/dim]")
    how = {"model": f"Written by {coach.model_name}, checked against the guide", "guide": "Put together from the guide"}
    if reply.made_by in how:
        note = f" ({reply.note})" if reply.note else ""
        err.print(f"[dim]{escape(how[reply.made_by] + note)}, {reply.timings.total:.1f} s.[/dim]")
    return reply.conversation


@app.command()
def review(
    file: Annotated[str, typer.Argument(help="The message in a file; - reads it from standard input.")],
    contact: Annotated[
        Contact, typer.Option("--contact", "-c", help="How things stand between the two of you.")
    ] = Contact.TALKING,
    about: Annotated[str, typer.Option("--about", help="What you did, in a line.")] = "",
    answers: Annotated[str, typer.Option("--answers", help="Their message that yours answers.")] = "",
    model: Model = None,
    as_json: AsJson = False,
) -> None:
    """Look at a message before you send it. Exit code: 0 ready, 3 revise, 4 hold."""
    draft = _read(file)
    coach = _open(model)
    found = coach.review(draft, contact, about, answers, model=True)
    if as_json:
        _dump(found)
    else:
        _show(found, coach.prompts.data("review"), coach.policy)
    sys.exit({"ready": 0, "revise": 3, "hold": 4}[found.verdict.action])


def _show(found: Review, words: dict[str, Any], policy: Any) -> None:
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
        out.print(f"[bold]\\[{number}][/bold] {escape(f'{tactic.name}. {finding.reason} {tactic.mend.text}')}")
    for criterion in found.accountability:
        sign = {"met": "+", "partly": "~", "missing": "-"}[criterion.state]
        out.print(f"{sign} {escape(criterion.name)}{'. ' + escape(criterion.hint) if criterion.hint else ''}")
    if found.rewrite:
        out.print(f"\n[bold]{escape(found.rewrite)}[/bold]\n[dim]{escape(made_how(found, words))}[/dim]")
    if found.help:
        numbers = [f"{name}: {reach}" for name, reach in found.help.lines]
        out.print("\n" + escape("; ".join([found.help.emergency, *numbers, found.help.finder])))


@app.command()
def search(query: str, k: Number = 4, guide: Guide = None, as_json: AsJson = False) -> None:
    """Find the passages of the guide that answer a question."""
    passages = _open("none", guide).search(query, k)
    if as_json:
        _dump(passages)
        return
    if not passages:
        print("The guide does not cover that.")
    for passage in passages:
        print(f"{_place(passage)}\n{passage.text}\n")


@app.command("eval")
def evaluate(
    questions: Annotated[str, typer.Argument(help="A file with one question a line; - reads standard input.")],
    model: Model = None,
    guide: Guide = None,
    read: Annotated[bool, typer.Option("--read", help="Print every answer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask many questions and measure the answers: your own guide, another model. Good or not takes reading."""
    from coach.evaluate import measured, played

    asked = [line.strip() for line in _read(questions).splitlines() if line.strip()]
    coach = _open(model, guide)
    coach.warm()
    found = []
    with _bar("Asking", size=False) as show:
        for number, question in enumerate(asked, start=1):
            found += played(coach, [question])
            show(number, len(asked))
            if read and found:
                print(f"\n> {found[-1].message}\n{found[-1].reply.text}")
    figures = measured(coach, found)
    if as_json:
        _dump({"figures": figures, "answers": [{"question": a.message, "answer": a.reply.text} for a in found]})
        return
    for name, figure in figures.items():
        print(f"{name:<48}{figure}")


@app.command()
def index(
    path: Annotated[Path | None, typer.Argument(help="A file or folder to add to the guide.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the search index up to date; with PATH, take those files into the guide first."""
    import shutil

    from coach.guide.read import find, read

    coach = _open("none")
    if path is not None:
        found = find(path)
        if not found:
            raise InputError(f"There is no guide file in {path}.", hint="Use Markdown, text, PDF or DOCX files.")
        target = coach.settings.guides
        for file in found:
            read(file)  # refuse what cannot be read before anything is copied
            place = target / file.relative_to(path if path.is_dir() else path.parent)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
        err.print(f"{len(found)} file(s) copied to {target}. Remove them there to take them out again.")
    report = _index(coach)
    if as_json:
        _dump(report)
        return
    if report.rebuilt:
        print(f"The old index was replaced: {report.rebuilt}.")
    print(
        f"{report.sources} files, {report.sections} sections, {report.passages} passages;"
        f" {report.embedded} texts embedded, {report.removed} removed."
    )


@app.command()
def setup(
    model: Model = None,
    prepare: Annotated[bool, typer.Option("--index/--no-index", help="Build the search index, too.")] = True,
) -> None:
    """Fetch the models and build the index. What is there already is left as it is."""
    import psutil

    from coach import settings as configuration
    from coach.errors import DownloadError
    from coach.llm import catalog, download
    from coach.setup import fetch_best

    settings = configuration.load()
    with _download() as show:
        download.fetch(catalog.EMBEDDER, settings.models_dir, show)
    if model not in (None, "none") and not str(model).lower().endswith(".gguf"):
        chosen = catalog.by_name(str(model))
        with _download() as show:
            download.fetch(chosen, settings.models_dir, show)
        configuration.remember("model", chosen.name)
    elif model is not None:
        configuration.remember("model", model if model == "none" else str(Path(model).expanduser().resolve()))
    else:
        try:
            with _download() as show:
                fetch_best(settings, psutil.virtual_memory().total, err.print, show)
        except DownloadError as error:
            err.print(
                f"{escape(error.message)} {escape(error.hint)}\nUntil then the coach answers from the guide alone."
            )
    if prepare:
        _index(_open("none"))
    err.print("Ready. `coach` opens the page.")


@contextmanager
def _download() -> Iterator[Any]:
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


@models_app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """The models that the coach knows, and which are here."""
    from coach import settings as configuration
    from coach.app import choose_model
    from coach.llm import catalog, download

    settings = configuration.load()
    try:
        used = choose_model(settings)
    except CoachError:
        used = None
    rows = [
        {
            "name": m.name,
            "here": download.installed(m, settings.models_dir),
            "used": used is not None and used.name == Path(m.files[0].path).name,
            "megabytes": round(m.size / 1e6),
            "memory_gb": m.memory // 1024**3,
            "licence": m.licence,
            "about": m.about,
        }
        for m in catalog.CATALOG
    ]
    if as_json:
        _dump(rows)
        return
    for row in rows:
        mark = (
            "*"
            if row["used"] or (row["name"] == catalog.EMBEDDER.name and row["here"])
            else "+"
            if row["here"]
            else " "
        )
        print(
            f"{mark} {row['name']:20} {row['megabytes']:>6} MB  {row['memory_gb']} GB  {row['licence']}  {row['about']}"
        )
    print("\n* in use, + here")


@models_app.command("pull")
def pull_model(name: str) -> None:
    """Fetch a model."""
    from coach import settings as configuration
    from coach.llm import catalog, download

    with _download() as show:
        download.fetch(catalog.by_name(name), configuration.load().models_dir, show)
    print(f"{name} is here.")


@models_app.command("use")
def use_model(name: Annotated[str, typer.Argument(help="A name, the path of a GGUF file, auto, or none.")]) -> None:
    """Choose the chat model."""
    from coach import settings as configuration
    from coach.app import choose_model

    value = str(Path(name).expanduser().resolve()) if Path(name).expanduser().is_file() else name
    choose_model(configuration.load(model=value))
    print(f"model = {value!r} written to {configuration.remember('model', value)}")


@models_app.command("remove")
def remove_model(name: str) -> None:
    """Delete a model's files."""
    from coach import settings as configuration
    from coach.llm import catalog

    settings = configuration.load()
    model = catalog.by_name(name)
    there = [path for file in model.files if (path := settings.models_dir / file.path).exists()]
    for path in there:
        path.unlink()
    print(f"{name} removed." if there else f"{name} was not here.")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is there, what is missing, and what to do about it. Exit code 1 if something is missing."""
    from coach.doctor import examine

    checks = examine()
    if as_json:
        _dump(checks)
    else:
        for check in checks:
            mark = "[green]ok[/green]  " if check.good else "[red]miss[/red]"
            out.print(f"{mark} {check.name:16} {escape(check.found)}")
            if not check.good:
                out.print(f"     {escape(check.remedy)}")
    if not all(check.good for check in checks):
        raise typer.Exit(1)


os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before anything imports Gradio
