"""Completes a stream of photos: some threads compute, while others wait for the disk or the network."""

import hashlib
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from facefill.arrays import U8
from facefill.batch.folder import LocalFolder, Unwritable
from facefill.batch.job import BatchJob, Item, open_places
from facefill.batch.manifest import Outcome, hash_sources
from facefill.errors import InputError, NothingCompleted
from facefill.files.mask import read_mask
from facefill.files.photo import encode_photo, read_photo
from facefill.runtime.draw import Drawn
from facefill.runtime.finder import Face
from facefill.runtime.helpers import open_cover, open_finder
from facefill.runtime.inpainter import Inpainter
from facefill.runtime.model import load
from facefill.runtime.plan import Plan

TOGETHER = 4
"""Most photos whose faces go to the model in one call; as many as have been read, without waiting."""
MOST_PX = 16_000_000
"""A thread that holds this many pixels decodes no further photo."""
IO_THREADS, FAR_IO_THREADS = 1, 4
"""Threads for reading, and for writing: they wait for a disk or a remote store."""


@dataclass
class _PhotoWork:
    """A photo on its way through the worker."""

    item: Item
    outcome: Outcome
    data: bytes = b""
    """The photo's file, then its result's."""
    mask: bytes = b""
    """The mask's file."""
    plan: Plan | None = None
    px: int = 0
    ended: bool = False
    """Its outcome is final."""


class _Networks:
    """The networks of one thread: two threads with a network each do more than one with two, as only the networks gain
    from a second thread, and not twice. Stands before the finder: a photo that is refused says how many faces it has.
    """

    def __init__(self, job: BatchJob) -> None:
        options: Any = {"device": job.device, "threads": 1, "exact": job.exact}
        self._finder, self.found = open_finder(**options), 0
        self.inpainter = Inpainter(load(job.method, **options), lambda: self, partial(open_cover, **options))

    def find(self, photo: U8) -> list[Face]:
        faces = self._finder.find(photo)
        self.found = len(faces)
        return faces


