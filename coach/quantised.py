"""all-mpnet-base-v2 in ONNX Runtime, its weights in 8 bits: texts in, token states out.

MPNet (Song et al. 2020, arXiv 2004.09297) is a BERT whose attention also hears how far apart two tokens are. A text of
a few words costs what it takes to fetch the weights from memory, so a quarter of the bytes is twice as quick. The
changes of an adapter are added to the weights before they are rounded, in blocks of 64 with a scale for each. That
takes some seconds; the result is kept beside the published weights until another adapter comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coach.encoder import HEADS, Array, Tokens, layers, mapped, opening

__all__ = ["LINEAR", "Quantised", "distances"]

LINEAR = (
    *("attention.attn.q", "attention.attn.k", "attention.attn.v", "attention.attn.o"),
    "intermediate.dense",
    "output.dense",
)  # the linear maps of a layer
BLOCK = 64  # weights that share a scale
FORM = 1  # of the file that is kept; another number, and it is made anew
FIRST_PLACE = 2  # the number of a text's first place; those before it are for padding
EPSILON = 1e-5  # added to a variance
FARTHEST = 128  # tokens from which distances are no longer told apart
_FAR = "encoder.relative_attention_bias.weight"  # (distances, heads)
_OURS = "com.microsoft"  # ONNX Runtime's own operators


class Quantised:
    """The model with an adapter. Safe to share between threads.

    Args:
        folder: Holds model.safetensors and tokenizer.json. What is made of them is kept there, if it can be written.
        adapter: Low-rank changes to the weights, as for `coach.encoder.Encoder`.
        longest: Tokens of a text that are read; the rest is cut off.

    Raises:
        ModelError: The folder is missing or damaged.
    """

    def __init__(self, folder: Path, adapter: Mapping[str, Array] | None = None, longest: int = 256) -> None:
        with opening(folder):
            self.tokens = Tokens(folder, longest)
            weights = mapped(folder / "model.safetensors")
            self._words = weights["embeddings.word_embeddings.weight"]
            self._places = weights["embeddings.position_embeddings.weight"][FIRST_PLACE:]
            self._far = np.array(weights[_FAR])
            self._session = _session(folder, weights, adapter or {})

    def states(self, ids: Sequence[Sequence[int]]) -> list[Array]:
        """The last layer's states of tokenised texts, each of shape (tokens, width)."""
        found = []
        for text in ids:
            read = self._words[list(text)] + self._places[: len(text)]
            (states,) = self._session.run(None, {"text": read[None], "near": distances(self._far, len(text))})
            found.append(states[0])
        return found


def distances(far: Array, tokens: int) -> Array:
    """What is added to the attention between tokens for how far apart they are, shape (1, heads, tokens, tokens).

    Near distances have a number each, farther ones share one, as in T5 (Raffel et al. 2020, arXiv 1910.10683).
    """
    apart = np.arange(tokens)[None, :] - np.arange(tokens)[:, None]
    half = len(far) // 2
    near = half // 2
    size = np.abs(apart)
    share = np.log(np.maximum(size, 1) / near) / math.log(FARTHEST / near)
    farther = np.minimum(near + (share * (half - near)).astype(np.int64), half - 1)
    number = np.where(size < near, size, farther) + half * (apart > 0)
    return np.asarray(far[number].transpose(2, 0, 1)[None], np.float32)


def _session(folder: Path, weights: Mapping[str, Array], adapter: Mapping[str, Array]) -> Any:
    """The model, from the file that is kept, or made anew."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the chat model needs the cores
    options.enable_cpu_mem_arena = False  # gives memory back
    options.log_severity_level = 3
    digest = hashlib.sha256(str(FORM).encode())
    for name, array in adapter.items():
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    file = folder / f"quantised-{digest.hexdigest()[:12]}.onnx"
    if file.is_file():
        with contextlib.suppress(Exception):  # damaged: it is made anew
            return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    made = _graph(weights, adapter)
    with contextlib.suppress(OSError):  # no room or no right to write there: then it is made at each start
        _keep(made, file)
    return onnxruntime.InferenceSession(made, options, providers=["CPUExecutionProvider"])


def _keep(made: bytes, file: Path) -> None:
    """Write the file in one move, and remove those of earlier adapters."""
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(made)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    for other in file.parent.glob("quantised-*.onnx"):
        if other != file:
            other.unlink(missing_ok=True)


def _graph(weights: Mapping[str, Array], adapter: Mapping[str, Array]) -> bytes:
    """The model as an ONNX file: token embeddings and distances in, the last layer's states out."""
    from onnx import TensorProto, helper, numpy_helper

    constants: list[Any] = []
    nodes: list[Any] = []

    def constant(name: str, array: npt.NDArray[Any]) -> str:
        constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(kind: str, inputs: Sequence[str], out: str, **options: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [out], **options))
        return out

    def published(name: str) -> str:
        return constant(name, weights[name])

    def linear(x: str, name: str, *, bias: bool = False) -> str:
        array = weights[f"{name}.weight"]
        if f"{name}.weight.up" in adapter:
            array = array + adapter[f"{name}.weight.up"] @ adapter[f"{name}.weight.down"]
        rows, columns = array.shape
        blocks = array.reshape(rows, -1, BLOCK)
        scales = np.maximum(np.abs(blocks).max(axis=2), 1e-12) / 127
        codes = (np.rint(blocks / scales[..., None]) + 128).astype(np.uint8)
        inputs = [x, constant(f"{name}.codes", codes), constant(f"{name}.scales", scales)]
        inputs += ["", "", published(f"{name}.bias")] if bias else []
        how = {"K": columns, "N": rows, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
        return node("MatMulNBits", inputs, f"{name}.out", domain=_OURS, **how)

    def added(x: str, to: str, norm: str, bias: str) -> str:
        """A part's output and what went into it, brought to mean 0 and variance 1."""
        inputs = [x, to, published(f"{norm}.weight"), published(f"{norm}.bias"), published(f"{bias}.bias")]
        return node("SkipLayerNormalization", inputs, f"{norm}.out", domain=_OURS, epsilon=EPSILON)

    norm = "embeddings.LayerNorm"
    inputs = ["text", published(f"{norm}.weight"), published(f"{norm}.bias")]
    x = node("LayerNormalization", inputs, f"{norm}.out", axis=-1, epsilon=EPSILON)
    for layer in layers(weights):
        query, key, value, out, wide, narrow = (f"{layer}.{part}" for part in LINEAR)
        mixed = [linear(x, part, bias=True) for part in (query, key, value)]
        context = node(
            "MultiHeadAttention", [*mixed, "", "", "near"], f"{layer}.context", domain=_OURS, num_heads=HEADS
        )
        x = added(linear(context, out), x, f"{layer}.attention.LayerNorm", out)
        raised = node("BiasGelu", [linear(x, wide), published(f"{wide}.bias")], f"{layer}.gelu", domain=_OURS)
        x = added(linear(raised, narrow), x, f"{layer}.output.LayerNorm", narrow)
    width = weights[f"{norm}.weight"].shape[0]
    shapes = {"text": [1, "tokens", width], "near": [1, HEADS, "tokens", "tokens"], x: [1, "tokens", width]}
    *given, wanted = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "encoder", given, [wanted], constants)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid(_OURS, 1)]
    made: bytes = helper.make_model(graph, opset_imports=sets, ir_version=9).SerializeToString()
    return made
