"""Trains how the guide's sections are asked for: `python -m scripts.train_asked`, 10 minutes on two cores.

What goes in: the messages of corpus/asked.tsv, and the guardrails' reader of messages (prompts/guardrails/signals.npz),
which already knows a confession from a complaint. What comes out: corpus/asked.npz, an adapter to the encoder and a
head over the guide's sections. Seeded; nothing is fetched. Run it after a section or many messages were added.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.labelled import Sentence
from coach.guide.phrases import NONE, load_phrases
from scripts.adapter import Adapted, Batches, forever, train

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "corpus"
SEED = 20261124
RATES = (1e-3, 5e-3)  # of the adapter, and of the head
SIZE = 32  # messages a step


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1600, help="of 32 messages")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--out", type=Path, default=CORPUS / "asked.npz")
    options = parser.parse_args()
    phrases = load_phrases(CORPUS)
    phrases.pop(NONE, None)
    names = sorted(phrases)
    examples = [Sentence(name, text) for name, texts in phrases.items() for text in texts]
    print(f"{len(examples)} messages, {len(names)} sections", flush=True)
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
    model = Adapted(options.encoder, {"section": (len(names), True)})
    with np.load(ROOT / "prompts" / "guardrails" / "signals.npz") as stored:
        reader = {name.removeprefix("chat/"): stored[name] for name in stored.files if name.startswith("chat/")}
    model.restore(reader, heads=False)
    batches = Batches(options.encoder, chance)
    stream = forever(examples, lambda example: example, SIZE, chance)

    def loss(_: int) -> Tensor:
        batch = next(stream)
        found = model.heads["section"](model.pooled(*batches([example.text for example in batch])[:2]))
        wanted = torch.tensor([names.index(example.kind) for example in batch])
        return functional.cross_entropy(found, wanted, label_smoothing=0.1)

    np.savez_compressed(options.out, names=np.array(names), **train(model, loss, options.steps, RATES))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
