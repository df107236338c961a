"""How fast `facefill batch` is against a naive loop, what Ray costs, and whether memory stays flat.

    python benchmarks/batch.py [PHOTOS] [--parts speed,ray,memory,resume] [--rounds 7] [--side 1024]

Without PHOTOS, a folder of your own, it makes photos from examples/: one covered face each, in JPEGs of side × side.

speed: four ways, loaded and warm, take the same photos in turn, a few at a time, so that whatever else the machine
does meets them all: a loop of `facefill.unmask(photo).save(...)` with the threads that it takes by itself, the same
with one thread, and batches of 1 and of 2 workers. Printed are medians of photos per second, and of the ratio to each
loop in the same round, and the processor time of a photo, which other load hardly changes.
ray: photos per second from the first to the last of 500, on a local Ray and with worker processes.
memory: peak resident memory of all processes of one run together, after 100 and after 2,000 photos.
resume: seconds and peak memory of a run over a million files that are all done.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facefill.batch.folder import LocalFolder, Selection
from facefill.batch.job import BatchJob, Item, make_job
from facefill.batch.local import WorkerPool, plan_workers
from facefill.batch.manifest import Outcome
from facefill.batch.run import run
from facefill.runtime.engine import thread_count

EXAMPLES = Path(__file__).parents[1] / "examples"
AT_ONCE = 24
"""Photos of one turn: enough that its beginning and end, when not all workers are busy, hardly count."""


def make_photos(folder: Path, count: int, side: int) -> Path:
    """The examples in that size, each time with other noise and quality."""
    folder.mkdir(parents=True, exist_ok=True)
    scenes = [
        cv2.resize(cv2.imread(str(path)), (side, side), interpolation=cv2.INTER_CUBIC)
        for path in sorted(EXAMPLES.glob("*.jpg"))
    ]
    noise = np.empty((side, side, 3), np.int16)
    for index in range(count):
        cv2.setRNGSeed(index)
        cv2.randn(noise, (0, 0, 0), (3, 3, 3))
        photo = np.clip(scenes[index % len(scenes)] + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{index:05d}.jpg"), photo, [cv2.IMWRITE_JPEG_QUALITY, 88 + index % 8])
    return folder


def items_of(folder: Path) -> list[Item]:
    entries = LocalFolder(folder).entries(Selection())
    return sorted((Item(entry.name, entry.stamp) for entry in entries), key=lambda item: item.name)


def loop(pipe: Connection[Any, Any], source: str, target: str, threads: int | None) -> None:
    """The naive loop, in a process of its own that stays."""
    if threads:
        os.environ["FACEFILL_THREADS"] = str(threads)
        cv2.setNumThreads(threads)
    import facefill

    while names := _receive(pipe):
        for name in names:
            try:
                facefill.unmask(Path(source) / name).save(Path(target) / name, overwrite=True)
            except facefill.InputError:
                continue
        pipe.send(len(names))


def _receive(pipe: Connection[Any, Any]) -> list[str]:
    try:
        return list(pipe.recv())
    except EOFError:
        return []


class Loop:
    """Completes photos with the naive loop."""

    def __init__(self, job: BatchJob, threads: int | None) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        Path(job.target).mkdir(parents=True, exist_ok=True)
        process = multiprocessing.get_context("spawn").Process(
            target=loop, args=(theirs, job.source, job.target, threads), daemon=True
        )
        process.start()
        self.pids = [process.pid]

    def complete(self, items: Iterable[Item]) -> Iterator[int]:
        self._pipe.send([item.name for item in items])
        yield self._pipe.recv()


def seconds_of(work: Callable[[], Iterable[object]]) -> float:
    start = time.perf_counter()
    for _ in work():
        pass
    return time.perf_counter() - start


def cpu_seconds(pids: list[int]) -> float:
    """What processes have used of the cores so far (fields 14 and 15 of /proc/PID/stat)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def compare_speed(photos: Path, rounds: int, folder: Path) -> None:
    cores = thread_count()
    items = items_of(photos)
    turns = [items[start : start + AT_ONCE] for start in range(0, len(items) - AT_ONCE + 1, AT_ONCE)]

    def job(name: str) -> BatchJob:
        return make_job(str(photos), str(folder / name))

    counts = [count for count in (1, 2) if count <= cores]
    plans = {
        f"{count} worker(s) x {plan_workers(count, None)[1]} thread(s)": plan_workers(count, None) for count in counts
    }
    pools = {name: WorkerPool(job(f"pool{plan[0]}"), *plan) for name, plan in plans.items()}
    loops = {f"loop, {cores} thread(s)": Loop(job("loop"), None), "loop, 1 thread": Loop(job("loop1"), 1)}
    ways: dict[str, Callable[[list[Item]], Iterable[object]]] = {name: one.complete for name, one in loops.items()}
    pids = {name: one.pids for name, one in loops.items()}
    for name, pool in pools.items():
        pool.__enter__()
        ways[name] = lambda some, pool=pool: pool.complete(iter(some))
        pids[name] = [member.process.pid for member in pool._members]
    for way in ways.values():
        seconds_of(lambda way=way: way(turns[0]))
    rates: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        turn = turns[(number + 1) % len(turns)]
        for name, way in ways.items():
            before = cpu_seconds(pids[name])
            rates[name].append(len(turn) / seconds_of(lambda way=way, turn=turn: way(turn)))
            costs[name].append((cpu_seconds(pids[name]) - before) / len(turn))
    for pool in pools.values():
        pool.__exit__()
    names = list(ways)
    print(
        f"{'':<28}{'photos/s':>10}{'/ ' + names[0]:>20}{'/ ' + names[1]:>20}{'CPU s/photo':>14}"
        f"   of {rounds} rounds, {cores} cores, load {os.getloadavg()[0]:.0f}"
    )
    for name, values in rates.items():
        ratios = [float(np.median(np.divide(values, rates[base]))) for base in names[:2]]
        print(
            f"{name:<28}{np.median(values):>10.2f}{ratios[0]:>20.2f}{ratios[1]:>20.2f}{np.median(costs[name]):>14.3f}"
        )


