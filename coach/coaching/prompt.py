"""The templates in prompts/, rendered. A missing variable is an error, and nobody's text is ever a template."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from coach.errors import PromptError
from coach.types import Conversation, Message, Passage

__all__ = ["Prompts"]


class Prompts:
    """What is said to the model, and what the coach says without one.

    Args:
        folder: The prompts/ folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = _environment(folder)
        self._opening: tuple[Message, ...] = ()

    def render(self, name: str, **values: Any) -> str:
        """Render a template.

        Raises:
            PromptError: The template is missing or broken, or a value it uses was not given.
        """
        try:
            return self._environment.get_template(f"{name}.j2").render(**values).strip()
        except (TemplateError, OSError) as error:
            raise self._broken(f"{name}.j2", error) from error

    def data(self, name: str) -> Any:
        """The content of a YAML file in the folder.

        Raises:
            PromptError: The file is missing or broken.
        """
        try:
            return yaml.safe_load((self.folder / f"{name}.yaml").read_text(encoding="utf-8"))
        except (yaml.YAMLError, OSError) as error:
            raise self._broken(f"{name}.yaml", error) from error

    def _broken(self, file: str, error: Exception) -> PromptError:
        return PromptError(f"{file} in {self.folder} cannot be used: {error}.", hint="Restore it from the project.")

    def opening(self) -> tuple[Message, ...]:
        """What every conversation begins with: the system text and the worked examples."""
        if not self._opening:
            names = [tactic["name"] for tactic in self.data("guardrails/policy")]
            messages = [Message("system", self.render("system", tactics=names))]
            for example in self.data("examples"):
                notes = list(enumerate(example["notes"], start=1))
                question = self.render("turn", message=example["message"], notes=notes, known=[], about="")
                messages += [Message("user", question), Message("assistant", example["answer"])]
            self._opening = tuple(messages)
        return self._opening

    def turn(self, message: str, new: Sequence[Passage], known: Sequence[Passage], about: str = "") -> str:
        """A person's message with its notes, and who they are; `known` passages were given in an earlier turn."""
        notes = [(passage.number, passage.excerpt or passage.text) for passage in new]
        return self.render("turn", message=message, notes=notes, known=[f"[{p.number}]" for p in known], about=about)

    def messages(self, conversation: Conversation, prompt: str) -> list[Message]:
        """The whole conversation as the model sees it, ending with `prompt`."""
        messages = list(self.opening())
        for turn in conversation.turns:
            if turn.prompt:
                messages += [Message("user", turn.prompt), Message("assistant", turn.answer)]
        return [*messages, Message("user", prompt)]


@lru_cache(maxsize=8)
def _environment(folder: Path) -> Environment:
    return Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - the output is a prompt or plain text; the page escapes what it shows
    )
