"""Completes a stream of photos: one reads, one completes, one writes, at the same time."""

from __future__ import annotations

import hashlib
import io
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facefill.batch.folder import LocalFolder, NoRoom
from facefill.batch.job import Item, Job, open_places
from facefill.batch.manifest import Line, hash_sources
from facefill.catalog import find_weights
from facefill.errors import InputError
from facefill.imaging.masks import read_mask
from facefill.imaging.photo import Photo, encode_photo, read_photo
from facefill.runtime.cover import Cover
from facefill.runtime.engine import load_engine
from facefill.runtime.finder import Face, Finder
from facefill.runtime.inpainter import Inpainter, Result
from facefill.runtime.model import load
from facefill.runtime.plan import Plan

TOGETHER = 8
"""Photos whose faces go to the model in one call, at most; as many as are read, without waiting."""
MOST_PX = 48_000_000
"""Of the photos that a worker holds at a time, unless one alone has more."""
NETWORK_HANDS = 4
"""Threads that read, and that write, where a store is far away: they mostly wait."""


def share_threads(threads: int) -> tuple[int, int]:
    """How many of a worker's threads run networks, and how many decode and encode.

    With one, they take turns: both numbers are 1 and `Worker` lets only one run at a time.
    """
    codecs = max(1, threads // 4)
    return max(1, threads - codecs), codecs


@dataclass
class _Work:
    """A photo on its way through the worker."""

    item: Item
    line: Line
    source: Photo | None = None
    mask: NDArray[np.bool_] | None = None
    plan: Plan | None = None
    result: Result | None = None
    px: int = 0
    ended: bool = False
    """Its line is final."""


class _Watched:
    """A finder that remembers how many faces it found last: a photo that is refused says so too."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self.found = 0

    def find(self, photo: NDArray[np.uint8]) -> list[Face]:
        faces = self._finder.find(photo)
        self.found = len(faces)
        return faces


class Worker:
    """Loaded networks and open folders; completes any number of streams, one after the other.

    threads: how many may compute at a time. Raises InputError as `facefill.load` does.
    """

    def __init__(self, job: Job, threads: int) -> None:
        self.job = job
        self._source, self._target, self._masks = open_places(job)
        networks, codecs = share_threads(threads)
        turns = threading.Semaphore(codecs)
        self._codec_turn: Any = turns
        self._network_turn: Any = turns if threads == 1 else nullcontext()
        self._room = _Room(MOST_PX)
        self._readers = codecs if isinstance(self._source, LocalFolder) else NETWORK_HANDS
        self._writers = codecs if isinstance(self._target, LocalFolder) else NETWORK_HANDS

        def helper(name: str) -> Any:
            return load_engine(find_weights(name)[0], device=job.device, threads=networks, exact=job.exact)

        self._finder = _Watched(Finder(helper("finder")))
        model = load(job.method, device=job.device, threads=networks, exact=job.exact)
        self._inpainter = Inpainter(model, lambda: self._finder, lambda: Cover(helper("cover")))  # type: ignore[arg-type,return-value]

    def complete(self, items: Iterable[Item]) -> Iterator[Line]:
        """A line for each photo, in the order in which they are done. What goes wrong with one is in its line.

        items: taken as they are needed; the iterator may wait.
        """
        read: queue.Queue[_Work | None] = queue.Queue(TOGETHER)
        done: queue.Queue[_Work | None] = queue.Queue(TOGETHER)
        lines: queue.Queue[Line | None] = queue.Queue(TOGETHER)
        taking, source = threading.Lock(), iter(items)

        def readers() -> None:
            while True:
                with taking:
                    item = next(source, None)
                if item is None:
                    return
                read.put(self._step(self._read, _Work(item, self._blank(item))))

        def completer() -> None:
            while (batch := _take(read)) is not None:
                for work in self._draw(batch):
                    done.put(work)

        def writers() -> None:
            while (work := done.get()) is not None:
                work = self._step(self._write, work)
                self._room.leave(work.px)
                lines.put(work.line)

        _start(readers, self._readers, lambda: read.put(None))
        _start(completer, 1, partial(_put_ends, done, self._writers))
        _start(writers, self._writers, lambda: lines.put(None))
        yield from iter(lines.get, None)

    def _blank(self, item: Item) -> Line:
        job = self.job
        return Line(item.name, "failed", stamp=item.stamp, method=job.method, model_sha256=job.model_sha256,
                    seed=job.seed, recipe=job.recipe)

    def _step(self, step: Callable[[_Work], None], work: _Work) -> _Work:
        """Do a step of a photo, or write down why not."""
        if work.ended:
            return work
        try:
            step(work)
        except NoRoom as error:
            _end(work, status="full", reason=str(error))
        except InputError as error:
            _end(work, status="failed", reason=str(error))
        except Exception as error:  # our bug, or a library's: the other photos go on, and the line says it
            print(f"{work.item.name}: {traceback.format_exc()}", file=sys.stderr, flush=True)
            _end(work, status="failed", reason=f"a bug: {type(error).__name__}: {error}")
        return work

    def _read(self, work: _Work) -> None:
        item = work.item
        if item.problem:
            raise InputError("a photo", item.problem, "mend it or leave it out with --exclude")
        data = self._source.read(item.name)
        mask = self._masks.read(item.mask) if self._masks and item.mask else None
        with self._codec_turn, _timed(work):
            sources = hashlib.sha256(data).hexdigest(), hashlib.sha256(mask).hexdigest() if mask else ""
            work.line = replace(work.line, source_sha256=sources[0], mask_sha256=sources[1])
            if item.sources is not None and hash_sources(*sources) == item.sources:
                return _end(work, status="unchanged")
            work.source = read_photo(data)
            if self._masks:
                work.mask = _decode_mask(mask, work.source)
        work.px = work.source.pixels.size // 3
        self._room.enter(work.px)
        return None

    def _draw(self, batch: list[_Work]) -> list[_Work]:
        """Find and complete the faces of some photos together."""
        with self._network_turn:
            for work in batch:
                self._step(self._plan, work)
            able = [work for work in batch if work.plan]
            try:
                start = time.perf_counter()
                patches = self._inpainter.run([work.plan for work in able if work.plan], seed=self.job.seed)
                each_s = (time.perf_counter() - start) / max(1, len(able))
            except Exception:  # one of them; alone each says for itself
                each_s, patches = 0.0, [np.empty(0, np.uint8)] * len(able)
            for work, drawn in zip(able, patches, strict=True):
                work.line = replace(work.line, seconds=work.line.seconds + each_s)
                self._step(partial(self._finish, patches=drawn), work)
        return batch

    def _plan(self, work: _Work) -> None:
        assert work.source
        with _timed(work):
            self._finder.found = 0
            try:
                if work.mask is None:
                    work.plan = self._inpainter.plan_unmask(work.source, large_hole=self.job.large_hole)
                else:
                    work.plan = self._inpainter.plan_complete(work.source, work.mask, large_hole=self.job.large_hole)
            except InputError as error:
                _end(work, status="refused", reason=str(error), faces_found=self._finder.found,
                     faces_refused=tuple(error.got.split("; ")) if self._finder.found else ())

    def _finish(self, work: _Work, patches: NDArray[np.uint8]) -> None:
        assert work.plan
        with _timed(work):
            if not patches.size:
                patches = self._inpainter.run([work.plan], seed=self.job.seed)[0]
            work.result = self._inpainter.finish(work.plan, patches[:, 0], seed=self.job.seed)
        faces = work.result.faces
        work.line = replace(
            work.line, faces_found=len(faces), faces_completed=sum(bool(face.missing.any()) for face in faces),
            faces_refused=tuple("; ".join(face.warnings) for face in faces if face.warnings),
            hole_share=round(float(work.result.mask.mean()), 6),
        )
        work.plan = work.mask = None

    def _write(self, work: _Work) -> None:
        assert work.result
        result = work.result
        with self._codec_turn, _timed(work):
            data, notes = encode_photo(result.source, result.photo, result.mask, provenance=result.provenance)
            notes = (*result.source.notes, *notes)
            digest = hashlib.sha256(data).hexdigest()
        self._target.write(work.item.name, data)
        work.line = replace(work.line, status="completed", result_sha256=digest, warnings=notes)


class _Room:
    """Lets photos in while they have no more than so many pixels together."""

    def __init__(self, most_px: int) -> None:
        self._most, self._used, self._changed = most_px, 0, threading.Condition()

    def enter(self, px: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + px <= self._most)
            self._used += px

    def leave(self, px: int) -> None:
        with self._changed:
            self._used -= px
            self._changed.notify_all()


class _timed:
    """Adds what the block takes to the photo's seconds."""

    def __init__(self, work: _Work) -> None:
        self._work, self._start = work, time.perf_counter()

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = time.perf_counter() - self._start
        self._work.line = replace(self._work.line, seconds=round(self._work.line.seconds + spent, 4))


def _end(work: _Work, **said: Any) -> None:
    work.line = replace(work.line, **said)
    work.ended = True
    work.source = work.mask = work.plan = work.result = None


def _take(waiting: queue.Queue[_Work | None]) -> list[_Work] | None:
    """What is there, up to `TOGETHER`; waits for the first only. None: nothing more will come."""
    first = waiting.get()
    if first is None:
        return None
    batch = [first]
    while len(batch) < TOGETHER:
        try:
            work = waiting.get_nowait()
        except queue.Empty:
            break
        if work is None:
            waiting.put(None)
            break
        batch.append(work)
    return batch


def _start(work: Callable[[], None], count: int, finish: Callable[[], object]) -> None:
    """Run it in so many threads; the last one to end calls `finish`."""
    left = [count]
    guard = threading.Lock()

    def run() -> None:
        try:
            work()
        finally:
            with guard:
                left[0] -= 1
                last = not left[0]
            if last:
                finish()

    for _ in range(count):
        threading.Thread(target=run, daemon=True).start()


def _put_ends(waiting: queue.Queue[_Work | None], count: int) -> None:
    for _ in range(count):
        waiting.put(None)


def _decode_mask(data: bytes | None, photo: Photo) -> NDArray[np.bool_]:
    if data is None:
        raise InputError("a mask for the photo", "none in --mask-dir", "add one of the same name, or with .png")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return read_mask(picture, photo.pixels.shape[:2])
    except InputError:
        raise
    except (OSError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError("a whole mask picture", f"damaged ({error})", "save it again as PNG") from None
