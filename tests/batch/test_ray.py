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
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from facefill.batch import ray as ray_module
from facefill.batch.folder import Selection
from facefill.batch.job import make_job
from facefill.batch.ray import Cluster, Work, _Broken, _completer, _Registry
from facefill.batch.run import run
from facefill.errors import InputError
from tests.batch.photos import lines_of, tree_of, write_photos
from tests.batch.test_local import count_lines, same_lines, undisturbed
from tests.faces import draw_photo
from tests.toy_datasets import rows_of


class Losing(Cluster):
    """Loses every block with a name in `bad`, as when actors die over it again and again."""

    def __init__(self, bad: set[bytes]) -> None:
        super().__init__("auto")
        self.bad, self.blocks = bad, [0]

    def _stream(
        self, make: Callable[[], Work], left: dict[int, bytes], block: int, patience_s: float
    ) -> Iterator[tuple[int, bytes]]:
        work, places = make(), list(left)
        for start in range(0, len(places), block):
            some = places[start : start + block]
            self.blocks.append(len(some))
            if not self.bad & {left[place] for place in some}:
                yield from ((some[place], result) for place, result in work([left[place] for place in some]))


def shout() -> Work:
    return lambda items: ((place, item.upper()) for place, item in reversed(list(enumerate(items))))


def test_what_is_lost_with_its_actor_is_done_alone_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_module, "ROUND", 40)
    cluster = Losing({b"n7", b"n50"})
    items = [f"n{index}".encode() for index in range(100)]
    found = dict(cluster.spread(shout, iter(items)))
    assert found == {item: None if item in cluster.bad else item.upper() for item in items}
    assert max(cluster.blocks) == ray_module.BLOCK
    assert cluster.blocks.count(1) == 2 * ray_module.BLOCK + 2


class Standing(Losing):
    """Each of its datasets stands still after so many results."""

    def __init__(self, *results: int) -> None:
        super().__init__(set())
        self.results, self.begun = list(results), [(0, 0, 0.0)]

    def _stream(
        self, make: Callable[[], Work], left: dict[int, bytes], block: int, patience_s: float
    ) -> Iterator[tuple[int, bytes]]:
        self.begun.append((len(left), block, patience_s))
        results = super()._stream(make, left, block, patience_s)
        if not self.results:
            yield from results
            return
        yield from islice(results, self.results.pop(0))
        raise _Broken("no results")


def test_a_dataset_that_stands_still_is_begun_again_with_what_is_left() -> None:
    cluster, items = Standing(48, 0, 0, 10, 0), [f"n{index}".encode() for index in range(100)]
    found = list(cluster.spread(shout, iter(items)))
    assert sorted(found) == sorted((item, item.upper()) for item in items), "each once"
    some, more = ray_module.PATIENCE_S, 2 * ray_module.PATIENCE_S
    assert cluster.begun[1:] == [
        (100, ray_module.BLOCK, some),
        (52, 1, some),
        (52, 1, more),
        (52, 1, 2 * more),
        (42, 1, 2 * more),
        (42, 1, 4 * more),
    ]


def test_a_cluster_that_gives_nothing_again_and_again_is_given_up() -> None:
    cluster = Standing(3, *[0] * ray_module.TRIES, 5)
    found = []  # type: ignore[var-annotated]
    with pytest.raises(InputError, match="a cluster that does the work, got no results"):
        found.extend(cluster.spread(shout, iter([b"a", b"b", b"c", b"d"])))
    assert len(cluster.begun) == 2 + ray_module.TRIES


def test_the_roll_has_each_actor_once_until_it_is_called() -> None:
    registry, one, again, other = _Registry(), *(SimpleNamespace(_actor_id=number) for number in (1, 1, 2))
    for actor in (one, again, other):  # one that was started again enters again
        registry.enter(actor)
    assert [actor._actor_id for actor in registry.call()] == [1, 2]
    assert registry.call() == []


def test_an_actor_completes_what_it_is_sent(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 5, damaged=1)
    job = make_job(str(folder / "in"), str(folder / "out"), masks=str(folder / "masks"), method="telea")
    cluster = Losing(set())
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
            if b"ray::MapWorker" in (process / "cmdline").read_bytes():
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


def hang_once(folder: Path) -> Work:
    """One item stops its actor for good, the first time."""

    def work(items: list[bytes]) -> Iterator[tuple[int, bytes]]:
        for place, item in enumerate(items):
            if item == b"n30" and not (folder / "hung").exists():
                (folder / "hung").touch()
                time.sleep(1e6)
            yield place, item.upper()

    return work


@pytest.mark.soak
def test_an_actor_that_hangs_does_not_hold_up_the_run(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_module, "PATIENCE_S", 60.0)
    items = [f"n{index}".encode() for index in range(100)]
    found = list(cluster.spread(partial(hang_once, tmp_path), iter(items)))
    assert (tmp_path / "hung").exists()
    assert sorted(found) == sorted((item, item.upper()) for item in items)


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
