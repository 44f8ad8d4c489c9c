"""Trains the small classifier of the guardrails: `python -m scripts.train_signals`, 20 to 30 minutes on two cores.

What goes in: the labelled messages and drafts in prompts/guardrails/examples/, and the messages that the guide's
search was taught with. What comes out: prompts/guardrails/signals.npz, a low-rank adapter to the search's own
encoder (all-MiniLM-L6-v2) and three small heads, about 2 MB. Seeded; nothing is fetched.
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

from benchmarks.labelled import Chat, Draft, Sentence, read_chat, read_drafts, read_replies
from coach.guardrails.policy import Policy
from coach.guardrails.signals import CLASSES, REPLY_KINDS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "prompts" / "guardrails" / "examples"
SEED = 20261123
RANK = 16
RATE = 8e-4
HEADS = ("chat", "chat_tactics", "draft", "reply")
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

    def __init__(self, folder: Path, tactics: int) -> None:
        super().__init__()
        from transformers import AutoModel

        self.base = AutoModel.from_pretrained(str(folder), attn_implementation="sdpa")
        for parameter in self.base.parameters():
            parameter.requires_grad = False
        self.adapters = nn.ModuleDict()
        for number, layer in enumerate(self.base.encoder.layer):
            for name in LINEAR:
                part: Any = layer
                *path, last = name.split(".")
                for step in path:
                    part = getattr(part, step)
                key = f"encoder.layer.{number}.{name}.weight"
                adapter = LowRank(getattr(part, last))
                self.adapters[key.replace(".", "/")] = adapter
                setattr(part, last, adapter)
        width = self.base.config.hidden_size
        self.chat = nn.Linear(2 * width, len(CLASSES))
        self.chat_tactics = nn.Linear(2 * width, tactics)
        self.draft = nn.Linear(width, tactics)
        self.reply = nn.Linear(2 * width, len(REPLY_KINDS))
        for head in HEADS:
            nn.init.zeros_(getattr(self, head).weight)
        nn.init.constant_(self.draft.bias, -4.0)  # most words carry nothing

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token states, shape (texts, tokens, width)."""
        return self.base(input_ids=ids, attention_mask=mask).last_hidden_state  # type: ignore[no-any-return]

    def export(self, path: Path) -> None:
        """Write the adapter and the heads."""
        arrays = {}
        for key, adapter in self.adapters.items():
            arrays[key.replace("/", ".") + ".down"] = adapter.down.detach().numpy().astype(np.float16)
            arrays[key.replace("/", ".") + ".up"] = (adapter.scale * adapter.up).detach().numpy().astype(np.float16)
        for head in HEADS:
            linear = getattr(self, head)
            arrays[f"{head}.weight"] = linear.weight.detach().numpy().astype(np.float32)
            arrays[f"{head}.bias"] = linear.bias.detach().numpy().astype(np.float32)
        np.savez_compressed(path, **arrays)


