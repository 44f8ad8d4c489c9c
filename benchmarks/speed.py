"""How fast it is beside the usual chain and beside llama.cpp alone: `python -m benchmarks.speed [--model NAME]`.

Everything is measured in one run, the three taking turns, each in a process of its own:

    coach   this program, gates and checks running
    chain   the usual parts in the usual way: a 1,000/200-character splitter, sentence-transformers, Chroma, the four
            nearest chunks and the whole history in each prompt, llama-cpp-python's `Llama` with a batch of 512
    raw     llama.cpp alone: 220 tokens read and 110 written a turn, about as many as by the coach

Prints medians over the repeats and the ratios that matter, with --json also to a file. "First token" is the model's;
"first words" the first checked sentences that a person sees. Memory is resident, at the end and at its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from coach import settings as configuration
from coach.llm.llama import MAX_CONTEXT

QUESTIONS = [
    "I lied to her about money for two years and she left. What do I do first?",
    "She says I do not even know what I am sorry for. How do I find the words?",
    "How long should I wait before I write to her?",
    "And what should the first message say?",
    "She answered just ok. What does it mean, should I write again?",
    "How can she ever trust me again with money?",
    "Should I tell her about the second card, the one she never found?",
    "Should my sister ask her how she is, for me?",
    "How do I stop thinking about it at night?",
    "Her birthday is coming. May I send her a card?",
]
ANSWER = 110  # tokens of an answer in the chain and raw runs, as long as the coach's are
PROMPT = "You are a helpful relationship coach. Answer the question from this context.\n\n{context}"
EMPTY_PAGE = """import gradio as gr
with gr.Blocks() as page:
    gr.Chatbot()
page.launch(server_port=int(__import__("sys").argv[1]), quiet=True)"""


def main() -> None:
    """Run all of it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qwen2.5-coder-1.5b")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--role", choices=("coach", "chain", "raw"), help=argparse.SUPPRESS)
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        print(json.dumps(ROLES[options.role](options.model, options.turns, options.store)))
        return
    runs: dict[str, list[dict[str, Any]]] = {role: [] for role in ROLES}
    pages: dict[str, list[float]] = {"coach": [], "gradio": []}
    with tempfile.TemporaryDirectory() as folder:
        store(Path(folder))
        for number in range(options.repeats):
            pages["gradio"].append(page(["-c", EMPTY_PAGE, "{port}"]))
            pages["coach"].append(page(["-m", "coach", "--no-browser", "--port", "{port}"]))
            for role in ROLES:
                command = [sys.executable, "-m", "benchmarks.speed", "--role", role, "--store", folder]
                command += ["--model", options.model, "--turns", str(options.turns)]
                run = subprocess.run(command, check=True, capture_output=True, text=True)
                runs[role].append(json.loads(run.stdout.splitlines()[-1]))
                print(
                    f"run {number + 1}, {role}: {runs[role][-1]['first'][-1]:.1f} s in the last turn", file=sys.stderr
                )
    figures = summed(runs, pages)
    for name, figure in figures.items():
        print(f"{name:<80}{figure}")
    if options.json:
        options.json.write_text(json.dumps({"figures": figures, "runs": runs, "pages": pages}, indent=1))


def summed(runs: dict[str, list[dict[str, Any]]], pages: dict[str, list[float]]) -> dict[str, Any]:
    """Medians over the repeats, and ratios of them."""

    def middle(role: str, name: str) -> Any:
        found = [run[name] for run in runs[role]]
        if isinstance(found[0], list):
            return [round(statistics.median(column), 2) for column in zip(*found, strict=True)]
        return round(statistics.median(found), 2)

    coach, chain = middle("coach", "first"), middle("chain", "first")
    new, prompt_rate = middle("coach", "evaluated"), middle("raw", "prompt_rate")
    ideal = [tokens / prompt_rate + 0.15 for tokens in new]
    return {
        "first token by turn, coach, s": coach,
        "first words by turn, coach, s": middle("coach", "words"),
        "first token by turn, chain, s": chain,
        "tokens in the prompt by turn, coach": middle("coach", "prompt"),
        "of these evaluated": new,
        "tokens in the prompt by turn, chain": middle("chain", "prompt"),
        "last turn, coach / chain": round(coach[-1] / chain[-1], 2),
        "mean from the second turn, coach / chain": round(statistics.mean(coach[1:]) / statistics.mean(chain[1:]), 2),
        "coach / (new tokens at the raw rate + 0.15 s), the first turn with its loading": round(coach[0] / ideal[0], 2),
        "the same, mean from the second turn": round(statistics.mean(coach[1:]) / statistics.mean(ideal[1:]), 2),
        "start to first token, coach and chain, s": [middle("coach", "start"), middle("chain", "start")],
        "start to first token, coach / chain": round(middle("coach", "start") / middle("chain", "start"), 2),
        "prompt rate, raw, tokens/s": prompt_rate,
        "decode rate, coach, chain and raw, tokens/s": [middle(role, "decode_rate") for role in ROLES],
        "decode rate, coach / raw": round(middle("coach", "decode_rate") / middle("raw", "decode_rate"), 2),
        "resident at the end, coach and chain, MB": [middle("coach", "resident"), middle("chain", "resident")],
        "peak, coach and chain, MB": [middle("coach", "peak"), middle("chain", "peak")],
        "resident, coach / chain": round(middle("coach", "resident") / middle("chain", "resident"), 2),
        "start to page, coach and an empty Gradio page, s": [
            round(statistics.median(pages[name]), 2) for name in ("coach", "gradio")
        ],
    }


# --- the three, each in a process of its own ------------------------------------------------------------------


