"""What makes the networks safe to use from any thread, and in a child that a thread forked."""

import contextvars
import ctypes
import functools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

KEPT = 8
"""Results that `once` keeps of one function."""

_TASKS = Path("/proc/self/task")
"""A folder for each thread of this process, on Linux."""
_LONGEST_S = 10.0
"""A thread that still is there after that time is not leaving."""
_MOST_CALLERS = 256
"""With more callers, those that have come to their end are forgotten."""
_callers = set[int]()
"""Threads that have called a library that keeps something for each of them."""


def note_caller() -> None:
    """Say that this thread calls such a library (OpenCV, OpenVINO, MKL): a fork waits until it has left, once it does.
    While a thread leaves, the library locks what it keeps of all, and a child would wait for that for ever."""
    number = threading.current_thread().native_id
    if number and number not in _callers:
        if len(_callers) >= _MOST_CALLERS:
            _callers.intersection_update(_living())
        _callers.add(number)


def _wait_until_left(threads: set[int]) -> None:
    """Until those of the threads that have come to their end are gone, and not only done (on Linux)."""
    latest = time.monotonic() + _LONGEST_S
    while any((_TASKS / str(number)).exists() for number in threads - _living()) and time.monotonic() < latest:
        time.sleep(0)


def _living() -> set[int]:
    return {thread.native_id for thread in threading.enumerate() if thread.native_id}


def _before_fork() -> None:
    _wait_until_left(_callers)
    _callers.intersection_update(_living())


LOADING = threading.RLock()
"""Held while networks are loaded and compiled. Nobody forks meanwhile: a child would find it locked by a thread that
the child does not have, and OpenVINO's own locks too."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork)  # what is registered first is done last
    os.register_at_fork(before=LOADING.acquire, after_in_parent=LOADING.release, after_in_child=LOADING.release)


def once(make: Callable[P, T]) -> Callable[P, T]:
    """Like `functools.cache`, but calls that come at the same time make one result, not one each. Keeps the last
    `KEPT` results; for arguments that have no hash it makes a new one each time."""
    kept: dict[Any, T] = {}

    @functools.wraps(make)
    def get(*given: P.args, **named: P.kwargs) -> T:
        key = given, *sorted(named.items())
        try:
            return kept[key]
        except KeyError:
            pass
        except TypeError:
            return make(*given, **named)
        with LOADING:
            if key not in kept:
                value = make(*given, **named)
                if len(kept) >= KEPT:
                    del kept[next(iter(kept))]
                kept[key] = value
            return kept[key]

    return get


class Slots:
    """Lets a number of threads in at the same time; use as a context. A fork waits until none is in, so that a child
    finds nothing locked by a thread that it does not have. One that is made lives as long as the process."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free, self._forking = threading.Semaphore(count), threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=self._pause, after_in_parent=self._go_on, after_in_child=self._begin)

    def __enter__(self) -> None:
        self._free.acquire()
        note_caller()

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def _pause(self) -> None:
        self._forking.acquire()
        for _ in range(self._count):
            self._free.acquire()

    def _go_on(self) -> None:
        self._free.release(self._count)
        self._forking.release()

    def _begin(self) -> None:
        self._free, self._forking = threading.Semaphore(self._count), threading.Lock()


def in_own_thread(work: Callable[[], T]) -> T:
    """What `work` returns in a new thread with the caller's context. OpenMP keeps its threads and their number for each
    thread that calls it: a new one has neither those that a fork left behind, nor another caller's number.

    When this returns, that thread and those that OpenMP started for it are gone, and not only done (on Linux): a thread
    that leaves holds locks of MKL's, for which a child that is forked meanwhile would wait for ever.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(context.run(work))
        except BaseException as error:  # raised again below
            done.set_exception(error)
        finally:
            for openmp in _openmp():
                openmp.omp_pause_resource_all(_PAUSE_SOFT)

    context = contextvars.copy_context()
    thread = threading.Thread(target=run, name="facefill", daemon=True)
    thread.start()
    thread.join()
    _wait_until_left({thread.native_id or 0})
    return done.result()


_PAUSE_SOFT = 1
"""OpenMP 5.0: end and join the threads that serve the calling one."""


def _openmp() -> list[ctypes.CDLL]:
    """The GNU OpenMP runtimes of this process, none where there are others."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in lines if "libgomp" in line}
    return [found for path in sorted(paths) if hasattr(found := ctypes.CDLL(path), "omp_pause_resource_all")]
