"""Curves of training runs, and how the context encoder's time grows with the picture.

    python benchmarks/context_encoder.py curves "no normalisation=runs/base" "batch normalisation=runs/bn" -o curves.svg
    python benchmarks/context_encoder.py speed [--sides 128,256,512] [--runs 5]

curves: reads the log.jsonl of runs and draws two panels: the generator's total loss, a mean over the pictures since the
line before, and the validation score (PSNR of completed faces, averaged weights). Needs matplotlib.
speed: medians of one completion by the network at full size in float32 and in bf16, of one by the shipped file in its
default precision (it brings other sizes to 128), and of one training step (critic and generator, bf16) per picture, the
sides in turn in one run; beside each what it is of the time at the side before, and at the end the exponent k of
seconds ~ side^k, least squares on logarithms. One thread, seconds of its processor, so that what else the machine does
counts less. Weights in torch are random: they change no time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from train import example, turn

from facefill.catalog import find_weights
from facefill.runtime.engine import load_engine
from facefill.training.recipe import build_method

BATCH = {128: 16, 256: 8, 512: 2}


def curves(options: argparse.Namespace) -> None:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "facefill", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        FigureCanvasSVG(figure)
        left, right = figure.subplots(1, 2)
        for named in options.runs:
            name, run = named.split("=", 1)
            rows = [json.loads(line) for line in (Path(run) / "log.jsonl").read_text(encoding="utf-8").splitlines()]
            stages = json.loads((Path(run) / "config.json").read_text(encoding="utf-8"))["train"]["stages"]
            at = [row["shown"] / (stages[0]["batch"] if options.iterations else 1) for row in rows]
            left.plot(at, [row["reconstruction"] + row["adversarial"] for row in rows], label=name)
            right.plot(at, [row["score"] for row in rows], label=name)
        left.set_yscale("log")
        left.set_ylabel("total loss in training")
        right.set_ylabel("validation PSNR, dB")
        for axes in (left, right):
            axes.set_xlabel("iterations" if options.iterations else "pictures shown")
            axes.grid(linewidth=0.4, alpha=0.6, which="both")
        if len(options.runs) > 1:
            left.legend(frameon=False, loc="upper right")
        figure.savefig(options.out, format="svg", metadata={"Date": None, "Creator": None})


def median(work: Callable[[], object], runs: int) -> float:
    taken = []
    for _ in range(runs):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return float(np.median(taken))


class MethodOfSide:
    """A method that completes and trains on pictures of one side."""

    def __init__(self, side: int) -> None:
        torch.manual_seed(0)
        self.method = build_method("context_encoder", {"bottleneck": 128})
        self.method.to(memory_format=torch.channels_last)
        self.batch = example(self.method, side, BATCH.get(side, 1))
        self.batch = {
            key: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
            for key, value in self.batch.items()
        }
        self.image = self.batch["image"][:1].contiguous(memory_format=torch.channels_last)
        self.exported = load_engine(find_weights("context_encoder")[0], threads=1)
        self.plain = {"image": self.image.contiguous().numpy()}
        self.optimizers = {
            name: torch.optim.AdamW(player.parameters(), lr=1e-4, fused=True)
            for name, player in self.method.players.items()
        }

    def complete(self, fast: bool) -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast):
            self.method(image=self.image)

    def export(self) -> None:
        self.exported.run(self.plain)

    def train(self) -> None:
        for name, optimizer in self.optimizers.items():
            turn(self.method, name, optimizer, [self.batch], True)


def speed(options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    sides = [int(side) for side in options.sides.split(",")]
    workers = {side: MethodOfSide(side) for side in sides}
    for worker in workers.values():
        worker.complete(False), worker.complete(True), worker.export(), worker.train()
    taken = np.array(
        [
            [
                [
                    median(partial(worker.complete, False), 3),
                    median(partial(worker.complete, True), 3),
                    median(worker.export, 9),
                    median(worker.train, 1) / BATCH.get(side, 1),
                ]
                for side, worker in workers.items()
            ]
            for _ in range(options.runs)
        ]
    )
    seconds = np.median(taken, 0)
    print(f"{'side':>5}{'complete f32':>16}{'complete bf16':>16}{'as shipped':>16}{'train bf16':>16}   ms per picture")
    for place, side in enumerate(sides):
        grown = [f"x{value:.1f}" for value in seconds[place] / seconds[place - 1]] if place else [""] * 4
        print(
            f"{side:>5}"
            + "".join(f"{value * 1e3:>10.2f}{more:>6}" for value, more in zip(seconds[place], grown, strict=True))
        )
    slopes = [np.polyfit(np.log(sides), np.log(column), 1)[0] for column in seconds.T]
    print(f"{'k':>5}" + "".join(f"{slope:>10.2f}{'':>6}" for slope in slopes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    drawn = commands.add_parser("curves")
    drawn.add_argument("runs", nargs="+", help="NAME=RUN")
    drawn.add_argument("-o", "--out", type=Path, required=True)
    drawn.add_argument("--iterations", action="store_true", help="count steps, not pictures")
    drawn.set_defaults(work=curves)
    timed = commands.add_parser("speed")
    timed.add_argument("--sides", default="128,256,512")
    timed.add_argument("--runs", type=int, default=5)
    timed.set_defaults(work=speed)
    options = parser.parse_args()
    options.work(options)


if __name__ == "__main__":
    main()
