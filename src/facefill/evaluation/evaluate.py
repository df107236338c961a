"""One evaluation from its settings to its reports, and what methods cost on this machine."""

import json
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from facefill import __version__
from facefill.catalog import code_commit
from facefill.errors import InputError
from facefill.evaluation import benchmark
from facefill.evaluation.aggregate import summarise
from facefill.evaluation.benchmark import TRUTH, Bench, EvaluationSettings, complete_case, prepare
from facefill.evaluation.intervals import FEWEST, RESAMPLES
from facefill.evaluation.marks import Written, put_table, read_tables
from facefill.evaluation.page import as_html
from facefill.evaluation.photos import complete_cases
from facefill.evaluation.protocols import Case, Protocol
from facefill.evaluation.report import markdown_table, short_tables, speaks_of, write_report
from facefill.evaluation.strips import write_strips
from facefill.files.whole import write_whole
from facefill.runtime.engine import thread_count
from facefill.runtime.inpainter import Inpainter, open_inpainter

RESAMPLED = f"{RESAMPLES} resamples, paired between methods; none below {FEWEST} people"
LIBRARIES = ("numpy", "opencv-python-headless", "openvino", "torch")
FACES = 4
REPEATS = 3
PATIENCE_S = 2.0
"""One face that takes longer is the measurement: no repeats with more."""


def evaluate(settings: EvaluationSettings, results: Path | None = None) -> Iterator[benchmark.EvaluationProgress]:
    """Complete, measure and report, telling how far it is; what an earlier run left is not computed again.

    results: a Markdown file to write short tables into, between marks with the name of the report's folder (see
    `marks`); what stands outside them is kept.
    Raises InputError for whatever is wrong, before anything is computed where that can be known.
    """
    if results:
        read_tables(_read_page(results))
    bench = prepare(settings)
    yield from benchmark.run(bench)
    yield benchmark.EvaluationProgress("report", 0, 1)
    summary = summarise(bench, describe(bench))
    write_report(bench, summary)
    write_whole(settings.report / "report.html", as_html(bench, summary).encode())
    if settings.per_picture:
        yield from write_strips(bench)
    if settings.timings:
        write_costs(bench, measure_costs(bench))
    if results:
        # Read again: somebody may have written on the page meanwhile.
        about, name = summary.about, settings.report.resolve().name
        shown = short_tables(bench, summary)
        table = Written(name, shown, about["command"], about["commit"], speaks_of(bench))
        write_whole(results, put_table(_read_page(results), table).encode())
    yield benchmark.EvaluationProgress("report", 1, 1)


def describe(bench: Bench) -> dict[str, Any]:
    """What a report says of itself: the same for the same command on the same code and files."""
    return {
        "command": command(bench.settings),
        "version": __version__,
        "commit": code_commit(),
        "libraries": ", ".join(f"{name} {found}" for name in LIBRARIES if (found := _version(name))),
        "intervals": f"percentile bootstrap over people, {RESAMPLED}",
        "datasets": {
            dataset.name: {
                "n": len(dataset.faces),
                "people": len(set(dataset.people)),
                "side_px": dataset.side_px,
                "largest_px": dataset.largest_px,
                "sha256": dataset.sha256,
                "holes": {},
            }
            for dataset in bench.datasets
        },
        "methods": {entry.label: {"sha256": entry.model.sha256, "limit": entry.limit} for entry in bench.entries},
        "features": {one.name: one.sha256 for one in bench.features},
        "embedder": bench.embedder.sha256 if bench.embedder else None,
    }


