"""The commands, and the one place where an error becomes a sentence, a hint and an exit code."""

from __future__ import annotations

import dataclasses
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from coach.cli.models import chosen, models
from coach.cli.show import AsJson, counting, downloading, dump, err, out, place, show_reply, show_review
from coach.errors import CoachError, GuideError, InputError
from coach.types import Contact, Conversation, Done, Situation, Sources, Token

__all__ = ["app", "main"]

app = typer.Typer(
    help="A coach for honest amends. Everything stays on this machine. Without a command it opens the page.",
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(models, name="models")

Model = Annotated[str | None, typer.Option("--model", "-m", help="A model's name, the path of a GGUF file, or none.")]
Guide = Annotated[Path | None, typer.Option("--guide", help="Another guide in place of the built-in one.")]
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


def _index(coach: Any) -> Any:
    from coach.guide.index import Report

    with counting("Indexing the guide") as show:
        report: Report = coach.build_index(show)
    for problem in report.skipped:
        err.print(f"Left out: {escape(problem)}")
    return report


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
        except CoachError as error:
            err.print(f"{escape(error.message)} {escape(error.hint)}")
        except KeyboardInterrupt:
            err.print("\nStopped. The conversation goes on where it was; Ctrl-D ends it.")


def _corrected(coach: Any, said: str, conversation: Conversation) -> Conversation:
    """The conversation after a line such as "/did I read her diary"; a bare "/" shows what is known."""
    from coach.coaching.situation import entry

    fields = [field.name for field in dataclasses.fields(Situation)]
    name, _, value = said.strip().partition(" ")
    told: dict[str, Any] = {name: entry(value)} if name in fields else {}
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
    finally:
        stop.set()
    assert reply is not None
    if as_json:
        shown = dataclasses.asdict(reply)
        del shown["conversation"]
        dump(shown)
    else:
        show_reply(coach, reply)
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
        dump(found)
    else:
        show_review(found, coach.prompts.data("review"), coach.policy)
    sys.exit({"ready": 0, "revise": 3, "hold": 4}[found.verdict.action])


@app.command()
def search(query: str, k: Number = 4, guide: Guide = None, as_json: AsJson = False) -> None:
    """Find the passages of the guide that answer a question."""
    passages = _open("none", guide).search(query, k)
    if as_json:
        dump(passages)
        return
    if not passages:
        print("The guide does not cover that.")
    for passage in passages:
        print(f"{place(passage)}\n{passage.text}\n")


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
    with counting("Asking") as show:
        for number, question in enumerate(asked, start=1):
            answered = played(coach, [question])
            found += answered
            show(number, len(asked))
            for one in answered if read else ():
                print(f"\n> {one.message}\n{one.reply.text}")
    figures = measured(coach, found)
    if as_json:
        dump({"figures": figures, "answers": [{"question": a.message, "answer": a.reply.text} for a in found]})
        return
    for name, figure in figures.items():
        print(f"{name:<48}{figure}")


@app.command()
def index(
    path: Annotated[Path | None, typer.Argument(help="A file or folder to add to the guide.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bring the search index up to date; with PATH, take those files into the guide first."""
    from coach.guide.read import find

    coach = _open("none")
    if path is not None:
        found = find(path)
        if not found:
            raise InputError(f"There is no guide file in {path}.", hint="Use Markdown, text, PDF or DOCX files.")
        _take_in(found, path if path.is_dir() else path.parent, coach.settings.guides)
    report = _index(coach)
    if as_json:
        dump(report)
        return
    if report.rebuilt:
        print(f"The old index was replaced: {report.rebuilt}.")
    print(
        f"{report.sources} files, {report.sections} sections, {report.passages} passages;"
        f" {report.embedded} texts embedded, {report.removed} removed."
    )


def _take_in(files: list[Path], base: Path, target: Path) -> None:
    """Copy guide files into a person's own folder; what cannot be read is named and left out."""
    import shutil

    from coach.guide.read import read

    taken = []
    for file in files:
        try:
            read(file)
            taken.append(file)
        except GuideError as error:
            err.print(escape(f"Left out: {error}"))
    for file in taken:
        place = target / file.relative_to(base)
        if place.exists() and place.samefile(file):
            continue
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)
        except OSError as error:
            raise InputError(
                f"{file.name} cannot be copied to {target}: {error.strerror}.",
                hint="Make room there, or choose another folder with COACH_DATA_DIR.",
            ) from error
    if not taken:
        raise InputError("None of these files can be read, so nothing was added.", hint="See the lines above.")
    err.print(f"{len(taken)} file(s) copied to {target}. Remove them there to take them out again.")


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
    for needed in catalog.SEARCH:
        with downloading() as show:
            download.fetch(needed, settings.models_dir, show)
    if model is not None:
        if model in {known.name for known in catalog.chat_models()}:
            with downloading() as show:
                download.fetch(catalog.by_name(model), settings.models_dir, show)
        err.print(escape(chosen(model)))
    elif settings.model == "auto":
        try:
            with downloading() as show:
                fetch_best(settings, psutil.virtual_memory().total, err.print, show)
        except DownloadError as error:
            err.print(
                f"{escape(error.message)} {escape(error.hint)}\nUntil then the coach answers from the guide alone."
            )
    if prepare:
        coach = _open("none")
        _index(coach)
        coach.warm()  # what is made once of the larger encoder is made now
    err.print("Ready. `coach` opens the page.")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is there, what is missing, and what to do about it. Exit code 1 if something is missing."""
    from coach.doctor import examine

    checks = examine()
    if as_json:
        dump(checks)
    else:
        for check in checks:
            mark = "[green]ok[/green]  " if check.good else "[red]miss[/red]"
            out.print(f"{mark} {check.name:16} {escape(check.found)}")
            if not check.good:
                out.print(f"     {escape(check.remedy)}")
    if not all(check.good for check in checks):
        raise typer.Exit(1)
