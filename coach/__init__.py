"""A coach for honest amends that runs on your own machine.

Read the code in this order: `types` (the values), `app` (how the parts are put together), `coaching.turn`
(one turn as a story), then `guide`, `llm`, `guardrails` and `coaching` for the parts, `cli` and `ui` for the faces.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# NumPy's threads wait for more work by spinning, 20 ms long, and take the cores from llama.cpp. Read at its import.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

from coach.errors import CoachError, GuideError, InputError, ModelError, SettingsError
from coach.types import (
    Contact,
    Conversation,
    Criterion,
    Done,
    Finding,
    Help,
    Passage,
    Reply,
    Review,
    Sources,
    Token,
    Verdict,
    Wait,
)

if TYPE_CHECKING:
    from coach.app import Coach

__all__ = [
    "Coach",
    "CoachError",
    "Contact",
    "Conversation",
    "Criterion",
    "Done",
    "Finding",
    "GuideError",
    "Help",
    "InputError",
    "ModelError",
    "Passage",
    "Reply",
    "Review",
    "SettingsError",
    "Sources",
    "Token",
    "Verdict",
    "Wait",
]


def __getattr__(name: str) -> Any:
    if name == "Coach":  # loaded late: it brings Jinja2, pydantic and numpy along
        from coach.app import Coach

        return Coach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
