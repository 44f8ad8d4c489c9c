"""A question in, the best passages of the guide out, or honestly none.

Sections compete, and the winners are represented by their best passages. In the coach's own guide the trained reader
says how likely a section is the answer, and whether any is. For any other guide, that ranking is the bridge: a section
scores by what it has to say on the sections found there, and a little by how near the question is to its own text.

The weights were chosen on the development questions; benchmarks/retrieval.py measures them.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coach.guide.asked import Asked, Reading
from coach.guide.catalogue import BRIDGE, OWN
from coach.guide.chunk import sentences, tells_of_a_study, unquoted
from coach.guide.embed import Embedder, Vectors
from coach.guide.index import Index, Neighbour
from coach.types import Found, Passage

__all__ = ["Retriever", "passage_beginning"]

NEARNESS = 4.0  # of a passage (cosine), beside the log-likelihood of its case
W_DIRECT = 0.2  # for another guide's own text, beside 1 for the bridge
SHARPNESS = 0.28  # of the ranking when it is read as likelihoods; smaller is sharper
SPREAD = 1.0  # the same where the ranking serves as the bridge: more sections have their say
FOREIGN = 0.3  # the reader's likelihood from which a question is about something that no guide of this kind covers
OWN_TEXT = 0.6  # a question this near to a person's own guide is never foreign
OWN_NEAR = 0.3  # beside the coach's guide, a section of an own one counts from this similarity on; noise ends at 0.27
INSTEAD, BESIDE = 0.15, 0.5  # likelihood of a second case from which an answer speaks of it, too; share of the first's
NEARBY = 0.002  # and from which it is offered
GUESS, FITTING = 0.08, 0.75  # likelihood of the first case, and of its section, below which both are a guess
FIRM = 0.6  # likelihood of the first case below which its section says nothing else: that makes a mistake louder
LIKELY = 0.35  # below it, a section brings sentences beside the point into an answer
FEW, TOGETHER = 5, 0.7  # words of a message that mostly means something after what was said before; weight of both then
KEPT_SECTIONS = 256  # whose vectors stay in memory, some 100 KB each
PASSAGES_A_SECTION = 2
EXCERPT_WORDS = 45  # of a passage, beside the section's take-away

Scores = npt.NDArray[np.float64]
# A sentence that begins like this needs the one before it.
_LEANING = re.compile(
    r"(?:it|its|that|this|these|those|then|so|such|but|and|or|here|there|both|neither|otherwise|instead|one|two|three"
    r"|also|honest instead|even so|for example|in the same way|the (?:first|second|third)|they mean"
    r"|if (?:not|so|they are not))\b",
    re.IGNORECASE,
)
_CASES = "SELECT id, said FROM chunks JOIN sources USING (source) WHERE said != '' AND origin = ?"
_ASKS = re.compile(  # whether somebody asks for a yes or no
    r"\?|(?:^|[.!,\n] *|\b(?:so|and|or|but|ok|pls) )"
    r"(?:should|shall|can|could|may|must|do|does|did|is|are|was|were|will|would|am|has|have)"
    r" (?:i|it|this|that|there|he|she|they|we|u|you|my|me)\b",
    re.IGNORECASE,
)


class _Heard(NamedTuple):
    """A text that was searched for."""

    text: str
    vector: Vectors  # (dimensions,)
    reading: Reading
    weight: float  # beside the others; together they are 1


class Retriever:
    """Searches a built index. Safe to share between threads.

    Args:
        index: Complete and current.
        embedder: For the questions; its vectors are those of the index.
        asked: How the sections of the coach's own guide are asked for.
    """

    def __init__(self, index: Index, embedder: Embedder, asked: Asked) -> None:
        self._index = index
        self._embedder = embedder
        self._asked = asked
        with index.catalogue() as db:
            self._bridge = _section_ids(db, BRIDGE)
            self._own = _section_ids(db, OWN)
            self._cases = dict(
                db.execute(_CASES, (BRIDGE,)).fetchall()
            )  # of another guide nobody knows who asks for them
            self._titles = frozenset(self._cases.values())  # words that can only mean that case
            self._kin = np.zeros((len(self._own), len(self._bridge)))
            rows, columns = ({key: i for i, key in enumerate(keys)} for keys in (self._own, self._bridge))
            for section, bridge, similarity in db.execute("SELECT section, bridge, similarity FROM kin"):
                if section in rows and bridge in columns:
                    self._kin[rows[section], columns[bridge]] = similarity
        if len(self._own) > 1:
            # Some sections have a little to say on everything; half of that advantage is taken away.
            self._kin = _standard(self._kin.T).T
            self._kin -= self._kin.mean(axis=1, keepdims=True) / 2
        self._chunks = lru_cache(KEPT_SECTIONS)(self._read_chunks)

    def search(self, question: str, k: int = 4, *, before: str = "") -> list[Passage]:
        """At most `k` passages to look through, the best first, numbered from 1; none if the guide does not cover it.

        Each comes from another section. What was said `before` counts too: the question is ranked alone and together
        with it.
        """
        heard = self._hear(question, before)
        with self._index.catalogue() as db:
            return self._passages(db, heard, self._rank(heard)[:k])

    def consult(
        self, question: str, most: int = 3, *, before: str = "", without: Collection[str] = (), within: bool = False
    ) -> Found:
        """What to answer from: `most` passages at most, from few sections, and what else may have been meant.

        The sections `without` are passed over. What is known to be `within` the guide's subject is never foreign.
        """
        heard = self._hear(question, before)
        with self._index.catalogue() as db:
            ranked = self._rank(heard, without, within=within)
            chosen = [pair for pair in ranked[:most] if pair[1] >= LIKELY or pair == ranked[0]]
            chosen += chosen[:1] * (min(most, PASSAGES_A_SECTION) - len(chosen))
            passages = self._passages(db, heard, chosen)
            if not passages or not self._index.bridge_listed:
                return Found(tuple(passages))
            first = math.exp(_log_likelihood(heard, passages[0].section, passages[0].case))
            likely = [] if question in self._titles else self._likely_cases(heard, without)
            surest = max(math.exp(one.reading.case(passages[0].section, passages[0].case)) for one in heard)
            if surest < GUESS and passages[0].score < FITTING and not self._own and len(likely) > 1:
                return Found(tuple(passages), nearby=tuple(self._cases[chunk] for chunk, _ in likely), doubtful=True)
            if passages[0].case and first < FIRM:
                passages = [p for p in passages if p is passages[0] or p.section != passages[0].section]
            said = {passage.case for passage in passages}
            cases = [(chunk, p) for chunk, p in likely if self._cases[chunk] not in said]
            instead = None
            if cases and cases[0][1] >= max(INSTEAD, BESIDE * first):
                (chunk, likelihood), *cases = cases
                instead = replace(_passage(db, chunk), number=len(passages) + 1, score=round(likelihood, 4))
                instead = replace(instead, excerpt=_answer(instead.text, heard))
            return Found(tuple(passages), instead, tuple(self._cases[chunk] for chunk, _ in cases))

    def _hear(self, question: str, before: str) -> list[_Heard]:
        """A question alone, and together with what was said before, if it is not a case's own words."""
        alone = not before or question in self._titles
        texts = [question] if alone else [question, f"{before}\n{question}"]
        together = TOGETHER if len(question.split()) <= FEW else 0.5
        weights = [1.0] if alone else [1 - together, together]
        parts = zip(texts, self._embedder.encode(texts), weights, strict=True)
        return [_Heard(text, vector, self._asked.read(text), weight) for text, vector, weight in parts]

    def _rank(
        self, heard: Sequence[_Heard], without: Collection[str] = (), *, within: bool = False
    ) -> list[tuple[str, float]]:
        """The sections and how likely each is the answer, the best first, guides in turn; none if it is foreign."""
        vector = heard[0].vector
        own_texts = self._index.nearest(vector, 100, kind="text", origin=OWN) if self._own else []
        foreign = heard[0].reading.foreign > FOREIGN and not within
        if foreign and max((n.similarity for n in own_texts), default=0.0) < OWN_TEXT:
            return []
        each = [one.weight * _standard(np.array(one.reading.sections(self._bridge))) for one in heard]
        bridge = np.sum(each, axis=0)
        ranked = [_best(self._bridge, _softmax(bridge / SHARPNESS))] if self._index.bridge_listed else []
        if self._own:
            own = _best(self._own, self._rank_own(vector, bridge, own_texts))
            near = {text.section for text in own_texts if text.similarity >= OWN_NEAR or not self._index.bridge_listed}
            ranked.append([pair for pair in own if pair[0] in near])
        return [pair for pairs in zip_longest(*ranked) for pair in pairs if pair and pair[0] not in without]

    def _likely_cases(self, heard: Sequence[_Heard], without: Collection[str]) -> list[tuple[str, float]]:
        """The chunks of the cases that a question may be about, and how likely each is, the likeliest first."""
        found = []
        for chunk, case in self._cases.items():
            section = chunk.rsplit(".", 1)[0]
            likelihood = math.exp(_log_likelihood(heard, section, case))
            if likelihood >= NEARBY and section not in without:
                found.append((chunk, likelihood))
        return sorted(found, key=lambda pair: -pair[1])

    def _rank_own(self, vector: Vectors, bridge: Scores, texts: Sequence[Neighbour]) -> Scores:
        near = self._index.nearest(vector, 200, kind="sentence", origin=OWN)
        direct = _standard(_per_section(self._own, near)) + _standard(_per_section(self._own, texts))
        total = _standard(self._kin @ _softmax(bridge / SPREAD)) + W_DIRECT * direct / 2
        return _softmax(total / SHARPNESS)

    def _passages(
        self, db: sqlite3.Connection, heard: Sequence[_Heard], chosen: Sequence[tuple[str, float]]
    ) -> list[Passage]:
        """The chunk of each section that is nearest and likeliest; after a case, what the section says in general."""
        sections = list(dict.fromkeys(section for section, _ in chosen))
        texts, lines = ({c: rows for s in sections for c, rows in self._chunks(s)[at].items()} for at in (0, 1))

        def fit(chunk: str) -> float:
            near = float(np.mean([(texts[chunk] @ one.vector).max() for one in heard]))
            section, case = chunk.rsplit(".", 1)[0], self._cases.get(chunk, "")
            return NEARNESS * near + _log_likelihood(heard, section, case)

        order = sorted(texts, key=fit, reverse=True)
        passages: list[Passage] = []
        for section, score in chosen:
            left = [chunk for chunk in order if chunk.rsplit(".", 1)[0] == section]
            again = any(p.section == section for p in passages)
            if again:
                left.sort(key=lambda chunk: chunk in self._cases)
            if left:
                order.remove(left[0])
                passage = replace(_passage(db, left[0]), number=len(passages) + 1, score=round(score, 4))
                told = any(p.section == section and not p.case for p in passages)
                excerpt = _excerpt(passage, lines[left[0]] @ heard[0].vector, again=told)
                passages.append(replace(passage, excerpt=_answer(excerpt, heard)))
        return passages

    def _read_chunks(self, section: str) -> tuple[dict[str, Vectors], dict[str, Vectors]]:
        """The vectors of a section's chunks: those of the whole and of its case, and those of its sentences."""
        origin = BRIDGE if section in self._bridge else OWN
        whole = self._index.vectors(origin=origin, kinds=["text", "case"], sections=[section], by="chunk")
        return whole, self._index.vectors(origin=origin, kinds=["sentence"], sections=[section], by="chunk")


