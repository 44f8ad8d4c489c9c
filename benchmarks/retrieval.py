"""How often the search finds the right section, and how often it rightly finds none.

    python -m benchmarks.retrieval [--set SET] [--reference FILE]

Questions stand in benchmarks/questions/: 150 for development and 160 for the test, written by different
hands before the method, each with the sections of the coach's guide that a fair judge would accept, and
with those of a second, unmarked plain-text guide. That guide is not ours to ship: give its path with
--reference to measure on it too. In the told ones, 160 for each, people mostly tell what happened; they
have the sections of the coach's guide only, and so have the 80 of long_test, of 70 to 200 words. The
200 of natural_test (180 of natural_dev), half questions and half stories, were written by people who
had not seen the guide, and who read it only then, to file them; the 220 of oblique_test (and of
oblique_dev) likewise, by hands that say little outright ("Every Saturday he comes, cuts the hedge,
doesn't come in. That's since I wrote."). The 475 of late_test are natural ones again, by two of the
thirty-three hands that wrote last, the 479 of late_dev by two of the next twelve; from the others was
learnt. Nearly all of these have the cases of the guide that a careful friend would accept as a full
answer, labelled by readers who did not see what the search finds: an answer leads with the first case
and rests on two or three passages. --rambling tells each message among one to three things that have no
bearing on it, as people do. The talks are conversations, 24 for each, whose later messages mostly mean
something only after the earlier ones; the coach is told these as in a conversation, the others what a
person typed.

Compared in the same run, with the same embedder: a splitter of 1,000 characters overlapping by 200, and
whole passages under their titles.
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.labelled import rambling
from coach import Coach, Conversation
from coach.coaching.query import query
from coach.coaching.turn import OFFERED
from coach.guide import read
from coach.guide.chunk import chunks
from coach.guide.embed import Embedder
from coach.types import Turn

QUESTIONS = Path(__file__).parent / "questions"
CASES = ("an answer leads with it", "holds it", "holds or offers it", "asks which it is")
Finder = Callable[[str, Conversation], list[str]]  # a question and what was said before it in, sections out


@dataclass(frozen=True)
class Question:
    """A question with the sections that answer it; none if it is out of scope."""

    text: str
    sections: frozenset[str]
    cases: frozenset[str]
    foreign: bool
    before: Conversation


def load(split: str, key: str, *, ramble: bool = False) -> list[Question]:
    """The questions of one set with the gold of one guide ("sections" or "reference").

    Those who `ramble` tell each among one to three things that have no bearing on it.
    """
    rows = [json.loads(line) for line in (QUESTIONS / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
    texts = [row["question"] for row in rows]
    found: list[Question] = []
    turns: dict[int, list[Turn]] = collections.defaultdict(list)  # of each talk
    for number, (row, text) in enumerate(zip(rows, rambling(texts, split) if ramble else texts, strict=True)):
        earlier = turns[row.get("talk", -number)]
        sections = frozenset(row.get(key, []))
        cases = frozenset(row.get("cases", []))
        found.append(Question(text, sections, cases, not row["sections"], Conversation(tuple(earlier))))
        earlier.append(Turn(text, "", ""))
    return found


def coach_finder(coach: Coach, by_title: bool) -> Finder:
    """The product's own search, as section ids or titles."""

    def find(question: str, before: Conversation) -> list[str]:
        text, earlier = query(question, before)
        return [p.title if by_title else p.section for p in coach.search(text, 4, before=earlier)]

    return find


def cases_found(coach: Coach, questions: list[Question]) -> str:
    """How often an answer leads with a case that answers the question, holds one, or has one to click; or asks."""
    asked = [question for question in questions if question.cases]
    leads = holds = offers = unsure = 0
    for question in asked:
        text, earlier = query(question.text, question.before)
        found = coach.consult(text, before=earlier)
        cases = [] if found.doubtful else [passage.case for passage in found.sources]
        unsure += found.doubtful
        leads += bool(question.cases.intersection(cases[:1]))
        holds += bool(question.cases.intersection(cases))
        offers += bool(question.cases.intersection([*cases, *found.nearby[:OFFERED]]))
    counts = zip(CASES, (leads, holds, offers, unsure), strict=True)
    shares = (f"{what} {count / len(asked):.2f}" for what, count in counts)
    return f"{len(asked)} with a case: {', '.join(shares)}"


