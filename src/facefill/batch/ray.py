"""Work on many machines with Ray Data: photos as a dataset, a pool of actors that load the networks once.

Ray holds back what cannot be taken yet, starts actors again that died, and gives their photos to another.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import secrets
import socket
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import astuple
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facefill.batch.job import BatchJob, Item
from facefill.batch.manifest import Outcome
from facefill.errors import InputError
from facefill.offline import cache_folder
from facefill.runtime.engine import thread_count

if TYPE_CHECKING:
    from facefill.batch.run import Complete
    from facefill.datasets.looking import Look, Rules

BLOCK = 16
"""Photos sent to an actor together: at most a minute of work, which is lost when it dies."""
ROUND = 50_000
"""Photos of one dataset; their names are in the first process's memory."""
PASSES = (BLOCK, 1, 1)
"""Photos of a block: what is lost with an actor is done alone, and once more, before it is given up. Ray's own retries
are off: with them a photo that kills would do so for ever.
"""
PATIENCE_S, TRIES = 300.0, 3
"""A dataset that stands still for so long, or breaks, is begun again with what is left of it, photo by photo. Where it
has given nothing at all, it gets twice the time; after so many of these in a row the cluster is given up."""
INIT_DEATHS = 4
"""Actors that may die one after the other before they have loaded their networks."""
STORE_BYTES = 300_000_000
"""Object store of a Ray that is started here; only names, outcomes and small pictures of faces pass through it."""

DIED = "the actors that worked on it died: out of memory, or a crash in a library"

PlacedResult = tuple[int, bytes]
Work = Callable[[list[bytes]], Iterable[PlacedResult]]
"""What an actor does with some items: results with the items' places, in any order."""


