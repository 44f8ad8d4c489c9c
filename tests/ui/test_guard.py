from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coach.ui.guard import Guard

HOST = ("host", "127.0.0.1:7860")


def status(
    path: str = "/", method: str = "GET", query: str = "", headers: tuple[tuple[str, str], ...] = (HOST,)
) -> int:
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    raw = [(k.encode(), v.encode()) for k, v in headers]
    scope = {"type": "http", "path": path, "method": method, "query_string": query.encode(), "headers": raw}
    asyncio.run(Guard(app)(scope, receive, send))
    if sent[0]["status"] == 200:
        assert b"default-src 'self'" in dict(sent[0]["headers"])[b"content-security-policy"]
    return int(sent[0]["status"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "127.0.0.1"])
def test_the_page_itself_is_served(host: str) -> None:
    assert status(headers=(("host", host), ("origin", f"http://{host}"), ("sec-fetch-site", "same-origin"))) == 200


@pytest.mark.parametrize(
    "headers",
    [
        (("host", "evil.example"),),
        (("host", "127.0.0.1.evil.example:7860"),),
        (("host", ""),),
        (HOST, ("origin", "http://evil.example")),
        (HOST, ("origin", "null")),
        (HOST, ("origin", "http://127.0.0.1:9999")),
        (HOST, ("sec-fetch-site", "cross-site")),
    ],
)
def test_others_are_refused(headers: tuple[tuple[str, str], ...]) -> None:
    assert status("/gradio_api/queue/join", "POST", headers=headers) == 403


@pytest.mark.parametrize("path", ["/gradio_api/file=https://evil.example", "/gradio_api/proxy=x", "/gradio_api/upload"])
def test_the_server_fetches_and_takes_nothing(path: str) -> None:
    assert status(path) == 403


def test_a_link_from_elsewhere_may_open_the_page_only() -> None:
    arrive = (HOST, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"))
    assert status("/", headers=arrive) == 200
    assert status("/gradio_api/info", headers=arrive) == 403