class Worker:
    """Loaded networks and open folders; completes any number of streams, one after the other.

    threads: how many compute at a time, each on photos of its own. Raises InputError as `facefill.load` does.
    """

    def __init__(self, job: BatchJob, threads: int) -> None:
        self.job = job
        self._source, self._target, self._masks = open_places(job)
        self._readers = IO_THREADS if isinstance(self._source, LocalFolder) else FAR_IO_THREADS
        self._writers = IO_THREADS if isinstance(self._target, LocalFolder) else FAR_IO_THREADS
        self._networks = [_Networks(job) for _ in range(threads)]
        self._traced: set[str] = set()
        """Tracebacks that have been printed, each once."""

    def complete(self, items: Iterable[Item]) -> Iterator[Outcome]:
        """What became of each photo, in the order in which they are done. What goes wrong with one is in its outcome.

        items: taken as they are needed; the iterator may wait.
        """
        read: queue.Queue[_PhotoWork | None] = queue.Queue(TOGETHER * len(self._networks))
        done: queue.Queue[_PhotoWork | None] = queue.Queue(TOGETHER)
        outcomes: queue.Queue[Outcome | None] = queue.Queue(TOGETHER)
        taking, source, networks = threading.Lock(), iter(items), list(self._networks)

        def readers() -> None:
            while True:
                with taking:
                    item = next(source, None)
                if item is None:
                    return
                read.put(self._step(self._read, _PhotoWork(item, item.failed(self.job))))

        def completers() -> None:
            nets = networks.pop()
            while (batch := _take(read)) is not None:
                for work in self._complete(nets, batch):
                    done.put(work)

        def writers() -> None:
            while (work := done.get()) is not None:
                outcomes.put(self._step(self._write, work).outcome)

        _start(readers, self._readers, partial(_put_ends, read, len(self._networks)))
        _start(completers, len(self._networks), partial(_put_ends, done, self._writers))
        _start(writers, self._writers, lambda: outcomes.put(None))
        yield from iter(outcomes.get, None)

    def _step(self, step: Callable[[_PhotoWork], None], work: _PhotoWork) -> _PhotoWork:
        """Do one step of a photo, or record why it failed."""
        if work.ended:
            return work
        try:
            step(work)
        except Unwritable as error:
            _end(work, status="unwritable", reason=error.got)
        except InputError as error:
            _fail(work, str(error))
        except Exception as error:  # our bug, or a library's: the other photos go on, and the outcome says it
            if (said := traceback.format_exc()) not in self._traced:
                self._traced.add(said)
                print(f"{work.item.name}: {said}", file=sys.stderr, flush=True)
            _fail(work, f"a bug: {type(error).__name__}: {error}")
        return work

    def _read(self, work: _PhotoWork) -> None:
        item = work.item
        if item.problem:
            raise InputError("a photo", item.problem, "mend it or leave it out with --exclude")
        work.data = self._source.read(item.name)
        work.mask = self._masks.read(item.mask) if self._masks and item.mask else b""
        source_sha, mask_sha = (hashlib.sha256(data).hexdigest() if data else "" for data in (work.data, work.mask))
        work.outcome = replace(work.outcome, source_sha256=source_sha, mask_sha256=mask_sha)
        if item.sources is not None and item.sources == hash_sources(source_sha, mask_sha, self.job.recipe):
            _end(work, status="unchanged")

    def _complete(self, nets: _Networks, batch: list[_PhotoWork]) -> Iterator[_PhotoWork]:
        """Decode some photos, complete their faces together, and encode each."""
        while batch:
            some: list[_PhotoWork] = []
            while batch and sum(work.px for work in some) < MOST_PX:
                some.append(self._step(partial(self._plan, nets), batch.pop(0)))
            able = [work for work in some if work.plan]
            plans = [work.plan for work in able if work.plan]
            try:
                start = time.perf_counter()
                drawn: list[Drawn | None] = list(nets.inpainter.run(plans, seed=self.job.seed))
                each_s = (time.perf_counter() - start) / max(1, len(able))
            except Exception:  # one of them; alone each says for itself
                each_s, drawn = 0.0, [None] * len(able)
            plans.clear()  # each photo goes once it is finished
            for work in able:
                work.outcome = replace(work.outcome, seconds=work.outcome.seconds + each_s)
                self._step(partial(self._finish, nets, drawn.pop(0)), work)
            yield from some

    def _plan(self, nets: _Networks, work: _PhotoWork) -> None:
        with _timed(work):
            source = read_photo(work.data)
            work.px = source.pixels.size // 3
            if self._masks and not work.mask:
                fix = "add one of the same name, or with .png"
                raise InputError("a mask for the photo", "none in --mask-dir", fix)
            mask = read_mask(work.mask, source.pixels.shape[:2]) if self._masks else None
            work.data = work.mask = b""
            nets.found = 0
            try:
                if mask is None:
                    kinds, large = self.job.covers, self.job.large_hole
                    work.plan = nets.inpainter.plan_unmask(source, covers=kinds, large_hole=large)
                else:
                    work.plan = nets.inpainter.plan_complete(source, mask, large_hole=self.job.large_hole)
            except InputError as error:
                reasons = error.reasons if isinstance(error, NothingCompleted) else ()
                _end(work, status="refused", reason=str(error), faces_found=nets.found, faces_refused=reasons)

    def _finish(self, nets: _Networks, drawn: Drawn | None, work: _PhotoWork) -> None:
        """drawn: None where the call that should have drawn it failed."""
        assert work.plan
        with _timed(work):
            drawn = drawn or nets.inpainter.run([work.plan], seed=self.job.seed)[0]
            result = nets.inpainter.finish(work.plan, drawn, seed=self.job.seed)
            work.plan = None
            told: Any = {"provenance": result.provenance, "signature": self.job.signature, "title": work.item.name}
            work.data, notes = encode_photo(result.source, result.photo, result.mask, **told)
            digest = hashlib.sha256(work.data).hexdigest()
        completed = [face for face in result.faces if face.missing.any()]
        left = [face for face in result.faces if not face.missing.any()]
        doubts = [said for face in completed for said in face.warnings]
        work.outcome = replace(
            work.outcome,
            result_sha256=digest,
            faces_found=len(result.faces),
            faces_completed=len(completed),
            faces_refused=tuple("; ".join(face.warnings) for face in left if face.warnings),
            hole_share=round(float(result.mask.mean()), 6),
            warnings=(*result.source.notes, *doubts, *notes, *drawn.warnings),
            covers=() if self._masks else tuple(face.covers for face in result.faces),
            left_on=() if self._masks else tuple(face.left_on for face in result.faces),
        )

    def _write(self, work: _PhotoWork) -> None:
        self._target.write(work.item.name, work.data)
        _end(work, status="completed")


@contextmanager
def _timed(work: _PhotoWork) -> Iterator[None]:
    """Add the time of the block to the photo's seconds."""
    start = time.perf_counter()
    try:
        yield
    finally:
        spent = time.perf_counter() - start
        work.outcome = replace(work.outcome, seconds=round(work.outcome.seconds + spent, 4))


def _end(work: _PhotoWork, **said: Any) -> None:
    work.outcome = replace(work.outcome, **said)
    work.ended = True
    work.plan, work.data, work.mask = None, b"", b""


def _fail(work: _PhotoWork, reason: str) -> None:
    _end(work, status="failed", reason=reason, result_sha256="", faces_completed=0, hole_share=0.0)


def _take(waiting: queue.Queue[_PhotoWork | None]) -> list[_PhotoWork] | None:
    """Everything that is ready, up to `TOGETHER`; waits only for the first. None: nothing more will come."""
    batch: list[_PhotoWork] = []
    with suppress(queue.Empty):
        while len(batch) < TOGETHER and (work := waiting.get(block=not batch)) is not None:
            batch.append(work)
        if batch and len(batch) < TOGETHER:
            waiting.put(None)  # the others', too
    return batch or None


def _start(work: Callable[[], None], count: int, finish: Callable[[], object]) -> None:
    """Run it in this many threads; the last one to end calls `finish`."""
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


def _put_ends(waiting: queue.Queue[_PhotoWork | None], count: int) -> None:
    for _ in range(count):
        waiting.put(None)
