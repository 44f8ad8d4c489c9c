"""Trains how the guide's sections are asked for: `python -m scripts.train_asked`, an hour and a half on two cores.

What goes in: the messages of corpus/asked.tsv, a sixth of them once more among things that people tell besides. What
comes out: corpus/asked.npz, an adapter to the upper half of all-mpnet-base-v2 and a head over the guide's cases. The
lower half stays as it was published: it reads each message once, and what it made of them is kept in memory (6 GB), so
that a step costs half. Seeded; nothing is fetched. Run it after a case, a section or many messages were added;
`--go-on --steps 400` starts from the weights that are there.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from benchmarks.labelled import Sentence, read_asked, read_chat
from coach.guide.asked import NONE
from coach.guide.read import find, read
from scripts.adapter import HIDDEN, Adapted, forever, pooled, train
from scripts.retelling import told_besides

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "corpus"
EXAMPLES = ROOT / "prompts" / "guardrails" / "examples"
SEED = 20261124
FIRST = 6  # the first layer that is changed
RATES = (8e-4, 4e-3)  # of the adapter, and of the head
SIZE = 32  # messages a step
TOLD = 3  # one message in so many may be told among other things, too; half of these are
OFTEN = 2  # times that a new message is learnt from
LONGEST = 160  # tokens of a message
AT_ONCE = 2400  # tokens that the lower half reads at once


class Upper(Adapted):
    """all-mpnet-base-v2 with an adapter to its upper half, and a head over the guide's cases."""

    ATTENTION = "eager"  # transformers has no quicker one for it; `_through` does

    def __init__(self, folder: Path, cells: int) -> None:
        super().__init__(folder, {"cell": (cells, True)}, FIRST)

    def below(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the lower half makes of texts, shape (texts, tokens, width), of ids of shape (texts, tokens)."""
        return self._through(self.base.embeddings(input_ids=ids), mask, self.base.encoder.layer[:FIRST])

    def scores(self, states: Tensor, mask: Tensor) -> Tensor:
        """How well each case answers texts that the lower half has read, shape (texts, cases)."""
        found: Tensor = self.heads["cell"](pooled(self._through(states, mask, self.base.encoder.layer[FIRST:]), mask))
        return found

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


def cases_of(corpus: Path) -> dict[str, list[str]]:
    """The cases of each section of a guide."""
    sections = [section for path in find(corpus) for section in read(path).sections]
    return {section.id: [block.case for block in section.blocks if block.case] for section in sections}


def told(example: Sentence, asides: Sequence[str], chance: random.Random) -> Sentence:
    """A message among things that people tell besides; what was said before it stays as it was."""
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
    parser.add_argument("--steps", type=int, default=2000, help="of 32 messages")
    parser.add_argument("--go-on", action="store_true", help="from the weights that are there")
    parser.add_argument(
        "--new", type=int, default=0, help="how many messages at the end of the file are new: learnt from more often"
    )
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-mpnet-base-v2")
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
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
    asides = (EXAMPLES / "asides.txt").read_text(encoding="utf-8").splitlines()
    again = [(example, told(example, asides, chance)) for example in chance.sample(examples, len(examples) // TOLD)]
    examples += [other for example, other in again if other != example]
    print(f"{len(examples)} messages, {len(sections)} sections, {len(cells) - len(sections)} cases", flush=True)
    model = Upper(options.encoder, len(cells))
    if options.go_on:
        with np.load(options.out) as stored:
            take_up(model, stored, cells)
    states = read_below(model, options.encoder, list(dict.fromkeys(example.text for example in examples)))
    lines = (CORPUS / "asked.tsv").read_text(encoding="utf-8").splitlines()
    new = {line.split("\t")[1].replace("\\n", "\n") for line in lines[len(lines) - options.new :]}
    often = [example for example in examples if example.text in new] * (OFTEN - 1)
    stream = forever([*examples, *often], lambda example: example, SIZE, chance)
    place = {name: row for row, name in enumerate(cells)}

    def loss(_: int) -> Tensor:
        batch = next(stream)
        read, mask = padded([states[example.text].float() for example in batch])
        seen = mask * (torch.rand(mask.shape) >= HIDDEN)  # some tokens are left out, against learning by heart
        seen[:, 0] = 1
        found = model.scores(read, seen)
        wanted = torch.tensor([place[example.kind] for example in batch])
        section = torch.stack([found[:, section_of == at].logsumexp(1) for at in range(len(sections))], dim=1)
        return functional.cross_entropy(section, section_of[wanted], label_smoothing=0.1) + functional.cross_entropy(
            found, wanted, label_smoothing=0.1
        )

    found = train(model, loss, options.steps, RATES, gently=options.go_on)
    np.savez_compressed(options.out, cells=np.array(cells), **found)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
