"""The mixture of swift's losses at small scale: every variant goes on from the same l1 network for the same number of
pictures, and is judged on the same holes of validation faces, which none learned from.

    python benchmarks/swift.py DATASET RUNS --squeezenet squeezenet_v1.1.npz [--side 64] [--images 6000]
        [--variants "l1 alone,shipped"]

A run that is there already is not trained again. hole PSNR and the perceptual distance (the one of training, on
SqueezeNet: it judges what was trained with it, too) are means with a 95 % bootstrap interval, sharpness is a median, at
the side of training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from facefill.evaluation.statistics import bootstrap
from facefill.imaging.metrics import measure
from facefill.methods.base import Batch
from facefill.methods.swift import Swift
from facefill.nets.critics import share_of_hole
from facefill.nets.losses import HOLE_SHARE, hole_l1
from facefill.nets.perceptual import open_perceptual
from facefill.runtime.model import from_network
from facefill.training.data import FaceSource, batches, plan_steps
from facefill.training.export import open_method
from facefill.training.recipe import TRAINABLE, Recipe, read_recipe
from facefill.training.train import train

ROOT = Path(__file__).parents[1]


class WithGradients(Swift):
    """l1 of the differences between neighbours, too."""

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        terms = super().losses(player, batch)
        if player == "generator":
            filled, truth, mask = self(**self.shown(batch)), batch["truth"], batch["mask"]
            across = hole_l1(filled.diff(dim=3), truth.diff(dim=3), mask[..., 1:])
            terms["gradient"] = across + hole_l1(filled.diff(dim=2), truth.diff(dim=2), mask[..., 1:, :])
        return terms


class WithFrequencies(Swift):
    """The focal frequency loss (Jiang et al. 2021, equations 8 and 9, alpha 1), of the completed picture."""

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        terms = super().losses(player, batch)
        if player == "generator":
            mask = batch["mask"]
            missed = (self(**self.shown(batch)).float() - batch["truth"]) * mask
            distance = torch.fft.fft2(missed, norm="ortho").abs()
            weight = distance.detach() / distance.detach().amax((2, 3), keepdim=True).clamp(min=1e-8)
            terms["frequency"] = (weight * distance.square()).mean() / HOLE_SHARE
        return terms


class Relativistic(Swift):
    """Critics that compare: scores against the other side's mean (Jolicoeur-Martineau 2019, relativistic average)."""

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        terms = super().losses(player, batch)
        truth, mask = batch["truth"], batch["mask"]
        if player == "critic":
            completed = batch["completed"] if "completed" in batch else self.complete(batch).detach()
        else:
            completed = torch.where(mask > 0.5, self(**self.shown(batch)), truth)
        looks = zip(self.judge(truth, mask), self.judge(completed, mask), strict=True)
        both = [(real[-1].float(), fake[-1].float()) for real, fake in looks]
        if player == "critic":
            return {"critic": sum(_compared(real, fake, mask) for real, fake in both)}  # type: ignore[dict-item]
        compared = sum(_compared(fake, real.detach(), mask) for real, fake in both)
        terms["adversarial"] = self.config.adversarial * compared
        return terms


def _compared(higher: Tensor, lower: Tensor, mask: Tensor) -> Tensor:
    weight = share_of_hole(mask, higher)
    middle = [(scores * weight).sum() / weight.sum().clamp(min=1e-6) for scores in (higher, lower)]
    loss = F.relu(1 - (higher - middle[1])) + F.relu(1 + (lower - middle[0]))
    return (loss * weight).mean() / HOLE_SHARE


class Penalised(Swift):
    """R1 (Mescheder et al. 2018, weight 10 / 2) on true pictures, within the hole."""

    def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
        terms = super().losses(player, batch)
        if player == "critic":
            truth, mask = batch["truth"].clone().requires_grad_(True), batch["mask"]
            with torch.autocast("cpu", enabled=False):
                scores = sum((look[-1] * share_of_hole(mask, look[-1])).sum() for look in self.judge(truth, mask))
            (slope,) = torch.autograd.grad(scores, truth, create_graph=True)
            terms["r1"] = 5.0 * (slope * mask).square().sum((1, 2, 3)).mean()
        return terms


