"""Trains the small classifier of the guardrails: `python -m scripts.train_signals`, 20 to 30 minutes on two cores.

What goes in: the labelled messages and drafts in prompts/guardrails/examples/, and the messages that the guide's
search was taught with. What comes out: prompts/guardrails/signals.npz, two low-rank adapters to the search's
own encoder (all-MiniLM-L6-v2), one for messages and one for drafts, with their heads, about 3 MB. Seeded;
nothing is fetched.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.labelled import Chat, Draft, Sentence, read_chat, read_drafts, read_marked, read_replies
from coach.guardrails.policy import Policy
from coach.guardrails.signals import CLASSES, CRITERIA, REPLY_KINDS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "prompts" / "guardrails" / "examples"
SEED = 20261123
RANK = 16
SCALE = 2.0
RATE = 8e-4
HEADS = {"chat": ("chat", "chat_tactics", "reply"), "draft": ("draft", "criteria")}  # by encoder
KEEP = 0.995  # of the running mean of the weights, at each step
LINEAR = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


class Adapted(nn.Module):
    """The encoder with an adapter, and the heads."""

    def __init__(self, folder: Path, tactics: int, task: str) -> None:
        super().__init__()
        from transformers import AutoModel

        self.base = AutoModel.from_pretrained(str(folder), attn_implementation="sdpa")
        self.base.requires_grad_(False)
        self.task = task
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
        sizes = {"chat": len(CLASSES), "chat_tactics": tactics, "reply": len(REPLY_KINDS)}
        sizes |= {"draft": tactics, "criteria": len(CRITERIA)}
        self.heads = nn.ModuleDict({h: nn.Linear(width * (2 if task == "chat" else 1), sizes[h]) for h in HEADS[task]})
        for head in self.heads.values():
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            if task == "draft":
                nn.init.constant_(head.bias, -4.0)  # type: ignore[arg-type]  # most words carry nothing

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token states, shape (texts, tokens, width)."""
        return self.base(input_ids=ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]

    def restore(self, found: dict[str, Any]) -> None:
        """Take up the adapter and the heads of an earlier training."""
        for key, adapter in self.adapters.items():
            adapter.down.data = torch.tensor(found[f"{self.task}/{key}.down"].astype(np.float32))
            adapter.up.data = torch.tensor(found[f"{self.task}/{key}.up"].astype(np.float32)) / SCALE
        head: Any
        for name, head in self.heads.items():
            head.weight.data = torch.tensor(found[f"{name}.weight"])
            head.bias.data = torch.tensor(found[f"{name}.bias"])

    def arrays(self) -> dict[str, Any]:
        """The adapter and the heads, as they are stored."""
        found: dict[str, Any] = {}
        for key, adapter in self.adapters.items():
            found[f"{self.task}/{key}.down"] = adapter.down.detach().numpy().astype(np.float16)
            found[f"{self.task}/{key}.up"] = (adapter.up * SCALE).detach().numpy().astype(np.float16)
        head: Any
        for name, head in self.heads.items():
            found[f"{name}.weight"] = head.weight.detach().numpy().astype(np.float32)
            found[f"{name}.bias"] = head.bias.detach().numpy().astype(np.float32)
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
        change = functional.linear(functional.linear(x, self.down), self.up)
        return self.linear(x) + SCALE * change  # type: ignore[no-any-return]


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """The mean and the maximum over a text's tokens, shape (texts, 2 x width)."""
    wide = mask.unsqueeze(-1)
    mean = (states * wide).sum(1) / wide.sum(1)
    return torch.cat([mean, states.masked_fill(wide == 0, -1e4).amax(1)], dim=1)


class Batch:
    """Tokenised texts, padded."""

    def __init__(self, tokenizer: Tokenizer, texts: Sequence[str]) -> None:
        encoded = tokenizer.encode_batch(list(texts))
        longest = max(len(e.ids) for e in encoded)
        self.ids = torch.zeros(len(texts), longest, dtype=torch.long)
        self.mask = torch.zeros(len(texts), longest)
        for row, e in enumerate(encoded):
            self.ids[row, : len(e.ids)] = torch.tensor(e.ids)
            self.mask[row, : len(e.ids)] = 1
        self.offsets = [e.offsets for e in encoded]


