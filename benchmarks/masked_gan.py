"""masked_gan at small scale: more faces, and what it may see. Trains each variant for the same number of pictures and
prints the hole PSNR of validation faces, which no variant learned from, with the same holes.

    python benchmarks/masked_gan.py DATASET RUNS [--side 64] [--images 20000] [--variants "10 %,30 %,100 %"]

A run that is there already is not trained again. Reconstruction only (no critic) but where the variant says so: at this
scale that is what the numbers show. Differences are paired over the faces; intervals are 95 % bootstrap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facefill.evaluation.statistics import bootstrap
from facefill.imaging.metrics import hole_psnr
from facefill.runtime.model import from_network
from facefill.training.data import Source, batches, open_faces, plan_steps, to_batch
from facefill.training.export import open_method
from facefill.training.recipe import Recipe, read_recipe
from facefill.training.train import train

ROOT = Path(__file__).parents[1]
PLAIN = ["model.adversarial=0", "model.feature_matching=0", "model.perceptual=0"]
VARIANTS = {
    "10 %": ["data.share=0.1", *PLAIN],
    "30 %": ["data.share=0.3", *PLAIN],
    "100 %": PLAIN,
    "cover not seen": ["model.sees_cover=false", *PLAIN],
    "no skips": ["model.skips=false", *PLAIN],
    "scalar critic": ["model.critic=scalar", "model.feature_matching=0", "model.perceptual=0"],
    "patch critic": ["model.critic=patch", "model.feature_matching=0", "model.perceptual=0"],
}


def recipe_of(dataset: Path, side: int, images: int, settings: list[str]) -> Recipe:
    stage = f"train.stages=[{{side_px={side}, images={images}, batch=16, rate=2e-3}}]"
    shared = [f"data.folder={dataset}", stage, f"train.eval_images={images}", "data.holes={worn=1}", "data.workers=0"]
    return read_recipe(ROOT / "configs/masked_gan.toml", [*shared, *settings])


def judge(weights: Path, source: Source, side: int) -> NDArray[np.float64]:
    method = open_method(weights)
    values = []
    for raw in batches(source.validation, plan_steps(0, source.validation_images, 20, [side]), 0):
        batch = to_batch(raw, method, torch.device("cpu"))
        with torch.no_grad():
            completed = from_network(method.complete(batch).numpy())
        for one, truth, mask in zip(completed, raw["truth"].numpy(), raw["mask"].numpy(), strict=True):
            values.append(hole_psnr(one, truth, mask))
    return np.array(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--variants", default="10 %,30 %,100 %")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, NDArray[np.float64]] = {}
    for name in given.variants.split(","):
        recipe = recipe_of(given.dataset.resolve(), given.side, given.images, VARIANTS[name])
        weights = train(recipe, given.runs / f"{name.replace(' %', '').replace(' ', '-')}-{given.side}")
        assert recipe.data is not None
        found[name] = judge(weights, open_faces(recipe.data), given.side)
        mean = bootstrap(found[name]).estimate()
        first = bootstrap(found[name] - next(iter(found.values()))).estimate()
        print(
            f"{name:16} n {mean.n}  hole PSNR {mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}] dB, "
            f"against the first {first.value:+.2f} [{first.low:+.2f}, {first.high:+.2f}]",
            flush=True,
        )


if __name__ == "__main__":
    main()
