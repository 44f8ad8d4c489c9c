"""States of llama.cpp in files, so that what every conversation begins with is read once and not at every start.

llama.cpp ends the whole process on a damaged state. A file's name therefore ends with the hash of its bytes, and one
that does not match is removed before anybody reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["StateFiles"]

KEPT = 3  # files; a person may go to and fro between models


class StateFiles:
    """The files of a folder, each under a key: whatever the state depends on.

    Args:
        folder: Created when the first file is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Path | None:
        """The undamaged file kept under a key, or None."""
        for file in self._folder.glob(f"{_name(key)}-*.state"):
            if file.stem.endswith(_digest(file)):
                return file
            self.drop(file)
        return None

    def drop(self, file: Path) -> None:
        """Remove a file that was of no use."""
        file.unlink(missing_ok=True)

    def keep(self, key: str, write: Callable[[Path], bool]) -> None:
        """Let `write` fill a file and keep it under a key, in place of the oldest ones.

        A full or read-only disk costs a few seconds at the next start, nothing else.
        """
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            new = self._folder / f"{_name(key)}.{os.getpid()}.new"
            if write(new):
                new.replace(self._folder / f"{_name(key)}-{_digest(new)}.state")
            new.unlink(missing_ok=True)
            for old in sorted(self._folder.glob("*.state"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
                self.drop(old)


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
