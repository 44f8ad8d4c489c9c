"""all-MiniLM-L6-v2 in NumPy: texts in, token states or sentence vectors out.

Transformer layers are a few matrix products. Computing them here takes no import of PyTorch, which
costs seconds and half a gigabyte, so the guardrails can read a message before anything else is warm. The
weights are the published ones; an adapter may change them a little (see `coach.guardrails.signals`).
"""

from __future__ import annotations

import contextlib
import json
import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coach.errors import ModelError

__all__ = ["HEADS", "LINEAR", "Array", "Encoder", "Tokens", "layers", "mapped", "opening", "pooled"]

Array = npt.NDArray[np.float32]

HEADS = 12
LINEAR = (
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    ("attention.output.dense",),
    ("intermediate.dense",),
    ("output.dense",),
)  # the linear maps of a layer, by what is computed side by side
EPSILON = np.float32(1e-12)  # added to a variance
NOTHING = np.float32(-1e9)  # added where a text has no token


@contextlib.contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Whatever a missing or damaged model raises becomes one sentence.

    Raises:
        ModelError: Something was raised inside, or the folder holds no model.
    """
    if not (folder / "model.safetensors").is_file():
        raise ModelError(f"The search model is missing from {folder}.", hint="Fetch it with `coach setup`.")
    try:
        yield
    except Exception as error:  # a damaged file surfaces as any of a dozen kinds
        raise ModelError(
            f"The search model in {folder} cannot be loaded ({type(error).__name__}).",
            hint="Remove that folder and run `coach setup`.",
        ) from error


class Tokens:
    """Texts in, tokens out, as the encoder in a folder knows them.

    Args:
        folder: Holds tokenizer.json.
        longest: Tokens of a text that are kept.
    """

    def __init__(self, folder: Path, longest: int) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(longest)
        self._tokenizer.no_padding()

    def __call__(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """Token ids, and for each token where it stands in its text, in characters; (0, 0) for markers."""
        encoded = self._tokenizer.encode_batch(list(texts))
        return [e.ids for e in encoded], [e.offsets for e in encoded]


class Encoder:
    """The model, read from its published folder; encoders of one folder share the published weights in memory.

    Args:
        folder: Holds model.safetensors and tokenizer.json.
        adapter: Low-rank changes to the weights (Hu et al. 2021, arXiv 2106.09685): for a weight called
            `name`, of shape (out, in), the arrays `name.down` (rank, in) and `name.up` (out, rank).
        longest: Tokens of a text that are read; the rest is cut off.

    Raises:
        ModelError: The folder is missing or damaged.
    """

    def __init__(self, folder: Path, adapter: Mapping[str, Array] | None = None, longest: int = 256) -> None:
        with opening(folder):
            self.tokens = Tokens(folder, longest)
            self._published = _in_use.get(folder) or _in_use.setdefault(folder, _Published(folder))
        self._changes = [
            [_Change.of(adapter, [f"encoder.layer.{number}.{part}.weight" for part in parts]) for parts in LINEAR]
            for number in range(len(self._published.layers))
        ]

    def states(self, ids: Sequence[Sequence[int]]) -> list[Array]:
        """The last layer's states of tokenised texts, each of shape (tokens, width)."""
        found: list[Array] = [np.empty((0, 0), np.float32)] * len(ids)
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        for start in range(0, len(order), 16):  # texts of like length together, so that little is padding
            batch = order[start : start + 16]
            longest = max(len(ids[i]) for i in batch)
            padded = np.zeros((len(batch), longest), np.int64)
            mask = np.full((len(batch), 1, 1, longest), NOTHING, np.float32)
            for row, i in enumerate(batch):
                padded[row, : len(ids[i])] = ids[i]
                mask[row, ..., : len(ids[i])] = 0
            x = self._published.embedded(padded)
            for layer, changes in zip(self._published.layers, self._changes, strict=True):
                x = layer(x, mask, changes)
            x = x.reshape(len(batch), longest, -1)
            for row, i in enumerate(batch):
                found[i] = x[row, : len(ids[i])]
        return found

    def encode(self, texts: Sequence[str]) -> Array:
        """Sentence vectors of unit length, shape (texts, width): the mean of each text's token states."""
        if not texts:
            return np.zeros((0, self._published.width), np.float32)
        means = np.stack([state.mean(axis=0) for state in self.states(self.tokens(texts)[0])])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


