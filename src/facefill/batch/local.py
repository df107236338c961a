"""Worker processes on this machine, with one plan of threads for all of them."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from facefill.batch.job import BatchJob, Item
from facefill.batch.manifest import Outcome
from facefill.errors import InputError
from facefill.runtime.engine import thread_count

AHEAD = 16
"""Names queued at a worker beyond the photo it works on, so that it never waits."""
_LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def plan_workers(workers: int | None, threads: int | None) -> tuple[int, int]:
    """The number of processes, and of threads in each: never more in total than there are cores.

    workers: None for one per core. threads: total for all workers; None as in `runtime.engine.thread_count`.
    Raises InputError for more workers than threads.
    """
    total = thread_count(threads)
    if workers is None:
        return total, 1
    if workers > total:
        raise InputError(f"at most {total} workers, one for each core", str(workers), "lower --workers")
    return workers, total // workers


class _Member:
    """A worker process and what it was given."""

    def __init__(self, job: BatchJob, threads: int) -> None:
        ours, theirs = get_context("spawn").Pipe()
        self.pipe: Connection[Any, Any] = ours
        with _environment(threads):
            self.process: SpawnProcess = get_context("spawn").Process(
                target=_work, args=(theirs, job, threads), daemon=True
            )
            self.process.start()
        theirs.close()
        self.items: dict[str, Item] = {}
        self.ready = False

    def give(self, item: Item) -> None:
        self.items[item.name] = item
        with suppress(OSError):  # dead: its end of the pipe will say so
            self.pipe.send(item)

    def end(self) -> None:
        with suppress(OSError):
            self.pipe.send(None)
        self.pipe.close()


class WorkerPool:
    """Some workers of some threads each; use as a context. A worker that dies is replaced, what it was given is done
    again, each photo alone in a worker; one that kills its worker even so has failed."""

    def __init__(self, job: BatchJob, workers: int, threads: int) -> None:
        self._job, self._workers, self._threads = job, workers, threads
        self._members: list[_Member] = []
        self._suspects: deque[Item] = deque()

    def __enter__(self) -> WorkerPool:
        self._members = [_Member(self._job, self._threads) for _ in range(self._workers)]
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.end()
        for member in self._members:
            member.process.join(1.0)
            member.process.kill()
            member.process.join()

    def complete(self, items: Iterator[Item]) -> Iterator[Outcome]:
        """What became of each photo, in the order in which they are done. Raises InputError where no worker begins."""
        more = True
        while True:
            more = self._feed(items) if more or self._suspects else False
            busy = [member for member in self._members if member.items]
            if not busy and not more and not self._suspects:
                return
            for pipe in connection.wait([member.pipe for member in self._members]):
                member = next(member for member in self._members if member.pipe is pipe)
                yield from self._receive(member)

    def _feed(self, items: Iterator[Item]) -> bool:
        """Fill every worker up, the emptiest first; False when no photo is left. Before suspects workers run empty."""
        if self._suspects:
            for member in self._members:
                if self._suspects and not member.items:
                    member.give(self._suspects.popleft())
            return True
        while len((member := min(self._members, key=lambda member: len(member.items))).items) < AHEAD:
            item = next(items, None)
            if item is None:
                return False
            member.give(item)
        return True

    def _receive(self, member: _Member) -> Iterator[Outcome]:
        try:
            said = member.pipe.recv()
        except (EOFError, OSError):
            yield from self._replace(member)
            return
        if isinstance(said, InputError):
            raise said
        if isinstance(said, Outcome):
            del member.items[said.photo]
            yield said
        else:
            member.ready = True

    def _replace(self, member: _Member) -> Iterator[Outcome]:
        """Replace a dead worker."""
        member.process.join()
        code = member.process.exitcode
        if not member.ready:
            fix = "free some memory, or give fewer --workers"
            raise InputError("a worker process that starts", f"one that ended with {code}", fix)
        held = list(member.items.values())
        if len(held) == 1:
            said = f"the process that worked on it died ({code}): out of memory, or a crash in a library"
            yield held[0].failed(self._job, said)
        else:
            self._suspects.extend(held)
        self._members[self._members.index(member)] = _Member(self._job, self._threads)


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """What libraries read once, when a process begins. Few arenas keep freed memory from being scattered."""
    ours = {**dict.fromkeys(_LIBRARIES, str(threads)), "MALLOC_ARENA_MAX": "2"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _work(pipe: Connection[Any, Any], job: BatchJob, threads: int) -> None:
    """A worker process: photos in, outcomes out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it and ends the others
    import cv2

    from facefill.batch.worker import Worker

    cv2.setNumThreads(1)
    try:
        worker = Worker(job, threads)
    except InputError as error:
        pipe.send(error)
        return
    try:
        pipe.send("ready")
        for outcome in worker.complete(_received(pipe)):
            pipe.send(outcome)
    except OSError:
        os._exit(1)


def _received(pipe: Connection[Any, Any]) -> Iterator[Item]:
    while True:
        try:
            item: Item | None = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # the first process is gone; nobody would hear
        if item is None:
            return
        yield item
