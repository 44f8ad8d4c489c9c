"""What a conversation costs: time to the page, to the first words, tokens evaluated a turn, and memory.

    python -m benchmarks.turns [--model NAME] [--turns 6] [--page]

Six turns of one conversation, as a person would have it. "New" is what the turn added to the prompt; only
that should be evaluated. "First" is the time to the first sentence that a person sees, checked; "token" the
time to the model's first token.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import psutil

from coach import Coach, Done, Sources, Token

QUESTIONS = [
    "I lied to her about money for two years and she left. What do I do first?",
    "She says I do not even know what I am sorry for. How do I find the words?",
    "How long should I wait before I write to her?",
    "And what should the first message say?",
    "She answered just ok. What does it mean, should I write again?",
    "How can she ever trust me again with money?",
]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--page", action="store_true", help="also time the start of the page, and Gradio's own")
    options = parser.parse_args()
    if options.page:
        bare = statistics_of([import_gradio() for _ in range(3)])
        page = statistics_of([start_page() for _ in range(3)])
        print(f"import of Gradio alone {bare:.1f} s, start of the coach to its page {page:.1f} s (medians of 3)\n")
    peak = [0]
    done = threading.Event()
    threading.Thread(target=watch, args=(peak, done), daemon=True).start()
    started = time.perf_counter()
    coach = Coach.open(model=options.model)
    coach.warm()
    print(f"{coach.model_name or 'no model'}, ready after {time.perf_counter() - started:.1f} s")
    print("turn  prompt   new evaluated written  found  token  first  total  by")
    conversation = None
    before = coach_tokens(coach)
    for number in range(options.turns):
        asked = time.perf_counter()
        first = 0.0
        for event in coach.reply(QUESTIONS[number % len(QUESTIONS)], conversation):
            if isinstance(event, Token) and not first:
                first = time.perf_counter() - asked
            elif isinstance(event, Sources):
                found = time.perf_counter() - asked
            elif isinstance(event, Done):
                reply = event.reply
        conversation = reply.conversation
        usage = reply.usage
        if usage is not None:
            token = found + usage.prompt_seconds
            counts = (usage.prompt_tokens, usage.prompt_tokens - before, usage.evaluated_tokens, usage.written_tokens)
            seconds = "".join(f"{value:7.2f}" for value in (found, token, first, reply.timings.total))
            print(f"{number + 1:4} {counts[0]:7} {counts[1]:5} {counts[2]:9} {counts[3]:7}{seconds}  {reply.made_by}")
            before = usage.prompt_tokens
    done.set()
    print(f"memory: {psutil.Process().memory_info().rss / 1e6:,.0f} MB resident, {peak[0] / 1e6:,.0f} MB at its peak")
    coach.close()


def coach_tokens(coach: Coach) -> int:
    """Tokens of what every conversation begins with."""
    engine = coach.engine()
    return engine.count(coach.prompts.opening()) if engine else 0


def watch(peak: list[int], done: threading.Event) -> None:
    while not done.wait(0.05):
        peak[0] = max(peak[0], psutil.Process().memory_info().rss)


def statistics_of(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


def import_gradio() -> float:
    started = time.perf_counter()
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"}
    subprocess.run([sys.executable, "-c", "import gradio"], check=True, env=environment)
    return time.perf_counter() - started


def start_page() -> float:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, "-m", "coach", "--no-browser", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                        answer.read()
                    return time.perf_counter() - started
                except OSError:
                    time.sleep(0.05)
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
