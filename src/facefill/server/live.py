"""A live camera: frames come over a WebSocket, and go back with the covers taken off."""

import asyncio
import json
import time
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from facefill.errors import InputError
from facefill.files.photo import encode_picture, read_photo
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.pace import Pace
from facefill.runtime.stream import Seen, Stream, StreamFrame
from facefill.server.settings import Settings

MOST_LIVE = 4
"""Cameras at one time."""
MOST_PIXELS = 2_100_000
"""Largest frame."""
MOST_BYTES = 4_000_000
"""Largest file of a frame."""
QUALITY = 90
"""JPEG quality of the frames that go back."""
PROTOCOL = "facefill"
"""The WebSocket's subprotocol. Beside it a client may name "token." and the server's token in URL-safe base64, since
browsers send no Authorization with a WebSocket."""


class Live:
    """The cameras of one server."""

    def __init__(self, settings: Settings, inpainter: Inpainter) -> None:
        self._settings, self._inpainter = settings, inpainter
        self.count = 0

    async def serve(self, socket: WebSocket) -> None:
        """One camera: for each binary message, a picture file of at most 2.1 megapixels, a text message
        {"faces", "completed", "drawn", "too_covered", "ms"} and a binary one, the JPEG.

        Closes with 1013 where too many cameras run, 1003 for what is no picture, 1000 after a long silence.
        """
        await socket.accept(subprotocol=PROTOCOL)
        if self.count >= MOST_LIVE:
            await socket.close(1013, f"at most {MOST_LIVE} cameras at one time")
            return
        self.count += 1
        try:
            await self._answer(socket)
        except (WebSocketDisconnect, TimeoutError):
            await _close(socket, 1000, "nothing came")
        except InputError as error:
            await _close(socket, 1003, str(error)[:100])
        finally:
            self.count -= 1

    async def _answer(self, socket: WebSocket) -> None:
        """The next frame is looked at while one is completed."""
        inpainter = self._inpainter
        networks = inpainter.finder(), inpainter.cover(), inpainter.model
        stream = Stream(*networks, pace=Pace(), quick=inpainter.camera())
        filling: asyncio.Task[None] | None = None
        try:
            while True:
                async with asyncio.timeout(self._settings.quiet_s):
                    message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                data = message.get("bytes")
                if not data:
                    raise InputError("a picture", "text", "send each frame as a binary message")
                start = time.perf_counter()
                seen = await asyncio.to_thread(_look, stream, data)
                if filling is not None:
                    await filling
                filling = asyncio.create_task(self._fill(socket, stream, seen, start))
        finally:
            if filling is not None and not filling.done():
                filling.cancel()

    async def _fill(self, socket: WebSocket, stream: Stream, seen: Seen, start: float) -> None:
        frame, coded = await asyncio.to_thread(_complete, stream, seen)
        ms = round((time.perf_counter() - start) * 1e3, 1)
        said = {name: getattr(frame, name) for name in ("faces", "completed", "drawn", "too_covered")} | {"ms": ms}
        async with asyncio.timeout(self._settings.answer_s):
            await socket.send_text(json.dumps(said))
            await socket.send_bytes(coded)


def _look(stream: Stream, data: bytes) -> Seen:
    return stream.look(read_photo(data, max_pixels=MOST_PIXELS, max_bytes=MOST_BYTES).pixels)


def _complete(stream: Stream, seen: Seen) -> tuple[StreamFrame, bytes]:
    frame = stream.fill(seen)
    return frame, encode_picture(frame.pixels, "JPEG", QUALITY)


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(RuntimeError):  # the client closed it before
        await socket.close(code, reason)
