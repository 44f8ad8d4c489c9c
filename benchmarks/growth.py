"""What a bigger guide costs: `python -m benchmarks.growth [--documents 10 100 1000]`, about ten minutes.

Each guide is made of documents of three sections; their paragraphs are the coach's own guide's sentences, drawn anew
for each document with a seed, so that no two are alike. Prints what indexing takes, how quick a search is then, and
how long it takes from opening to the first answer of the search.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.retrieval import load
from benchmarks.speed import guide_text
from coach import Coach
from coach.guide.chunk import sentences

SECTIONS = 3  # a document
SENTENCES = 12  # a section


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    print(f"{'documents':>10}{'indexing, s':>13}{'a second':>10}{'search, ms':>12}{'95th':>8}{'opening, s':>12}")
    for count in options.documents:
        with tempfile.TemporaryDirectory() as folder:
            row = measured(count, Path(folder))
        rows.append(row)
        print(
            f"{count:>10}{row['indexing']:>13.1f}{count / row['indexing']:>10.1f}{row['search']:>12.1f}"
            f"{row['search_95']:>8.1f}{row['opening']:>12.2f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


def measured(count: int, folder: Path) -> dict[str, float]:
    """Seconds of indexing a guide of so many documents and of opening it, and milliseconds of a search in it."""
    guide = folder / "guide"
    write(count, guide)
    data = folder / "data"
    coach = Coach.open(corpus=guide, data_dir=data, model=None)
    started = time.perf_counter()
    coach.build_index()
    indexing = time.perf_counter() - started
    started = time.perf_counter()
    coach = Coach.open(corpus=guide, data_dir=data, model=None)
    coach.search("how long should I wait")
    opening = time.perf_counter() - started
    times = []
    for question in load("dev", "sections"):
        started = time.perf_counter()
        coach.search(question.text)
        times.append((time.perf_counter() - started) * 1000)
    return {
        "documents": count,
        "indexing": indexing,
        "search": statistics.median(times),
        "search_95": float(np.percentile(times, 95)),
        "opening": opening,
    }


def write(count: int, folder: Path) -> None:
    """A guide of so many documents."""
    said = [line for line in sentences(guide_text()) if 4 < len(line.split()) < 40 and line[0].isalpha()]
    chance = random.Random(count)
    folder.mkdir()
    for number in range(count):
        lines = []
        for section in range(SECTIONS):
            drawn = chance.sample(said, SENTENCES)
            lines += [f"## {' '.join(drawn[0].split()[:5])} {number}.{section}", ""]
            lines += [" ".join(drawn[at : at + 4]) + "\n" for at in range(0, SENTENCES, 4)]
        (folder / f"{number:04}.md").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
