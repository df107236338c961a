"""Worker processes: kills at any moment, photos that crash a worker, threads, and what the command says and returns."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from facefill.batch import local
from facefill.batch.folder import Selection
from facefill.batch.job import BatchJob, Item, make_job
from facefill.batch.local import WorkerPool, plan_workers
from facefill.batch.run import run
from facefill.batch.worker import Worker
from facefill.errors import InputError
from tests.batch.crashes import deadly, stillborn, telling
from tests.batch.photos import lines_of, tree_of, write_photos

VARYING = {"seconds", "stamp"}


def command(folder: Path, out: str, *more: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "facefill",
        "batch",
        str(folder / "in"),
        str(folder / out),
        "--mask-dir",
        str(folder / "masks"),
        "-m",
        "telea",
        "--threads",
        "1",
        *more,
    ]


def same_lines(one: Path, other: Path) -> bool:
    """Whether two manifests say the same of each photo, but for times."""
    said = [
        {
            name: {key: value for key, value in line.items() if key not in VARYING}
            for name, line in lines_of(path).items()
        }
        for path in (one, other)
    ]
    return said[0] == said[1]


def undisturbed(folder: Path) -> Path:
    """What a run leaves that nobody disturbs, made in this process."""
    job = make_job(str(folder / "in"), str(folder / "whole"), masks=str(folder / "masks"), method="telea")
    run(job, Worker(job, 1).complete, select=Selection())
    return folder / "whole"


def count_lines(out: Path) -> int:
    path = out / "manifest.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def start_and_kill(words: list[str], out: Path, after: int) -> None:
    """Kill a run, and nothing but its first process, as soon as its manifest has so many lines more."""
    before = count_lines(out)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and count_lines(out) < before + after:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"), 30, damaged=3)


def test_killed_and_run_again_it_leaves_what_an_undisturbed_run_leaves(folder: Path) -> None:
    out = folder / "out"
    start_and_kill(command(folder, "out"), out, 5)
    early = count_lines(out)
    assert 0 < early < 30
    done = subprocess.run(command(folder, "out", "--json"), capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    again = [json.loads(line)["photo"] for line in done.stdout.splitlines()]
    assert len(again) == len(set(again)) >= 30 - early
    assert "3 failed" in done.stderr
    assert "done before" in done.stderr
    whole = undisturbed(folder)
    assert len(tree_of(whole)) == 27
    assert tree_of(out) == tree_of(whole)
    assert same_lines(out, whole)


@pytest.fixture
def job(tmp_path: Path) -> BatchJob:
    return BatchJob(str(tmp_path), str(tmp_path / "out"))


def test_a_photo_that_kills_its_worker_fails_alone(job: BatchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_work", deadly)
    names = [f"{index}.jpg" for index in range(20)]
    names.insert(7, "poison")
    with WorkerPool(job, 1, 1) as pool:
        lines = [(line.photo, line.status) for line in pool.complete(Item(name, "") for name in names)]
    assert sorted(lines) == sorted((name, "failed" if name == "poison" else "completed") for name in names)


def test_workers_that_cannot_begin_are_not_started_for_ever(job: BatchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_work", stillborn)
    with WorkerPool(job, 1, 1) as pool, pytest.raises(InputError, match=r"a worker process that starts, got one.* 7"):
        list(pool.complete(iter([Item("a.jpg", "")])))


def test_few_photos_are_shared_out_among_all_workers(job: BatchJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_work", telling)
    with WorkerPool(job, 2, 1) as pool:
        said = Counter(line.reason for line in pool.complete(Item(f"{index}.jpg", "") for index in range(12)))
    assert sorted(said.values()) == [6, 6]


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 64])
def test_all_workers_together_have_no_more_threads_than_there_are_cores(cores: int) -> None:
    for workers in (None, *range(1, cores + 1)):
        count, threads = plan_workers(workers, cores)
        assert count * threads <= cores
        assert count == (workers or cores)
    with pytest.raises(InputError, match="lower --workers"):
        plan_workers(cores + 1, cores)


# ---- long ones


def running_threads(pid: int) -> int:
    """How many threads of a process and its children run or want to, now."""
    count = 0
    waiting = [pid]
    while waiting:
        one = waiting.pop()
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                count += (task / "stat").read_text().rpartition(")")[2].split()[0] == "R"
                waiting += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return count


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize("workers", [1, 2])
def test_threads_that_compute_are_measured_to_be_no_more_than_asked_for(tmp_path: Path, workers: int) -> None:
    folder = write_photos(tmp_path, 120, side=400)
    words = [*command(folder, "out"), "--threads", "2", "--workers", str(workers)]
    counts = []
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if count_lines(folder / "out"):
                counts.append(running_threads(process.pid))
            time.sleep(0.01)
    counts.sort()
    # The first process, which only processes out names, may run for a moment beside them.
    assert counts[len(counts) // 2] <= 2
    assert counts[len(counts) * 95 // 100] <= 3


def children_of(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            yield int(child)


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_twenty_kills_at_random_moments_change_nothing(tmp_path: Path) -> None:
    """Every other one kills a worker, not the run, which then goes on by itself."""
    folder = write_photos(tmp_path, 400, damaged=8)
    out, rng, kills = folder / "out", random.Random(0), 0
    deadline_s = 4.0
    while kills < 24:
        before = count_lines(out)
        with subprocess.Popen(command(folder, "out"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            if kills % 2:
                while process.poll() is None and count_lines(out) == before:
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, 0.05))
                for child in children_of(process.pid) if process.poll() is None else ():
                    os.kill(child, signal.SIGKILL)
                time.sleep(rng.uniform(0, 0.5))
            else:
                time.sleep(rng.uniform(0, deadline_s))
            if process.poll() is not None:  # too late: everything was done
                for path in sorted(tree_of(out))[: rng.randrange(1, 200)]:
                    (out / path).unlink()
            else:
                kills += 1
            process.kill()
    assert subprocess.run(command(folder, "out"), check=False).returncode == 3
    whole = undisturbed(folder)
    assert tree_of(out) == tree_of(whole)
    assert same_lines(out, whole)


@pytest.mark.soak
def test_two_thousand_photos_with_one_in_twenty_damaged(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 2000, damaged=100)
    done = subprocess.run(command(folder, "out"), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "1900 photos completed" in done.stdout
    assert "100 failed" in done.stdout
    assert len(tree_of(folder / "out")) == 1900
    assert sum(line["status"] == "failed" for line in lines_of(folder / "out").values()) == 100


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_stops_the_run_and_with_more_room_it_goes_on(tmp_path: Path) -> None:
    folder = write_photos(tmp_path, 60, side=128)
    out = folder / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(out)], check=False).returncode:
        pytest.skip("no right to mount")
    try:
        done = subprocess.run(command(folder, "out"), capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "No space left" in done.stderr
        assert list((out / ".facefill").glob("*.part")) == []
        early = tree_of(out)
        assert 0 < len(early) < 60
        subprocess.run(["mount", "-o", "remount,size=30m", str(out)], check=True)
        assert subprocess.run(command(folder, "out"), check=False).returncode == 0
        whole = tree_of(undisturbed(folder))
        assert tree_of(out) == whole
        assert all(whole[name] == data for name, data in early.items())
    finally:
        subprocess.run(["umount", str(out)], check=True)
