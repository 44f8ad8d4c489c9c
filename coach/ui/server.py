"""Serves the page on loopback: a free port, the guard around everything, the browser opened once it answers."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import webbrowser
from collections.abc import Callable

from coach.app import Coach
from coach.errors import SettingsError
from coach.ui.guard import Guard

__all__ = ["application", "free_socket", "serve"]

HOST = "127.0.0.1"
TRIES = 50  # ports looked at, from the one asked for upwards


def serve(coach: Coach, port: int, *, open_browser: bool, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        SettingsError: No port is free.
    """
    import uvicorn

    listening = free_socket(port)
    address = f"http://{HOST}:{listening.getsockname()[1]}"
    app = application(coach)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))

    def announce() -> None:
        while not server.started:
            time.sleep(0.02)
        say(f"The coach is at {address}. Ctrl-C ends it.")
        if open_browser:
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(address)

    threading.Thread(target=announce, daemon=True).start()
    try:
        server.run(sockets=[listening])
    finally:
        coach.close()


def application(coach: Coach) -> Guard:
    """The guarded ASGI application; the coach begins to warm up in the background."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_SHARE"):
        os.environ[name] = "False"
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for name in ("all_proxy", "http_proxy", "https_proxy"):  # nothing leaves the machine, and Gradio fails on some
        for spelled in (name, name.upper()):
            os.environ.pop(spelled, None)
    import gradio as gr
    from fastapi import FastAPI

    from coach.ui.page import CSS, HEAD, Page, theme

    page = Page(coach)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    blocks = page.build().queue(default_concurrency_limit=1)
    app = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        theme=theme(),
        css=CSS,
        head=HEAD,
        ssr_mode=False,
    )
    threading.Thread(target=page.warm, name="coach-warm", daemon=True).start()
    return Guard(app)


def free_socket(port: int) -> socket.socket:
    """A listening socket on loopback at `port`, or at the next free one above it.

    Raises:
        SettingsError: None of the next fifty ports is free.
    """
    for candidate in range(port, min(port + TRIES, 65536)):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, candidate))
            listening.listen(128)
            return listening
        except OSError:
            listening.close()
    raise SettingsError(f"No port from {port} on is free.", hint="Choose another one with --port.")
