"""Danger: the signs of it that need no model, and the fixed, vetted replies.

Everything here works with nothing loaded and nothing warm. The patterns find what is said outright, in
English and a few other languages; what is only hinted at is found by `coach.guardrails.signals`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from coach.errors import PromptError, SettingsError
from coach.guardrails.patterns import Patterns
from coach.types import Danger, Help

__all__ = ["DANGERS", "HelpLines", "Sign", "Signs"]

DANGERS: tuple[Danger, ...] = get_args(Danger)
FEW = 16  # words in which somebody who mourns asks how to say sorry
_ABROAD = "_abroad"  # ends the names of groups in other languages


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    reach: str
    seen: Literal["official", "list"]


class _Country(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    emergency: str
    self_harm: tuple[_Line, ...]
    violence_to_user: tuple[_Line, ...]
    violence_by_user: tuple[_Line, ...]


class _Elsewhere(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    finder: str
    emergency: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    checked: object
    elsewhere: _Elsewhere
    countries: dict[str, _Country]


class HelpLines:
    """prompts/crisis/lines.yaml.

    Raises:
        PromptError: The file is missing or something in it is not as it must be.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise PromptError(f"{path} cannot be used: {error}.", hint="Restore it from the project.") from error

    @property
    def countries(self) -> dict[str, str]:
        """Names by code, such as "US"."""
        return {code: country.name for code, country in self._file.countries.items()}

    @property
    def checked(self) -> str:
        """The day on which the numbers were looked at, as 2026-11-23."""
        return str(self._file.checked)

    def code(self, country: str) -> str:
        """The code of a country given by its code or its name; "" for none.

        Raises:
            SettingsError: There is no such country here.
        """
        wanted = {"uk": "gb", "other": "", "elsewhere": ""}.get(country.strip().lower(), country.strip().lower())
        for code, name in self.countries.items():
            if wanted in (code.lower(), name.lower()):
                return code
        if not wanted:
            return ""
        raise SettingsError(
            f"There are no help lines for {country!r} here.",
            hint=f"Choose one of {', '.join(self.countries)}, or leave it empty for {self._file.elsewhere.finder}.",
        )

    def help(self, danger: Danger, country: str) -> Help:
        """The numbers for somebody in this danger in this country ("" for anywhere)."""
        there = self._file.countries.get(country)
        lines: tuple[_Line, ...] = ()
        if there and danger != "legal_order":
            lines = getattr(there, danger)
        return Help(
            danger=danger,
            country=there.name if there else "",
            emergency=there.emergency if there else self._file.elsewhere.emergency,
            lines=tuple((line.name, line.reach) for line in lines),
            finder=self._file.elsewhere.finder,
            checked=self.checked,
        )


class Sign(NamedTuple):
    """Danger that is spoken of in so many words."""

    danger: Danger
    meant: bool  # nothing in the text speaks against taking it so
    abroad: bool  # it is said in another language than English


class Signs:
    """Danger that is said outright, found by the patterns of prompts/crisis/signs.yaml.

    Raises:
        PromptError: The file is missing or broken.
    """

    def __init__(self, path: Path) -> None:
        self._patterns = Patterns(path)

    def danger(self, text: str) -> Sign | None:
        """The danger that a text speaks of."""
        for danger in DANGERS:
            for group in (f"{danger}{_ABROAD}", danger):
                if self._patterns.places(group, text):
                    return Sign(danger, not self._patterns.excused(group, text), group.endswith(_ABROAD))
        return None

    def somebody_else(self, text: str) -> bool:
        """Whether the life in danger is rather somebody else's than the writer's."""
        return self._patterns.match("somebody_else", text)

    def mourning(self, text: str) -> bool:
        """Whether a few words are about somebody else who has died, and about nothing that speaks of danger."""
        return len(text.split()) <= FEW and self._patterns.match("mourning", text)

    def misunderstood(self, text: str) -> bool:
        """Whether a person says that they were misunderstood."""
        return self._patterns.match("misunderstood", text)

    def safer(self, text: str) -> bool:
        """Whether a person says that they are safe now, or that somebody knows."""
        return self._patterns.match("safer", text)
