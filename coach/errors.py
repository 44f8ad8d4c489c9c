"""What can go wrong, as a tree.

    CoachError
    ├── SettingsError      a setting, flag or environment variable is not usable
    ├── InputError         what a person wrote cannot be answered as it stands
    ├── GuideError         a guide file or folder cannot be read
    │   └── SearchIndexError  the search index cannot be built or opened
    ├── ModelError         a model is missing, damaged or cannot run
    │   └── DownloadError  a model could not be fetched
    └── PromptError        a template in prompts/ is missing or broken

Every error carries a `hint`: one sentence that says what to do next.
"""

from __future__ import annotations

__all__ = [
    "CoachError",
    "DownloadError",
    "GuideError",
    "SearchIndexError",
    "InputError",
    "ModelError",
    "PromptError",
    "SettingsError",
]


class CoachError(Exception):
    """Base of all errors a caller may want to catch.

    Args:
        message: One sentence that says what is wrong.
        hint: One sentence that says what to do about it.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(CoachError):
    """A setting, flag or environment variable is not usable."""


class InputError(CoachError):
    """What a person wrote cannot be answered as it stands."""


class GuideError(CoachError):
    """A guide file or folder cannot be read."""


class SearchIndexError(GuideError):
    """The search index cannot be built or opened."""


class ModelError(CoachError):
    """A model is missing, damaged or cannot run."""


class DownloadError(ModelError):
    """A model could not be fetched."""


class PromptError(CoachError):
    """A template in prompts/ is missing or broken."""
