"""First-time setup: which model fits this machine and network, and everything fetched that is missing."""

from __future__ import annotations

from collections.abc import Callable

from coach.errors import DownloadError
from coach.llm import catalog, download
from coach.llm.catalog import Model
from coach.settings import Settings

__all__ = ["fetch_best"]


def fetch_best(
    settings: Settings,
    memory: int,
    say: Callable[[str], None],
    report: Callable[[download.Progress], None],
) -> Model:
    """Fetch the best chat model that the machine can run and the network can deliver, unless one is here.

    Args:
        settings: Where models lie.
        memory: Of the machine, in bytes.
        say: Called with one line for each decision.
        report: Called with the progress of a download.

    Raises:
        DownloadError: Not even the starter could be fetched; the coach then answers from the guide alone.
    """
    choice = catalog.fitting(memory)
    here = [m for m in choice if download.installed(m, settings.models_dir)]
    if here and here[0] is not catalog.STARTER:
        say(f"Model: {here[0].name} is here already ({here[0].about}).")
        return here[0]
    for model in choice:
        say(f"Model: {model.name}, {model.size / 1e6:,.0f} MB, for {memory / 1024**3:.0f} GB of memory: {model.about}.")
        try:
            download.fetch(model, settings.models_dir, report)
            return model
        except DownloadError as error:
            if model is choice[-1]:
                raise
            say(f"{model.name} cannot be had from here: {error.message} Trying the next one.")
    raise AssertionError("fitting() always ends with the starter")
