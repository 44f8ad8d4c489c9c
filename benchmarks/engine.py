"""What each setting of llama.cpp is worth: `python -m benchmarks.engine [--model NAME]`.

Reads 512 tokens of the guide after 450 others, then writes 64, for one setting at a time beside llama.cpp's usual
batches of 512; the settings take turns in one run, and the medians of the repeats are printed as ratios to it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import llama_cpp
from llama_cpp import Llama

from benchmarks.speed import guide_text, model_file

READ, WRITTEN, BEFORE = 512, 64, 450  # tokens
SETTINGS: dict[str, dict[str, Any]] = {
    "usual": {},
    "1 thread": {"n_threads": 1, "n_threads_batch": 1},
    "4 threads": {"n_threads": 4, "n_threads_batch": 4},
    "batch 128": {"n_batch": 128, "n_ubatch": 128},
    "batch 32": {"n_batch": 32, "n_ubatch": 32},
    "flash attention": {"flash_attn": True},
    "8-bit keys and values": {
        "flash_attn": True,
        "type_k": llama_cpp.GGML_TYPE_Q8_0,
        "type_v": llama_cpp.GGML_TYPE_Q8_0,
    },
    "memory mapped": {"use_mmap": True},
    "memory locked": {"use_mlock": True},
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rates: dict[str, list[tuple[float, float, float]]] = {name: [] for name in SETTINGS}
    for _ in range(options.repeats):
        for name, setting in SETTINGS.items():
            rates[name].append(measured(options.model, setting))
    reading, writing, loading = (statistics.median(run[i] for run in rates["usual"]) for i in range(3))
    print(f"usual: {reading:.0f} tokens/s read, {writing:.1f} written, loaded in {loading:.1f} s\n")
    print(f"{'':<26}{'read':>8}{'written':>9}{'loading':>9}   as a ratio")
    for name, runs in rates.items():
        ratios = [
            statistics.median(run[i] for run in runs) / base for i, base in enumerate((reading, writing, loading))
        ]
        print(f"{name:<26}{ratios[0]:>8.2f}{ratios[1]:>9.2f}{ratios[2]:>9.2f}")


def measured(model: str, setting: dict[str, Any]) -> tuple[float, float, float]:
    """Tokens a second read and written, and the seconds of loading."""
    started = time.perf_counter()
    usual: dict[str, Any] = {
        "n_ctx": 4096,
        "use_mmap": False,
        "n_batch": 512,
        "n_threads": 2,
        "n_threads_batch": 2,
        "verbose": False,
    }
    engine = Llama(str(model_file(model)), **(usual | setting))
    loading = time.perf_counter() - started
    tokens = engine.tokenize(guide_text().encode("utf-8"))
    engine.eval(tokens[:BEFORE])
    started = time.perf_counter()
    engine.eval(tokens[BEFORE : BEFORE + READ])
    reading = time.perf_counter() - started
    started = time.perf_counter()
    for _ in range(WRITTEN):
        engine.eval([engine.sample(temp=0.3)])
    writing = time.perf_counter() - started
    engine.close()
    return READ / reading, WRITTEN / writing, loading


if __name__ == "__main__":
    main()
