"""One evaluation from its settings to its reports."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from facefill import __version__
from facefill.errors import InputError
from facefill.evaluation import benchmark
from facefill.evaluation.bench import Bench, Settings, prepare
from facefill.evaluation.cost import measure_costs, write_costs
from facefill.evaluation.report import write_report, write_whole
from facefill.evaluation.results import section, with_section
from facefill.evaluation.statistics import RESAMPLES
from facefill.evaluation.summary import Summary, summarise

INTERVALS = f"percentile bootstrap over pictures, {RESAMPLES} resamples, paired between methods"
LIBRARIES = ("numpy", "opencv-python-headless", "openvino", "scikit-image", "torch")


def evaluate(settings: Settings, results: Path | None = None) -> Iterator[benchmark.Progress]:
    """Complete, measure and report, telling how far it is; what an earlier run left is not computed again.

    results: a Markdown file to write the tables into, between two marks; what stands outside them is kept.
    Raises InputError for whatever is wrong, before anything is computed where that can be known.
    """
    if results is not None and results.exists() and not results.is_file():
        raise InputError("a Markdown file for --results", f"the folder {results}", "name a file")
    bench = prepare(settings)
    yield from benchmark.run(bench)
    yield benchmark.Progress("report", 0, 1)
    summary = summarise(bench, describe(bench))
    write_report(bench, summary)
    if settings.timings:
        write_costs(bench, measure_costs(bench), settings.report)
    if results is not None:
        old = results.read_text(encoding="utf-8") if results.is_file() else "# Results\n"
        write_whole(results, with_section(old, section(bench, summary)))
    yield benchmark.Progress("report", 1, 1)


def describe(bench: Bench) -> dict[str, Any]:
    """What a report says of itself: the same for the same command on the same code and files."""
    return {
        "command": command(bench.settings), "version": __version__, "commit": _commit(),
        "libraries": ", ".join(f"{name} {found}" for name in LIBRARIES if (found := _version(name))),
        "intervals": INTERVALS,
        "datasets": {
            dataset.name: {"n": len(dataset.faces), "side_px": dataset.side_px, "sha256": dataset.sha256, "holes": {}}
            for dataset in bench.datasets
        },
        "methods": {entry.label: {"sha256": entry.model.sha256, "limit": entry.limit} for entry in bench.entries},
        "features": {one.name: one.sha256 for one in bench.features},
        "embedder": bench.embedder.sha256 if bench.embedder else None,
    }


def command(settings: Settings) -> str:
    """The command that makes the report again; of files and folders the names only."""
    words = ["facefill", "evaluate", settings.folder.resolve().name]
    for option, values in (("--split", settings.splits), ("--methods", settings.methods), ("--holes", settings.holes),
                           ("--protocol", settings.papers)):
        if values:
            names = [Path(value).name for value in values] if option == "--methods" else values
            words += [option, ",".join(names)]
    if settings.limit:
        words += ["--limit", str(settings.limit)]
    for path in settings.features:
        words += ["--features", path.name]
    for option, file in (("--lpips-heads", settings.heads), ("--embedder", settings.embedder)):
        words += [option, file.name] if file else []
    if settings.device != "cpu":
        words += ["--device", settings.device]
    return shlex.join(words + (["--exact"] if settings.exact else []))


def _commit() -> str:
    """Of the checkout that the code runs from; empty for an installed package."""
    folder = Path(__file__).parents[1]
    if not (folder.parents[1] / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"],
                              capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


__all__ = ["Settings", "Summary", "command", "describe", "evaluate"]
