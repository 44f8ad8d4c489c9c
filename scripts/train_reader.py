"""Trains the larger reader, of the guide's search and of the gates: `python -m scripts.train_reader`.

What goes in: the messages of corpus/asked.tsv, each with the case that answers it, and those of
prompts/guardrails/examples/, each with what it wants; a part of them once more, told otherwise. What comes out:
corpus/asked.npz, an adapter to the upper half of all-mpnet-base-v2 with three heads: the guide's cases, the classes of
messages, the tactics. The lower half stays as it was published: it reads each message once, half an hour for all, and
what it made of them is kept in memory (9 GB), so that a step costs half, 3 s on two cores. Seeded; nothing is fetched.
Run it after a case, a section or many messages were added; `--go-on --steps 400` begins with the weights there are.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from benchmarks.labelled import Chat, read_asked, read_chat
from coach.guardrails.policy import Policy
from coach.guardrails.signals import CLASSES
from coach.guide.asked import NONE
from coach.guide.read import find, read
from scripts.adapter import HIDDEN, Adapted, forever, pooled, train
from scripts.retelling import Retelling, told_besides
from scripts.train_signals import EXAMPLES, RARE, ROOT, TOUCHY, class_of, retelling

CORPUS = ROOT / "corpus"
SEED = 20261124
FIRST = 6  # the first layer that is changed
RATES = (7e-4, 3.5e-3)  # of the adapter, and of the heads
SIZE = 24  # messages of each kind in a step
TOLD = 3  # one message for the guide in so many may be told among other things, too; half of these are
RETOLD, RETOLD_INNOCENT = 0.55, 0.3  # share of the labelled messages that are learnt from told otherwise, too
OFTEN = 2  # times that a new message, or one of a rare kind, is learnt from
INNOCENT = 0.35  # share of the guide's messages that count as innocent, too; all of them would outweigh the others
WEIGHTS = (1.0, 1.0, 2.0, 1.5)  # of what is learnt: section, case, class, tactic
SMOOTHING = (0.1, 0.1, 0.05, 0.05)
LONGEST = 200  # tokens of a message
AT_ONCE = 2400  # tokens that the lower half reads at once
UNKNOWN = -100  # what is not known of a message is not learnt from it


class Message(NamedTuple):
    """A message, and what the heads should find in it; UNKNOWN where nobody said."""

    text: str
    section: int = UNKNOWN
    cell: int = UNKNOWN
    kind: int = UNKNOWN
    tactic: int = UNKNOWN


class Upper(Adapted):
    """all-mpnet-base-v2 with an adapter to its upper half, and heads."""

    ATTENTION = "eager"  # transformers has no quicker one for it; `_through` does

    def __init__(self, folder: Path, heads: Mapping[str, int]) -> None:
        super().__init__(folder, {name: (size, True) for name, size in heads.items()}, FIRST)

    def below(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the lower half makes of texts, shape (texts, tokens, width), of ids of shape (texts, tokens)."""
        return self._through(self.base.embeddings(input_ids=ids), mask, self.base.encoder.layer[:FIRST])

    def above(self, states: Tensor, mask: Tensor) -> Tensor:
        """What the heads read, shape (texts, 2 x width), of texts that the lower half has read."""
        return pooled(self._through(states, mask, self.base.encoder.layer[FIRST:]), mask)

    def _through(self, states: Tensor, mask: Tensor, layers: Sequence[Any]) -> Tensor:
        heads = self.base.config.num_attention_heads
        near = self.base.encoder.compute_position_bias(states) + (1 - mask)[:, None, None, :] * -1e4
        for layer in layers:
            attention = layer.attention.attn
            shape = (*states.shape[:2], heads, -1)
            query, key, value = (
                part(states).view(shape).transpose(1, 2) for part in (attention.q, attention.k, attention.v)
            )
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=near)
            states = layer.attention.LayerNorm(states + attention.o(mixed.transpose(1, 2).flatten(2)))
            wide = functional.gelu(layer.intermediate.dense(states))
            states = layer.output.LayerNorm(states + layer.output.dense(wide))
        return states


