"""Rules written as regular expressions in a YAML file, compiled. The file says what they mean."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import yaml

from coach.errors import PromptError
from coach.guardrails.normalise import normalise

__all__ = ["Patterns"]


class Patterns:
    """Named groups of expressions: what must be said, and what must not stand in the same text.

    Args:
        path: A YAML file: `words` (names for parts, used as <name>), then groups with `said` and `unless`.
        beside: Entries of the file that are no groups.

    Raises:
        PromptError: The file is missing or broken, or an expression is; the message names the group.
    """

    def __init__(self, path: Path, beside: Collection[str] = ()) -> None:
        try:
            groups = yaml.safe_load(path.read_text(encoding="utf-8"))
            words = groups.pop("words", {})
            groups = {name: group for name, group in groups.items() if name not in beside}
        except (OSError, yaml.YAMLError, AttributeError) as error:
            raise PromptError(f"{path} cannot be used: {error}.", hint="Restore it from the project.") from error
        self._said: dict[str, re.Pattern[str]] = {}
        self._unless: dict[str, re.Pattern[str]] = {}
        for name, group in groups.items():
            try:
                self._said[name] = _compiled(group["said"], words)
                if group.get("unless"):
                    self._unless[name] = _compiled(group["unless"], words)
            except (KeyError, TypeError, re.error) as error:
                raise PromptError(f"{path}: the group {name!r} is not usable: {error}.", hint="Correct it.") from error

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups."""
        return tuple(self._said)

    def places(self, name: str, text: str) -> list[tuple[int, int]]:
        """Where the text says what the group holds, in its own characters, whatever else it says."""
        plain = normalise(text)
        return [plain.place(*match.span()) for match in self._said[name].finditer(plain.text)]

    def excused(self, name: str, text: str) -> bool:
        """Whether the text also says something that speaks against the group."""
        return name in self._unless and bool(self._unless[name].search(normalise(text).text))

    def match(self, name: str, text: str) -> bool:
        """Whether the text says what the group holds, and nothing that speaks against it."""
        return bool(self.places(name, text)) and not self.excused(name, text)


def _compiled(parts: list[str], words: dict[str, str]) -> re.Pattern[str]:
    joined = "|".join(f"(?:{part})" for part in parts)
    joined = re.sub(r"<(\w+)>", lambda match: words[match[1]] if match[1] in words else match[0], joined)
    return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)
