"""Ray: the same results and manifest as on one machine, also when actors are killed. Long tests start a real one."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from facefill.batch import ray as ray_module
from facefill.batch.folder import Selection
from facefill.batch.job import make_job
from facefill.batch.ray import BLOCK, PATIENCE_S, Cluster, Work, _completer
from facefill.batch.run import run
from facefill.errors import InputError
from tests.batch.photos import lines_of, tree_of, write_photos
from tests.batch.test_local import count_lines, same_lines, undisturbed
from tests.faces import draw_photo
from tests.toy_datasets import rows_of


class PretendedRay:
    """What `Cluster` takes of Ray, in this process. Actors die over the items of `bad`, and before they have begun if
    not `begins`; where `stands` says so of how many blocks are done, nothing is ever said."""

    exceptions = SimpleNamespace(RayError=RuntimeError)

    def __init__(
        self, bad: Collection[bytes] = (), stands: Callable[[int], bool] = lambda done: False, begins: bool = True
    ) -> None:
        self.bad, self.stands, self.begins = bad, stands, begins
        self.blocks: list[int] = []
        self.waits: list[tuple[int, float]] = []
        self.alive: list[Any] = []

    def remote(self, num_cpus: int) -> Callable[[Any], Any]:
        def actor_of(kind: Any) -> Any:
            def begin(make: Any) -> Any:
                actor = kind(make)
                remote = SimpleNamespace(
                    ready=SimpleNamespace(remote=lambda: ("ready", actor, object())),
                    work=SimpleNamespace(remote=lambda block: ("work", actor, tuple(block), object())),
                )
                self.alive.append(remote)
                return remote

            return SimpleNamespace(remote=begin)

        return actor_of

    def wait(self, said: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
        working = sum(len(one[2]) for one in said if one[0] == "work")
        self.waits.append((working, timeout))
        if working and self.stands(len(self.blocks)):
            return [], said
        return said[:1], said[1:]

    def get(self, said: Any) -> Any:
        if said[0] == "ready":
            if not self.begins:
                raise RuntimeError("The actor died:\n  no such method\n")
            return said[1].ready()
        self.blocks.append(len(said[2]))
        if {*self.bad} & {*said[2]}:
            raise RuntimeError("The actor died.")
        return said[1].work(list(said[2]))

    def kill(self, actor: Any) -> None:
        if actor in self.alive:
            self.alive.remove(actor)


def pretended(ray: PretendedRay, actors: int = 1) -> Cluster:
    cluster = Cluster("auto")
    cluster._ray, cluster._actors = ray, actors
    return cluster


def shout() -> Work[bytes, bytes]:
    return lambda items: [item.upper() for item in items]


ITEMS = [f"n{index}".encode() for index in range(100)]


@pytest.mark.parametrize("actors", [1, 3])
def test_what_is_lost_with_its_actor_is_done_alone_and_then_given_up(actors: int) -> None:
    ray = PretendedRay({b"n7", b"n50"})
    found = dict(pretended(ray, actors).spread(shout, iter(ITEMS)))
    assert found == {item: None if item in ray.bad else item.upper() for item in ITEMS}
    assert max(ray.blocks) == BLOCK
    assert ray.blocks.count(1) == 2 * BLOCK + 2
    assert ray.alive == []


def test_where_nothing_is_done_for_long_other_actors_do_what_is_left() -> None:
    stalls = iter([2, 2, 9])
    after = next(stalls)

    def stands(done: int) -> bool:
        nonlocal after
        if done < after:
            return False
        after = next(stalls, 10**9)
        return True

    ray = PretendedRay(stands=stands)
    found = list(pretended(ray).spread(shout, iter(ITEMS)))
    assert sorted(found) == sorted((item, item.upper()) for item in ITEMS), "each once"
    assert sorted({wait for _, wait in ray.waits}) == [PATIENCE_S, 2 * PATIENCE_S, 4 * PATIENCE_S]
    assert ray.blocks.count(1) == BLOCK, "of the block that was under way, one by one"
    assert ray.alive == []


def test_a_cluster_that_does_nothing_again_and_again_is_given_up() -> None:
    ray, found = PretendedRay(stands=lambda done: done >= 3), []  # type: ignore[var-annotated]
    with pytest.raises(InputError, match=f"a cluster that does the work, got nothing done in {4 * PATIENCE_S:.0f} s"):
        found.extend(pretended(ray).spread(shout, iter(ITEMS)))
    assert len(ray.blocks) == 3
    assert ray.alive == []


def test_actors_that_cannot_begin_end_the_run_with_their_reason() -> None:
    with pytest.raises(InputError, match="a cluster that does the work, got no such method"):
        list(pretended(PretendedRay(begins=False)).spread(shout, iter(ITEMS)))


def test_an_actor_completes_what_it_is_sent(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 5, damaged=1)
    job = make_job(str(folder / "in"), str(folder / "out"), masks=str(folder / "masks"), method="telea")
    cluster = pretended(PretendedRay())
    assert run(job, cluster.complete_with(job), select=Selection()).done == {"completed": 4, "failed": 1}
    whole = undisturbed(folder)
    assert tree_of(folder / "out") == tree_of(whole)
    assert same_lines(folder / "out", whole)
    assert list(_completer(job)([])) == []


# ---- with Ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray")
    with Cluster("auto", threads=2) as opened:
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        yield opened


def actors() -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::_Actor" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


@pytest.mark.soak
def test_actors_killed_twenty_times_change_nothing(cluster: Cluster, tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 300, side=128, damaged=6)
    job = make_job(str(folder / "in"), str(folder / "out"), masks=str(folder / "masks"), method="telea")
    rng, kills, ended = random.Random(0), 0, threading.Event()

    def killer() -> None:
        """After every few photos, so that the run gets on."""
        nonlocal kills
        seen = 0
        while not ended.wait(0.01):
            if (count := count_lines(folder / "out")) < seen:
                seen = count
            if count >= seen + 12 and (found := actors()):
                time.sleep(rng.uniform(0, 0.1))
                with suppress(ProcessLookupError):  # ended by itself
                    os.kill(rng.choice(found), signal.SIGKILL)
                    seen, kills = count, kills + 1

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        rounds = 0
        while kills < 20 and rounds < 20:
            tally = run(job, cluster.complete_with(job), select=Selection(), force=True)
            assert tally.done.total() == 300
            assert tally.done["completed"] >= 288, "hardly any has lost its actor three times by chance"
            rounds += 1
    finally:
        ended.set()
        thread.join()
    assert kills >= 20
    run(job, cluster.complete_with(job), select=Selection())
    whole = undisturbed(folder)
    assert tree_of(folder / "out") == tree_of(whole)
    assert same_lines(folder / "out", whole)


def hang_once(folder: Path) -> Work[bytes, bytes]:
    """One item stops its actor for good, the first time."""

    def work(items: list[bytes]) -> list[bytes]:
        if b"n30" in items and not (folder / "hung").exists():
            (folder / "hung").touch()
            time.sleep(1e6)
        return [item.upper() for item in items]

    return work


@pytest.mark.soak
def test_an_actor_that_hangs_does_not_hold_up_the_run(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_module, "PATIENCE_S", 60.0)
    found = list(cluster.spread(partial(hang_once, tmp_path), iter(ITEMS)))
    assert (tmp_path / "hung").exists()
    assert sorted(found) == sorted((item, item.upper()) for item in ITEMS)


@pytest.mark.soak
def test_a_killed_run_on_ray_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    folder = write_photos(tmp_path, 300, damaged=3)
    words = [
        sys.executable,
        "-m",
        "facefill",
        "batch",
        str(folder / "in"),
        str(folder / "out"),
        "--mask-dir",
        str(folder / "masks"),
        "-m",
        "telea",
        "--ray",
        "auto",
        "--threads",
        "2",
    ]
    manifest = folder / "out/manifest.jsonl"
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (manifest.exists() and manifest.stat().st_size):
            time.sleep(0.01)
        process.kill()
    early = len(manifest.read_bytes().splitlines())
    assert early < 300
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert len(lines_of(folder / "out")) == 300
    whole = undisturbed(folder)
    assert tree_of(folder / "out") == tree_of(whole)
    assert same_lines(folder / "out", whole)


@pytest.mark.soak
def test_prepare_on_ray_makes_the_same_dataset_and_shards(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    (tmp_path / "photos").mkdir()
    for index in range(24):
        Image.fromarray(draw_photo(640, 480, faces=1 + index % 2, seed=index)[0]).save(
            tmp_path / "photos" / f"{index}.png"
        )
    (tmp_path / "photos/bad.jpg").write_bytes(b"no photo")
    options = ["--min-side", "64", "--min-score", "0", "--max-blur", "1", "--validation", "0.2", "--test", "0"]
    for name, more in (("here", ["--shards", "10"]), ("ray", ["--ray", "auto", "--shards", "10", "--threads", "2"])):
        words = [sys.executable, "-m", "facefill", "prepare", "photos", name, *options, *more]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 3, done.stderr
        assert "bad.jpg" in done.stderr
    assert rows_of(tmp_path / "here/manifest.csv") == rows_of(tmp_path / "ray/manifest.csv")
    shards = sorted(path.name for path in (tmp_path / "here/shards").iterdir())
    assert len(shards) > 1
    for name in shards:
        assert (tmp_path / "ray/shards" / name).read_bytes() == (tmp_path / "here/shards" / name).read_bytes()


@pytest.mark.soak
def test_a_cluster_that_runs_already_is_used_and_left_running(tmp_path: Path) -> None:
    """In processes of their own: this one has its Ray. Both have the cluster's token, without which Ray refuses."""
    pytest.importorskip("ray")
    folder = write_photos(tmp_path, 40, damaged=2)
    environment = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    head = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--port",
        str(port),
        "--num-cpus",
        "2",
        "--include-dashboard=false",
        "--node-ip-address",
        "127.0.0.1",
        "--object-store-memory",
        "100000000",
        "--temp-dir",
        f"/tmp/ray-{port}",
    ]
    words = [
        sys.executable,
        "-m",
        "facefill",
        "batch",
        str(folder / "in"),
        str(folder / "out"),
        "--mask-dir",
        str(folder / "masks"),
        "-m",
        "telea",
        "--ray",
        f"127.0.0.1:{port}",
    ]
    with subprocess.Popen(head, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            until = time.monotonic() + 120
            while (
                done := subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
            ).returncode == 2:
                assert time.monotonic() < until, done.stderr
            assert done.returncode == 3, done.stderr
            assert running.poll() is None
        finally:
            running.terminate()
            running.wait(60)
            shutil.rmtree(f"/tmp/ray-{port}", ignore_errors=True)
    assert tree_of(folder / "out") == tree_of(undisturbed(folder))


@pytest.mark.soak
def test_a_cluster_that_does_not_answer(tmp_path: Path) -> None:
    """In a process of its own: this one may have its Ray already."""
    pytest.importorskip("ray")
    folder = write_photos(tmp_path, 1)
    words = [
        sys.executable,
        "-m",
        "facefill",
        "batch",
        str(folder / "in"),
        str(folder / "out"),
        "-m",
        "telea",
        "--ray",
        "127.0.0.1:1",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected a Ray cluster that answers, got 127.0.0.1:1" in done.stderr