class LowRank(nn.Module):
    """A frozen linear layer plus a trained change of low rank."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Parameter(torch.randn(RANK, linear.in_features) / linear.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, RANK))
        self.scale = 2.0
        self.dropout = nn.Dropout(0.05)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        change = functional.linear(functional.linear(self.dropout(x), self.down), self.up)
        return self.linear(x) + self.scale * change  # type: ignore[no-any-return]


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


def chat_loss(model: Adapted, tokenizer: Tokenizer, batch: Sequence[Chat], ids: Sequence[str], c: random.Random) -> Tensor:
    """How wrong the model is about messages to the coach."""
    texts = Batch(tokenizer, [roughen(rename(example.text, c), c) for example in batch])
    both = pooled(model.states(texts.ids, texts.mask), texts.mask)
    classes = torch.tensor([CLASSES.index(class_of(example)) for example in batch])
    loss = functional.cross_entropy(model.chat(both), classes, label_smoothing=0.05)
    rows = [row for row, example in enumerate(batch) if example.about and example.about[0] in ids]
    if rows:
        tactics = torch.tensor([ids.index(batch[row].about[0]) for row in rows])
        loss = loss + 0.3 * functional.cross_entropy(model.chat_tactics(both[rows]), tactics, label_smoothing=0.05)
    return loss


def class_of(example: Chat) -> str:
    """The class that the chat head must find."""
    return example.about[0] if example.action == "crisis" else example.action


def draft_loss(model: Adapted, tokenizer: Tokenizer, batch: Sequence[Draft], ids: Sequence[str]) -> Tensor:
    """How wrong the model is about the words of drafts, and about each draft as a whole."""
    texts = Batch(tokenizer, [draft.text for draft in batch])
    logits = model.draft(model.states(texts.ids, texts.mask))
    target = torch.zeros_like(logits)
    whole = torch.zeros(len(batch), len(ids))
    for row, draft in enumerate(batch):
        for mark in draft.marks:
            columns = [ids.index(tactic) for tactic in mark.tactics]
            whole[row, columns] = 1
            for position, (start, end) in enumerate(texts.offsets[row]):
                if start < mark.end and end > mark.start and end > start:
                    target[row, position, columns] = 1
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none", pos_weight=torch.tensor(2.0))
    words = (each.sum(2) * texts.mask).sum() / texts.mask.sum()
    sharp = logits.masked_fill(texts.mask.unsqueeze(2) == 0, -1e4)
    most = sharp.topk(min(4, sharp.shape[1]), dim=1).values.mean(1)
    return words + functional.binary_cross_entropy_with_logits(most, whole, reduction="none").sum(1).mean()


def reply_loss(model: Adapted, tokenizer: Tokenizer, batch: Sequence[Sentence], c: random.Random) -> Tensor:
    """How wrong the model is about sentences of the coach."""
    texts = Batch(tokenizer, [rename(example.text, c) for example in batch])
    both = pooled(model.states(texts.ids, texts.mask), texts.mask)
    kinds = torch.tensor([REPLY_KINDS.index(example.kind) for example in batch])
    return functional.cross_entropy(model.reply(both), kinds, label_smoothing=0.05)


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


def main() -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=float, default=6, help="passes over the messages")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models" / "all-minilm-l6-v2")
    parser.add_argument("--examples", type=Path, default=EXAMPLES)
    parser.add_argument("--out", type=Path, default=EXAMPLES.parent / "signals.npz")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - a seeded shuffle, not a secret
    ids = Policy.load(ROOT / "prompts" / "guardrails" / "policy.yaml").ids
    chats = [e for path in sorted(options.examples.glob("chat*.tsv")) for e in read_chat(path)]
    chats += asked(ROOT / "corpus" / "asked.tsv")
    drafts = [e for path in sorted(options.examples.glob("drafts*.tsv")) for e in read_drafts(path)]
    replies = [e for path in sorted(options.examples.glob("replies*.tsv")) for e in read_replies(path)]
    print(f"{len(chats)} messages, {len(drafts)} drafts, {len(replies)} replies", flush=True)

    tokenizer = Tokenizer.from_file(str(options.encoder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    model = Adapted(options.encoder, len(ids))
    model.train()
    model.base.eval()  # its own dropout stays off; the adapters have theirs
    heads = [p for head in HEADS for p in getattr(model, head).parameters()]
    low_rank = [p for adapter in model.adapters.values() for p in adapter.parameters() if p.requires_grad]
    groups = [{"params": low_rank, "lr": RATE}, {"params": heads, "lr": RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = int(options.epochs * len(chats) / 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps + 1, pct_start=0.1)
    streams = [forever(chats, 32, chance), forever(drafts, 16, chance), forever(replies, 16, chance)]
    started, running = time.time(), 0.0
    for step in range(1, steps + 1):
        loss = chat_loss(model, tokenizer, next(streams[0]), ids, chance)
        if drafts:
            loss = loss + 0.5 * draft_loss(model, tokenizer, next(streams[1]), ids)
        if replies and step % 3 == 0:
            loss = loss + 0.5 * reply_loss(model, tokenizer, next(streams[2]), chance)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([*low_rank, *heads], 1.0)
        optimiser.step()
        schedule.step()
        running += loss.item()
        if step % 50 == 0:
            print(f"step {step} of {steps}, loss {running / 50:.3f}, {time.time() - started:.0f} s", flush=True)
            running = 0.0
    model.eval()
    model.export(options.out)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
