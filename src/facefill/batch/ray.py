"""Work on many machines with Ray: actors that load the networks once, and are replaced where they die."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from facefill.batch.job import BatchJob, Item
from facefill.batch.manifest import Outcome
from facefill.errors import InputError
from facefill.offline import cache_folder
from facefill.runtime.engine import thread_count

if TYPE_CHECKING:
    from facefill.batch.run import Complete
    from facefill.datasets.looking import Look, Rules

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[list[T]], list[R]]
"""What an actor does with a block of items: a result for each."""

BLOCK = 16
"""Photos sent to an actor together: at most a minute of work, which is lost when it dies."""
ALONE = 2
"""How often a photo that was lost with an actor is done again, alone in another, before it is given up."""
PATIENCE_S, TRIES = 300.0, 3
"""Where nothing is done for so long, all actors are replaced, and the next wait is twice as long; after so many of
these in a row the cluster is given up."""
INIT_DEATHS = 4
"""Actors that may die one after the other before they have loaded their networks."""
STORE_BYTES = 300_000_000
"""Object store of a Ray that is started here; only names, outcomes and small pictures of faces pass through it."""

DIED = "the actors that worked on it died: out of memory, or a crash in a library"


class Cluster:
    """A connection to Ray; use as a context.

    address: of a cluster, or "auto": the one that runs on this machine or that RAY_ADDRESS names, else one of its own.
    threads: how many actors at most, each with one thread; None: one for each core that Ray knows.
    Raises InputError where Ray is missing or does not answer.
    """

    def __init__(self, address: str, threads: int | None = None) -> None:
        self._address, self._threads = address, threads
        self._ray: Any = None
        self._ours = False
        self._actors = 1

    def __enter__(self) -> Cluster:
        try:
            import ray
        except ImportError:
            raise InputError("Ray", "no such package", "pip install 'facefill[batch]'") from None
        self._ray = ray
        if not ray.is_initialized():
            self._connect()
            self._ours = True
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._actors = min(cores, self._threads) if self._threads else cores
        return self

    def _connect(self) -> None:
        ray = self._ray
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if self._address != "auto":
                _check_listening(self._address)
                ray.init(self._address, **options)
                return
            _ensure_token()
            _stay_on_loopback()
            try:
                ray.init("auto", **options)
            except ConnectionError:
                _disable_api_server()
                # Ray's own niceness of 15 leaves its actors next to nothing beside any other work: they seem to hang.
                options |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
                options["_system_config"] = {"worker_niceness": 0}
                ray.init("local", num_cpus=thread_count(self._threads), **options)
        except Exception as error:  # Ray raises plain ones where a machine is too busy to start it
            raise InputError(
                "a Ray cluster that answers", f"{self._address} ({error})", "check the address, or --ray auto"
            ) from None

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._ray.shutdown()

    def complete_with(self, job: BatchJob) -> Complete:
        """How `run` completes photos on the cluster: every machine must see IN, OUT and the masks."""

        def complete(items: Iterator[Item]) -> Iterator[Outcome]:
            for item, outcome in self.spread(partial(_completer, job), items):
                yield outcome or item.failed(job, DIED)

        return complete

    def look_with(self, rules: Rules, covers: bool, photos: Iterable[Path]) -> Iterator[Look]:
        """What `datasets.looking.look_at` sees in each photo. covers: also look for what covers the faces."""
        from facefill.datasets.looking import Look

        items = ((str(photo), photo.resolve()) for photo in photos)
        for (name, _), look in self.spread(partial(_looker, rules, covers), items):
            yield look or Look(name, "", DIED, (), {})

    def spread(self, make: Callable[[], Work[T, R]], items: Iterator[T]) -> Iterator[tuple[T, R | None]]:
        """Each item with its result, in the order in which they are done; None where actors died over it.

        make: called once in each actor. Raises InputError where no actor begins, or nothing is ever done.
        """
        pool = _Pool(self._ray, make, self._actors)
        try:
            while pool.give(items):
                yield from pool.take()
        finally:
            pool.end()


class _Pool(Generic[T, R]):
    """Actors, each with one block at a time, and the blocks that wait for one."""

    def __init__(self, ray: Any, make: Callable[[], Work[T, R]], size: int) -> None:
        self._ray, self._make, self._size = ray, make, size
        self._waiting = deque[tuple[list[T], int]]()
        """Blocks, and how often each was lost with an actor."""
        self._idle: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._working: dict[Any, tuple[Any, list[T], int]] = {}
        """Actors and their blocks, by the reference to what they will say."""
        self._deaths = self._stalls = 0

    def give(self, items: Iterator[T]) -> bool:
        """Hand blocks out, and begin actors for what is left of them; False where everything is done."""
        while len(self._waiting) < self._size and (some := list(islice(items, BLOCK))):
            self._waiting.append((some, 0))
        while self._idle and self._waiting:
            actor, (block, lost) = self._idle.pop(), self._waiting.popleft()
            self._working[actor.work.remote(block)] = actor, block, lost
        while len(self._starting) < min(len(self._waiting), self._size - len(self._working)):
            actor = self._ray.remote(num_cpus=1)(_Actor).remote(self._make)
            self._starting[actor.ready.remote()] = actor
        return bool(self._waiting or self._working)

    def take(self) -> Iterator[tuple[T, R | None]]:
        """What is done next; nothing where only an actor has begun or died."""
        patience_s = PATIENCE_S * 2**self._stalls
        done, _ = self._ray.wait([*self._starting, *self._working], timeout=patience_s)
        for said in done:
            try:
                results = self._ray.get(said)
            except self._ray.exceptions.RayError as error:
                yield from self._requeue(said, error)
            else:
                if said in self._starting:
                    self._deaths = 0
                    self._idle.append(self._starting.pop(said))
                    continue
                self._stalls = 0
                actor, block, _ = self._working.pop(said)
                self._idle.append(actor)
                yield from zip(block, results, strict=True)
        if not done:
            self._stalls += 1
            if self._stalls == TRIES:
                raise _useless(f"nothing done in {patience_s:.0f} s")
            self._waiting.extend(([item], lost) for _, block, lost in self._working.values() for item in block)
            self.end()

    def _requeue(self, said: Any, error: Exception) -> Iterator[tuple[T, None]]:
        """After the death of an actor: what it had is done again, alone, or given up."""
        if said in self._starting:
            del self._starting[said]
            self._deaths += 1
            if self._deaths == INIT_DEATHS:
                raise _useless(str(error).strip().rpartition("\n")[2].strip()) from error
            return
        actor, block, lost = self._working.pop(said)
        self._ray.kill(actor)  # where it lives, and its work alone failed
        if lost == ALONE:
            yield from ((item, None) for item in block)
        else:
            self._waiting.extend(([item], lost + 1) for item in block)

    def end(self) -> None:
        """End all actors."""
        for actor in [*self._idle, *self._starting.values(), *(actor for actor, _, _ in self._working.values())]:
            self._ray.kill(actor)
        self._idle, self._starting, self._working = [], {}, {}


def _useless(got: str) -> InputError:
    fix = "install the same facefill on every machine, and see if one is overloaded: docs/batch.md"
    return InputError("a cluster that does the work", got, fix)


class _Actor:
    def __init__(self, make: Callable[[], Work[T, R]]) -> None:
        import cv2

        cv2.setNumThreads(1)
        self._work: Any = make()

    def ready(self) -> None:
        """Says that it has begun."""

    def work(self, block: list[Any]) -> Any:
        return self._work(block)


def _ensure_token() -> None:
    """Name the token that runs of this user share, in our cache; Ray would write one to ~/.ray. A token that the user
    has already stays."""
    if {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys() or (Path.home() / ".ray/auth_token").exists():
        return
    path = cache_folder() / "ray_token"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), open(path, "x", opener=partial(os.open, mode=0o600)) as file:
        file.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(path)


def _stay_on_loopback() -> None:
    """Have Ray take 127.0.0.1 for this machine's address, unless a cluster runs here under another one, which knows the
    machine by that. Ray has no option for it where clusters are possible (2.60 to 2.63)."""
    from ray._private import ray_constants, services

    running = {os.environ["RAY_ADDRESS"]} if "RAY_ADDRESS" in os.environ else services.find_gcs_addresses()
    if all(address.startswith("127.0.0.1:") for address in running):
        ray_constants.ENABLE_RAY_CLUSTER = False


def _disable_api_server() -> None:
    """Start no API server with the Ray of this machine: it asks the clouds' metadata services which of them it runs on,
    also where it is not to report it, and nothing here needs it. Ray has no option for that (2.60 to 2.63)."""
    from ray._private import node

    node.Node.start_api_server = lambda *_, **__: None


def _check_listening(address: str) -> None:
    """Raises OSError where nothing listens at HOST:PORT, for which Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=20).close()


def _completer(job: BatchJob) -> Work[Item, Outcome]:
    from facefill.batch.worker import Worker

    worker = Worker(job, 1)

    def work(items: list[Item]) -> list[Outcome]:
        outcomes = {outcome.photo: outcome for outcome in worker.complete(items)}
        return [outcomes[item.name] for item in items]

    return work


def _looker(rules: Rules, covers: bool) -> Work[tuple[str, Path], Look]:
    from facefill.datasets.looking import look_at
    from facefill.runtime.helpers import open_cover, open_finder

    finder, cover = open_finder(threads=1), open_cover(threads=1) if covers else None
    return lambda items: [look_at(path, finder, rules, name=name, cover=cover) for name, path in items]
