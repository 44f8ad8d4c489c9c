"""The interface of a chat model: messages in, a stream of text out, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from coach.types import Message, Usage, Wait

__all__ = ["Engine"]


class Engine(Protocol):
    """Something that can continue a conversation. One generation at a time; others wait."""

    context: int  # tokens

    def count(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages take as a prompt."""
        ...

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        begun: str = "",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str | Wait | Usage]:
        """Stream the assistant's next message, piece by piece, and end with one `Usage`.

        What is `begun` already is taken for the message's beginning and not said again.

        A `Wait` may come first, before the prompt is read.

        Once `cancelled` returns True nothing more is decoded. The same holds when the iterator is closed.

        Raises:
            ModelError: The prompt is longer than the context, or the model failed.
        """
        ...
