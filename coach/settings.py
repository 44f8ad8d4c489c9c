"""Where things are and how the program runs: defaults < coach.toml < environment (COACH_*) < flag.

The only module that knows paths. In a checkout everything stays inside it, so that deleting the folder
deletes all there is; an installed coach uses the system's folders for application data.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from coach.errors import SettingsError

__all__ = ["Settings", "load", "remember"]

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None


def _bundled(folder: str) -> Path:
    """A folder that lies beside the package in a checkout and inside it in a wheel."""
    return CHECKOUT / folder if CHECKOUT else PACKAGE / folder


BUILT_IN = _bundled("corpus")  # the coach's own guide


def _home() -> Path:
    return CHECKOUT / ".coach" if CHECKOUT else platformdirs.user_data_path("amends-coach", appauthor=False)


class Settings(BaseSettings):
    """All settings; the sizes of the model's window and of answers are in tokens."""

    model_config = SettingsConfigDict(env_prefix="COACH_", extra="forbid", frozen=True)

    corpus: Path = BUILT_IN  # the guide: a folder or a file
    prompts: Path = Field(default_factory=lambda: _bundled("prompts"))
    data_dir: Path = Field(default_factory=_home)  # the index, a person's own guides, the model's state
    models_dir: Path = Field(default_factory=lambda: CHECKOUT / "models" if CHECKOUT else _home() / "models")
    model: str = "auto"  # a name of the catalog, the path of a GGUF file, "auto" or "none"
    threads: int = Field(0, ge=0, le=256)  # 0: the machine's physical cores
    context: int = Field(0, ge=0, le=131072)  # 0: what the model and the memory allow
    answer_tokens: int = Field(320, ge=16, le=4096)  # an answer's length at most
    passages: int = Field(3, ge=1, le=4)  # passages given to the model for one question
    country: str = ""  # for the help lines: a code such as "US", or "" for the international finder
    port: int = Field(7860, ge=1, le=65535)

    @property
    def guides(self) -> Path:
        """The folder for a person's own guide files."""
        return self.data_dir / "guides"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then coach.toml."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())


def settings_file() -> Path:
    """Where coach.toml is looked for: COACH_SETTINGS_FILE, the checkout, or the system's folder for settings."""
    if named := os.environ.get("COACH_SETTINGS_FILE"):
        return Path(named)
    return (CHECKOUT or platformdirs.user_config_path("amends-coach", appauthor=False)) / "coach.toml"


def load(**flags: Any) -> Settings:
    """Gather the settings.

    Args:
        flags: What was given on the command line or in code; None counts as not given.

    Raises:
        SettingsError: A value is not usable; the message names the setting.
    """
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"The setting {name!r} is not usable: {first['msg']}.",
            hint=f"Look at {settings_file()}, at COACH_{name.upper()} in the environment, and at the flags.",
        ) from error
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{settings_file()} cannot be read: {error}.", hint="Correct or remove the file."
        ) from error


def remember(name: str, value: str) -> Path:
    """Write one setting into coach.toml, leaving the rest of the file as it is.

    Raises:
        SettingsError: The file cannot be read or written.
    """
    import tomlkit

    file = settings_file()
    try:
        document = tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()
        document[name] = value
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(tomlkit.dumps(document), encoding="utf-8")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file} cannot be written: {error}.", hint="Check the file and its folder.") from error
    return file
