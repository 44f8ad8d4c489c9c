"""all-MiniLM-L6-v2 in NumPy: texts in, token states or sentence vectors out.

Six transformer layers are a few matrix products. Computing them here takes no import of PyTorch, which
costs seconds and half a gigabyte, so the guardrails can read a message before anything else is warm. The
weights are the published ones; an adapter may change them a little (see `coach.guardrails.signals` and
`coach.guide.asked`).
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coach.errors import ModelError

__all__ = ["Array", "Encoder", "pooled"]

Array = npt.NDArray[np.float32]

HEADS = 12
EPSILON = 1e-12
NOTHING = np.float32(-1e9)  # added where a text has no token
_WORDS = "embeddings.word_embeddings.weight"
_in_use: weakref.WeakValueDictionary[Path, Array] = weakref.WeakValueDictionary()  # by folder; no adapter changes them


class Encoder:
    """The model, read from its published folder.

    Args:
        folder: Holds model.safetensors and tokenizer.json.
        adapter: Low-rank changes to the weights (Hu et al. 2021, arXiv 2106.09685): for a weight called
            `name`, of shape (out, in), the arrays `name.down` (rank, in) and `name.up` (out, rank).
        longest: Tokens of a text that are read; the rest is cut off.

    Raises:
        ModelError: The folder is missing or damaged.
    """

    def __init__(self, folder: Path, adapter: Mapping[str, Array] | None = None, longest: int = 256) -> None:
        if not (folder / "model.safetensors").is_file():
            raise ModelError(f"The search model is missing from {folder}.", hint="Fetch it with `coach setup`.")
        try:
            from safetensors.numpy import load_file
            from tokenizers import Tokenizer

            weights = {name: np.asarray(w, np.float32) for name, w in _floats(load_file(folder / "model.safetensors"))}
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # a damaged file surfaces as any of a dozen kinds
            raise ModelError(
                f"The search model in {folder} cannot be loaded ({type(error).__name__}).",
                hint="Remove that folder and run `coach setup`.",
            ) from error
        for name in [n.removesuffix(".up") for n in adapter or {} if n.endswith(".up")]:
            assert adapter is not None
            weights[name] = weights[name] + adapter[f"{name}.up"] @ adapter[f"{name}.down"]
        self._tokenizer.enable_truncation(longest)
        self._tokenizer.no_padding()
        self._words = _in_use.setdefault(folder, weights[_WORDS])
        self._places = (
            weights["embeddings.position_embeddings.weight"] + (weights["embeddings.token_type_embeddings.weight"][0])
        )
        self._norm = _pair(weights, "embeddings.LayerNorm")
        count = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
        self._layers = [_Layer(weights, f"encoder.layer.{number}") for number in range(count)]

    def tokens(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[tuple[int, int]]]]:
        """Token ids, and for each token where it stands in its text, in characters; (0, 0) for markers."""
        encoded = self._tokenizer.encode_batch(list(texts))
        return [e.ids for e in encoded], [e.offsets for e in encoded]

    def states(self, ids: Sequence[Sequence[int]]) -> list[Array]:
        """The last layer's states of tokenised texts, each of shape (tokens, 384)."""
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
            x = _normalise(self._words[padded] + self._places[:longest], *self._norm)
            for layer in self._layers:
                x = layer(x, mask)
            for row, i in enumerate(batch):
                found[i] = x[row, : len(ids[i])]
        return found

    def encode(self, texts: Sequence[str]) -> Array:
        """Sentence vectors of unit length, shape (texts, 384): the mean of each text's token states."""
        if not texts:
            return np.zeros((0, self._words.shape[1]), np.float32)
        means = np.stack([state.mean(axis=0) for state in self.states(self.tokens(texts)[0])])
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


class _Layer:
    """One transformer layer: attention, then a feed-forward network, each added and normalised."""

    def __init__(self, weights: Mapping[str, Array], name: str) -> None:
        heads = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
        self._mix = np.concatenate([weights[f"{head}.weight"] for head in heads]).T.copy()
        self._mix_bias = np.concatenate([weights[f"{head}.bias"] for head in heads])
        self._out = _linear(weights, f"{name}.attention.output.dense")
        self._first_norm = _pair(weights, f"{name}.attention.output.LayerNorm")
        self._wide = _linear(weights, f"{name}.intermediate.dense")
        self._narrow = _linear(weights, f"{name}.output.dense")
        self._second_norm = _pair(weights, f"{name}.output.LayerNorm")

    def __call__(self, x: Array, mask: Array) -> Array:
        batch, length, width = x.shape
        mixed = (x @ self._mix + self._mix_bias).reshape(batch, length, 3, HEADS, width // HEADS)
        query, key, value = mixed.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(math.sqrt(width // HEADS)) + mask
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        context = (scores @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)
        x = _normalise(x + context @ self._out[0] + self._out[1], *self._first_norm)
        wide = _gelu(x @ self._wide[0] + self._wide[1])
        return _normalise(x + wide @ self._narrow[0] + self._narrow[1], *self._second_norm)


def pooled(states: Array) -> Array:
    """The mean and the maximum over tokens, shape (2 x width,), of states of shape (tokens, width)."""
    return np.concatenate([states.mean(axis=0), states.max(axis=0)])


def _floats(arrays: Mapping[str, npt.NDArray[np.generic]]) -> list[tuple[str, npt.NDArray[np.generic]]]:
    return [(name, array) for name, array in arrays.items() if array.dtype.kind == "f"]


def _pair(weights: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    return weights[f"{name}.weight"], weights[f"{name}.bias"]


def _linear(weights: Mapping[str, Array], name: str) -> tuple[Array, Array]:
    weight, bias = _pair(weights, name)
    return weight.T.copy(), bias


def _normalise(x: Array, weight: Array, bias: Array) -> Array:
    x = x - x.mean(axis=-1, keepdims=True)
    scale = np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
    return np.asarray(x / scale * weight + bias, np.float32)


def _gelu(x: Array) -> Array:
    """The exact GELU, its error function by formula 7.1.26 of Abramowitz and Stegun (error below 2e-7)."""
    z = np.abs(x) * np.float32(math.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1 - tail * np.exp(-z * z), x)
    return np.asarray(x * (1 + erf) * np.float32(0.5), np.float32)
