"""Looks the installation over: what is there, what is missing, what to do."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import dataclass

from coach import settings as configuration
from coach.app import Coach, choose_model
from coach.errors import CoachError
from coach.llm import catalog, download
from coach.llm.llama import library

__all__ = ["Check", "examine"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the coach needs."""

    name: str
    good: bool
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """All checks, in the order in which a person would mend them. No model is loaded.

    Raises:
        SettingsError: The settings themselves are not usable.
    """
    import psutil

    settings = configuration.load()
    memory = psutil.virtual_memory()
    free = shutil.disk_usage(next(p for p in (settings.data_dir, *settings.data_dir.parents) if p.exists())).free
    checks = [
        Check(
            "Python", True, f"{platform.python_version()} on {sys.platform}, {psutil.cpu_count(logical=False)} cores"
        ),
        Check("memory", memory.total > 0.9e9, f"{memory.total / 1024**3:.1f} GB", "The starter model needs 1 GB."),
        Check("disk", free > 5e8, f"{free / 1e9:,.1f} GB free", "Free some space; an answer needs none, setup does."),
        Check("settings", True, f"{configuration.settings_file()}, data in {settings.data_dir}"),
    ]
    try:
        library()
        checks.append(Check("llama.cpp", True, "llama-cpp-python is installed"))
    except CoachError as error:
        checks.append(Check("llama.cpp", False, error.message, error.hint))
    missing = [model.name for model in catalog.SEARCH if not download.installed(model, settings.models_dir)]
    found = f"{', '.join(missing)} missing" if missing else ", ".join(model.name for model in catalog.SEARCH)
    checks.append(Check("search models", not missing, found, "Run `coach setup`."))
    try:
        model = choose_model(settings)
        none_wanted = settings.model == "none"
        name = model.name if model else "none, as the settings ask" if none_wanted else "missing"
        checks.append(Check("chat model", bool(model) or none_wanted, name, "Run `coach setup`."))
    except CoachError as error:
        checks.append(Check("chat model", False, error.message, error.hint))
    try:
        current = Coach.open(model=None).index.current()
        checks.append(
            Check("index", current, "up to date" if current else "missing or out of date", "Run `coach index`.")
        )
    except CoachError as error:
        checks.append(Check("index", False, error.message, error.hint))
    return checks
