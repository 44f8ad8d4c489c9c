"""What the small readers are trained with: the encoder with an adapter, batches of texts, the training loop."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from coach import encoder, quantised

__all__ = ["Adapted", "Batches", "forever", "mean", "pooled", "train"]

RANK = 24
KEEP = 0.995  # of the running mean of the weights, at each step
LONGEST = 256  # tokens of a text
LINEAR = {"bert": [*itertools.chain(*encoder.LINEAR)], "mpnet": [*quantised.LINEAR]}  # by the type in a config.json
HIDDEN = 0.08  # share of the words that are masked, against learning examples by heart


class Adapted(nn.Module):
    """The encoder with an adapter, and heads on top of it.

    Args:
        folder: The encoder, all-MiniLM-L6-v2 or all-mpnet-base-v2.
        heads: For each head the number of its answers; and whether it reads a text as a whole (its pooled tokens,
            twice the encoder's width) or each token.
        first: The first layer that is changed, counted from 0.
    """

    ATTENTION = "sdpa"  # which implementation transformers uses

    def __init__(self, folder: Path, heads: Mapping[str, tuple[int, bool]], first: int = 0) -> None:
        super().__init__()
        from transformers import AutoModel

        self.base = AutoModel.from_pretrained(str(folder), attn_implementation=self.ATTENTION)
        self.base.requires_grad_(False)
        self.base.eval()  # no dropout: it takes as long as the layers, and masked words do as well
        self.adapters: dict[str, LowRank] = {}
        for number, layer in list(enumerate(self.base.encoder.layer))[first:]:
            for name in LINEAR[self.base.config.model_type]:
                part: Any = layer
                *path, last = name.split(".")
                for step in path:
                    part = getattr(part, step)
                adapter = self.adapters[f"encoder.layer.{number}.{name}.weight"] = LowRank(getattr(part, last))
                setattr(part, last, adapter)
        width = self.base.config.hidden_size
        self.heads = nn.ModuleDict({n: nn.Linear(width * (1 + whole), size) for n, (size, whole) in heads.items()})
        for head in self.heads.values():
            nn.init.zeros_(head.weight)  # type: ignore[arg-type]
            nn.init.zeros_(head.bias)  # type: ignore[arg-type]

    def states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token states, shape (texts, tokens, width)."""
        with torch.autocast("cpu", dtype=torch.bfloat16):  # a third quicker
            found: Tensor = self.base(input_ids=ids, attention_mask=mask).last_hidden_state
        return found.float()

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean and the maximum over each text's tokens, shape (texts, 2 x width)."""
        return pooled(self.states(ids, mask), mask)

    def trained(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """What is trained: the adapter, and the heads."""
        return [p for a in self.adapters.values() for p in (a.down, a.up)], list(self.heads.parameters())

    def restore(self, stored: Mapping[str, Any]) -> None:
        """Take up the adapter, and the heads, of an earlier training."""
        for key, adapter in self.adapters.items():
            adapter.down.data = torch.tensor(stored[f"{key}.down"].astype(np.float32))
            adapter.up.data = torch.tensor(stored[f"{key}.up"].astype(np.float32))
        head: Any
        for name, head in self.heads.items():
            if f"{name}.head" in stored:  # a new one begins from nothing
                head.weight.data = torch.tensor(stored[f"{name}.head"])
                head.bias.data = torch.tensor(stored[f"{name}.bias"])

    def arrays(self) -> dict[str, Any]:
        """The adapter and the heads, as they are stored."""
        found: dict[str, Any] = {}
        for key, adapter in self.adapters.items():
            found[f"{key}.down"] = adapter.down.detach().numpy().astype(np.float16)
            found[f"{key}.up"] = adapter.up.detach().numpy().astype(np.float16)
        head: Any
        for name, head in self.heads.items():
            found[f"{name}.head"] = head.weight.detach().numpy().astype(np.float32)
            found[f"{name}.bias"] = head.bias.detach().numpy().astype(np.float32)
        return found


def pooled(states: Tensor, mask: Tensor) -> Tensor:
    """The mean and the maximum of token states of shape (texts, tokens, width) over each text's tokens."""
    wide = mask.unsqueeze(-1)
    mean = (states * wide).sum(1) / wide.sum(1)
    return torch.cat([mean, states.masked_fill(wide == 0, -1e4).amax(1)], dim=1)


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

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self._chance = chance
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.no_padding()
        self._mask = self._tokenizer.token_to_id("[MASK]")
        self._markers = {self._tokenizer.token_to_id(name) for name in ("[CLS]", "[SEP]")}

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, list[list[tuple[int, int]]]]:
        """Token ids and mask, both of shape (texts, tokens), and each token's place in its text."""
        encoded = self._tokenizer.encode_batch(list(texts))
        longest = max(len(e.ids) for e in encoded)
        ids = torch.zeros(len(texts), longest, dtype=torch.long)
        mask = torch.zeros(len(texts), longest)
        for row, e in enumerate(encoded):
            kept = [i if i in self._markers or self._chance.random() >= HIDDEN else self._mask for i in e.ids]
            ids[row, : len(kept)] = torch.tensor(kept)
            mask[row, : len(kept)] = 1
        return ids, mask, [e.offsets for e in encoded]


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


def train(
    model: Adapted,
    loss_at: Callable[[int], Tensor],
    steps: int,
    rates: tuple[float, float],
    *,
    gently: bool = False,
) -> dict[str, Any]:
    """Run the steps and return the arrays, from the running mean of the weights.

    Args:
        model: Is changed.
        loss_at: How wrong the model is about the examples of a step; steps count from 1.
        steps: How many.
        rates: The highest learning rates, of the adapter and of the heads.
        gently: At half these rates, for weights that are to be kept in the main.
    """
    adapter, heads = model.trained()
    trained = [*adapter, *heads]
    slow = [p.detach().clone() for p in trained]
    optimiser = torch.optim.AdamW([{"params": adapter}, {"params": heads}], weight_decay=0.01)
    highest = [rate / 2 if gently else rate for rate in rates]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, highest, total_steps=steps + 1, pct_start=0.05)
    started, running = time.time(), 0.0
    for step in range(1, steps + 1):
        loss = loss_at(step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            for kept, now in zip(slow, trained, strict=True):
                kept.lerp_(now, 1 - min(KEEP, step / (step + 10)))
        running += loss.item()
        if step % 100 == 0:
            print(f"step {step}/{steps}, loss {running / 100:.3f}, {time.time() - started:.0f} s", flush=True)
            running = 0.0
    with torch.no_grad():
        for kept, now in zip(slow, trained, strict=True):
            now.copy_(kept)
    return model.arrays()


def mean(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The mean of two trainings' arrays: often better than either on what neither has seen.

    What only one of them has, a new head, stays as it is.

    The mean of two low-rank changes has twice their rank; it is cut down to theirs again, which keeps 99 % of it.
    """
    found: dict[str, Any] = {name: array for name, array in other.items() if name not in one}
    for name, array in one.items():
        if name.endswith(".down"):
            up = name.removesuffix("down") + "up"
            downs = np.vstack([array, other[name]]).astype(np.float64)
            left, first = np.linalg.qr(np.hstack([one[up], other[up]]).astype(np.float64) / 2)
            right, second = np.linalg.qr(downs.T)
            turned, size, back = np.linalg.svd(first @ second.T)
            root = np.sqrt(size[: len(array)])
            found[up] = (left @ turned[:, : len(array)] * root).astype(array.dtype)
            found[name] = (root[:, None] * (back[: len(array)] @ right.T)).astype(array.dtype)
        elif not name.endswith(".up"):
            found[name] = (array + other[name]) / 2
    return found