def roughen(text: str, chance: random.Random) -> str:
    """The text as somebody in a hurry types it. Only for texts without spans."""
    roll = chance.random()
    if roll < 0.25:
        return re.sub(r"[.,!?;:'’\"]", "", text)
    if roll < 0.4:
        letters = list(text)
        for _ in range(max(1, len(letters) // 40)):
            at = chance.randrange(len(letters))
            letters[at] = chance.choice(["", letters[at] * 2, letters[at - 1]])
        return "".join(letters)
    return text


def rename(text: str, chance: random.Random) -> str:
    """The text with "she" for "he" and the other way round, in half of the cases: neither is the guilty one."""
    if chance.random() < 0.5:
        return text
    swap = {"she": "he", "he": "she", "her": "him", "him": "her", "his": "her", "hers": "his"}
    swap |= {"wife": "husband", "husband": "wife", "girlfriend": "boyfriend", "boyfriend": "girlfriend"}
    swap |= {"gf": "bf", "bf": "gf", "shes": "hes", "hes": "shes"}
    return re.sub(r"[A-Za-z]+", lambda m: swap.get(m[0].lower(), m[0]), text)


def chat_loss(
    model: Adapted, tokenizer: Tokenizer, batch: Sequence[Chat], ids: Sequence[str], c: random.Random
) -> Tensor:
    """How wrong the model is about messages to the coach."""
    texts = Batch(tokenizer, [roughen(rename(example.text, c), c) for example in batch])
    both = pooled(model.states(texts.ids, texts.mask), texts.mask)
    classes = torch.tensor([CLASSES.index(class_of(example)) for example in batch])
    loss = functional.cross_entropy(model.heads["chat"](both), classes, label_smoothing=0.05)
    rows = [row for row, example in enumerate(batch) if example.about and example.about[0] in ids]
    if rows:
        tactics = torch.tensor([ids.index(batch[row].about[0]) for row in rows])
        loss = loss + 0.3 * functional.cross_entropy(
            model.heads["chat_tactics"](both[rows]), tactics, label_smoothing=0.05
        )
    return loss


def class_of(example: Chat) -> str:
    """The class that the chat head must find."""
    return example.about[0] if example.action == "crisis" else example.action


def words_loss(model: Adapted, head: str, tokenizer: Tokenizer, batch: Sequence[Draft], names: Sequence[str]) -> Tensor:
    """How wrong the model is about the marked words, and about each text as a whole."""
    texts = Batch(tokenizer, [draft.text for draft in batch])
    logits = model.heads[head](model.states(texts.ids, texts.mask))
    target = torch.zeros_like(logits)
    whole = torch.zeros(len(batch), len(names))
    for row, draft in enumerate(batch):
        for mark in draft.marks:
            columns = [names.index(name) for name in mark.tactics]
            whole[row, columns] = 1
            for position, (start, end) in enumerate(texts.offsets[row]):
                if start < mark.end and end > mark.start and end > start:
                    target[row, position, columns] = 1
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=torch.tensor(3.0))
    words = (each.sum(2) * texts.mask).sum() / texts.mask.sum()
    sharp = logits.masked_fill(texts.mask.unsqueeze(2) == 0, -1e4)
    most = sharp.topk(min(4, sharp.shape[1]), dim=1).values.mean(1)
    return words + functional.binary_cross_entropy_with_logits(most, whole, reduction="none").sum(1).mean()


def reply_loss(model: Adapted, tokenizer: Tokenizer, batch: Sequence[Sentence], c: random.Random) -> Tensor:
    """How wrong the model is about sentences of the coach."""
    texts = Batch(tokenizer, [rename(example.text, c) for example in batch])
    both = pooled(model.states(texts.ids, texts.mask), texts.mask)
    kinds = torch.tensor([REPLY_KINDS.index(example.kind) for example in batch])
    return functional.cross_entropy(model.heads["reply"](both), kinds, label_smoothing=0.05)


def forever(examples: Sequence[Any], size: int, chance: random.Random) -> Iterator[list[Any]]:
    """Shuffled batches without end, texts of like length together."""
    while True:
        order = list(examples)
        chance.shuffle(order)
        pools = [order[i : i + size * 8] for i in range(0, len(order), size * 8)]
        batches = []
        for pool in pools:
            pool.sort(key=lambda example: len(example.text))
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        chance.shuffle(batches)
        yield from batches


def asked(guide: Path) -> list[Chat]:
    """Messages that the search was taught with, as far as it is plain what to do with them."""
    touchy = {"tactics-words", "tactics-pressure", "tactics-charm", "violence", "hurt-by-them", "self-harm", "orders"}
    touchy |= {"they-said-no", "online", "control", "friends-family", "new-relationship", "dates-and-gifts", "closure"}
    found = []
    for line in guide.read_text(encoding="utf-8").splitlines():
        section, text = line.split("\t", 1)
        if section == "none":
            found.append(Chat("off_topic", (), "plain", text))
        elif section not in touchy:
            found.append(Chat("coach", (), "plain", text))
    return found


def train(task: str, model: Adapted, losses: Any, steps: int) -> dict[str, Any]:
    """Run the steps; return the arrays to be stored, from the running mean of the weights."""
    trained = [p for adapter in model.adapters.values() for p in (adapter.down, adapter.up)]
    trained += list(model.heads.parameters())
    mean = [p.detach().clone() for p in trained]
    optimiser = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1, pct_start=0.1)
    started, running = time.time(), 0.0
    model.train()
    for step in range(1, steps + 1):
        loss = losses(step)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for kept, now in zip(mean, trained, strict=True):
                kept.lerp_(now, 1 - min(KEEP, step / (step + 10)))
        running += loss.item()
        if step % 100 == 0:
            print(
                f"{task}: step {step} of {steps}, loss {running / 100:.3f}, {time.time() - started:.0f} s", flush=True
            )
            running = 0.0
    with torch.no_grad():
        for kept, now in zip(mean, trained, strict=True):
            now.copy_(kept)
    return model.arrays()


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=tuple(HEADS), help="one of the two encoders; the other stays as it is")
    parser.add_argument("--go-on", type=Path, help="weights to begin with, after new examples were added")
    parser.add_argument("--epochs", type=float, default=10, help="passes over the messages; twice as many over drafts")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--examples", type=Path, default=EXAMPLES)
    parser.add_argument("--out", type=Path, default=EXAMPLES.parent / "signals.npz")
    options = parser.parse_args()
    ids = Policy.load(ROOT / "prompts" / "guardrails" / "policy.yaml").ids
    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    arrays: dict[str, Any] = {}
    if options.only and options.out.exists():
        with np.load(options.out) as stored:
            arrays = {name: stored[name] for name in stored.files}
    for task in [options.only] if options.only else HEADS:
        torch.manual_seed(SEED)
        chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
        model = Adapted(options.encoder, len(ids), task)
        if options.go_on:
            with np.load(options.go_on) as stored:
                model.restore({name: stored[name] for name in stored.files})
        arrays |= train(task, model, *work(task, model, tokenizer, options, ids, chance))
    np.savez_compressed(options.out, **arrays)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


