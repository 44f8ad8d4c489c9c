"""Keeps the page to this machine and to itself: a small ASGI middleware around everything that is served.

A server on 127.0.0.1 is reachable by every web page that the browser has open. Host names that are not
loopback (DNS rebinding), requests that another site caused, uploads, and Gradio's own ways to make the
server fetch something are refused; the Content-Security-Policy keeps the page from loading or sending
anything elsewhere, whatever stands in a message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["POLICY", "Guard"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline'",  # Gradio's page starts from inline scripts
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' data: blob:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "frame-src 'none'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
]
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_FORBIDDEN = ("file=http", "file%3dhttp", "/proxy=", "/upload", "/stream/")


class Guard:
    """Refuses with 403 what does not come from the page itself, and adds the security headers."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket" or not _allowed(scope):
            await _refuse(scope, send)
            return

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [(k, v) for k, v in message.get("headers", []) if not k.lower().startswith(b"access-control-")]
                message["headers"] = [*kept, *_HEADERS]
            await send(message)

        await self._app(scope, receive, send_guarded)


def _allowed(scope: Scope) -> bool:
    headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
    host = headers.get("host", "")
    if urlsplit(f"//{host}").hostname not in _LOOPBACK:
        return False
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return False
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        # Following a link to the page from elsewhere is fine, using it from there is not.
        navigates = headers.get("sec-fetch-mode") == "navigate" and scope["method"] == "GET"
        if not (navigates and scope["path"] == "/"):
            return False
    target = scope["path"].lower() + "?" + scope.get("query_string", b"").decode("latin-1").lower()
    return not any(part in target for part in _FORBIDDEN)


async def _refuse(scope: Scope, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"This page answers only to itself."})