class Lessons:
    """What is learnt from: the guide's messages and the labelled ones.

    Args:
        cells: "section, tab, case" for each answer of the first head.
        tactics: The ids, in order.
        new: How many messages at the end of asked.tsv are learnt from more often.
    """

    def __init__(self, cells: Sequence[str], tactics: Sequence[str], new: int) -> None:
        self.chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
        self._cells = {name: at for at, name in enumerate(cells)}
        self.sections = list(dict.fromkeys(name.split("\t")[0] for name in cells))
        self._tactics = list(tactics)
        labelled = [
            (example, OFTEN if any(name in path.name for name in RARE) else 1)
            for path in sorted(EXAMPLES.glob("chat_*.tsv"))
            for example in read_chat(path)
        ]
        self.asked = self._asked([example for example, _ in labelled], new)
        self.labelled = self._labelled(labelled, retelling(self.chance, [example for example, _ in labelled], []))

    def batches(self) -> Iterator[list[Message]]:
        """Without end: some of the guide's messages, then some of the labelled ones."""
        streams = [forever(found, lambda m: m, SIZE, self.chance) for found in (self.asked, self.labelled)]
        while True:
            yield from map(next, streams)

    def _asked(self, labelled: Sequence[Chat], new: int) -> list[Message]:
        asides = (EXAMPLES / "asides.txt").read_text(encoding="utf-8").splitlines()
        lines = (CORPUS / "asked.tsv").read_text(encoding="utf-8").splitlines()
        last = {line.split("\t")[1].replace("\\n", "\n") for line in lines[len(lines) - new :]}
        found = [
            (f"{section}\t{phrase.case}", phrase.text)
            for section, phrases in read_asked(CORPUS / "asked.tsv").items()
            for phrase in phrases
        ]
        found += [(name, case) for name in self._cells if (case := name.split("\t")[1])]
        found += [(f"{NONE}\t", chat.text) for chat in labelled if chat.action == "off_topic"]
        some = self.chance.sample(found, len(found) // TOLD)
        found += [(name, besides) for name, text in some if (besides := told(text, asides, self.chance))]
        found += [pair for pair in found if pair[1] in last] * (OFTEN - 1)
        return [self._message(name, text) for name, text in found]

    def _message(self, cell: str, text: str) -> Message:
        """A message for the guide; of some it is known that they are innocent."""
        section, _, _ = cell.partition("\t")
        innocent = section not in TOUCHY and self.chance.random() < INNOCENT
        kind = CLASSES.index("off_topic" if section == NONE else "coach") if innocent else UNKNOWN
        return Message(text, self.sections.index(section), self._cells[cell], kind)

    def _labelled(self, examples: Sequence[tuple[Chat, int]], otherwise: Retelling) -> list[Message]:
        found = []
        for example, times in examples:
            texts = [example.text]
            if self.chance.random() < (RETOLD_INNOCENT if example.action == "coach" else RETOLD):
                texts.append(otherwise.message(example).text)
            about = example.about[0] if example.about else ""
            tactic = self._tactics.index(about) if about in self._tactics else UNKNOWN
            found += [
                Message(text, kind=CLASSES.index(class_of(example)), tactic=tactic) for text in dict.fromkeys(texts)
            ] * times
        return found


def cases_of(corpus: Path) -> dict[str, list[str]]:
    """The cases of each section of a guide."""
    sections = [section for path in find(corpus) for section in read(path).sections]
    return {section.id: [block.case for block in section.blocks if block.case] for section in sections}


def told(text: str, asides: Sequence[str], chance: random.Random) -> str:
    """A message among things that people tell besides, or ""; what was said before it stays as it was."""
    *before, message = text.split("\n")
    besides = told_besides(message, asides, chance)
    return "\n".join([*before, besides]) if besides else ""


def take_up(model: Adapted, stored: Mapping[str, Any], cells: Sequence[str]) -> None:
    """Take up earlier weights; a case that was not told apart then begins as its section's "no case"."""
    known = {name: row for row, name in enumerate(stored["cell.names"].tolist())}
    none_of = {name: name.partition("\t")[0] + "\t" for name in cells}
    rows = [known.get(name, known.get(none_of[name], 0)) for name in cells]
    model.restore({**stored, "cell.head": stored["cell.head"][rows], "cell.bias": stored["cell.bias"][rows]})


def padded(rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows of unlike length as one tensor, with zeros behind the shorter ones, and the mask of what is theirs."""
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row)) for row in rows], batch_first=True)
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True), mask


@torch.no_grad()
def read_below(model: Upper, folder: Path, texts: Sequence[str]) -> dict[str, Tensor]:
    """What the lower half makes of each text, shape (tokens, width), in 16 bits."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST)
    tokenizer.no_padding()
    ids = {text: torch.tensor(e.ids) for text, e in zip(texts, tokenizer.encode_batch(list(texts)), strict=True)}
    order = sorted(ids, key=lambda text: len(ids[text]))
    found: dict[str, Tensor] = {}
    started, told_of = time.time(), 0
    while len(found) < len(order):
        batch = order[len(found) : len(found) + max(1, AT_ONCE // (len(ids[order[len(found)]]) + 8))]
        states = model.below(*padded([ids[text] for text in batch])).to(torch.bfloat16)
        found |= {text: states[row, : len(ids[text])].clone() for row, text in enumerate(batch)}
        if len(found) - told_of >= 5000:
            told_of = len(found)
            print(f"read {told_of} of {len(order)}, {time.time() - started:.0f} s", flush=True)
    return found


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3000, help="of 24 messages of each kind")
    parser.add_argument("--go-on", action="store_true", help="from the weights that are there")
    parser.add_argument(
        "--new", type=int, default=0, help="how many messages at the end of the file are new: learnt from more often"
    )
    parser.add_argument("--kept", type=Path, help="a file that keeps what the lower half made of the messages (9 GB)")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-mpnet-base-v2")
    parser.add_argument("--out", type=Path, default=CORPUS / "asked.npz")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    cases = cases_of(CORPUS)
    cells = [f"{section}\t{case}" for section, found in cases.items() for case in ("", *found)] + [f"{NONE}\t"]
    tactics = Policy.load(ROOT / "prompts" / "guardrails" / "policy.yaml").ids
    lessons = Lessons(cells, tactics, options.new)
    section_of = torch.tensor([lessons.sections.index(name.split("\t")[0]) for name in cells])
    print(f"{len(lessons.asked)} for {len(cells)} answers, {len(lessons.labelled)} labelled", flush=True)
    model = Upper(options.encoder, {"cell": len(cells), "chat": len(CLASSES), "chat_tactics": len(tactics)})
    if options.go_on:
        with np.load(options.out) as stored:
            take_up(model, {name: stored[name] for name in stored.files}, cells)
    states = torch.load(options.kept) if options.kept and options.kept.exists() else {}
    unread = dict.fromkeys(m.text for m in (*lessons.asked, *lessons.labelled) if m.text not in states)
    states |= read_below(model, options.encoder, list(unread))
    if options.kept and unread:
        torch.save(states, options.kept)
    batches = lessons.batches()

    def loss(_: int) -> Tensor:
        total = torch.zeros(())
        for batch in (next(batches), next(batches)):
            read, mask = padded([states[message.text].float() for message in batch])
            seen = mask * (torch.rand(mask.shape) >= HIDDEN)  # some tokens are left out, against learning by heart
            seen[:, 0] = 1
            both = model.above(read, seen)
            cell, kind, tactic = (head(both) for head in model.heads.values())
            section = torch.stack(
                [cell[:, section_of == at].logsumexp(1) for at in range(len(lessons.sections))], dim=1
            )
            wanted = map(torch.tensor, list(zip(*batch, strict=True))[1:])
            for found, known, weight, smoothing in zip(
                (section, cell, kind, tactic), wanted, WEIGHTS, SMOOTHING, strict=True
            ):
                total = total + weight / SIZE * functional.cross_entropy(
                    found, known, ignore_index=UNKNOWN, label_smoothing=smoothing, reduction="sum"
                )
        return total

    found = train(model, loss, options.steps, RATES, gently=options.go_on)
    found["cell.names"] = np.array(cells)
    np.savez_compressed(options.out, **found)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