def work(
    task: str,
    model: Adapted,
    tokenizer: Tokenizer,
    options: argparse.Namespace,
    ids: Sequence[str],
    chance: random.Random,
) -> tuple[Any, int]:
    """The loss of a step, and how many steps there are."""
    read: dict[str, Any] = {"chat": read_chat, "drafts": read_drafts, "criteria": read_marked, "replies": read_replies}
    found: dict[str, list[Any]] = {
        kind: [example for path in sorted(options.examples.glob(f"{kind}*.tsv")) for example in reader(path)]
        for kind, reader in read.items()
    }
    if task == "chat":
        found["chat"] += asked(ROOT / "corpus" / "asked.tsv")
        main_kind, size, epochs = "chat", 32, options.epochs
    else:
        main_kind, size, epochs = "drafts", 32, 2 * options.epochs
    print(f"{task}: " + ", ".join(f"{len(examples)} {kind}" for kind, examples in found.items()), flush=True)
    streams = {kind: forever(found[kind], size if kind == main_kind else 16, chance) for kind in read if found[kind]}

    def loss(step: int) -> Tensor:
        if task == "chat":
            total = chat_loss(model, tokenizer, next(streams["chat"]), ids, chance)
            if step % 3 == 0 and found["replies"]:
                total = total + 0.5 * reply_loss(model, tokenizer, next(streams["replies"]), chance)
            return total
        total = words_loss(model, "draft", tokenizer, next(streams["drafts"]), ids)
        if step % 3 == 0 and found["criteria"]:
            total = total + words_loss(model, "criteria", tokenizer, next(streams["criteria"]), CRITERIA)
        return total

    return loss, int(epochs * len(found[main_kind]) / size)


if __name__ == "__main__":
    main()