SHIPPED = ("model.adversarial=0.0115", "model.feature_matching=4.0", "model.perceptual=0.0025")
L1 = ("model.adversarial=0", "model.feature_matching=0", "model.perceptual=0")
VARIANTS: dict[str, tuple[type[Swift], tuple[str, ...]]] = {
    "l1 alone": (Swift, L1),
    "critic": (Swift, (SHIPPED[0], *L1[1:])),
    "critic, features": (Swift, (*SHIPPED[:2], L1[2])),
    "perceptual": (Swift, (*L1[:2], SHIPPED[2])),
    "all three": (Swift, SHIPPED),
    "all, two critics": (Swift, (*SHIPPED, "model.critic_scales=2")),
    "all, relativistic": (Relativistic, SHIPPED),
    "all, R1": (Penalised, SHIPPED),
    "all, gradients": (WithGradients, SHIPPED),
    "all, focal frequency": (WithFrequencies, SHIPPED),
    "all, no dilation": (Swift, (*SHIPPED, "model.bottom_dilations=[1,1,1,1]")),
}


def recipe_of(dataset: Path, side: int, images: int, settings: tuple[str, ...]) -> Recipe:
    shared = [f"data.folder={dataset}", "data.workers=0", f"train.eval_images={images}", "train.warmup_images=500",
              f"train.stages=[{{side_px={side}, images={images}, batch=8, rate=2e-3}}]"]
    return read_recipe(ROOT / "configs/swift.toml", [*shared, *settings])


def judge(weights: Path, source: FaceSource, side: int, squeezenet: Path) -> dict[str, NDArray[np.float64]]:
    method, features = open_method(weights), open_perceptual(squeezenet)
    found: dict[str, list[float]] = {"hole_psnr": [], "sharpness": [], "perceptual": []}
    for raw in batches(source.validation(), plan_steps(0, 200, 20, [side]), 0):
        batch = source.to_batch(raw, method, torch.device("cpu"))
        with torch.no_grad():
            completed = method.complete(batch)
            found["perceptual"] += features(completed, batch["truth"]).tolist()
        for one, truth, mask in zip(from_network(completed.numpy()), raw["truth"].numpy(), raw["mask"].numpy(),
                                    strict=True):
            values = measure(one, truth, mask)
            found["hole_psnr"].append(values["hole_psnr"])
            found["sharpness"].append(values["sharpness"])
    return {name: np.array(values) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--squeezenet", type=Path, required=True)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--start", type=int, default=12000, help="pictures of the l1 network that all go on from")
    parser.add_argument("--variants", default=",".join(VARIANTS).replace(", ", ";"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset, net = given.dataset.resolve(), given.squeezenet.resolve()
    print("| variant | n | hole PSNR dB | sharpness | perceptual |\n|---|---|---|---|---|")
    for name in (name.replace(";", ", ") for name in given.variants.split(",")):
        kind, settings = VARIANTS[name]
        dilation = settings[3:] if "dilation" in name else ()
        first = train(recipe_of(dataset, given.side, given.start, (*L1, *dilation)),
                      given.runs / f"start{'-undilated' if dilation else ''}-{given.side}")
        TRAINABLE["swift"] = kind
        named = (f"model.perceptual_net={net}", f"init={first}") if "model.perceptual=0" not in settings else (
            f"init={first}",)
        recipe = recipe_of(dataset, given.side, given.images, (*settings, *named))
        weights = train(recipe, given.runs / f"{name.replace(', ', '-').replace(' ', '-')}-{given.side}")
        TRAINABLE["swift"] = Swift
        assert recipe.data is not None
        values = judge(weights, FaceSource(recipe.data), given.side, net)
        psnr, seen = (bootstrap(values[key]).estimate() for key in ("hole_psnr", "perceptual"))
        print(f"| {name} | {psnr.n} | {psnr.value:.2f} [{psnr.low:.2f}, {psnr.high:.2f}] | "
              f"{np.nanmedian(values['sharpness']):.2f} | {seen.value:.2f} [{seen.low:.2f}, {seen.high:.2f}] |",
              flush=True)


if __name__ == "__main__":
    main()
