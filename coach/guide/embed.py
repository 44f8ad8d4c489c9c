"""Texts in, vectors out: by sentence-transformers for an index to be built, by `coach.encoder` for questions.

Both give the same vectors. The import of sentence-transformers takes seconds and half a gigabyte, so it is loaded at
the first use, which on a machine whose index is built never comes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from coach.encoder import Encoder
from coach.errors import ModelError

__all__ = ["Embedder", "EncoderEmbedder", "SentenceTransformerEmbedder", "Vectors"]

Vectors = npt.NDArray[np.float32]


class Embedder(Protocol):
    """Something that maps texts into a space where near means alike."""

    name: str  # changes whenever the vectors would

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of unit length, one row a text."""
        ...


class EncoderEmbedder:
    """all-MiniLM-L6-v2 from a local folder, in NumPy. Safe to share between threads.

    Args:
        folder: The model's folder, as published.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._folder = folder
        self._encoder: Encoder | None = None
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.encode`; shape (number of texts, 384).

        Raises:
            ModelError: The folder is missing or damaged.
        """
        with self._lock:
            self._encoder = self._encoder or Encoder(self._folder)
        return self._encoder.encode(texts)


class SentenceTransformerEmbedder:
    """A sentence-transformers model from a local folder; nothing is fetched.

    Args:
        folder: The model's folder, as published (config.json, modules.json, model.safetensors, ...).
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self._folder = folder
        self._model: Any = None
        self._lock = threading.Lock()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.encode`; shape (number of texts, 384) for all-MiniLM-L6-v2.

        Raises:
            ModelError: The folder is missing or damaged.
        """
        with self._lock:
            model = self._model = self._model or self._load()
            vectors = model.encode(
                list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
            )
        return np.asarray(vectors, dtype=np.float32).reshape(len(texts), -1)

    def _load(self) -> Any:
        if not (self._folder / "model.safetensors").is_file():
            raise ModelError(f"The search model is missing from {self._folder}.", hint="Fetch it with `coach setup`.")
        os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            with _silent():
                from sentence_transformers import SentenceTransformer

                return SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)
        except Exception as error:  # a damaged file surfaces as any of a dozen kinds
            raise ModelError(
                f"The search model in {self._folder} cannot be loaded ({type(error).__name__}).",
                hint="Remove that folder and run `coach setup`.",
            ) from error


@contextlib.contextmanager
def _silent() -> Any:
    """Keep the libraries' own progress bars and notices off the terminal while they load."""
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    from transformers.utils import logging as notices

    notices.disable_progress_bar()
    notices.set_verbosity_error()
    yield
