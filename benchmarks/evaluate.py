"""What judging costs beside completing: seconds of `facefill evaluate` over those of completing the same faces alone.

    python benchmarks/evaluate.py DATASET [--split test-celeba] [--faces 1000] [--runs 3] [--threads 2]

One method (swift) and one hole (centre@256). Completing alone reads each face, draws its hole, completes it in the
same batches and puts known pixels back; evaluating also measures, keeps every value and writes the reports. Both run
alternately in one process, after a run of 16 faces each that is not counted. Prints medians in seconds of wall clock
and of processor time, and their ratios; on a machine that others use too, the latter says more.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from facefill.evaluation import benchmark
from facefill.evaluation.benchmark import EvaluationSettings, prepare
from facefill.evaluation.evaluate import evaluate


def complete_alone(settings: EvaluationSettings) -> None:
    bench = prepare(settings)
    dataset, protocol = bench.datasets[0], bench.protocols[0]
    for start in range(0, len(dataset.faces), settings.batch):
        cases = [benchmark._draw(bench, protocol, face) for face in dataset.faces[start : start + settings.batch]]
        benchmark._complete(bench, protocol, bench.entries[0].label, cases)


def judge(settings: EvaluationSettings) -> None:
    for _ in evaluate(settings):
        pass


def timed(
    work: Callable[[EvaluationSettings], None], folder: Path, options: argparse.Namespace, faces: int
) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as report:
        settings = EvaluationSettings(
            folder, Path(report), (options.split,), limit=faces, threads=options.threads, timings=False
        )
        wall, processor = time.perf_counter(), time.process_time()
        work(settings)
        return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--faces", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    works = {"completing alone": complete_alone, "evaluating": judge}
    for work in works.values():
        timed(work, options.dataset, options, 16)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in works}
    for _ in range(options.runs):
        for name, work in works.items():
            found[name].append(timed(work, options.dataset, options, options.faces))
    print(f"{options.faces} faces, {options.threads} threads, medians of {options.runs}\n")
    print("| | wall s | processor s |\n|---|---|---|")
    for name, times in found.items():
        wall, processor = (statistics.median(t[place] for t in times) for place in (0, 1))
        print(f"| {name} | {wall:.1f} | {processor:.1f} |")
    pairs = list(zip(found["evaluating"], found["completing alone"], strict=True))
    ratios = [statistics.median(ours[place] / alone[place] for ours, alone in pairs) for place in (0, 1)]
    print(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
