"""What the choices of a method give at small scale: trains each variant with several seeds, all for as many pictures,
and compares what they complete of validation faces, which none learned from, with the same holes.

    python benchmarks/ablations.py METHOD FACES RUNS [--variants A,B] [--images 3200] [--seeds 3] [--count 200]

Prints a table of mean hole PSNR in dB: of each seed, of all seeds together, and beyond the first variant, paired by
face and seed; in brackets 95 % bootstrap intervals over people, which say nothing of other seeds: those stand beside.
RUNS/METHOD holds the runs; one that is there already is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facefill.evaluation.intervals import bootstrap
from facefill.imaging.metrics import hole_psnr
from facefill.runtime.model import from_network
from facefill.training.data import Source, batches, open_faces, plan_steps, read_faces, split_validation, to_batch
from facefill.training.export import open_method
from facefill.training.recipe import Recipe, read_recipe
from facefill.training.train import train

ROOT = Path(__file__).parents[1]
NO_CRITIC = ["model.adversarial=0", "model.feature_matching=0", "model.perceptual=0"]
CRITIC = ["model.feature_matching=0", "model.perceptual=0"]
WORN = ["data.holes={worn=1}"]
VARIANTS: dict[str, dict[str, list[str]]] = {
    "context_encoder": {
        "128 channels": [],
        "3 channels": ["model.bottleneck=3"],
        "batch normalisation": ["model.batch_norm=true"],
        "a mean of squares": ["model.adversarial=12288"],
    },
    "masked_gan": {
        "patch critic": ["model.critic=patch", *CRITIC],
        "scalar critic": ["model.critic=scalar", *CRITIC],
        "all faces": NO_CRITIC,
        "10 % of the faces": ["data.share=0.1", *NO_CRITIC],
        "1 % of the faces": ["data.share=0.01", *NO_CRITIC],
        "cover not seen": ["model.sees_cover=false", *NO_CRITIC],
    },
}
"""By method: settings that differ from its recipe, and the first is what the others are compared with."""
OPTIONS = {"context_encoder": ["train.critic_rate=0.1"], "masked_gan": WORN}
BATCHES = {"context_encoder": 8, "masked_gan": 16}


def recipe_of(given: argparse.Namespace, settings: list[str], seed: int) -> Recipe:
    """The method's recipe, shortened."""
    stage = f"{{side_px={given.side}, images={given.images}, batch={BATCHES[given.method]}, rate=2e-3}}"
    shared = [
        f"data.folder={given.faces.resolve()}",
        "data.side_px=128",
        f"data.validation_images={given.count}",
        "data.workers=0",
        f"train.stages=[{stage}]",
        f"train.ema_images={given.images // 10}",
        f"train.eval_images={given.images}",
        f"train.seed={seed}",
    ]
    return read_recipe(ROOT / f"configs/{given.method}.toml", [*shared, *OPTIONS[given.method], *settings])


def judge(weights: Path, source: Source, side: int) -> NDArray[np.float64]:
    """Hole PSNR of each validation face, completed by the averaged weights."""
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
    parser.add_argument("method", choices=VARIANTS)
    parser.add_argument("faces", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--variants", help="names; default: all of the method")
    parser.add_argument("--images", type=int, default=3200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--count", type=int, default=200, help="validation faces")
    given = parser.parse_args()
    torch.set_num_threads(1)
    known = VARIANTS[given.method]
    names = given.variants.split(",") if given.variants else list(known)
    seeds, first, people = range(given.seeds), None, None
    print("| variant | n | seeds | each seed | hole PSNR, dB | beyond the first |\n|---|---|---|---|---|---|")
    for name in names:
        values = []
        for seed in seeds:
            recipe = recipe_of(given, known[name], seed)
            kind = "".join(letter for letter in name if letter.isalnum())
            weights = train(recipe, given.runs / given.method / f"{kind}-{given.images}-{seed}")
            assert recipe.data is not None
            values.append(judge(weights, open_faces(recipe.data), given.side))
        if people is None:
            faces = read_faces(recipe.data)
            people = [faces.identities[place] for place in split_validation(faces.identities, given.count)[1]]
        found = np.mean(values, 0)
        first = found if first is None else first
        mean, more = (bootstrap(some, people=people).estimate() for some in (found, found - first))
        each = ", ".join(f"{one.mean():.2f}" for one in values)
        beyond = "" if first is found else f"{more.value:+.2f} [{more.low:+.2f}, {more.high:+.2f}]"
        whole = f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]"
        print(f"| {name} | {mean.n} | {given.seeds} | {each} | {whole} | {beyond} |", flush=True)


if __name__ == "__main__":
    main()
