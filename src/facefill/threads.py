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

LOADING = threading.RLock()
"""Held while networks are loaded and compiled. Nobody forks meanwhile: a child would find it locked by a thread that
the child does not have, and OpenVINO's own locks too."""
if hasattr(os, "register_at_fork"):
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
    """Lets a number of threads in at the same time; use as a context. In a child after a fork all slots are free: the
    threads that held them are not there."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = os.getpid(), threading.Semaphore(count)

    def __enter__(self) -> None:
        if self._free[0] != os.getpid():
            with LOADING:
                if self._free[0] != os.getpid():
                    self._free = os.getpid(), threading.Semaphore(self._count)
        self._free[1].acquire()

    def __exit__(self, *_: object) -> None:
        self._free[1].release()


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
    while (_TASKS / str(thread.native_id)).exists():
        time.sleep(0)
    return done.result()


_TASKS = Path("/proc/self/task")
"""A folder for each thread of this process, on Linux."""
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
