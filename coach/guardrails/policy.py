"""prompts/guardrails/policy.yaml as values, checked as it is read. Every mistake is named with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from coach.errors import PromptError

__all__ = ["Policy", "Tactic"]

Line = str


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True, str_min_length=1)


class Tactic(_Strict):
    """One thing that the coach does not help with; the fields are explained in policy.yaml."""

    id: str = Field(pattern=r"^[a-z][a-z_]*$")
    name: Line
    definition: Line
    weight: int = Field(ge=1, le=3)
    asked: tuple[Line, ...] = Field(min_length=2)
    harm: tuple[Line, ...] = Field(min_length=2)
    instead: tuple[Line, ...] = Field(min_length=2)
    ask: tuple[Line, ...] = Field(min_length=2)
    reader: Line
    mend: Line
    section: str = Field(pattern=r"^[a-z][a-z-]*$")
    passage: Line
    examples: tuple[Line, ...] = Field(min_length=2)
    near_misses: tuple[Line, ...] = Field(min_length=2)


@dataclass(frozen=True)
class Policy:
    """All tactics, in the order of the file."""

    tactics: tuple[Tactic, ...]

    def __iter__(self) -> Iterator[Tactic]:
        return iter(self.tactics)

    def __getitem__(self, name: str) -> Tactic:
        return next(tactic for tactic in self.tactics if tactic.id == name)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids in the order of the file."""
        return tuple(tactic.id for tactic in self.tactics)

    @classmethod
    def load(cls, path: Path) -> Policy:
        """Read the file.

        Raises:
            PromptError: It is missing, or something in it is not as it must be; the message names the line.
        """
        try:
            root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PromptError(f"{path} cannot be read: {error}.", hint="Restore it from the project.") from error
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise _mistake(path, mark.line + 1 if mark else 1, getattr(error, "problem", str(error))) from error
        try:
            tactics = TypeAdapter(tuple[Tactic, ...]).validate_python(values)
        except ValidationError as error:
            lines = [
                f"line {_line(root, e['loc'])}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()
            ]
            raise PromptError(f"{path} has mistakes. {'; '.join(lines)}.", hint="Correct these lines.") from error
        seen: set[str] = set()
        for number, tactic in enumerate(tactics):
            if tactic.id in seen:
                raise _mistake(path, _line(root, (number, "id")), f"the id {tactic.id} is there twice")
            seen.add(tactic.id)
        return cls(tactics)


def _mistake(path: Path, line: int, what: str) -> PromptError:
    return PromptError(f"{path}, line {line}: {what}.", hint="Correct this line.")


def _line(node: Any, location: tuple[int | str, ...]) -> int:
    """The line, from 1, of the deepest part of `location` that is there."""
    for step in location:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            found = [value for key, value in node.value if key.value == step]
            if not found:
                break
            node = found[0]
    return int(node.start_mark.line) + 1 if node is not None else 1
