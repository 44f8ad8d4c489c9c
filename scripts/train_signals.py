"""Trains the small classifier of the guardrails: `python -m scripts.train_signals`, 45 to 60 minutes on two cores.

What goes in: the labelled messages and drafts in prompts/guardrails/examples/, and the messages that the guide's
search was taught with. What comes out: prompts/guardrails/signals.npz, two readers, one of messages and one of
drafts, each a low-rank adapter to the search's own encoder (all-MiniLM-L6-v2) with its heads. Seeded; nothing is
fetched.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.labelled import Chat, Draft, Mark, Sentence, read_chat, read_drafts, read_marked, read_replies
from coach.guardrails.policy import Policy
from coach.guardrails.signals import ANY, CLASSES, CRITERIA, REPLY_KINDS
from coach.guide.chunk import sentences
from coach.guide.read import find, read
from scripts.retelling import Retelling

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "prompts" / "guardrails" / "examples"
SEED = 20261123
RANK = 24
RATES = {"chat": (1e-3, 5e-3), "draft": (8e-4, 8e-4)}  # of the adapter, and of the heads
KEEP = 0.995  # of the running mean of the weights, at each step
LONGEST = 192  # tokens of a text
HIDDEN = 0.08  # share of the words that are masked, against learning examples by heart
READERS = ("chat", "draft")
LINEAR = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
# Sections about which people ask for a tactic as often as not; messages about them are labelled one by one in
# chat_asked.tsv. The other messages of asked.tsv are innocent.
TOUCHY = frozenset(
    """tactics-words tactics-pressure tactics-charm violence hurt-by-them self-harm orders they-said-no online control
    friends-family new-relationship dates-and-gifts closure children space first-message after-sending
    things-and-meetings""".split()  # noqa: SIM905
)


class Adapted(nn.Module):
    """The encoder with an adapter, and the heads."""

    def __init__(self, folder: Path, reader: str, tactics: int) -> None:
        super().__init__()
        from transformers import AutoModel

        self.base = AutoModel.from_pretrained(str(folder), attn_implementation="sdpa")
        self.base.requires_grad_(False)
        self.base.eval()  # no dropout: it takes as long as the layers, and masked words do as well
        self.adapters: dict[str, LowRank] = {}
        for number, layer in enumerate(self.base.encoder.layer):
            for name in LINEAR:
                part: Any = layer
                *path, last = name.split(".")
                for step in path:
                    part = getattr(part, step)
                adapter = self.adapters[f"encoder.layer.{number}.{name}.weight"] = LowRank(getattr(part, last))
                setattr(part, last, adapter)
        width = self.base.config.hidden_size
        if reader == "chat":
            sizes = {"chat": len(CLASSES), "chat_tactics": tactics, "reply": len(REPLY_KINDS)}
            heads = {name: nn.Linear(2 * width, size) for name, size in sizes.items()}
        else:
            sizes = {"draft": tactics + 1, "criteria": len(CRITERIA)}
            heads = {name: nn.Linear(width, size) for name, size in sizes.items()}
            heads["named"] = nn.Linear(2 * width, tactics)
        for head in heads.values():
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        if reader == "draft":
            for head in (heads["draft"], heads["criteria"]):
                nn.init.constant_(head.bias, -3.0)  # most words carry nothing
            nn.init.constant_(heads["draft"].bias[-1:], -1.0)  # but some tactic, one in five
        self.heads = nn.ModuleDict(heads)

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token states, shape (texts, tokens, width)."""
        return self.base(input_ids=ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]

    def trained(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What is trained: the adapter, and the heads."""
        return [p for a in self.adapters.values() for p in (a.down, a.up)], list(self.heads.parameters())

    def restore(self, stored: dict[str, Any]) -> None:
        """Take up the adapter and the heads of an earlier training."""
        for key, adapter in self.adapters.items():
            adapter.down.data = torch.tensor(stored[f"{key}.down"].astype(np.float32))
            adapter.up.data = torch.tensor(stored[f"{key}.up"].astype(np.float32))
        head: Any
        for name, head in self.heads.items():
            head.weight.data = torch.tensor(stored[f"{name}.head"])
            head.bias.data = torch.tensor(stored[f"{name}.bias"])

    def arrays(self, reader: str) -> dict[str, Any]:
        """The adapter and the heads, as they are stored."""
        found: dict[str, Any] = {}
        for key, adapter in self.adapters.items():
            found[f"{reader}/{key}.down"] = adapter.down.detach().numpy().astype(np.float16)
            found[f"{reader}/{key}.up"] = adapter.up.detach().numpy().astype(np.float16)
        head: Any
        for name, head in self.heads.items():
            found[f"{reader}/{name}.head"] = head.weight.detach().numpy().astype(np.float32)
            found[f"{reader}/{name}.bias"] = head.bias.detach().numpy().astype(np.float32)
        return found


class LowRank(nn.Module):
    """A frozen linear layer plus a trained change of low rank."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, RANK))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        return self.linear(x) + functional.linear(functional.linear(x, self.down), self.up)  # type: ignore[no-any-return]


class Batches:
    """Texts in, tokens out: padded, some words masked."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.no_padding()
        self._mask = self._tokenizer.token_to_id("[MASK]")
        self._markers = {self._tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]")}

    def __call__(
        self, texts: Sequence[str], chance: random.Random
    ) -> tuple[Tensor, Tensor, list[list[tuple[int, int]]]]:
        """Token ids and mask, both of shape (texts, tokens), and each token's place in its text."""
        encoded = self._tokenizer.encode_batch(list(texts))
        longest = max(len(e.ids) for e in encoded)
        ids = torch.zeros(len(texts), longest, dtype=torch.long)
        mask = torch.zeros(len(texts), longest)
        for row, e in enumerate(encoded):
            kept = [i if i in self._markers or chance.random() >= HIDDEN else self._mask for i in e.ids]
            ids[row, : len(kept)] = torch.tensor(kept)
            mask[row, : len(kept)] = 1
        return ids, mask, [e.offsets for e in encoded]


class Training:
    """One reader being trained: its examples, and how wrong it is about them.

    Args:
        encoder: The folder of all-MiniLM-L6-v2.
        reader: Which of the two.
        examples: The labelled examples by kind.
        tactics: The ids, in order.
    """

    def __init__(self, encoder: Path, reader: str, examples: dict[str, list[Any]], tactics: Sequence[str]) -> None:
        torch.manual_seed(SEED)
        self._chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
        self._reader = reader
        self.model = Adapted(encoder, reader, len(tactics))
        self._batches = Batches(encoder)
        self._tactics = tuple(tactics)
        retelling = Retelling(
            self._chance,
            yaml.safe_load((EXAMPLES / "plain.yaml").read_text(encoding="utf-8")),
            [e.text for e in examples["chat"] if e.action == "coach" and e.how == "plain"],
            [e.text for e in examples["drafts"] if e.verdict == "ready"],
        )
        sizes = {"chat": 32, "drafts": 24, "criteria": 16, "replies": 24}
        told: dict[str, Callable[[Any], Any]] = {
            "chat": retelling.message,
            "drafts": retelling.draft,
            "criteria": retelling.unpointed,
            "replies": retelling.sentence,
        }
        self._streams = {kind: forever(examples[kind], told[kind], sizes[kind], self._chance) for kind in sizes}

    def loss(self, step: int) -> Tensor:
        """How wrong the model is about the next examples of each kind."""
        if self._reader == "chat":
            total = self._chat(next(self._streams["chat"]))
            return total + 0.5 * self._replies(next(self._streams["replies"])) if step % 3 == 0 else total
        total = self._drafts(next(self._streams["drafts"]))
        return total + self._criteria(next(self._streams["criteria"])) if step % 3 == 0 else total

    def _chat(self, batch: Sequence[Chat]) -> Tensor:
        """The class of a message to the coach, and the tactic that it is about."""
        both = self._pooled([example.text for example in batch])
        classes = torch.tensor([CLASSES.index(class_of(example)) for example in batch])
        loss = functional.cross_entropy(self.model.heads["chat"](both), classes, label_smoothing=0.05)
        rows = [row for row, example in enumerate(batch) if example.about and example.about[0] in self._tactics]
        if rows:
            tactics = torch.tensor([self._tactics.index(batch[row].about[0]) for row in rows])
            named = self.model.heads["chat_tactics"](both[rows])
            loss = loss + 0.3 * functional.cross_entropy(named, tactics, label_smoothing=0.05)
        return loss

    def _drafts(self, batch: Sequence[Draft]) -> Tensor:
        """The words of drafts that carry a tactic, and which tactic they are as a whole."""
        ids, mask, offsets = self._batches([draft.text for draft in batch], self._chance)
        states = self.model.states(ids, mask)
        loss = _words(self.model.heads["draft"](states), mask, offsets, batch, (*self._tactics, ANY))
        spans, names = [], []
        for row, draft in enumerate(batch):
            for mark in draft.marks:
                if places := _inside(mark, offsets[row]):
                    spans.append(pooled(states[row, places]))
                    names.append(torch.zeros(len(self._tactics)))
                    names[-1][[self._tactics.index(name) for name in mark.tactics]] = 1 / len(mark.tactics)
        if spans:
            named = self.model.heads["named"](torch.stack(spans))
            loss = loss + functional.cross_entropy(named, torch.stack(names), label_smoothing=0.05)
        return loss

    def _criteria(self, batch: Sequence[Draft]) -> Tensor:
        """The words of apologies that show a part of one."""
        ids, mask, offsets = self._batches([draft.text for draft in batch], self._chance)
        return _words(self.model.heads["criteria"](self.model.states(ids, mask)), mask, offsets, batch, CRITERIA)

    def _replies(self, batch: Sequence[Sentence]) -> Tensor:
        """The kind of a sentence that the coach might say."""
        kinds = torch.tensor([REPLY_KINDS.index(example.kind) for example in batch])
        both = self._pooled([example.text for example in batch])
        return functional.cross_entropy(self.model.heads["reply"](both), kinds, label_smoothing=0.05)

    def _pooled(self, texts: Sequence[str]) -> Tensor:
        """The mean and the maximum over each text's tokens, shape (texts, 2 x width)."""
        ids, mask, _ = self._batches(texts, self._chance)
        states, wide = self.model.states(ids, mask), mask.unsqueeze(-1)
        mean = (states * wide).sum(1) / wide.sum(1)
        return torch.cat([mean, states.masked_fill(wide == 0, -1e4).amax(1)], dim=1)


def pooled(states: Tensor) -> Tensor:
    """The mean and the maximum over tokens, shape (2 x width,), of states of shape (tokens, width)."""
    return torch.cat([states.mean(0), states.amax(0)])


def _inside(mark: Mark, offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The tokens that a mark covers."""
    return [at for at, (start, end) in enumerate(offsets) if start < mark.end and end > mark.start and end > start]


def _words(
    logits: Tensor, mask: Tensor, offsets: list[list[tuple[int, int]]], batch: Sequence[Draft], names: Sequence[str]
) -> Tensor:
    """How wrong the logits, shape (texts, tokens, names), are about the marked words and each text as a whole."""
    target = torch.zeros_like(logits)
    whole = torch.zeros(len(batch), len(names))
    for row, draft in enumerate(batch):
        for mark in draft.marks:
            columns = [names.index(name) for name in mark.tactics]
            columns += [names.index(ANY)] if ANY in names else []
            whole[row, columns] = 1
            for position in _inside(mark, offsets[row]):
                target[row, position, columns] = 1
    heavier = torch.tensor(3.0)
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=heavier)
    words = (each.sum(2) * mask).sum() / mask.sum()
    sharp = logits.masked_fill(mask.unsqueeze(2) == 0, -1e4).topk(min(4, logits.shape[1]), dim=1).values
    there = sharp > -1e3  # a text may have fewer words than four
    most = (sharp * there).sum(1) / there.sum(1)
    return words + functional.binary_cross_entropy_with_logits(most, whole, reduction="none").sum(1).mean()


def class_of(example: Chat) -> str:
    """The class that the chat head must find."""
    return example.about[0] if example.action == "crisis" else example.action


def forever(
    examples: Sequence[Any], told: Callable[[Any], Any], size: int, chance: random.Random
) -> Iterator[list[Any]]:
    """Shuffled batches without end, each example told anew, texts of like length together: little is padding."""
    while True:
        order = list(examples)
        chance.shuffle(order)
        batches = []
        for start in range(0, len(order), size * 40):
            pool = sorted(map(told, order[start : start + size * 40]), key=lambda example: len(example.text))
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        chance.shuffle(batches)
        yield from batches


def gathered(folder: Path) -> dict[str, list[Any]]:
    """All labelled examples, by kind."""
    read_as: dict[str, Any] = {
        "chat": read_chat,
        "drafts": read_drafts,
        "criteria": read_marked,
        "replies": read_replies,
    }
    found: dict[str, list[Any]] = {
        kind: [example for path in sorted(folder.glob(f"{kind}_*.tsv")) for example in reader(path)]
        for kind, reader in read_as.items()
    }
    for line in (ROOT / "corpus" / "asked.tsv").read_text(encoding="utf-8").splitlines():
        section, text = line.split("\t", 1)
        if section not in TOUCHY:
            found["chat"].append(Chat("off_topic" if section == "none" else "coach", (), "plain", text))
    for document in map(read, find(ROOT / "corpus")):  # whatever the guide says, a coach may say
        for part in document.sections:
            text = " ".join(block.text for block in part.blocks if block.kind == "text")
            said = [line for line in sentences(f"{part.takeaway} {text}") if len(line.split()) > 3]
            found["replies"] += [Sentence("fine", line) for line in said if line[0] not in '"“']
    return found


def train(training: Training, name: str, steps: int, share: float) -> dict[str, Any]:
    """Run the steps, at a share of the usual rate; return the arrays, from the running mean of the weights."""
    adapter, heads = training.model.trained()
    trained = [*adapter, *heads]
    mean = [p.detach().clone() for p in trained]
    optimiser = torch.optim.AdamW([{"params": adapter}, {"params": heads}], weight_decay=0.01)
    rates = [rate * share for rate in RATES[name]]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps + 1, pct_start=0.05)
    started, running = time.time(), 0.0
    for step in range(1, steps + 1):
        loss = training.loss(step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for kept, now in zip(mean, trained, strict=True):
                kept.lerp_(now, 1 - min(KEEP, step / (step + 10)))
        running += loss.item()
        if step % 100 == 0:
            print(f"{name}: step {step}/{steps}, loss {running / 100:.3f}, {time.time() - started:.0f} s", flush=True)
            running = 0.0
    with torch.no_grad():
        for kept, now in zip(mean, trained, strict=True):
            now.copy_(kept)
    return training.model.arrays(name)


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=READERS, help="one of the readers; the other stays as it is")
    parser.add_argument("--go-on", action="store_true", help="from the weights that are there, after new examples")
    parser.add_argument("--steps", type=int, default=2600, help="of 32 messages or 24 drafts")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--examples", type=Path, default=EXAMPLES)
    parser.add_argument("--out", type=Path, default=EXAMPLES.parent / "signals.npz")
    options = parser.parse_args()
    tactics = Policy.load(ROOT / "prompts" / "guardrails" / "policy.yaml").ids
    examples = gathered(options.examples)
    print(", ".join(f"{len(found)} {kind}" for kind, found in examples.items()), flush=True)
    arrays: dict[str, Any] = {}
    if options.out.exists():
        with np.load(options.out) as stored:
            arrays = {name: stored[name] for name in stored.files}
    for name in [options.only] if options.only else READERS:
        training = Training(options.encoder, name, examples, tactics)
        before = {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}
        if options.go_on:
            training.model.restore(before)
        arrays = {key: array for key, array in arrays.items() if not key.startswith(f"{name}/")}
        found = train(training, name, options.steps, 0.25 if options.go_on else 1.0)
        if options.go_on:  # the mean keeps what was known (Wortsman et al. 2022, arXiv 2109.01903)
            found = {
                k: ((a.astype(np.float32) + before[k.removeprefix(f"{name}/")]) / 2).astype(a.dtype)
                for k, a in found.items()
            }
        arrays |= found
    np.savez_compressed(options.out, **arrays)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
