"""States of llama.cpp: in files what every conversation begins with, in memory the conversations that were interrupted.

A state costs less to bring back than its tokens to read again. llama.cpp ends the whole process on a damaged state. A
file's name therefore ends with the hash of its bytes, and one that does not match is removed before anybody reads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Shelf", "StateFiles", "shared"]

KEPT = 3  # files; a person may go to and fro between models
KEPT_BYTES = 256_000_000  # of states in memory


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


class Shelf:
    """States in memory, each under the tokens that it is of; the longest unused go when they become too many bytes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def nearest(self, tokens: Sequence[int]) -> int:
        """How many tokens a state that is kept has in common with these at their start, at most."""
        return max((shared(kept, tokens) for kept in self._kept), default=0)

    def put(self, tokens: Sequence[int], state: Any) -> None:
        """Keep the state of some tokens, an array of bytes."""
        self._kept[tuple(tokens)] = state
        while sum(map(len, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def take(self, tokens: Sequence[int]) -> tuple[list[int], Any]:
        """Take out the state that has most in common with these tokens, with its own. One must be there."""
        key = max(self._kept, key=lambda kept: shared(kept, tokens))
        return list(key), self._kept.pop(key)

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()


def shared(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their start."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def _name(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
