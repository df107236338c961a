"""The bounded queue in front of the networks, and the worker threads that serve it.

Each thread answers one request at a time. All share the networks: the processor's cores go to whichever request is
being computed, all of them to a single one.
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from starlette.responses import Response

from facefill.runtime.engine import thread_count
from facefill.runtime.finder import Face
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import load
from facefill.server.errors import Refused
from facefill.server.jobs import PhotoRequest, answer
from facefill.server.settings import Settings
from facefill.server.telemetry import Metrics
from facefill.threads import once

MOST_WORKERS = 4
"""Requests that are worked on at a time. Each takes about 100 MB for compiled networks."""


class RequestQueue:
    """Requests in the order they came, and the worker threads that answer them."""

    def __init__(
        self, settings: Settings, metrics: Metrics, load_method: Callable[[str], Inpainter], workers: int
    ) -> None:
        self._settings, self._metrics, self._load = settings, metrics, load_method
        self._new: deque[PhotoRequest] = deque()
        self._busy = 0
        self._pace_s = 0.5
        self._closed = False
        self._change = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"worker-{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    # ---- from the outside

    def put(self, job: PhotoRequest) -> None:
        """Queue up. Raises Refused: 429 where the queue is full, 503 where the server stops."""
        with self._change:
            if self._closed:
                raise Refused(503, "a running server", "one that stops", "send it again when it is back", 30)
            if len(self._new) >= self._settings.most_waiting:
                wait_s = min(60, max(1, math.ceil(self._pace_s * len(self._new) / len(self._threads))))
                most = f"at most {self._settings.most_waiting} waiting requests"
                raise Refused(429, most, "one more", "send it again later", wait_s)
            self._new.append(job)
            self._change.notify()

    def ahead(self, job: PhotoRequest) -> int:
        """Number of requests before this one."""
        with self._change:
            return self._new.index(job) if job in self._new else 0

    def wait_s(self, ahead: int) -> float:
        """Estimated seconds until a request with this many before it is looked at, from the last ones' times."""
        return round(self._pace_s * ahead / len(self._threads), 1)

    def inpainter(self) -> Inpainter:
        """The inpainter of the default method."""
        return self._load("swift")

    def waiting(self) -> int:
        return len(self._new)

    def working(self) -> int:
        return self._busy

    def close(self) -> None:
        """Accept nothing more, answer all waiting requests, and stop."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join(self._settings.grace_s)

    # ---- the threads

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                result: Response | BaseException | None = answer(
                    job, self._load(job.method), self._settings, self._metrics
                )
            except BaseException as error:
                result = error
            self._end(job, result)
            with self._change:
                self._busy -= 1

    def _next(self) -> PhotoRequest | None:
        """The next request; None at the end."""
        with self._change:
            while not self._new:
                if self._closed:
                    return None
                self._change.wait()
            self._busy += 1
            return self._new.popleft()

    def _end(self, job: PhotoRequest, result: Response | BaseException | None = None) -> None:
        """Answer a request, or forget one whose client went away."""
        job.upload.release()
        job.enter("done")
        for stage, spent_ms in job.times.items():
            self._metrics.stages.labels(stage).observe(spent_ms / 1e3)
        spent_s = sum(spent for stage, spent in job.times.items() if stage != "waiting") / 1e3
        self._pace_s += 0.1 * (spent_s - self._pace_s)
        if result is None:
            job.answer.cancel()
        elif job.answer.set_running_or_notify_cancel():
            job.answer.set_result(result) if isinstance(result, Response) else job.answer.set_exception(result)


# ---- the networks


def open_queue(settings: Settings, metrics: Metrics) -> RequestQueue:
    """A queue on networks: the default ones are loaded now, others when asked for. Raises InputError as `load`."""
    threads = thread_count(settings.threads)
    options: dict[str, Any] = {"device": settings.device, "threads": threads, "exact": settings.exact}
    finder, cover = once(partial(open_finder, **options)), once(partial(open_cover, **options))

    @once
    def load_method(method: str) -> Inpainter:
        return Inpainter(load(method, **options), finder, cover)

    workers = min(threads, MOST_WORKERS)
    with ThreadPoolExecutor(workers) as pool:  # as many at once as there will be: each compiles its own
        list(pool.map(_warm, [load_method("swift")] * workers))
    return RequestQueue(settings, metrics, load_method, workers)


def _warm(inpainter: Inpainter) -> None:
    """Compile the networks for the usual sizes now, and not while the first visitor waits."""
    for height, width in ((480, 640), (640, 480), (640, 640)):
        inpainter.finder().find(np.zeros((height, width, 3), np.uint8))
    faces = np.zeros((1, 256, 256, 3), np.uint8)
    points = np.array([[97.0, 121], [159, 121], [128, 160], [103, 190], [153, 190]])
    inpainter.cover().find(faces[0], [Face((60.0, 40.0, 200.0, 250.0), points, 1.0)])
    inpainter.model.complete(faces, np.ones((1, 256, 256), bool))
