"""llama.cpp in this process, spoken to through its C interface.

The bindings' own `Llama` class would do, but keeps a score for each word of the vocabulary and each token of
a batch (311 MB for Qwen) and cannot be stopped while it reads a prompt. Here a prompt's tokens are compared
with those in the cache and only the new ones are evaluated; a stop takes effect within a token, or within a
layer of the network while the prompt is read. This module knows nothing of guides or coaching.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from coach.errors import ModelError
from coach.llm import template
from coach.llm.lookup import MOST, Ahead, Pace
from coach.llm.states import Shelf, StateFiles, shared
from coach.types import Message, Usage, Wait

__all__ = ["LlamaEngine", "library"]

BATCH = 128  # tokens a call: larger ones are no faster, and take 54 MB more; the abort callback is asked far more often
KEPT_ANSWERS = 256  # answers whose tokens are remembered as they were written
WORTH = 200  # tokens, at least, for which a state is kept or brought back; it is quicker than reading them again
MEASURED = 64  # tokens, at least, whose reading says how fast the next will be
MAX_CONTEXT = 6144  # tokens; some twenty turns, 180 MB for a 1.5B
MIN_CONTEXT = 2048
TEMPERATURE, SEED = 0.3, 7  # of the sampler: the same prompt gives the same text
_OTHER_MODEL = "Choose another one with `coach models use NAME`, or fetch it again with `coach models pull NAME`."


class LlamaEngine:
    """A GGUF chat model. Safe to share between threads: one lock, one generation at a time.

    Args:
        path: The GGUF file.
        threads: CPU threads; 0 for the machine's physical cores.
        context: Tokens of context window; 0 for what the model and the memory allow, at most MAX_CONTEXT, and no more
            than take as much memory as the weights.
        state_dir: Where the evaluated opening (system text, examples) is kept between starts; None to keep nothing.

    Raises:
        ModelError: The file is missing, damaged, no GGUF, or of a kind that this llama.cpp does not know.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 0,
        context: int = 0,
        state_dir: Path | None = None,
    ) -> None:
        _check_file(path)
        self.name = path.stem
        self._path = path
        self._states = StateFiles(state_dir) if state_dir else None
        self._lock = threading.Lock()  # not a re-entrant one: a stream may be begun in one thread and closed in another
        self._cancelled: Callable[[], bool] = lambda: False
        self._cached: list[int] = []  # the tokens whose state llama.cpp holds
        self._shelf = Shelf()  # of other conversations
        self._pace = Pace()  # of writing
        self._rate = 0.0  # tokens a second of the last reading; 0 before the first
        self._written: OrderedDict[str, list[int]] = OrderedDict()  # answers, as they were decoded
        self._model: Any = None
        self._context: Any = None
        try:
            self._open(threads or _physical_cores(), context)
        except BaseException:
            self.close()
            raise

    def _open(self, threads: int, context: int) -> None:
        c = self._c = library()
        parameters = c.llama_model_default_params()
        parameters.n_gpu_layers = 0
        parameters.load_mode = c.LLAMA_LOAD_MODE_NONE  # a mapped file stays resident beside the weights made from it
        self._model = c.llama_model_load_from_file(os.fsencode(self._path), parameters)
        if not self._model:
            raise ModelError(
                f"{self._path.name} is damaged or of a kind that llama.cpp does not know.", hint=_OTHER_MODEL
            )
        self._vocab = c.llama_model_get_vocab(self._model)
        self._template = self._chat_template()
        self.context = context or self._fitting_context()
        settings = c.llama_context_default_params()
        settings.n_ctx = self.context
        settings.n_batch = BATCH
        settings.n_seq_max = 1
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        self._abort = c.ggml_abort_callback(lambda _: self._cancelled())  # kept alive with the engine
        settings.abort_callback = self._abort
        self._context = c.llama_init_from_model(self._model, settings)
        if not self._context:
            raise ModelError(
                f"There is not enough memory for {self.name} with {self.context} tokens of context.",
                hint="Close other programs, choose a smaller model, or set COACH_CONTEXT=2048.",
            )
        self._memory = c.llama_get_memory(self._context)
        self._forgets = not (c.llama_model_is_recurrent(self._model) or c.llama_model_is_hybrid(self._model))

    def close(self) -> None:
        """Free the model's memory. The engine cannot be used afterwards."""
        with self._lock:
            if self._context:
                self._c.llama_free(self._context)
            if self._model:
                self._c.llama_model_free(self._model)
            self._context = self._model = None
            self._shelf.clear()

    # --- the Engine interface ---------------------------------------------------------------------------------

    def count(self, messages: Sequence[Message]) -> int:
        """See `Engine.count`."""
        return len(self._encode(messages))

    def warm(self, opening: Sequence[Message]) -> None:
        """Load the opening's state from disk, or evaluate it and keep it there."""
        with self._lock:
            # What two conversations with different first messages share is the opening's part.
            first, second = (self._encode([*opening, Message("user", word)]) for word in ("one", "two"))
            prefix = first[: shared(first, second)]
            if not prefix or shared(prefix, self._cached) == len(prefix):
                return
            key = self._key(prefix)
            if self._states and (file := self._states.find(key)):
                if self._load(file, prefix):
                    return
                self._states.drop(file)
            self._cancelled = lambda: False
            self._evaluate(prefix)
            if self._states:
                self._states.keep(key, lambda new: self._save(new, prefix))

    def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int,
        begun: str = "",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[str | Wait | Usage]:
        """See `Engine.generate`."""
        c = self._c
        with self._lock:
            started = time.perf_counter()
            prompt = self._encode(messages) + (self._tokens(begun, markup=False) if begun else [])
            if len(prompt) + 1 >= self.context:
                raise ModelError(
                    f"The conversation takes {len(prompt)} tokens, more than the {self.context} of {self.name}.",
                    hint="Start a new conversation, or write a shorter message.",
                )
            self._cancelled = cancelled
            if self._rate:
                known = max(shared(self._cached, prompt), self._shelf.nearest(prompt))
                yield Wait((len(prompt) - known) / self._rate)
            evaluated, finished = self._evaluate(prompt)
            read = time.perf_counter()
            if evaluated >= MEASURED:
                self._rate = evaluated / (read - started)
            tokens: list[int] = []
            text: list[str] = []
            decode = codecs.getincrementaldecoder("utf-8")("replace").decode
            sampler, ahead = self._sampler(), Ahead(prompt, self._pace if self._forgets else None)
            try:
                limit = min(max_tokens, self.context - len(prompt) - MOST)
                while finished and len(tokens) < limit and not cancelled():
                    token = c.llama_sampler_sample(sampler, self._context, ahead.at)
                    if c.llama_vocab_is_eog(self._vocab, token):
                        break
                    tokens.append(token)
                    piece = decode(self._piece(token))
                    if piece:
                        text.append(piece)
                        yield piece
                    if cancelled() or len(tokens) >= limit:
                        break
                    if not ahead.holds(token):
                        self._forget(ahead.wrong)
                        with ahead.step() as guess:
                            finished = self._decode([token, *guess], scores=True)
            finally:
                c.llama_sampler_free(sampler)
                self._remember("".join(text), tokens)
            yield Usage(len(prompt), evaluated, len(tokens), read - started, time.perf_counter() - read)

    # --- tokens -----------------------------------------------------------------------------------------------

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        answers = {m.content for m in messages if m.role == "assistant"}
        segments = template.render(self._template, messages, bos=self._special("bos"), eos=self._special("eos"))
        tokens: list[int] = []
        if self._c.llama_vocab_get_add_bos(self._vocab) and not segments[0].text.startswith(
            self._special("bos") or "\0"
        ):
            tokens.append(self._c.llama_vocab_bos(self._vocab))
        for segment in segments:
            known = self._written.get(segment.text) if segment.text in answers and not segment.markup else None
            tokens += known or self._tokens(segment.text, markup=segment.markup)
        return tokens

    def _tokens(self, text: str, *, markup: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        buffer = (self._c.llama_token * room)()
        count = self._c.llama_tokenize(self._vocab, data, len(data), buffer, room, False, markup)
        if count < 0:
            raise ModelError("A message could not be turned into tokens.", hint="Write it again in plain words.")
        return list(buffer[:count])

    def _piece(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(256)
        length = self._c.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, False)
        return buffer.raw[:length] if length > 0 else b""

    def _special(self, name: str) -> str:
        token = getattr(self._c, f"llama_vocab_{name}")(self._vocab)
        text = self._c.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return text.decode("utf-8", "replace") if text else ""

    def _remember(self, text: str, tokens: list[int]) -> None:
        # The same text need not come back as the same tokens, and then the cache would not match.
        self._written[text.strip()] = self._written[text] = tokens
        while len(self._written) > KEPT_ANSWERS:
            self._written.popitem(last=False)

    # --- evaluation -------------------------------------------------------------------------------------------

    def _evaluate(self, tokens: list[int]) -> tuple[int, bool]:
        """Bring the cache to exactly `tokens`.

        Returns:
            How many tokens were evaluated, and whether it was finished (False when cancelled).
        """
        c = self._c
        self._swap(tokens)
        keep = min(shared(self._cached, tokens), len(tokens) - 1)  # the last one's scores are needed
        if keep < len(self._cached):
            if not c.llama_memory_seq_rm(self._memory, 0, keep, -1):
                c.llama_memory_clear(self._memory, True)
                keep = 0
            self._cached = self._cached[:keep]
        for start in range(keep, len(tokens), BATCH):
            if not self._decode(tokens[start : start + BATCH]):
                return len(self._cached) - keep, False
        return len(tokens) - keep, True

    def _decode(self, part: list[int], *, scores: bool = False) -> bool:
        """Evaluate the tokens after those in the cache, with the scores of all or of the last; False if cancelled."""
        c = self._c
        buffer = (c.llama_token * len(part))(*part)
        batch = c.llama_batch_get_one(buffer, len(part))
        if scores:
            wanted = (ctypes.c_int8 * len(part))(*[1] * len(part))
            batch.logits = wanted
        result = c.llama_decode(self._context, batch)
        self._cached += part
        if result == 2:
            del self._cached[c.llama_memory_seq_pos_max(self._memory, 0) + 1 :]
            return False
        if result != 0:
            c.llama_memory_clear(self._memory, True)
            self._cached = []
            raise ModelError(
                f"llama.cpp failed (code {result}).", hint="Try again; if it stays, start a new conversation."
            )
        return True

    def _forget(self, count: int) -> None:
        """Take the last tokens out of the cache."""
        if count:
            del self._cached[-count:]
            self._c.llama_memory_seq_rm(self._memory, 0, len(self._cached), -1)

    def _swap(self, tokens: list[int]) -> None:
        """Put another conversation's state aside where it would be lost, and bring back the one that goes on."""
        c, same = self._c, shared(self._cached, tokens)
        known, state = self._shelf.take(tokens) if self._shelf.nearest(tokens) >= same + WORTH else ([], None)
        if len(self._cached) >= same + WORTH:
            aside = (ctypes.c_uint8 * c.llama_state_seq_get_size(self._context, 0))()
            if c.llama_state_seq_get_data(self._context, aside, len(aside), 0):
                self._shelf.put(self._cached, aside)
        if state is not None:
            c.llama_memory_clear(self._memory, True)
            restored = c.llama_state_seq_set_data(self._context, state, len(state), 0)
            self._cached = known if restored else []

    def _sampler(self) -> Any:
        c = self._c
        chain = c.llama_sampler_chain_init(c.llama_sampler_chain_default_params())
        for sampler in (
            c.llama_sampler_init_top_k(40),
            c.llama_sampler_init_min_p(0.05, 1),
            c.llama_sampler_init_temp(TEMPERATURE),
            c.llama_sampler_init_dist(SEED),
        ):
            c.llama_sampler_chain_add(chain, sampler)
        return chain

    # --- the opening's state on disk ---------------------------------------------------------------------------

    def _key(self, prefix: list[int]) -> str:
        import llama_cpp

        file = self._path.stat()
        return repr((self._path.name, file.st_size, file.st_mtime_ns, llama_cpp.__version__, prefix))

    def _load(self, file: Path, prefix: list[int]) -> bool:
        c = self._c
        buffer = (c.llama_token * len(prefix))()
        count = ctypes.c_size_t(0)
        c.llama_memory_clear(self._memory, True)
        read = c.llama_state_seq_load_file(
            self._context, os.fsencode(file), 0, buffer, len(prefix), ctypes.byref(count)
        )
        good = bool(read) and list(buffer[: count.value]) == prefix
        self._cached = list(prefix) if good else []
        if not good:
            c.llama_memory_clear(self._memory, True)
        return good

    def _save(self, file: Path, prefix: list[int]) -> bool:
        buffer = (self._c.llama_token * len(prefix))(*prefix)
        return bool(self._c.llama_state_seq_save_file(self._context, os.fsencode(file), 0, buffer, len(prefix)))

    # --- the model file ---------------------------------------------------------------------------------------

    def _chat_template(self) -> str:
        found = self._c.llama_model_chat_template(self._model, None)
        return found.decode("utf-8", "replace") if found else template.CHATML

    def _fitting_context(self) -> int:
        import psutil

        c, model = self._c, self._model
        heads, width = c.llama_model_n_head(model), c.llama_model_n_embd(model)
        per_token = 2 * 2 * c.llama_model_n_layer(model) * c.llama_model_n_head_kv(model) * (width // max(heads, 1))
        memory = min(psutil.virtual_memory().available // 8, c.llama_model_size(model))
        affordable = memory // max(per_token, 1)
        trained = c.llama_model_n_ctx_train(model)
        return int(min(trained, MAX_CONTEXT, max(MIN_CONTEXT, affordable // 256 * 256)))


def _physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or os.cpu_count() or 2


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"There is no model file {path}.", hint="Fetch one with `coach setup`.")
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"{path.name} cannot be opened: {error.strerror}.", hint=_OTHER_MODEL) from error
    if magic != b"GGUF":
        raise ModelError(f"{path.name} is not a GGUF model file.", hint=_OTHER_MODEL)


_quiet: Any = None


def library() -> Any:
    """The bindings, loaded late and told not to write to the terminal.

    Raises:
        ModelError: They are not installed, or do not load.
    """
    global _quiet
    try:
        import llama_cpp
    except (ImportError, OSError, RuntimeError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "llama_cpp"
        raise ModelError(
            "llama-cpp-python is not installed, so no model can run."
            if missing
            else f"llama-cpp-python does not load here, so no model can run: {error}.",
            hint="Install a C compiler and run `make run` again; without a model the coach answers from the guide.",
        ) from error
    if _quiet is None:
        _quiet = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)
        llama_cpp.llama_log_set(_quiet, None)
        llama_cpp.llama_backend_init()
    return llama_cpp
