"""Trains how the guide's sections are asked for: `python -m scripts.train_asked`, 40 minutes on two cores.

What goes in: the messages of corpus/asked.tsv, half of them among things that people tell besides, and the guardrails'
reader of messages (prompts/guardrails/signals.npz), which already knows a confession from a complaint. What comes out:
corpus/asked.npz, an adapter to the encoder, a head over the guide's cases, and the messages as that encoder sees them.
Seeded; nothing is fetched. Run it after a case, a section or many messages were added; `--go-on --steps 900` starts
from the weights that are there and takes a third of the time; what is written then is the mean of the weights before
and after, or with `--whole` those after. `--go-on --steps 0` keeps the weights and takes up new messages, 11 minutes.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.labelled import Sentence, read_asked, read_chat
from coach.encoder import Encoder
from coach.guide.asked import NONE
from coach.guide.read import find, read
from scripts.adapter import Adapted, Batches, forever, mean, train
from scripts.retelling import told_besides

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "corpus"
EXAMPLES = ROOT / "prompts" / "guardrails" / "examples"
SEED = 20261124
RATES = (1e-3, 5e-3)  # of the adapter, and of the head
SIZE = 32  # messages a step
OFTEN = 3  # times that a new message is learnt from when weights go on

Arrays = dict[str, Any]


def cases_of(corpus: Path) -> dict[str, list[str]]:
    """The cases of each section of a guide."""
    sections = [section for path in find(corpus) for section in read(path).sections]
    return {section.id: [block.case for block in section.blocks if block.case] for section in sections}


def told(example: Sentence, asides: Sequence[str], chance: random.Random) -> Sentence:
    """A message, every other time among things that people tell besides; what was said before it stays as it was."""
    *before, message = example.text.split("\n")
    return Sentence(example.kind, "\n".join([*before, told_besides(message, asides, chance) or message]))


def take_up(model: Adapted, stored: Mapping[str, Any], cells: Sequence[str]) -> None:
    """Take up earlier weights; what was not told apart then begins as its section's "no case"."""
    model.restore(stored, heads=False)
    known = {name: row for row, name in enumerate(stored["cells"].tolist())}
    none_of = {name: name.partition("\t")[0] + "\t" for name in cells}
    rows = [known.get(name, known.get(none_of[name], 0)) for name in cells]
    head: Any = model.heads["cell"]
    head.weight.data = torch.tensor(stored["cell.head"][rows])
    head.bias.data = torch.tensor(stored["cell.bias"][rows])


def vectors(encoder: Path, trained: Mapping[str, Any], cells: Sequence[str], examples: Sequence[Sentence]) -> Arrays:
    """The examples as the trained encoder sees them, in 8 bits, those of a cell together, and the cell of each."""
    adapter = {name: array.astype(np.float32) for name, array in trained.items() if name.startswith("encoder.")}
    together = sorted(examples, key=lambda example: cells.index(example.kind))
    found = Encoder(encoder, adapter).encode([example.text for example in together])
    small = np.rint(found / np.abs(found).max(axis=1, keepdims=True) * 127).astype(np.int8)
    return {"messages": small, "messages.cell": np.array([cells.index(e.kind) for e in together], np.int16)}


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2400, help="of 32 messages")
    parser.add_argument("--go-on", action="store_true", help="from the weights that are there, after new messages")
    parser.add_argument("--whole", action="store_true", help="then write what was learnt, not the mean of both")
    parser.add_argument(
        "--new", type=int, default=0, help="how many messages at the end of the file are new: learnt from more often"
    )
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--out", type=Path, default=CORPUS / "asked.npz")
    options = parser.parse_args()
    cases = cases_of(CORPUS)
    cells = [f"{section}\t{case}" for section, found in cases.items() for case in ("", *found)] + [f"{NONE}\t"]
    messages = read_asked(CORPUS / "asked.tsv")
    examples = [Sentence(f"{section}\t{p.case}", p.text) for section, asked in messages.items() for p in asked]
    examples += [Sentence(name, case) for name in cells if (case := name.split("\t")[1])]
    for file in sorted(EXAMPLES.glob("chat_*.tsv")):
        examples += [Sentence(f"{NONE}\t", chat.text) for chat in read_chat(file) if chat.action == "off_topic"]
    sections = [*cases, NONE]
    section_of = torch.tensor([sections.index(name.split("\t")[0]) for name in cells])
    print(f"{len(examples)} messages, {len(sections)} sections, {len(cells) - len(sections)} cases", flush=True)
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
    model = Adapted(options.encoder, {"cell": (len(cells), True)})
    if options.go_on:
        with np.load(options.out) as stored:
            take_up(model, stored, cells)
    else:
        with np.load(ROOT / "prompts" / "guardrails" / "signals.npz") as stored:
            reader = {name.removeprefix("chat/"): stored[name] for name in stored.files if name.startswith("chat/")}
        model.restore(reader, heads=False)
    batches = Batches(options.encoder, chance)
    asides = (EXAMPLES / "asides.txt").read_text(encoding="utf-8").splitlines()
    lines = (CORPUS / "asked.tsv").read_text(encoding="utf-8").splitlines()
    new = {line.split("\t")[1].replace("\\n", "\n") for line in lines[len(lines) - options.new :]}
    often = [example for example in examples if example.text in new] * (OFTEN - 1)
    stream = forever([*examples, *often], lambda example: told(example, asides, chance), SIZE, chance)

    def loss(_: int) -> Tensor:
        batch = next(stream)
        found = model.heads["cell"](model.pooled(*batches([example.text for example in batch])[:2]))
        wanted = torch.tensor([cells.index(example.kind) for example in batch])
        section = torch.stack([found[:, section_of == at].logsumexp(1) for at in range(len(sections))], dim=1)
        return functional.cross_entropy(section, section_of[wanted], label_smoothing=0.1) + functional.cross_entropy(
            found, wanted, label_smoothing=0.1
        )

    before = model.arrays() if options.go_on else {}
    found = train(model, loss, options.steps, RATES, gently=options.go_on)
    found = mean(before, found) if options.go_on and not options.whole else found
    np.savez_compressed(options.out, cells=np.array(cells), **found, **vectors(options.encoder, found, cells, examples))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
