"""A model's own chat template, rendered so that nobody's text can pose as markup.

A GGUF file brings its template along, and a file from the internet is not to be trusted: it is rendered in
Jinja2's immutable sandbox. Messages are not rendered at all. Placeholders stand in for them, and the result
is handed back as alternating markup and content, so that a message saying `<|im_end|>` stays plain words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from coach.errors import ModelError
from coach.types import Message

__all__ = ["CHATML", "Segment", "render"]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_MARK = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt."""

    text: str
    markup: bool  # True: the template's own, special tokens are meant; False: content


@lru_cache(maxsize=8)
def _compiled(template: str) -> Any:
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    return environment.from_string(template)


def render(template: str, messages: Sequence[Message], *, bos: str = "", eos: str = "") -> list[Segment]:
    """Lay out a conversation up to where the assistant's next words begin.

    Args:
        template: A Jinja2 chat template, as in a GGUF file's `tokenizer.chat_template`.
        messages: At least one; their contents come back untouched.
        bos: The model's token for the beginning of a text.
        eos: The model's token for its end.

    Raises:
        ModelError: The template cannot be rendered, even with the system text folded into the first message.
    """
    contents = [message.content for message in messages]
    shapes = [[{"role": m.role, "content": f"\ue000{i}\ue001"} for i, m in enumerate(messages)]]
    if len(messages) > 1 and messages[0].role == "system":  # some templates know no system role
        shapes.append([{"role": "user", "content": "\ue0000\ue001\n\n\ue0001\ue001"}, *shapes[0][2:]])
    failure: Exception | None = None
    for shape in shapes:
        try:
            text = _compiled(template).render(
                messages=shape, add_generation_prompt=True, bos_token=bos, eos_token=eos, raise_exception=_refuse
            )
        except Exception as error:  # a template may fail in any way it likes
            failure = error
            continue
        pieces = _MARK.split(text)
        if [int(n) for n in pieces[1::2]] == list(range(len(messages))):
            segments = []
            for i, piece in enumerate(pieces):
                segment = Segment(contents[int(piece)], markup=False) if i % 2 else Segment(piece, markup=True)
                if segment.text:
                    segments.append(segment)
            return segments
    raise ModelError(
        f"The model's chat template cannot be used ({failure or 'it leaves messages out'}).",
        hint="Choose another model with `coach models use NAME`.",
    )


def _refuse(message: str) -> str:
    raise ValueError(message)
