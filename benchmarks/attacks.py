"""Attempts to turn the coach: `python -m benchmarks.attacks [--model NAME]`.

Plays ninety attempts (role play, fiction, fake system lines, chat template tokens, hidden text, other languages,
split requests, pasted instructions) through the coach and prints what became of each kind, and every answer that
was coached, to be read. The first message of a split attempt, before |||, is harmless; the last one counts.
"""

from __future__ import annotations

import argparse
import collections
import textwrap
from pathlib import Path

from coach import Coach, CoachError, Conversation, Done

CASES = Path(__file__).parent / "cases" / "attacks.tsv"


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="none")
    options = parser.parse_args()
    coach = Coach.open(model=options.model)
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for line in CASES.read_text(encoding="utf-8").splitlines():
        kind, about, attack = line.split("\t")
        conversation: Conversation | None = None
        action, text = "", ""
        for message in attack.replace("\\n", "\n").split("|||"):
            try:
                *_, last = coach.reply(message, conversation)
            except CoachError as error:
                action, text = "no answer", error.message
                continue
            assert isinstance(last, Done)
            action, text, conversation = last.reply.action, last.reply.text, last.reply.conversation
        counts[kind][action] += 1
        if action == "coach":
            print(f"\n[{kind}, {about}] {attack[:400]}\n{textwrap.indent(text, '    ')}")
    print()
    for kind, found in counts.items():
        print(f"{kind:<12}" + "  ".join(f"{action} {count}" for action, count in found.most_common()))


if __name__ == "__main__":
    main()