def family() -> list[int]:
    """This process and all that came from it."""
    found, waiting = [], [os.getpid()]
    while waiting:
        one = waiting.pop()
        try:
            children = [(task / "children").read_text().split() for task in Path(f"/proc/{one}/task").iterdir()]
        except OSError:  # it has ended
            continue
        found.append(one)
        waiting += [int(child) for some in children for child in some]
    return found


def measure_lines(lines: Iterable[Outcome]) -> tuple[float, float, float]:
    """Photos per second after the first came, seconds until then, and processor seconds of each, of all processes."""
    begun = time.perf_counter()
    times, before = [], 0.0
    for _ in lines:
        times.append(time.perf_counter())
        before = before or cpu_seconds(family())
    count = len(times) - 1
    return count / (times[-1] - times[0]), times[0] - begun, (cpu_seconds(family()) - before) / count


def compare_ray(photos: Path, folder: Path) -> None:
    from facefill.batch.ray import Cluster

    items = items_of(photos)
    rates, costs = {}, {}
    for name in ("workers", "ray", "workers again"):
        job = make_job(str(photos), str(folder / name))
        start = time.perf_counter()
        if name == "ray":
            with Cluster("auto") as cluster:
                up = time.perf_counter() - start
                rates[name], first, costs[name] = measure_lines(cluster.complete_with(job)(iter(items)))
        else:
            with WorkerPool(job, *plan_workers(None, None)) as pool:
                up = time.perf_counter() - start
                rates[name], first, costs[name] = measure_lines(pool.complete(iter(items)))
        print(
            f"{name:<16}{rates[name]:8.2f} photos/s, {costs[name]:.3f} CPU s/photo, {up + first:6.1f} s until the "
            f"first, load {os.getloadavg()[0]:.0f}",
            flush=True,
        )
    for what, values in (("time", {name: 1 / rate for name, rate in rates.items()}), ("processor time", costs)):
        print(f"Ray takes {2 * values['ray'] / (values['workers'] + values['workers again']) - 1:+.1%} {what}")


def memory_mib() -> float:
    """The largest resident memory so far of this process and its children, added up."""
    total = 0
    for pid in family():
        status = Path(f"/proc/{pid}/status").read_text()
        total += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return total / 1024


def measure_memory(photos: Path, folder: Path, marks: tuple[int, ...]) -> None:
    job, count = make_job(str(photos), str(folder / "memory")), 0

    def each(line: Outcome) -> None:
        nonlocal count
        count += 1
        if count in marks:
            print(f"after {count:5d} photos: {memory_mib():6.0f} MiB at most in all processes", flush=True)

    with WorkerPool(job, *plan_workers(None, None)) as pool:
        run(job, pool.complete, select=Selection(), each=each)


def measure_resume(folder: Path, count: int) -> None:
    """A folder of so many empty files, all of them done: how long the next run looks, and what memory it takes."""
    source, target = folder / "in", folder / "out"
    target.mkdir()
    job = make_job(str(folder), str(folder.parent / "elsewhere"))
    job = replace(job, source=str(source), target=str(target))
    for start in range(0, count, 1000):
        for place in (source, target):
            (place / f"{start:07d}").mkdir(parents=True)
            for index in range(start, min(count, start + 1000)):
                (place / f"{start:07d}" / f"{index:07d}.jpg").touch()
    with (target / "manifest.jsonl").open("wb") as file:
        for entry in LocalFolder(source).entries(Selection()):
            file.write(
                Outcome(
                    entry.name,
                    "completed",
                    stamp=entry.stamp,
                    source_sha256="0" * 64,
                    result_sha256="0" * 64,
                    method=job.method,
                    model_sha256="0" * 64,
                    recipe=job.recipe,
                ).encode()
            )
    code = (
        "import sys, time; from facefill.batch.run import run; from facefill.batch.job import BatchJob\n"
        "from facefill.batch.folder import Selection; job = BatchJob(*sys.argv[1:4], recipe=sys.argv[4])\n"
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) // 1024\n"
        "before, start = peak(), time.perf_counter()\n"
        "tally = run(job, list, select=Selection())\n"
        "print(f'{tally.before.total()} done before, {tally.done.total()} to do: '\n"
        "f'{time.perf_counter() - start:.0f} s, {before} MiB before, {peak()} MiB at most')"
    )
    subprocess.run([sys.executable, "-c", code, job.source, job.target, "", job.recipe], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--parts", default="speed,ray,memory,resume")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--ray-photos", type=int, default=500)
    parser.add_argument("--memory-photos", type=int, default=2000)
    parser.add_argument("--names", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in options.parts.split(","):
            if part == "resume":
                print(f"\nresume: {options.names} photos", flush=True)
                (folder / "resume").mkdir()
                measure_resume(folder / "resume", options.names)
                continue
            counts = {"speed": 5 * AT_ONCE, "ray": options.ray_photos, "memory": options.memory_photos}
            photos = options.photos or make_photos(folder / "photos" / part, counts[part], options.side)
            print(f"\n{part}: {len(items_of(photos))} photos", flush=True)
            if part == "speed":
                compare_speed(photos, options.rounds, folder)
            elif part == "ray":
                compare_ray(photos, folder)
            else:
                measure_memory(photos, folder, (options.memory_photos // 20, options.memory_photos))
            shutil.rmtree(folder / "photos", ignore_errors=True)


if __name__ == "__main__":
    main()
