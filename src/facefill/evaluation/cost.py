"""What methods cost on this machine: seconds per face and peak memory, each in a process of its own."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facefill.evaluation.bench import Bench
from facefill.evaluation.benchmark import complete_case
from facefill.evaluation.report import write_whole
from facefill.runtime.engine import thread_count
from facefill.runtime.model import load

FACES = 4
REPEATS = 3
PATIENCE_S = 2.0
"""One face that takes longer is the measurement: no repeats with more."""


@dataclass(frozen=True)
class Cost:
    """Of one method. load_s: to load it. ms: median per face by protocol, of calls with `FACES` faces after a first one
    that counts for nothing. peak_mb: the largest resident size of a process that does just this, Python included, in
    millions of bytes; None where the system does not say."""

    method: str
    load_s: float
    ms: dict[str, float]
    peak_mb: float | None


Work = tuple[str, NDArray[np.uint8], NDArray[np.bool_]]


def measure_costs(bench: Bench) -> list[Cost]:
    """Time each method on the first faces of the first dataset."""
    work: list[Work] = []
    for protocol in bench.protocols:
        dataset = bench.datasets[0]
        cases = [complete_case(bench, dataset, protocol, "truth", face.file)[0] for face in dataset.faces[:FACES]]
        work.append((protocol.name, np.stack([case.shown for case in cases]), np.stack([case.mask for case in cases])))
    settings = bench.settings
    found = []
    for entry in bench.entries:
        # A fresh process each, spawned so that it shares nothing: memory that a method took is never given back.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            how = settings.device, settings.threads, settings.exact
            found.append(pool.submit(_measure, entry.label, entry.spec, *how, work).result())
    return found


def _measure(label: str, spec: str, device: str, threads: int | None, exact: bool, work: Sequence[Work]) -> Cost:
    start = time.perf_counter()
    model = load(spec, device=device, threads=threads, exact=exact)
    load_s, ms = time.perf_counter() - start, {}
    for name, shown, masks in work:
        def once(count: int, shown: NDArray[np.uint8] = shown, masks: NDArray[np.bool_] = masks) -> float:
            faces, holes = shown[:count], masks[:count]
            worn = {"worn": faces} if "worn" in model.record.inputs else {}
            begin = time.perf_counter()
            model.complete(faces, holes, seeds=list(range(len(faces))), **worn)  # type: ignore[arg-type]
            return (time.perf_counter() - begin) / len(faces)

        once(1)  # compiles, fills caches
        first = once(1)
        ms[name] = 1000 * (first if first > PATIENCE_S else statistics.median(once(FACES) for _ in range(REPEATS)))
    return Cost(label, load_s, ms, _peak_mb())


def _peak_mb() -> float | None:
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux a process starts with the peak of the one that started it.
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), "")
        return int(line.split()[1]) * 1024 / 1e6 if line else None
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def write_costs(bench: Bench, costs: Sequence[Cost], folder: Path) -> list[Path]:
    """timings.json and timings.md: apart from the reports, because they never come out the same twice."""
    machine = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"), "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(), "threads": thread_count(bench.settings.threads),
        "device": bench.settings.device, "exact": bench.settings.exact,
    }
    names = [protocol.name for protocol in bench.protocols]
    head = ["method", "load s", "peak MB", *(f"{name} ms" for name in names)]
    lines = [
        [cost.method, f"{cost.load_s:.2f}", "–" if cost.peak_mb is None else f"{cost.peak_mb:.0f}",
         *(f"{cost.ms[name]:.1f}" for name in names)]
        for cost in costs
    ]
    table = "".join("| " + " | ".join(row) + " |\n" for row in [head, ["---"] * len(head), *lines])
    text = "# Times and memory\n\n" + "".join(f"- {key}: {value}\n" for key, value in machine.items()) + (
        f"\nMilliseconds per face: the median of {REPEATS} calls with {FACES} faces, after one that is not counted. "
        f"Memory: the largest resident size of a process that does nothing else.\n\n{table}")
    write_whole(folder / "timings.json", json.dumps({**machine, "costs": [asdict(c) for c in costs]}, indent=1) + "\n")
    write_whole(folder / "timings.md", text)
    return [folder / "timings.json", folder / "timings.md"]