def command(settings: EvaluationSettings) -> str:
    """The command that makes the report again; of files and folders the names only."""
    files = {"--lpips-heads": settings.heads, "--embedder": settings.embedder, "--groups": settings.groups}
    given = [
        ("--split", ",".join(settings.splits)),
        ("--methods", ",".join(Path(method).name for method in settings.methods)),
        ("--holes", ",".join(settings.holes)),
        ("--protocol", ",".join(settings.papers)),
        ("--limit", str(settings.limit or "")),
        *(("--features", path.name) for path in settings.features),
        *((option, file.name) for option, file in files.items() if file),
        ("--adapter", Path(settings.adapter or "").name),
        ("--device", "" if settings.device == "cpu" else settings.device),
    ]
    words = [word for option, value in given if value for word in (option, value)]
    start = ["facefill", "evaluate", settings.folder.resolve().name]
    return shlex.join([*start, *words, *(["--exact"] if settings.exact else [])])


def _read_page(path: Path) -> str:
    """The page to write into. Raises InputError for a folder."""
    if path.is_dir():
        raise InputError("a Markdown file for --results", f"the folder {path}", "name a file")
    return path.read_text(encoding="utf-8") if path.is_file() else "# Results\n"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


# --- Seconds and memory -------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What one method costs. load_s: seconds to load it. ms: median per face by protocol, of calls with `FACES` faces
    after a first one that counts for nothing. peak_mb: the largest resident size of a process that does just this,
    Python included, in millions of bytes; None where the system does not say."""

    method: str
    load_s: float
    ms: dict[str, float]
    peak_mb: float | None


Work = tuple[Protocol, list[Case]]


def measure_costs(bench: Bench) -> list[Cost]:
    work: list[Work] = []
    dataset = bench.datasets[0]
    for protocol in bench.protocols:
        cases = [complete_case(bench, dataset, protocol, TRUTH, face.file)[0] for face in dataset.faces[:FACES]]
        work.append((protocol, cases))
    settings = bench.settings
    found = []
    for entry in bench.entries:
        # A fresh process each, spawned so that it shares nothing: memory that a method took is never given back.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            found.append(pool.submit(_measure, entry.label, entry.spec, settings.opened, work).result())
    return found


def _measure(label: str, spec: str, opened: dict[str, Any], work: Sequence[Work]) -> Cost:
    start = time.perf_counter()
    inpainter = open_inpainter(spec, **opened)
    load_s, ms = time.perf_counter() - start, {}
    for protocol, cases in work:
        _time(inpainter, protocol, cases[:1])  # compiles, fills caches
        first = _time(inpainter, protocol, cases[:1])
        several = [first] if first > PATIENCE_S else [_time(inpainter, protocol, cases) for _ in range(REPEATS)]
        ms[protocol.name] = 1000 * statistics.median(several)
    return Cost(label, load_s, ms, peak_mb())


def _time(inpainter: Inpainter, protocol: Protocol, cases: Sequence[Case]) -> float:
    begin = time.perf_counter()
    complete_cases(inpainter, protocol, cases)
    return (time.perf_counter() - begin) / len(cases)


def peak_mb() -> float | None:
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


def write_costs(bench: Bench, costs: Sequence[Cost]) -> None:
    """timings.json and timings.md: apart from the reports, because they never come out the same twice."""
    machine = {
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": thread_count(bench.settings.threads),
        "device": bench.settings.device,
        "exact": bench.settings.exact,
    }
    names = [protocol.name for protocol in bench.protocols]
    lines = []
    for cost in costs:
        memory = "–" if cost.peak_mb is None else f"{cost.peak_mb:.0f}"
        lines.append([cost.method, f"{cost.load_s:.2f}", memory, *(f"{cost.ms[name]:.1f}" for name in names)])
    text = (
        "# Times and memory\n\n"
        + "".join(f"- {key}: {value}\n" for key, value in machine.items())
        + f"\nMilliseconds per face: the median of {REPEATS} calls with {FACES} faces, after one that is not counted. "
        + "Memory: the largest resident size of a process that does nothing else.\n\n"
        + markdown_table((["method", "load s", "peak MB", *(f"{name} ms" for name in names)], lines))
    )
    folder = bench.settings.report
    found = json.dumps({**machine, "costs": [asdict(cost) for cost in costs]}, indent=1)
    write_whole(folder / "timings.json", f"{found}\n".encode())
    write_whole(folder / "timings.md", text.encode())