class _Published:
    """The weights as they were published; they stay in the file and are read where they are needed."""

    def __init__(self, folder: Path) -> None:
        weights = mapped(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        self._places = weights["embeddings.position_embeddings.weight"]
        self._places = self._places + weights["embeddings.token_type_embeddings.weight"][0]
        self._norm = _Norm.of(weights, "embeddings.LayerNorm")
        self.width = self._words.shape[1]
        self.layers = [_Layer(weights, name) for name in layers(weights)]

    def embedded(self, ids: npt.NDArray[np.int64]) -> Array:
        """What the first layer reads, shape (texts x tokens, width), of ids of shape (texts, tokens)."""
        x = self._words[ids] + self._places[: ids.shape[1]]
        return self._norm(x.reshape(-1, self.width))


_in_use: weakref.WeakValueDictionary[Path, _Published] = weakref.WeakValueDictionary()  # by folder


class _Change(NamedTuple):
    """A low-rank change to the weights of a linear map, added to what it gives; three maps in one have three."""

    down: Array  # (in, rank)
    up: Array  # (rank, out)

    @classmethod
    def of(cls, adapter: Mapping[str, Array] | None, names: Sequence[str]) -> _Change | None:
        """The change to maps that are computed side by side, if there is one."""
        if not adapter or f"{names[0]}.down" not in adapter:
            return None
        ups = [adapter[f"{name}.up"].T for name in names]
        ranks, widths = [0, *np.cumsum([up.shape[0] for up in ups])], [0, *np.cumsum([up.shape[1] for up in ups])]
        together = np.zeros((ranks[-1], widths[-1]), np.float32)
        for at, up in enumerate(ups):
            together[ranks[at] : ranks[at + 1], widths[at] : widths[at + 1]] = up
        down = np.concatenate([adapter[f"{name}.down"].T for name in names], axis=1)
        return cls(np.ascontiguousarray(down, np.float32), together)


class _Norm(NamedTuple):
    """Brings each state to mean 0 and variance 1, then scales and moves it."""

    weight: Array
    bias: Array

    @classmethod
    def of(cls, weights: Mapping[str, Array], name: str) -> _Norm:
        """That of a part of an encoder."""
        return cls(weights[f"{name}.weight"], weights[f"{name}.bias"])

    def __call__(self, x: Array) -> Array:
        x -= x.mean(axis=-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + EPSILON)
        x *= self.weight
        x += self.bias
        return x


class _Linear:
    """A linear map, or several of the same input side by side."""

    def __init__(self, weights: Mapping[str, Array], names: Sequence[str]) -> None:
        self._weights = [weights[f"{name}.weight"].T for name in names]
        self._bias = np.concatenate([weights[f"{name}.bias"] for name in names])

    def __call__(self, x: Array, change: _Change | None) -> Array:
        parts = [x @ weight for weight in self._weights]
        y: Array = parts[0] if len(parts) == 1 else np.hstack(parts)
        y += self._bias
        if change:
            y += x @ change.down @ change.up
        return y


class _Layer:
    """One transformer layer: attention, then a feed-forward network, each added and normalised."""

    def __init__(self, weights: Mapping[str, Array], name: str) -> None:
        linear = [_Linear(weights, [f"{name}.{part}" for part in parts]) for parts in LINEAR]
        self._mix, self._out, self._wide, self._narrow = linear
        self._first_norm = _Norm.of(weights, f"{name}.attention.output.LayerNorm")
        self._second_norm = _Norm.of(weights, f"{name}.output.LayerNorm")

    def __call__(self, x: Array, mask: Array, changes: Sequence[_Change | None]) -> Array:
        """Token states in, shape (texts x tokens, width), and out; `mask` has shape (texts, 1, 1, tokens)."""
        batch, width = len(mask), x.shape[1]
        mixed = self._mix(x, changes[0]).reshape(batch, -1, 3, HEADS, width // HEADS)
        query, key, value = mixed.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2)
        scores *= np.float32(1 / math.sqrt(width // HEADS))
        scores += mask
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        context = (scores @ value).transpose(0, 2, 1, 3).reshape(-1, width)
        x = self._first_norm(x + self._out(context, changes[1]))
        wide = _gelu(self._wide(x, changes[2]))
        return self._second_norm(x + self._narrow(wide, changes[3]))


def pooled(states: Array) -> Array:
    """The mean and the maximum over tokens, shape (2 x width,), of states of shape (tokens, width)."""
    return np.concatenate([states.mean(axis=0), states.max(axis=0)])


def layers(weights: Mapping[str, Array]) -> list[str]:
    """What an encoder's layers are called, the first one first."""
    count = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    return [f"encoder.layer.{number}" for number in range(count)]


def mapped(file: Path) -> dict[str, Array]:
    """The arrays of a safetensors file, left there: a length in 8 bytes, the places in JSON, then the arrays."""
    stored = np.memmap(file, np.uint8, "r")
    start = 8 + int.from_bytes(stored[:8].tobytes(), "little")
    places = json.loads(stored[8:start].tobytes())
    found = {}
    for name, place in places.items():
        if place.get("dtype") == "F32":
            first, last = (start + offset for offset in place["data_offsets"])
            found[name] = np.asarray(stored[first:last]).view(np.float32).reshape(place["shape"])
    return found


def _gelu(x: Array) -> Array:
    """The exact GELU, its error function by formula 7.1.26 of Abramowitz and Stegun (error below 2e-7)."""
    z = np.abs(x)
    z *= np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = np.full_like(t, 1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        tail *= t
        tail += np.float32(factor)
    tail *= t
    z *= z
    np.negative(z, out=z)
    np.exp(z, out=z)
    tail *= z
    np.subtract(1, tail, out=tail)
    erf = np.copysign(tail, x, out=tail)
    erf += 1
    erf *= x
    erf *= np.float32(0.5)
    return erf
