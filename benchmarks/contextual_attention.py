"""How training runs of contextual_attention went, and what came out of them. RUN is a folder of `facefill train`.

    python benchmarks/contextual_attention.py curves RUN [RUN ...] -o stability.svg
    python benchmarks/contextual_attention.py scores RUN [RUN ...] [--count 300] [--centre] [--cut]
    python benchmarks/contextual_attention.py borrows RUN [RUN ...] [--count 60]
    python benchmarks/contextual_attention.py penalty RUN [--count 32]

curves: draws critic gap, gradient penalty and hole PSNR over the pictures shown, and prints them. Known pixels are
right, so a picture's hole PSNR is its PSNR, which is logged, and 10 log10 of the hole's share of the picture, in dB.
scores: the last weights on validation faces, the same for all, and differences from the first run, paired by face, with
95 % intervals over people.
--centre: square holes of half the side instead of those of the recipe. --cut: each run once more with attention
taken out: the features that it looks at go on instead of what it borrows.
borrows: from where the cells of a square hole of half the side take most: beyond their own side of it or beyond the
opposite one, for those at its rim, and how far from it, for all.
penalty: the gradient penalty in bf16 against float32, on critics and validation faces of a run: its value, and how far
the gradient that it gives the critic's weights is from float64's, as a share of its length and as a cosine. "bf16":
forward, first and second backward under autocast, as training runs.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facefill.arrays import U8
from facefill.config import build
from facefill.evaluation.intervals import bootstrap
from facefill.imaging.metrics import measure
from facefill.methods.contextual_attention import ContextualAttention
from facefill.nets.attention import Borrowed
from facefill.nets.coarse_to_fine import crop_around
from facefill.training.checkpoint import load_newest
from facefill.training.data import read_faces, split_validation, to_batch
from facefill.training.export import open_method
from facefill.training.recipe import Recipe, build_method, open_source

PENALTY_WEIGHT = 10.0
"""What the logged penalty was multiplied by."""
SCORED = ("hole_psnr", "ssim", "sharpness")
Batch = dict[str, Tensor]


def curves(options: argparse.Namespace) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "facefill", "svg.fonttype": "none", "font.size": 8}):
        figure, (gap, length, score) = pyplot.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
        for place, run in enumerate(options.runs):
            recipe, colour = read_run(run), f"C{place}"
            lines = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
            # Shares, and so scores, are of the side that the run ended with.
            rows = [row for row in map(json.loads, lines) if row["side_px"] == recipe.train.stages[-1].sides_px[-1]]
            assert recipe.data is not None
            masks = validation(recipe, open_method(run / "weights.safetensors"), recipe.data.validation_images)["mask"]
            smaller = float(10 * masks.mean((1, 2, 3)).log10().mean())
            shown, holes = [row["shown"] for row in rows], [row["score"] + smaller for row in rows]
            score.plot(shown, holes, color=colour, label=run.name)
            said = [f"{one:.2f} dB" for one in holes]
            if "penalty" in rows[0]:
                gaps = {critic: [-row[f"critic_{critic}"] for row in rows] for critic in ("whole", "hole")}
                for (critic, values), line in zip(gaps.items(), "-:", strict=True):
                    gap.plot(shown, values, line, color=colour, label=f"{run.name}, {critic}")
                # Both critics' mean squared distance from length 1 is logged as a sum.
                off = [math.sqrt(row["penalty"] / PENALTY_WEIGHT / 2) for row in rows]
                length.plot(shown, off, color=colour, label=run.name)
                said = [
                    f"{one}, gaps {whole:.1f}, {hole:.1f}, off {rms:.2f}"
                    for one, whole, hole, rms in zip(said, gaps["whole"], gaps["hole"], off, strict=True)
                ]
            print(f"{run.name}: " + "; ".join(f"{at}: {one}" for at, one in zip(shown, said, strict=True)))
        for axes, title in (
            (gap, "critic gap: score of true less completed"),
            (length, "distance of the gradient's length from 1, rms"),
            (score, "hole PSNR, validation, dB"),
        ):
            axes.set_title(title)
            axes.set_xlabel("pictures shown")
            axes.grid(alpha=0.3)
            axes.legend(fontsize=6)
        figure.savefig(options.out, format="svg", metadata={"Date": None, "Creator": None})


def read_run(run: Path) -> Recipe:
    return build(Recipe, json.loads((run / "config.json").read_text(encoding="utf-8")), "config.json")


def validation(recipe: Recipe, method: ContextualAttention, count: int) -> Batch:
    """The first validation faces, with their holes, at the side that the run ended with."""
    assert recipe.data is not None
    data = recipe.data.model_copy(update={"validation_images": count})
    source = open_source(recipe.model_copy(update={"data": data}))
    faces, side = source.validation, recipe.train.stages[-1].sides_px[-1]
    items = [faces[place, side] for place in range(count)]
    raw = {name: torch.stack([torch.as_tensor(item[name]) for item in items]) for name in items[0]}
    return to_batch(raw, method, torch.device("cpu"))


class NoAttention(nn.Module):
    """In place of attention: nothing is borrowed."""

    def forward(self, features: Tensor, mask: Tensor) -> Borrowed:
        return Borrowed(features, mask.new_zeros((len(features), *(side // 2 for side in features.shape[-2:]))).long())


@torch.no_grad()
def measured(method: ContextualAttention, batch: Batch) -> dict[str, NDArray[np.float64]]:
    """Each of `SCORED`, a value for each picture."""

    def levels(pictures: Tensor) -> U8:
        found: U8 = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
        return found

    rows = []
    for first in range(0, len(batch["image"]), 20):
        image, mask, truth = (batch[name][first : first + 20] for name in ("image", "mask", "truth"))
        with torch.autocast("cpu", torch.bfloat16):
            completed = method.complete({"image": image, "mask": mask})
        rows += [
            measure(one, true, hole)
            for one, true, hole in zip(levels(completed), levels(truth), mask[:, 0].numpy() > 0.5, strict=True)
        ]
    return {name: np.array([row[name] for row in rows]) for name in SCORED}


def scores(options: argparse.Namespace) -> None:
    recipe = read_run(options.runs[0])
    if options.centre:
        assert recipe.data is not None
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"holes": {"centre": 1.0}})})
    assert recipe.data is not None
    identities = read_faces(recipe.data).identities
    people = [identities[place] for place in split_validation(identities, options.count)[1][: options.count]]
    first = None
    for run in options.runs:
        method = open_method(run / "weights.safetensors")
        batch = validation(recipe, method, options.count)
        for cut in (False, True) if options.cut else (False,):
            if cut:
                method.generator.refinement.attention = NoAttention()
            found = measured(method, batch)
            first = first or found
            said = []
            for name, values in found.items():
                more = bootstrap(values - first[name], people=people).estimate()
                said.append(
                    f"{name} {np.median(values) if name == 'sharpness' else values.mean():.3f} "
                    f"({more.value:+.3f} [{more.low:.3f}, {more.high:.3f}])"
                )
            name = f"{run.name}, attention cut out" if cut else run.name
            print(f"{name}, {options.count} faces: " + "; ".join(said), flush=True)


@torch.no_grad()
def borrows(options: argparse.Namespace) -> None:
    recipe = read_run(options.runs[0])
    assert recipe.data is not None
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"holes": {"centre": 1.0}})})
    for run in options.runs:
        method = open_method(run / "weights.safetensors")
        batch = validation(recipe, method, options.count)
        parts = [
            {name: batch[name][place : place + 20] for name in method.inputs} for place in range(0, options.count, 20)
        ]
        offsets = torch.cat([method.explain(**part)[1] for part in parts]).numpy()
        side = offsets.shape[-1]
        first, last, line = side // 4, 3 * side // 4 - 1, np.arange(side)
        hole = slice(first, last + 1)
        # How many cells beyond each of the hole's four sides a cell's source lies; inside 0 or less.
        down, across = offsets[:, 0] + line[:, None], offsets[:, 1] + line
        beyond = np.stack([first - down, down - last, first - across, across - last])[:, :, hole, hole]
        rim = [beyond[:, :, 0], beyond[:, :, -1], beyond[:, :, :, 0], beyond[:, :, :, -1]]
        own = np.mean([cells[place] > 0 for place, cells in enumerate(rim)])
        opposite = np.mean([cells[place ^ 1] > 0 for place, cells in enumerate(rim)])
        near = ", ".join(f"{cells}: {(beyond.max(0) == cells).mean():.3f}" for cells in range(1, first + 1))
        print(
            f"{run.name}, {options.count} faces, {side}x{side} cells: at the rim {own:.3f} beyond their own side, "
            f"{opposite:.3f} beyond the opposite one; cells from the hole {near}",
            flush=True,
        )


def penalty_of(critic: nn.Module, between: Tensor, hole: Tensor, bf16: bool) -> Tensor:
    """Mean of (|gradient inside the hole| - 1)², as the method has it, in either precision."""
    leaf = between.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        (gradient,) = torch.autograd.grad(critic(leaf).sum(), leaf, create_graph=True)
    return ((gradient * hole).square().sum((1, 2, 3)).clamp_min(1e-12).sqrt() - 1).square().mean()


def gradient_of(critic: nn.Module, value: Tensor) -> Tensor:
    critic.zero_grad()
    value.backward()  # type: ignore[no-untyped-call]
    return torch.cat(
        [parameter.grad.flatten().double() for parameter in critic.parameters() if parameter.grad is not None]
    )


def open_state(run: Path, recipe: Recipe) -> Any:
    method, state = build_method("contextual_attention", recipe.model), load_newest(run)
    assert state is not None, f"{run} holds no state"
    method.load_state_dict(state["method"])
    return method


def penalty(options: argparse.Namespace) -> None:
    recipe = read_run(options.runs[0])
    method = open_state(options.runs[0], recipe)
    batch = validation(recipe, method, options.count)
    method.requires_grad_(False)
    method.critic.requires_grad_(True)
    with torch.no_grad():
        completed = method.complete(batch)
    shares = torch.rand((len(completed), 1, 1, 1), generator=torch.Generator().manual_seed(0))
    between = torch.lerp(batch["truth"], completed, shares)
    hole = batch["mask"].expand_as(between)
    for name, pictures in (("whole", [between, hole]), ("hole", crop_around(batch["mask"], [between, hole]))):
        critic = method.critic[name]
        exact = penalty_of(critic.double(), pictures[0].double(), pictures[1].double(), bf16=False)
        truth = gradient_of(critic, exact)
        critic.float()
        for kind in ("float32", "bf16"):
            begun = time.process_time()
            value = penalty_of(critic, pictures[0], pictures[1], bf16=kind == "bf16")
            gradient = gradient_of(critic, value)
            spent = time.process_time() - begun
            off, cosine = (gradient - truth).norm() / truth.norm(), torch.cosine_similarity(gradient, truth, 0)
            print(
                f"{name} critic, {kind}: penalty {value.item():.6f} (float64 {exact.item():.6f}), gradient off by "
                f"{off.item():.1e} of its length, cosine {cosine.item():.6f}, {1e3 * spent:.0f} ms of the processor"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    for work, count in ((curves, 0), (scores, 300), (borrows, 60), (penalty, 32)):
        kind = kinds.add_parser(work.__name__)
        kind.set_defaults(work=work)
        kind.add_argument("runs", type=Path, nargs="+")
        kind.add_argument("--centre", action="store_true")
        kind.add_argument("--cut", action="store_true")
        kind.add_argument("--count", type=int, default=count)
        kind.add_argument("-o", "--out", type=Path, default=Path("stability.svg"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work(options)


if __name__ == "__main__":
    main()
