"""A small server for the tests: tiny networks, a finder that was told where the faces are, two threads."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from facefill.files.photo import encode_picture
from facefill.runtime.finder import Face
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import Model, load
from facefill.server.app import Service, build_app
from facefill.server.guard import connections_that_time_out
from facefill.server.queue import RequestQueue
from facefill.server.settings import Settings
from facefill.server.telemetry import Metrics
from tests.faces import draw_photo
from tests.networks import write_inpainting
from tests.runtime.test_inpainter import Covers, FindsAt

LIMITS = {"max_bytes": 400_000, "max_pixels": 200_000}
PHOTO, LANDMARKS = draw_photo(220, 160, faces=1, seed=1)
PNG = encode_picture(PHOTO)


class Gate:
    """A finder that waits until it is let through, so that a test decides when work goes on."""

    def __init__(self) -> None:
        self.open, self.arrived = threading.Event(), threading.Semaphore(0)
        self.open.set()
        self.seen = 0

    def find(self, photo: np.ndarray) -> list[Face]:
        self.seen += 1
        self.arrived.release()
        assert self.open.wait(20)
        return FindsAt(LANDMARKS).find(photo)


def service(folder: Path, gate: Gate, *, workers: int = 2, model: Model | None = None, **limits: Any) -> Service:
    network = write_inpainting(folder / "tiny.onnx")
    cover: Any = Covers(slice(120, 220))
    finder: Any = gate

    @cache
    def load_method(method: str) -> Inpainter:
        loaded = model or load(network if method == "swift" else method, threads=1, exact=True)
        return Inpainter(loaded, lambda: finder, lambda: cover)

    def open_queue(settings: Settings, metrics: Metrics) -> RequestQueue:
        return RequestQueue(settings, metrics, load_method, workers)

    return Service(Settings(**limits), open_queue)


@contextmanager
def listening(made: Service) -> Iterator[tuple[int, Callable[[], None]]]:
    """A real server in a thread: its port, and how to ask it to stop."""
    config = uvicorn.Config(
        build_app(made.settings, made),
        port=0,
        ws="websockets-sansio",
        log_level="critical",
        http=connections_that_time_out(made.settings.quiet_s),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        server.should_exit = True

    try:
        yield port, stop
    finally:
        stop()
        thread.join(20)
        assert not thread.is_alive()


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def square_mask() -> bytes:
    mask = np.zeros(PHOTO.shape[:2], np.uint8)
    mask[60:110, 90:130] = 255
    return encode_picture(mask)