class Cluster:
    """A connection to Ray; use as a context.

    address: of a cluster, or "auto": the one that runs on this machine or that RAY_ADDRESS names, else one of its own.
    threads: how many actors at most, each with one thread; None: one for each core that Ray knows.
    Raises InputError where Ray is missing or does not answer.
    """

    def __init__(self, address: str, threads: int | None = None) -> None:
        self._address, self._threads = address, threads
        self._ray: Any = None
        self._registry: Any = None
        self._ours = False
        self._actors = 1

    def __enter__(self) -> Cluster:
        try:
            import ray
            import ray.data
        except ImportError:
            raise InputError("Ray Data", "no such package", "pip install 'facefill[batch]'") from None
        self._ray = ray
        if not ray.is_initialized():
            self._connect()
            self._ours = True
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.max_errored_blocks = -1  # what is lost with its actor is done in the next pass
        context.max_consecutive_actor_init_deaths = INIT_DEATHS
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._actors = min(cores, self._threads) if self._threads else cores
        self._registry = ray.remote(num_cpus=0, max_restarts=-1)(_Registry).remote()
        return self

    def _connect(self) -> None:
        ray = self._ray
        options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        try:
            if self._address != "auto":
                _knock(self._address)
                ray.init(self._address, **options)
                return
            _know_a_token()
            _stay_on_loopback()
            try:
                ray.init("auto", **options)
            except ConnectionError:
                _keep_to_itself()
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
            said = (json.dumps(astuple(item)).encode() for item in items)
            for item, result in self.spread(partial(_completer, job), said):
                yield Outcome.decode(result) if result else Item(*json.loads(item)).failed(job, DIED)

        return complete

    def look_with(self, rules: Rules, covers: bool, photos: Iterable[Path]) -> Iterator[Look]:
        """What `datasets.looking.look_at` sees in each photo. covers: also look for what covers the faces."""
        from facefill.datasets.looking import Look

        said = (json.dumps([str(photo), str(photo.resolve())]).encode() for photo in photos)
        for item, result in self.spread(partial(_looker, rules, covers), said):
            yield pickle.loads(result) if result else Look(json.loads(item)[0], "", DIED, (), {})

    def spread(self, make: Callable[[], Work], items: Iterator[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """Each item with its result, in the order in which they are done; None where actors died over it.

        make: called once in each actor.
        """
        while some := list(islice(items, ROUND)):
            left = dict(enumerate(some))
            for block in PASSES:
                yield from self._pass(make, left, block)
            for item in left.values():
                yield item, None

    def _pass(self, make: Callable[[], Work], left: dict[int, bytes], block: int) -> Iterator[tuple[bytes, bytes]]:
        """Take everything that is left once, and out of `left` what has a result."""
        tries, patience_s = 0, PATIENCE_S
        while left:
            before = len(left)
            try:
                for number, result in self._stream(make, left, block, patience_s):
                    if number in left:  # an actor may die after its results have left
                        yield left.pop(number), result
                return
            except _Broken as error:
                block = 1
                if len(left) < before:
                    tries = 0
                    continue
                tries, patience_s = tries + 1, 2 * patience_s
                if tries == TRIES:
                    fix = "install the same facefill on every machine, and see if one is overloaded: docs/batch.md"
                    raise InputError("a cluster that does the work", str(error), fix) from error

    def _stream(
        self, make: Callable[[], Work], left: dict[int, bytes], block: int, patience_s: float
    ) -> Iterator[PlacedResult]:
        """Results of one dataset; what was lost with an actor has none. Raises _Broken where it ends too early."""
        import ray
        from ray.data import ActorPoolStrategy, DataContext
        from ray.data.exceptions import ExecutionTimeoutError

        rows = [{"number": number, "item": item} for number, item in left.items()]
        blocks = -(-len(rows) // block)
        DataContext.get_current().execution_no_progress_timeout_s = patience_s
        # Alone is alone: an actor that dies takes no second photo with it that waited for its turn.
        waiting = 1 if block == 1 else None
        pool = ActorPoolStrategy(size=min(self._actors, blocks), max_tasks_in_flight_per_actor=waiting)
        whole: Any = {"batch_size": None, "batch_format": "pyarrow"}
        actors: Any = {"num_cpus": 1, "compute": pool, "max_restarts": -1, "max_task_retries": 0}
        with warnings.catch_warnings():
            # Ray 2.64 will take no number of tries.
            warnings.simplefilter("ignore", DeprecationWarning)
            # `from_arrow` would first run a task for each block, and wait for ever where no core is free for it.
            placed = ray.data.from_items(rows, override_num_blocks=blocks)
            done = placed.map_batches(_Actor, fn_constructor_args=(make, self._registry), **whole, **actors)
        try:
            for batch in done.iter_batches(**whole, prefetch_batches=0):
                yield from zip(batch["number"].to_pylist(), batch["result"].to_pylist(), strict=True)
        except ExecutionTimeoutError as error:
            raise _Broken(f"none of {len(left)} photos done in {patience_s:.0f} s") from error
        except ray.exceptions.RayError as error:
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise _Broken(lines[-1] if lines else type(error).__name__) from error
        finally:
            self._dismiss()

    def _dismiss(self) -> None:
        """End the actors of a dataset. Ray keeps those that were killed meanwhile: idle, on the cores of the next."""
        with suppress(self._ray.exceptions.RayError):
            for actor in self._ray.get(self._registry.call.remote()):
                self._ray.kill(actor)


class _Registry:
    """The actors that have begun since it was called last; an actor itself, that needs no core."""

    def __init__(self) -> None:
        self._there: dict[Any, Any] = {}

    def enter(self, actor: Any) -> None:
        self._there[actor._actor_id] = actor

    def call(self) -> list[Any]:
        called, self._there = self._there, {}
        return list(called.values())


class _Broken(Exception):
    """A dataset ended before its photos did."""


class _Actor:
    def __init__(self, make: Callable[[], Work], registry: Any) -> None:
        import cv2
        import ray

        registry.enter.remote(ray.get_runtime_context().current_actor)
        cv2.setNumThreads(1)
        self._work = make()

    def __call__(self, batch: Any) -> dict[str, list[Any]]:
        numbers = batch["number"].to_pylist()
        results = list(self._work(batch["item"].to_pylist()))
        return {"number": [numbers[place] for place, _ in results], "result": [result for _, result in results]}


def _know_a_token() -> None:
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


def _keep_to_itself() -> None:
    """Start no API server with the Ray of this machine: it asks the clouds' metadata services which of them it runs on,
    also where it is not to report it, and nothing here needs it. Ray has no option for that (2.60 to 2.63)."""
    from ray._private import node

    node.Node.start_api_server = lambda *_, **__: None


def _knock(address: str) -> None:
    """Raises OSError where nothing listens at HOST:PORT, for which Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=20).close()


def _completer(job: BatchJob) -> Work:
    from facefill.batch.worker import Worker

    worker = Worker(job, 1)

    def work(items: list[bytes]) -> Iterator[PlacedResult]:
        photos = [Item(*json.loads(item)) for item in items]
        places = {photo.name: place for place, photo in enumerate(photos)}
        for outcome in worker.complete(photos):
            yield places[outcome.photo], outcome.encode()

    return work


def _looker(rules: Rules, covers: bool) -> Work:
    from facefill.datasets.looking import look_at
    from facefill.runtime.helpers import open_cover, open_finder

    finder, cover = open_finder(threads=1), open_cover(threads=1) if covers else None

    def work(items: list[bytes]) -> Iterator[PlacedResult]:
        for place, item in enumerate(items):
            name, path = json.loads(item)
            yield place, pickle.dumps(look_at(Path(path), finder, rules, name=name, cover=cover))

    return work
