"""How good the better versions of drafts are: `python -m benchmarks.rewrites [--model NAME] [--read]`.

Takes drafts of the test set that are called revise, sixty from the whole of it, lets the coach rewrite each, and
prints who wrote the version that was shown, how many pass their own review, how many hold a name, a number or a date
that the draft does not, how much longer they are, and what it took. `--read` prints every pair, to be read.
"""

from __future__ import annotations

import argparse
import collections
import json
import re
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.guardrails import CASES
from benchmarks.labelled import read_drafts
from coach import Coach
from coach.evaluate import share

MOST = 60
_OWN = re.compile(r"\d+|(?<=[a-z,;] )[A-Z][a-z]+")


def main() -> None:
    """Rewrite, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="none", help="a name of the catalog, or none")
    parser.add_argument("--read", action="store_true", help="print every draft and its version")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    coach = Coach.open(model=options.model)
    rows: list[dict[str, Any]] = []
    cases = [case for case in read_drafts(CASES / "test_drafts.tsv") if case.verdict == "revise"]
    reviews = [(case, coach.review(case.text, case.contact)) for case in cases]
    revised = [(case, review) for case, review in reviews if review.verdict.action == "revise"]
    for number in range(min(MOST, len(revised))):  # from the whole of the set: it stands in order of the tactics
        case, review = revised[number * len(revised) // MOST]
        started = time.perf_counter()
        review = coach.rewrite(review)
        seconds = time.perf_counter() - started
        plain = re.sub(r"\[[^\]]*\]", " ", review.rewrite)
        again = coach.review(review.rewrite, case.contact).verdict if len(review.rewrite.split()) > 1 else None
        rows.append(
            {
                "draft": case.text,
                "rewrite": review.rewrite,
                "source": review.rewrite_source,
                "passes": again is not None and not again.findings,
                "new": [found for found in _OWN.findall(plain) if found.lower() not in case.text.lower()],
                "longer": len(review.rewrite.split()) / len(case.text.split()),
                "seconds": seconds,
            }
        )
        if options.read:
            print(f"\n- {case.text}\n+ [{review.rewrite_source}] {review.rewrite}")
    written = [row for row in rows if row["rewrite"]]
    figures: dict[str, Any] = {
        "model": options.model,
        "drafts": len(rows),
        "made by": dict(collections.Counter(row["source"] or "nobody" for row in rows)),
        "pass their own review": share(bool(row["passes"]) for row in written),
        "with a name or number of their own": sum(bool(row["new"]) for row in written),
        "length beside the draft, median": round(statistics.median(row["longer"] for row in written), 2),
        "seconds, median": round(statistics.median(row["seconds"] for row in rows), 2),
    }
    print("\n" + "\n".join(f"{name:<40}{figure}" for name, figure in figures.items()))
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "rows": rows}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
