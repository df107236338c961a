"""The mixture of swift's losses at small scale: every variant goes on from the same l1 network for the same number of
pictures, and is judged on the same holes of validation faces, which none learned from. What can only be told from the
beginning (the bottom's dilations, small pictures first) is judged as an l1 network, too, after as many pictures.

    python benchmarks/swift.py DATASET RUNS --squeezenet squeezenet_v1.1.npz [--side 64] [--images 6000]
        [--starts "l1,no dilation"] [--variants "l1 alone,all three"]

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
from facefill.training.checkpoint import load_weights, save_weights
from facefill.training.data import FaceSource, batches, plan_steps
from facefill.training.export import open_method
from facefill.training.recipe import TRAINABLE, Recipe, build_method, read_recipe
from facefill.training.train import train

ROOT = Path(__file__).parents[1]
WIDE = 2
"""How many times swift's widths the teacher's are."""


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


def taught_by(teacher: Swift) -> type[Swift]:
    """A swift that learns what the teacher fills beside the truth, with the same weight."""

    class Taught(Swift):
        def losses(self, player: str, batch: Batch) -> dict[str, Tensor]:
            terms = super().losses(player, batch)
            if player == "generator":
                shown = self.shown(batch)
                with torch.no_grad():
                    taught = teacher(**shown).float()
                terms["teacher"] = hole_l1(self(**shown), taught, batch["mask"])
            return terms

    return Taught


def widen(weights: Path, out: Path) -> Path:
    """Write a network of `WIDE` times the widths that computes the same, but for noise of a twentieth that tells its
    channels apart (Chen, Goodfellow & Shlens 2016, "Net2Net")."""
    small, about = load_weights(weights)
    about["config"] |= {"widths": [WIDE * width for width in about["config"]["widths"]]}
    wide = build_method(about["method"], about["config"]).generator.state_dict()
    noise = torch.Generator().manual_seed(0)
    for name, place in wide.items():
        times = [full // part for full, part in zip(place.shape, small[name].shape, strict=True)]
        value = small[name].float().repeat(*times)
        if value.ndim == 4:
            value *= (1 + 0.05 * torch.randn(value.shape, generator=noise)) / times[1]
        wide[name] = value
    save_weights(out, wide, about)
    return out


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
    "all, low to high": (Swift, SHIPPED),
    "twice the width, l1": (Swift, (*L1, "model.widths=[64,128,256,512]")),
    "l1, taught by that": (Swift, L1),
}
STARTS = {"l1": (1.0,), "no dilation": (1.0,), "low to high": (0.75, 1.0)}
"""Shares of the side, in stages of as many pictures each. Covers need faces of 48 px or more."""


def recipe_of(dataset: Path, sides: tuple[int, ...], images: int, settings: tuple[str, ...]) -> Recipe:
    stages = ", ".join(f"{{side_px={side}, images={images // len(sides)}, batch=8, rate=2e-3}}" for side in sides)
    shared = [f"data.folder={dataset}", "data.workers=0", f"train.eval_images={images}", "train.warmup_images=500",
              f"train.stages=[{stages}]"]
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
    parser.add_argument("--starts", default=",".join(STARTS))
    parser.add_argument("--variants", default=",".join(VARIANTS).replace(", ", ";"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    dataset, net, runs, side = given.dataset.resolve(), given.squeezenet.resolve(), given.runs, given.side
    print("| variant | n | hole PSNR dB | sharpness | perceptual |\n|---|---|---|---|---|")
    starts: dict[str, Path] = {}

    def learn(name: str, sides: tuple[int, ...], images: int, settings: tuple[str, ...], kind: type[Swift]) -> Path:
        TRAINABLE["swift"] = kind
        weights = train(recipe_of(dataset, sides, images, settings), runs / f"{slug(name)}-{side}")
        TRAINABLE["swift"] = Swift
        return weights

    def start(name: str) -> Path:
        if name not in starts:
            dilation = VARIANTS["all, no dilation"][1][3:] if name == "no dilation" else ()
            sides = tuple(int(side * share) for share in STARTS[name])
            folder = "start" if name == "l1" else f"start {name}"
            starts[name] = learn(folder, sides, given.start, (*L1, *dilation), Swift)
        return starts[name]

    for name in names(given.starts):
        row(f"start, {name}", start(name), dataset, side, net)
    for name in names(given.variants):
        kind, settings = VARIANTS[name]
        first = start(name.removeprefix("all, ") if name.removeprefix("all, ") in STARTS else "l1")
        if "width" in name:
            first = widen(first, runs / "widened.safetensors")
        if "taught" in name:
            kind = taught_by(open_method(runs / f"{slug('twice the width, l1')}-{side}" / "weights.safetensors"))
        named = (f"model.perceptual_net={net}",) if L1[2] not in settings else ()
        row(name, learn(name, (side,), given.images, (*settings, *named, f"init={first}"), kind), dataset, side, net)


def slug(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")


def names(given: str) -> list[str]:
    return [name.replace(";", ", ") for name in given.split(",") if name]


def row(name: str, weights: Path, dataset: Path, side: int, squeezenet: Path) -> None:
    recipe = recipe_of(dataset, (side,), 8, L1)
    assert recipe.data is not None
    values = judge(weights, FaceSource(recipe.data), side, squeezenet)
    psnr, seen = (bootstrap(values[key]).estimate() for key in ("hole_psnr", "perceptual"))
    print(f"| {name} | {psnr.n} | {psnr.value:.2f} [{psnr.low:.2f}, {psnr.high:.2f}] | "
          f"{np.nanmedian(values['sharpness']):.2f} | {seen.value:.2f} [{seen.low:.2f}, {seen.high:.2f}] |", flush=True)


if __name__ == "__main__":
    main()