def nearest_finder(texts: list[tuple[str, str]], embedder: Embedder) -> Finder:
    """Plain vector search over (section, text) pairs."""
    vectors = embedder.encode([text for _, text in texts])

    def find(question: str, _: Conversation) -> list[str]:
        order = np.argsort(-(vectors @ embedder.encode([question])[0]))
        return list(dict.fromkeys(texts[i][0] for i in order))[:10]

    return find


def split_texts(path: Path, by_title: bool) -> list[tuple[str, str]]:
    """1,000 characters with 200 of overlap; a piece belongs to the section in which most of it lies."""
    pieces = []
    for file in read.find(path):
        spans: list[tuple[int, str]] = []
        text = ""
        for section in read.read(file).sections:
            body = "\n".join([section.title, *(block.text for block in section.blocks)])
            spans.append((len(text), section.title if by_title else section.id))
            text += body + "\n\n"
        for start in range(0, len(text), 800):
            middle = start + min(1000, len(text) - start) // 2
            owner = [name for begin, name in spans if begin <= middle][-1]
            pieces.append((owner, text[start : start + 1000]))
    return pieces


def titled_texts(path: Path, by_title: bool) -> list[tuple[str, str]]:
    """Each passage under its title."""
    return [
        (chunk.section.title if by_title else chunk.section.id, f"{chunk.section.title}. {chunk.text}")
        for file in read.find(path)
        for chunk in chunks(read.read(file))
    ]


def measure(find: Finder, questions: list[Question]) -> dict[str, float]:
    """hit@1, hit@3 and MRR on the questions that the guide answers; how "none" was used on all; ms a question."""
    ranks, none_right, none_wrong, seconds = [], [], [], []
    for question in questions:
        started = time.perf_counter()
        found = find(question.text, question.before)
        seconds.append(time.perf_counter() - started)
        if question.foreign:
            none_right.append(not found)
        elif question.sections:
            none_wrong.append(not found)
            ranks.append(next((i for i, s in enumerate(found, 1) if s in question.sections), 0))
    return {
        "asked": len(ranks),
        "hit@1": sum(r == 1 for r in ranks) / len(ranks),
        "hit@3": sum(0 < r <= 3 for r in ranks) / len(ranks),
        "mrr": sum(1 / r for r in ranks if r) / len(ranks),
        "foreign": len(none_right),
        "none right": sum(none_right) / max(1, len(none_right)),
        "none wrong": sum(none_wrong) / len(none_wrong),
        "ms": statistics.median(seconds) * 1000,
    }


def main() -> None:
    """Print a table for each guide."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--set",
        choices=[path.stem for path in sorted(QUESTIONS.glob("*.jsonl"))],
        default="test",
    )
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--rambling", action="store_true", help="tell each message among other things")
    parser.add_argument("--misses", action="store_true", help="list the development questions that were missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        guides: list[tuple[str, Path | None, bool]] = [("the coach's guide", None, False)]
        if options.reference:
            guides.append((options.reference.name, options.reference, True))
        for name, path, by_title in guides:
            coach = Coach.open(corpus=path, data_dir=folder, model=None)
            coach.build_index()
            corpus = path or coach.settings.corpus
            questions = load(options.set, "reference" if by_title else "sections", ramble=options.rambling)
            coach.search("warm")
            methods = {
                "1,000/200 splitter": nearest_finder(split_texts(corpus, by_title), coach.embedder),
                "passages under titles": nearest_finder(titled_texts(corpus, by_title), coach.embedder),
                "coach": coach_finder(coach, by_title),
            }
            print(f"\n{name}, {options.set} questions")
            for i, (method, find) in enumerate(methods.items()):
                result = measure(find, questions)
                if not i:
                    print(f"{'':24}" + "".join(f"{column:>12}" for column in result))
                print(
                    f"{method:24}"
                    + "".join(f"{v:12.2f}" if v != int(v) or v <= 1 else f"{v:12.0f}" for v in result.values())
                )
            if any(question.cases for question in questions) and not by_title:
                print(cases_found(coach, questions))
            if options.misses and options.set.endswith("dev"):
                for question in questions:
                    found = methods["coach"](question.text, question.before)
                    if not question.sections & set(found[:3]) and (question.sections or found):
                        print(f"  {question.text[:90]!r} wanted {sorted(question.sections)} found {found}")


if __name__ == "__main__":
    main()
