"""`coach models`: the chat models, which are here, fetch one, choose one, remove one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coach.cli.show import AsJson, downloading, dump
from coach.errors import CoachError

__all__ = ["chosen", "models"]

models = typer.Typer(help="Chat models: which there are, fetch one, choose one, remove one.", no_args_is_help=True)


@models.command("list")
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
            "used": m in catalog.SEARCH or (used is not None and used.name == Path(m.files[0].path).name),
            "megabytes": round(m.size / 1e6),
            "memory_gb": m.memory // 1024**3,
            "licence": m.licence,
            "about": m.about,
        }
        for m in catalog.CATALOG
    ]
    if as_json:
        dump(rows)
        return
    for row in rows:
        mark = " " if not row["here"] else "*" if row["used"] else "+"
        print(
            f"{mark} {row['name']:20} {row['megabytes']:>6} MB  {row['memory_gb']} GB  {row['licence']}  {row['about']}"
        )
    print("\n* in use, + here")


@models.command("pull")
def pull_model(name: str) -> None:
    """Fetch a model."""
    from coach import settings as configuration
    from coach.llm import catalog, download

    with downloading() as show:
        download.fetch(catalog.by_name(name), configuration.load().models_dir, show)
    print(f"{name} is here.")


@models.command("use")
def use_model(name: Annotated[str, typer.Argument(help="A name, the path of a GGUF file, auto, or none.")]) -> None:
    """Choose the chat model."""
    print(chosen(name))


def chosen(name: str) -> str:
    """Keep a model as the one to use, if it is here; returns a line that says so."""
    from coach import settings as configuration
    from coach.app import choose_model

    value = str(Path(name).expanduser().resolve()) if Path(name).expanduser().is_file() else name
    choose_model(configuration.load(model=value))
    return f"model = {value!r} written to {configuration.remember('model', value)}"


@models.command("remove")
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
