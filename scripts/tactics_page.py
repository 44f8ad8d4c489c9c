"""Writes docs/tactics.md from prompts/guardrails/policy.yaml: `python -m scripts.tactics_page`."""

from __future__ import annotations

from pathlib import Path

from coach.guardrails.policy import Policy

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tactics.md"

HEAD = """# What the coach does not help with

Made from `prompts/guardrails/policy.yaml` by `python -m scripts.tactics_page`; change it there.

You can talk with the coach about every one of these: that you did it, that it was done to you, that you are
tempted. What it does not do is help to use one on somebody.
"""


def render(policy: Policy) -> str:
    """The page."""
    parts = [HEAD]
    for tactic in policy:
        parts.append(f"## {tactic.name[0].upper()}{tactic.name[1:]} (`{tactic.id}`)\n")
        parts.append(f"{tactic.definition} {tactic.harm[0]}\n")
        parts.append(f"Honest instead: {tactic.instead[0]}\n")
        parts.append(f"It is: {' '.join(f'“{example}”' for example in tactic.examples)}\n")
        parts.append(f"It is not: {' '.join(f'“{example}”' for example in tactic.near_misses)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(render(Policy.load(ROOT / "prompts" / "guardrails" / "policy.yaml")), encoding="utf-8")
