"""How well the guardrails judge: `python -m benchmarks.guardrails`, about a minute.

Prints, for messages to the coach, what was found and what was refused without need, a confusion table and
precision and recall for each tactic; for drafts, the tactics found, good drafts flagged, verdicts and how
well the spans meet the words that were marked; and what a check takes. The cases are in benchmarks/cases/: `dev`
was used to choose thresholds; `test` (mostly veiled), `everyday` (a month's ordinary mixture) and `late` were each
written by somebody else and used for nothing; so was `long`, messages of 70 to 220 words and drafts of 120 to 350,
beside `long_dev`.
`--rambling` tells each message to the coach among one to three things that have no bearing on it, as people do; those
of `dev` and those of the other sets are by different hands again. Drafts are left out then.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.labelled import Chat, Draft, rambling, read_chat, read_drafts, read_replies
from coach import settings
from coach.evaluate import share
from coach.guardrails.crisis import Signs
from coach.guardrails.drafts import Drafts
from coach.guardrails.gates import Gates
from coach.guardrails.policy import Policy
from coach.guardrails.signals import Signals
from coach.guardrails.standing import Told
from coach.llm.catalog import EMBEDDER, READER
from coach.quantised import Quantised
from coach.reader import Reader
from coach.types import Verdict

CASES = Path(__file__).parent / "cases"
ACTIONS = ("coach", "redirect", "crisis", "off_topic")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="test", choices=("dev", "test", "everyday", "late", "long", "long_dev"))
    parser.add_argument("--weights", type=Path, help="other weights than prompts/guardrails/signals.npz")
    parser.add_argument("--larger", type=Path, help="other weights than corpus/asked.npz")
    parser.add_argument("--rambling", action="store_true", help="tell each message among other things")
    parser.add_argument("--wrong", action="store_true", help="print every case that was judged wrongly")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    here = settings.load()
    policy = Policy.load(here.prompts / "guardrails" / "policy.yaml")
    weights = options.weights or here.prompts / "guardrails" / "signals.npz"
    signs = Signs(here.prompts / "crisis" / "signs.yaml")
    larger = Reader(Quantised, here.models_dir / READER.name, options.larger or settings.BUILT_IN / "asked.npz")
    signals = Signals(here.models_dir / EMBEDDER.name, weights, policy.ids, larger)
    told = Told(here.prompts / "guardrails" / "standing.yaml")
    gates = Gates(policy, here.prompts, told, signs, signals)
    judge = Drafts(policy, here.prompts, signs, signals)
    gates.chat("warm")
    figures: dict[str, Any] = {"set": options.set}
    messages = read_chat(CASES / f"{options.set}_chat.tsv")
    if options.rambling:
        texts = rambling([message.text for message in messages], options.set)
        messages = [replace(message, text=text) for message, text in zip(messages, texts, strict=True)]
    figures["chat"] = chat(gates, messages, policy.ids, options.wrong)
    path = CASES / f"{options.set}_drafts.tsv"
    if path.exists() and not options.rambling:
        figures["drafts"] = drafts(judge, read_drafts(path), policy.ids, options.wrong)
    path = CASES / f"{options.set}_replies.tsv"
    if path.exists():
        found = [(sentence, gates.reply(sentence.text).action) for sentence in read_replies(path)]
        figures["replies"] = {
            "bad sentences left out": share(action == "block" for s, action in found if s.kind != "fine"),
            "good sentences left out": share(action == "block" for s, action in found if s.kind == "fine"),
        }
        table("Sentences of the coach's model", figures["replies"])
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def chat(gates: Gates, cases: Sequence[Chat], tactics: Sequence[str], wrong: bool) -> dict[str, Any]:
    """Figures for messages to the coach."""
    verdicts, seconds = timed(cases, lambda case: gates.chat(case.text)[0])
    found = list(zip(cases, verdicts, strict=True))
    redirects = [(c, v) for c, v in found if c.action == "redirect"]
    innocent = [(c, v) for c, v in found if c.action == "coach"]
    figures: dict[str, Any] = {
        "redirects found": share(v.action in ("redirect", "crisis") for _, v in redirects),
        "redirects found as redirects": share(v.action == "redirect" for _, v in redirects),
        "subtle ones": share(v.action in ("redirect", "crisis") for c, v in redirects if c.how == "subtle"),
        "crises found": share(v.action == "crisis" for c, v in found if c.action == "crisis"),
        "crises of the right kind": share(v.crisis in c.about for c, v in found if c.action == "crisis"),
        "innocent refused": share(v.action != "coach" for _, v in innocent),
        "near-misses refused": share(v.action != "coach" for c, v in innocent if c.how.startswith("near")),
        "innocent sent to crisis": share(v.action == "crisis" for _, v in innocent),
        "off-topic found": share(v.action == "off_topic" for c, v in found if c.action == "off_topic"),
        "tactic named right": share(
            v.findings[0].tactic in c.about for c, v in redirects if v.action == "redirect" and v.findings
        ),
    }
    table(f"Messages to the coach ({len(cases)})", figures)
    table("One check, milliseconds", latency(seconds, figures))
    print("\nasked for \\ found   " + "".join(f"{name:>10}" for name in ACTIONS))
    for action in ACTIONS:
        row = [sum(c.action == action and v.action == name for c, v in found) for name in ACTIONS]
        print(f"{action:<20}" + "".join(f"{count:>10}" for count in row))
    wanted = [set(c.about) if c.action == "redirect" else set() for c in cases]
    named = [{f.tactic for f in v.findings[:1]} if v.action == "redirect" else set() for v in verdicts]
    figures["tactics"] = by_tactic(wanted, named, tactics, partial=True)
    if wrong:
        for c, v in found:
            if v.action != c.action:
                print(f"  {c.action} {','.join(c.about)} {c.how} -> {v.action} {v.crisis or ''}: {c.text[:300]!r}")
    return figures


def drafts(judge: Drafts, cases: Sequence[Draft], tactics: Sequence[str], wrong: bool) -> dict[str, Any]:
    """Figures for drafts."""
    verdicts, seconds = timed(cases, lambda case: judge.judge(case.text, case.contact).verdict)
    found = list(zip(cases, verdicts, strict=True))
    wanted = [case.tactics for case in cases]
    named = [{finding.tactic for finding in verdict.findings} for verdict in verdicts]
    right = sum(len(a & b) for a, b in zip(wanted, named, strict=True))
    good = [(c, v) for c, v in found if not c.marks]
    marked = [(c, v) for c, v in found if c.marks]
    figures: dict[str, Any] = {
        "tactic micro-F1": round(2 * right / max(1, sum(map(len, wanted)) + sum(map(len, named))), 3),
        "precision": round(right / max(1, sum(map(len, named))), 3),
        "recall": round(right / max(1, sum(map(len, wanted))), 3),
        "unmarked drafts flagged": share(bool(v.findings) for _, v in good),
        "ready drafts flagged": share(bool(v.findings) for c, v in good if c.verdict == "ready"),
        "marked drafts with a finding": share(bool(v.findings) for _, v in marked),
        "verdict accuracy": share(v.action == c.verdict for c, v in found),
        "holds found": share(v.action == "hold" for c, v in found if c.verdict == "hold"),
        "ready called ready": share(v.action == "ready" for c, v in found if c.verdict == "ready"),
        "span overlap (characters, mean IoU)": round(float(np.mean([overlap(c, v) for c, v in marked])), 3),
    }
    table(f"Drafts ({len(cases)}, {len(marked)} with marked words)", figures)
    table("One check, milliseconds", latency(seconds, figures))
    figures["tactics"] = by_tactic(wanted, named, tactics)
    if wrong:
        for c, v in found:
            names = {f"{f.tactic}:{f.quote!r}" for f in v.findings}
            if c.tactics != {f.tactic for f in v.findings}:
                print(f"  {c.verdict} wanted {sorted(c.tactics)} found {sorted(names)}: {c.text[:300]!r}")
    return figures


def overlap(case: Draft, verdict: Verdict) -> float:
    """Characters that are both marked and found, of those that are either."""
    marked = {at for mark in case.marks for at in range(mark.start, mark.end)}
    found = {at for finding in verdict.findings for at in range(finding.start, finding.end)}
    return len(marked & found) / len(marked | found)


def by_tactic(
    wanted: Sequence[set[str]], named: Sequence[set[str]], tactics: Sequence[str], *, partial: bool = False
) -> dict[str, Any]:
    """Precision and recall of each tactic; `partial`: naming one of several wanted ones is enough."""
    figures: dict[str, Any] = {}
    print(f"\n{'tactic':<24}{'cases':>6}{'precision':>11}{'recall':>8}")
    for tactic in tactics:
        pairs = list(zip(wanted, named, strict=True))
        cases = sum(tactic in a and not (partial and a & b - {tactic}) for a, b in pairs)
        right = sum(tactic in a & b for a, b in pairs)
        guesses = sum(tactic in b for _, b in pairs)
        figures[tactic] = (cases, round(right / max(1, guesses), 2), round(right / max(1, cases), 2))
        print(f"{tactic:<24}{cases:>6}{figures[tactic][1]:>11.2f}{figures[tactic][2]:>8.2f}")
    return figures


def timed(cases: Sequence[Any], check: Any) -> tuple[list[Verdict], list[float]]:
    """The verdicts, and the seconds that each took."""
    verdicts, seconds = [], []
    for case in cases:
        started = time.perf_counter()
        verdicts.append(check(case))
        seconds.append(time.perf_counter() - started)
    return verdicts, seconds


def latency(seconds: Sequence[float], figures: dict[str, Any]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds, also noted in the figures."""
    found = {name: round(float(np.percentile(seconds, p)) * 1000, 1) for name, p in (("median", 50), ("95th", 95))}
    figures["milliseconds"] = found
    return found


def table(title: str, figures: dict[str, Any]) -> None:
    """Print figures one a line."""
    print(f"\n{title}")
    for name, figure in figures.items():
        if isinstance(figure, float):
            print(f"  {name:<40}{figure:>8}")


if __name__ == "__main__":
    main()
