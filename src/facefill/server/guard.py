"""Checks before every request: who may ask, what browsers may do with answers, and timeouts."""

import asyncio
import base64
import hmac
import re
import time
from typing import Any

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from facefill.server.errors import Refused, error_response
from facefill.server.settings import Settings, address_of, is_loopback
from facefill.server.telemetry import Metrics

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OPEN = ("/v1/health", "/v1/openapi.json")
"""Paths under /v1 that need no token."""
_ONCE = (b"host", b"origin", b"authorization", b"content-type", b"sec-fetch-site")
"""Headers that may come only once: a second one could contradict the one that was checked."""


class Guard:
    """ASGI middleware: strips the proxy's prefix, refuses strangers, adds headers, counts and times requests."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._settings, self._metrics, self._paths = app, settings, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        prefix = self._settings.root_path
        if prefix and scope["path"].startswith(f"{prefix}/"):  # a proxy may leave it on, or take it off
            scope = {**scope, "path": scope["path"].removeprefix(prefix)}
        if scope["type"] == "websocket":
            await self._pass_socket(scope, receive, send)
            return
        start, path = time.perf_counter(), scope["path"] if scope["path"] in self._paths else "other"

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                fields = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", []), *fields]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    message["headers"].append((b"cache-control", b"no-store"))
                self._metrics.answers.labels(path, message["status"]).inc()
            async with asyncio.timeout(self._settings.answer_s):
                await send(message)

        try:
            self._check(scope)
        except Refused as refused:
            await error_response(refused)(scope, receive, answer)
        else:
            app = RedirectResponse(f"{prefix}/") if prefix and scope["path"] == prefix else self._app
            await app(scope, receive, answer)
        self._metrics.seconds.labels(path).observe(time.perf_counter() - start)

    async def _pass_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same rules for a WebSocket: browsers let any page open one to any server, and name the page's Origin."""
        shown = next((name for name in scope["subprotocols"] if name.startswith("token.")), "")
        try:
            token = base64.urlsafe_b64decode(f"{shown.removeprefix('token.')}===")
        except ValueError:
            token = b""
        bearer = [(b"authorization", b"Bearer " + token)] if token else []
        try:
            self._check({**scope, "headers": [*scope["headers"], *bearer]})
        except Refused:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """Raises Refused: 400 for a name that is not this server's, 403 for another site's page, 401 without token.

        A page elsewhere must not reach a server through the visitor's own browser, neither by a form nor by a host name
        that is made to point here.
        """
        given: dict[bytes, str] = {}
        for key, value in scope["headers"]:
            if key in _ONCE and key in given:
                raise Refused(400, f"one {key.decode()} header", "several", "send one")
            given[key] = value.decode("latin-1")
        host = given.get(b"host", "")
        name = re.sub(r":\d+$", "", host).strip("[]").lower()
        known = is_loopback(name) or name == self._settings.host or name in self._settings.names
        if not known and (address_of(name) is None or self._settings.is_local):
            raise Refused(400, "a host name of this server", name[:80] or "none", "add it with --name")
        origin = given.get(b"origin", "")
        if given.get(b"sec-fetch-site") == "cross-site" or (origin and origin.partition("://")[2] != host):
            raise Refused(403, "a request from this server's own page", "one from another site", "open the page itself")
        path = scope["path"]
        if self._settings.token is None or not path.startswith("/v1/") or path in _OPEN:
            return
        shown = given.get(b"authorization", "").partition(" ")
        if shown[0].lower() != "bearer" or not hmac.compare_digest(shown[2].encode(), self._settings.token.encode()):
            fix = "send it as Authorization: Bearer TOKEN"
            raise Refused(401, "the server's token", "another one" if shown[2] else "none", fix)


def connections_that_time_out(quiet_s: float) -> type[H11Protocol]:
    """A protocol for uvicorn, which waits for ever: closes connections on which no whole request head comes in time."""

    class TimedOut(H11Protocol):
        deadline: asyncio.TimerHandle | None = None
        upgraded = False

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def handle_websocket_upgrade(self, event: Any) -> None:
            self.upgraded = True  # another protocol has the connection from here on
            super().handle_websocket_upgrade(event)

        def _watch(self) -> None:
            """Start the clock where a head is awaited, and stop it where a request is being answered."""
            if self.upgraded or (self.cycle is not None and not self.cycle.response_complete):
                if self.deadline is not None:
                    self.deadline.cancel()
                self.deadline = None
            elif self.deadline is None:
                self.deadline = self.loop.call_later(quiet_s, self._close_if_silent)

        def _close_if_silent(self) -> None:
            self.deadline = None
            if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
                self.transport.close()

    return TimedOut