def _log_likelihood(heard: Sequence[_Heard], section: str, case: str) -> float:
    """The log-likelihood that a case of a section is the answer to what was heard."""
    return sum(one.weight * one.reading.case(section, case) for one in heard)


def passage_beginning(index: Index, section: str, words: str) -> Passage | None:
    """The passage of the coach's own guide that holds a paragraph beginning with `words`; no vectors needed."""
    with index.catalogue() as db:
        rows = db.execute("SELECT id, text FROM chunks WHERE section = ?", (section,)).fetchall()
        for chunk, text in rows:
            if any(line.startswith(words) for line in text.split("\n")):
                return _passage(db, chunk)
        return _passage(db, rows[0][0]) if rows else None


def _excerpt(passage: Passage, nearness: Vectors, *, again: bool) -> str:
    """A case's answer as it is; else the take-away, and what the passage says nearest to the question.

    That is whole sentences of one paragraph in a row. Sentences in quotation marks are no beginning, in a guide they
    are often what one should not say; nor are scraps. What studies found stays in the passage.
    """
    if passage.case:
        return passage.text
    near = dict(zip(dict.fromkeys(sentences(passage.text)), nearness, strict=False))  # equal sentences are kept once
    paragraphs = [unquoted(line.removeprefix("• ")) for line in passage.text.split("\n")]
    usable = [
        (float(near.get(part, -1.0)), paragraph, at)
        for paragraph in paragraphs
        for at, part in enumerate(paragraph)
        if part[0] not in '"“' and len(part.split()) > 3 and not tells_of_a_study(part)
    ]
    if not usable:
        return "" if again else passage.takeaway
    _, paragraph, first = max(usable, key=lambda one: one[0])
    last = first + 1
    while first > 0 and (_LEANING.match(paragraph[first]) or paragraph[first][0] in '"“'):
        first -= 1
    while last < len(paragraph) and len(" ".join(paragraph[first : last + 1]).split()) <= EXCERPT_WORDS:
        last += 1
    lines = [line for line in paragraph[first:last] if not tells_of_a_study(line)]
    while lines and tells_of_a_study(paragraph[first]) and _LEANING.match(lines[0]):
        lines.pop(0)  # it leant on what was left out
    return " ".join(["" if again else passage.takeaway, *lines]).strip()


