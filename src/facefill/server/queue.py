"""The bounded queue in front of the networks, and the worker threads that serve it.

Every thread does one step of some request at a time: look, run, or finish. Running takes the crops of all requests
that are ready into one call, shared out among the threads. All threads share the networks: the processor's cores go to
whichever request is being computed, all of them to a single one.
"""

import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from facefill.runtime.engine import thread_count
from facefill.runtime.finder import Face
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import load
from facefill.runtime.plan import Plan
from facefill.server.errors import Refused
from facefill.server.jobs import Answer, PhotoRequest, finish, look
from facefill.server.settings import Settings
from facefill.server.telemetry import Metrics
from facefill.threads import once

BATCH = 8
"""Most requests looked at ahead, so that their crops can share a call of the model; it bounds the memory of decoded
photos."""
MOST_WORKERS = 4
"""Requests that are worked on at a time. Each takes about 100 MB for compiled networks."""

Loader = Callable[[str], Inpainter]
"""Gives the inpainter of a method."""


@dataclass(frozen=True)
class _Ready:
    """A request that waits for the model."""

    job: PhotoRequest
    plan: Plan

    @property
    def crops(self) -> int:
        return len(self.plan.tasks)


class RequestQueue:
    """Requests in the order they came, and the worker threads that answer them."""

    def __init__(self, settings: Settings, metrics: Metrics, load_method: Loader, workers: int) -> None:
        self._settings, self._metrics, self._load = settings, metrics, load_method
        self._new: deque[PhotoRequest] = deque()
        self._ready: list[_Ready] = []
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
        return len(self._new) + len(self._ready)

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
        while (step := self._next()) is not None:
            try:
                if isinstance(step, PhotoRequest):
                    self._look(step)
                else:
                    self._run(step)
            finally:
                with self._change:
                    self._busy -= 1
                    self._change.notify_all()

    def _next(self) -> PhotoRequest | list[_Ready] | None:
        """What to do next; None at the end."""
        with self._change:
            while True:
                self._drop_gone()
                step = self._choose()
                if step is not None:
                    self._busy += 1
                    return step
                if self._closed and not self._busy:
                    return None
                self._change.wait()

    def _choose(self) -> PhotoRequest | list[_Ready] | None:
        pixels = sum(ready.plan.mask.size for ready in self._ready)
        enough = len(self._ready) >= BATCH or pixels >= self._settings.max_pixels
        if self._ready and (enough or not self._new):
            key = self._ready[0].job.key
            alike = [ready for ready in self._ready if ready.job.key == key]
            share = math.ceil(sum(ready.crops for ready in alike) / len(self._threads))
            taken: list[_Ready] = []
            crops = 0
            while alike and (not taken or crops + alike[0].crops <= share):
                taken.append(alike.pop(0))
                crops += taken[-1].crops
            self._ready = [ready for ready in self._ready if ready not in taken]
            return taken
        return self._new.popleft() if self._new else None

    def _drop_gone(self) -> None:
        for job in [*self._new, *(ready.job for ready in self._ready)]:
            if job.gone:
                self._end(job)
        self._new = deque(job for job in self._new if not job.gone)
        self._ready = [ready for ready in self._ready if not ready.job.gone]

    def _look(self, job: PhotoRequest) -> None:
        job.enter("looking")
        try:
            seen: Plan | Answer | BaseException = look(job, self._load(job.method), self._settings)
        except BaseException as error:
            seen = error
        if not isinstance(seen, Plan):
            self._end(job, seen)
            return
        job.enter("waiting")
        with self._change:
            self._ready.append(_Ready(job, seen))
            self._change.notify()

    def _run(self, batch: list[_Ready]) -> None:
        """One call of the model for all crops of a batch; where that fails, each request for itself."""
        method, seed, samples = batch[0].job.key
        for ready in batch:
            ready.job.enter("completing")
        try:
            inpainter, plans = self._load(method), [ready.plan for ready in batch]
            drawn = inpainter.run(plans, seed=seed, samples=len(samples), first=samples.start)
        except BaseException as error:
            if len(batch) == 1:
                self._end(batch[0].job, error)
                return
            for ready in batch:
                self._run([ready])
            return
        self._metrics.batches.observe(len(batch))
        self._metrics.crops.labels(method).inc(sum(ready.crops for ready in batch))
        for ready, one in zip(batch, drawn, strict=True):
            if ready.job.gone:
                self._end(ready.job)
                continue
            ready.job.enter("writing")
            try:
                self._end(ready.job, finish(ready.job, ready.plan, one, inpainter, self._settings.signature))
            except BaseException as error:
                self._end(ready.job, error)

    def _end(self, job: PhotoRequest, result: Answer | BaseException | None = None) -> None:
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
            job.answer.set_result(result) if isinstance(result, Answer) else job.answer.set_exception(result)


# ---- the networks


def open_queue(settings: Settings, metrics: Metrics) -> RequestQueue:
    """A queue on the runtime's networks; the default ones are loaded now, other methods when first asked for.

    Raises InputError where the weights or the device are not there.
    """
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