def coach_run(model: str, turns: int, _: Path) -> dict[str, Any]:
    """A conversation with the coach."""
    from coach import Coach, Done, Token

    begun = psutil.Process().create_time()
    coach = Coach.open(model=model)
    threading.Thread(target=coach.warm, daemon=True).start()  # as the page does
    found: dict[str, Any] = {"first": [], "words": [], "prompt": [], "evaluated": []}
    written, seconds, conversation, start = 0, 0.0, None, 0.0
    for question in QUESTIONS[:turns]:
        asked, words = time.time(), 0.0
        for event in coach.reply(question, conversation):
            if isinstance(event, Token):
                words = words or time.time() - asked
            elif isinstance(event, Done):
                reply, ended = event.reply, time.time()
        conversation, usage = reply.conversation, reply.usage
        assert usage is not None
        token = ended - usage.decode_seconds  # gates, search, the check's preparation and the reading are over
        start = start or token - begun
        found["first"].append(token - asked)
        found["words"].append(words)
        found["prompt"].append(usage.prompt_tokens)
        found["evaluated"].append(usage.evaluated_tokens)
        written, seconds = written + usage.written_tokens, seconds + usage.decode_seconds
    return found | {"start": start, "decode_rate": written / seconds} | memory()


def chain_run(model: str, turns: int, folder: Path) -> dict[str, Any]:
    """The same questions to the usual chain."""
    begun = psutil.Process().create_time()
    import chromadb
    from llama_cpp import Llama
    from sentence_transformers import SentenceTransformer

    settings = configuration.load()
    encoder = SentenceTransformer(str(settings.models_dir / "all-minilm-l6-v2"))
    collection = chromadb.PersistentClient(path=str(folder)).get_collection("guide")
    engine = Llama(str(model_file(model)), n_ctx=MAX_CONTEXT, n_batch=512, verbose=False)
    found: dict[str, Any] = {"first": [], "prompt": []}
    history: list[Any] = []
    written, seconds, start = 0, 0.0, 0.0
    for question in QUESTIONS[:turns]:
        asked = time.time()
        nearest = collection.query(query_embeddings=encoder.encode([question]), n_results=4)
        context = "\n\n".join((nearest["documents"] or [[]])[0])
        history.append({"role": "user", "content": question})
        prompt = [{"role": "system", "content": PROMPT.format(context=context)}, *history]
        said, first, pieces = "", 0.0, 0
        for piece in engine.create_chat_completion(prompt, max_tokens=ANSWER, temperature=0.3, stream=True):
            text = piece["choices"][0]["delta"].get("content", "")
            first = first or (time.time() if text else 0.0)
            said, pieces = said + text, pieces + bool(text)
        start = start or first - begun
        found["first"].append(first - asked)
        found["prompt"].append(engine.n_tokens - pieces)
        written, seconds = written + pieces, seconds + time.time() - first
        history.append({"role": "assistant", "content": said})
    return found | {"start": start, "decode_rate": written / seconds} | memory()


def raw_run(model: str, turns: int, _: Path) -> dict[str, Any]:
    """Reading and writing in steps as the coach does, with nothing but llama.cpp."""
    import llama_cpp

    engine = llama_cpp.Llama(
        str(model_file(model)), n_ctx=MAX_CONTEXT, n_batch=512, n_threads=psutil.cpu_count(logical=False), verbose=False
    )
    context, sampler = engine.ctx, llama_cpp.llama_sampler_init_greedy()
    tokens = iter(engine.tokenize(guide_text().encode("utf-8")))
    engine.eval(_next(tokens, 450))  # the opening
    reading, writing, read, wrote, first = 0.0, 0.0, 0, 0, []
    for _turn in range(turns):
        started = time.perf_counter()
        engine.eval(_next(tokens, 220))
        first.append(time.perf_counter() - started)
        reading, read, started = reading + first[-1], read + 220, time.perf_counter()
        for _token in range(ANSWER):
            token = llama_cpp.llama_sampler_sample(sampler, context, -1)
            batch = llama_cpp.llama_batch_get_one((llama_cpp.llama_token * 1)(token), 1)
            llama_cpp.llama_decode(context, batch)
        writing, wrote = writing + time.perf_counter() - started, wrote + ANSWER
    return {"first": first, "prompt_rate": read / reading, "decode_rate": wrote / writing} | memory()


ROLES = {"coach": coach_run, "chain": chain_run, "raw": raw_run}


def store(folder: Path) -> None:
    """The chain's index, made beforehand."""
    import chromadb
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(configuration.load().models_dir / "all-minilm-l6-v2"))
    text = guide_text()
    chunks = [text[at : at + 1000] for at in range(0, len(text), 800)]
    collection = chromadb.PersistentClient(path=str(folder)).create_collection("guide")
    collection.add(ids=list(map(str, range(len(chunks)))), documents=chunks, embeddings=encoder.encode(chunks))


def page(arguments: list[str]) -> float:
    """Seconds from a program's start until its page answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    command = [
        sys.executable,
        *(argument.format(port=port) if argument == "{port}" else argument for argument in arguments),
    ]
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                        answer.read()
                    return time.perf_counter() - started
                except OSError:
                    time.sleep(0.03)
        finally:
            process.terminate()


def memory() -> dict[str, float]:
    """Megabytes, resident now and at the peak."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"resident": psutil.Process().memory_info().rss / 1e6, "peak": peak * 1.048576}


def guide_text() -> str:
    """The coach's guide in one piece."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(configuration.BUILT_IN.glob("*.md")))


def model_file(model: str) -> Path:
    """The file of a model of the catalog."""
    from coach.llm import catalog

    return configuration.load().models_dir / catalog.by_name(model).files[0].path


def _next(tokens: Iterator[int], count: int) -> list[int]:
    return [next(tokens) for _ in range(count)]


if __name__ == "__main__":
    main()