def _answer(excerpt: str, heard: Sequence[_Heard]) -> str:
    """What is answered, without the yes or no that it begins with where nobody asked for one."""
    if _ASKS.search(heard[0].text):
        return excerpt
    rest = re.sub(r"^(?:Yes|No), ", "", excerpt)
    return rest[:1].upper() + rest[1:]


def _section_ids(db: sqlite3.Connection, origin: str) -> list[str]:
    query = "SELECT sections.id FROM sections JOIN sources USING (source) WHERE origin = ? ORDER BY sections.rowid"
    return [row[0] for row in db.execute(query, (origin,))]


def _passage(db: sqlite3.Connection, chunk: str) -> Passage:
    row = db.execute(
        'SELECT chunks.id, sections.title, chapter, text, chunks.source, start, "end", page, takeaway, say, avoid, ask,'
        " origin, said FROM chunks JOIN sections ON sections.id = chunks.section"
        " JOIN sources ON sources.source = chunks.source WHERE chunks.id = ?",
        (chunk,),
    ).fetchone()
    return Passage(
        id=row[0],
        number=0,
        title=row[1],
        chapter=row[2],
        text=row[3],
        source=row[4],
        score=0.0,
        start=row[5],
        end=row[6],
        page=row[7],
        takeaway=row[8],
        say=tuple(json.loads(row[9])),
        avoid=tuple(json.loads(row[10])),
        ask=row[11],
        trusted=row[12] == BRIDGE,
        case=row[13],
    )


def _per_section(sections: Sequence[str], found: Iterable[Neighbour]) -> Scores:
    """Each section's nearest entry; a section that was not found counts as the farthest that was."""
    nearest: dict[str, float] = {}
    farthest = 1.0
    for neighbour in found:
        nearest.setdefault(neighbour.section, neighbour.similarity)
        farthest = min(farthest, neighbour.similarity)
    return np.array([nearest.get(section, farthest) for section in sections])


def _best(sections: Sequence[str], likelihood: Scores) -> list[tuple[str, float]]:
    return [(sections[i], float(likelihood[i])) for i in np.argsort(-likelihood, kind="stable")]


def _standard(scores: Scores) -> Scores:
    """Scores with mean 0 and deviation 1 along the last axis."""
    deviation = scores.std(axis=-1, keepdims=True)
    result: Scores = (scores - scores.mean(axis=-1, keepdims=True)) / np.maximum(deviation, 1e-9)
    return result


def _softmax(scores: Scores) -> Scores:
    raised = np.exp(scores - scores.max())
    result: Scores = raised / raised.sum()
    return result
