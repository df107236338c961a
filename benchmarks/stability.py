"""How a training run against critics went: a picture of critic gap, gradient penalty and PSNR over the pictures shown.

    python benchmarks/stability.py RUN [RUN ...] -o stability.svg [--centre]

RUN is the folder of a contextual_attention run, with its log.jsonl. --centre: every hole of its validation was a square
of half the side, so that the hole's PSNR is the picture's less 10 log10(4) dB, and that is drawn.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

PENALTY_WEIGHT = 10.0
"""What the logged penalty was multiplied by."""


def read_log(run: Path) -> list[dict[str, Any]]:
    """The validations of a run in which critics played, in order."""
    lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if "penalty" in row]


def draw(runs: list[Path], out: Path, centre: bool) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (gap, penalty, score) = pyplot.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    for run in runs:
        rows = read_log(run)
        shown = [row["shown"] for row in rows]
        for critic, line in (("whole", "-"), ("hole", "--")):
            gap.plot(shown, [-row[f"critic_{critic}"] for row in rows], line, label=f"{run.name}, {critic}")
        # Both critics' mean squared distance from length 1 is logged as a sum.
        penalty.plot(shown, [math.sqrt(row["penalty"] / PENALTY_WEIGHT / 2) for row in rows], label=run.name)
        score.plot(shown, [row["score"] - (10 * math.log10(4) if centre else 0) for row in rows], label=run.name)
    for axes, title in ((gap, "critic gap: score of true less completed"),
                        (penalty, "distance of the gradient's length from 1, rms"),
                        (score, "hole PSNR, validation, dB" if centre else "PSNR, validation, dB")):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("pictures shown")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.savefig(out, metadata={"Date": None} if out.suffix == ".svg" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--centre", action="store_true")
    options = parser.parse_args()
    draw(options.runs, options.out, options.centre)


if __name__ == "__main__":
    main()
