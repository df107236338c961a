"""How much worse methods complete pictures that were spoiled: noise, blur, JPEG, brightness, and known pixels that were
moved a little against the method.

    python benchmarks/robustness.py DATASET weights/swift.safetensors weights/masked_gan.safetensors \
        [--split test-celeba] [--faces 24] [--hole worn@256] [--json out.json] [--plot docs/robustness.svg]

Each method gets the same spoiled pictures and their true holes; hole PSNR is against the picture before it was spoiled
(for brightness: against the truth as bright). The last kind is projected gradient descent (Madry et al. 2018): known
pixels move by at most so many levels, `STEPS` times by the sign of the gradient of the squared error inside the hole.
Methods that search (latent_search, dip) are left out: there is no gradient through a search. Weights of a run are
called by its folder.
"""

from __future__ import annotations

import argparse
import io
import json
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from facefill.evaluation.protocols import PROTOCOLS, Case, draw_case, hole_rng
from facefill.imaging.metrics import hole_psnr
from facefill.imaging.photo import read_photo
from facefill.methods.base import Method
from facefill.runtime.model import draw_noise, from_network, grey_holes, to_network
from facefill.training.cache import list_entries
from facefill.training.dataset import MANIFEST_PX, scale_landmarks
from facefill.training.export import open_method

U8 = NDArray[np.uint8]
STEPS = 5
LEVELS: dict[str, tuple[float, ...]] = {
    "noise": (0, 4, 8, 16, 32), "blur": (0, 0.5, 1, 2, 3), "jpeg": (100, 80, 60, 40, 20),
    "brightness": (0.5, 0.75, 1, 1.25, 1.5), "attack": (0, 1, 2, 4, 8),
}
"""Standard deviation in grey levels, in pixels; quality; factor; grey levels."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
SAYS = {"noise": "noise, σ in levels", "blur": "blur, σ in px", "jpeg": "JPEG quality", "brightness": "brightness",
        "attack": "attack on known pixels, levels"}


def spoil(kind: str, level: float, picture: U8, rng: np.random.Generator) -> U8:
    if kind == "noise":
        return np.clip(np.rint(picture + rng.normal(0, 1, picture.shape) * level), 0, 255).astype(np.uint8)
    if kind == "blur":
        return cv2.GaussianBlur(picture, (0, 0), level) if level else picture
    if kind == "jpeg":
        if level >= 100:
            return picture
        coded = io.BytesIO()
        Image.fromarray(picture).save(coded, "JPEG", quality=int(level))
        return np.asarray(Image.open(coded))
    if kind == "brightness":
        return np.clip(np.rint(picture * level), 0, 255).astype(np.uint8)
    return picture


def batch_of(method: Method, case: Case, shown: U8, covers: bool) -> dict[str, Tensor]:
    mask = torch.from_numpy(case.mask)[None, None]
    worn = shown if covers else grey_holes(shown[None], case.mask[None])[0]
    batch = {name: torch.from_numpy(to_network(value[None])) for name, value in (("image", shown), ("worn", worn))}
    batch["image"] = torch.where(mask, method.hole_value, batch["image"])
    return batch | {"mask": mask.float(), "noise": torch.from_numpy(draw_noise([None], *case.mask.shape))}


def fill(method: Method, batch: dict[str, Tensor]) -> Tensor:
    return method(**{name: batch[name] for name in method.inputs})


def attack(method: Method, batch: dict[str, Tensor], truth: U8, levels: float) -> dict[str, Tensor]:
    """The batch with known pixels moved by at most so many grey levels, to the method's harm."""
    goal = torch.from_numpy(to_network(truth[None]))
    mask, reach = batch["mask"], levels / 127.5
    moved = torch.zeros_like(goal)

    def pushed(change: Tensor) -> dict[str, Tensor]:
        return batch | {name: (batch[name] + change * (1 - mask)).clamp(-1, 1) for name in ("image", "worn")}

    for _ in range(STEPS):
        moved.requires_grad_(True)
        error = ((fill(method, pushed(moved)) - goal) * mask).square().sum()
        (gradient,) = torch.autograd.grad(error, moved)
        moved = (moved.detach() + 2 / STEPS * reach * gradient.sign()).clamp(-reach, reach)
    return pushed(moved.detach())


def judge(method: Method, cases: list[Case], covers: bool, kind: str, level: float) -> float:
    found = []
    for case in cases:
        rng = hole_rng(f"robustness/{kind}/{level}", case.file)
        batch = batch_of(method, case, spoil(kind, level, case.shown, rng), covers)
        if kind == "attack" and level:
            batch = attack(method, batch, case.truth, level)
        with torch.no_grad():
            filled = from_network(fill(method, batch).float().numpy())[0]
        truth = spoil(kind, level, case.truth, rng) if kind == "brightness" else case.truth
        found.append(hole_psnr(np.where(case.mask[..., None], filled, truth), truth, case.mask))
    return float(np.mean(found))


def read_cases(dataset: Path, split: str, count: int, hole: str) -> list[Case]:
    entries = [entry for entry in list_entries(dataset, split) if entry.landmarks is not None]
    cases = []
    for index in np.linspace(0, len(entries) - 1, min(count, len(entries))).astype(int):
        face = read_photo(entries[index].read()).pixels
        points = scale_landmarks(entries[index].landmarks, MANIFEST_PX, face.shape[0])
        cases.append(draw_case(PROTOCOLS[hole], face, points, entries[index].row["file"], None))
    return cases


def plot(table: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "facefill", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(11, 3), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, len(LEVELS), sharey=True)
        for panel, (kind, levels) in zip(axes, LEVELS.items(), strict=True):
            for colour, (name, kinds) in zip(cycle(COLOURS), table.items(), strict=False):
                panel.plot(levels, [kinds[kind][str(level)] for level in levels], marker="o", markersize=3,
                           linewidth=1.2, color=colour, label=name)
            panel.set_xlabel(SAYS[kind])
            panel.grid(linewidth=0.4, alpha=0.6)
            if kind == "jpeg":
                panel.invert_xaxis()
        axes[0].set_ylabel("hole PSNR, dB")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--faces", type=int, default=24)
    parser.add_argument("--hole", default="worn@256", choices=sorted(PROTOCOLS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = read_cases(given.dataset, given.split, given.faces, given.hole)
    covers = PROTOCOLS[given.hole].covers
    table: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{len(cases)} faces of {given.split}, {given.hole}: mean hole PSNR in dB")
    for weights in given.weights:
        method = open_method(weights)
        if not method.exports:
            print(f"{weights.stem} searches: left out")
            continue
        name = weights.parent.name if weights.stem in ("best", "weights") else weights.stem
        for kind, levels in LEVELS.items():
            values = {str(level): judge(method, cases, covers, kind, level) for level in levels}
            table.setdefault(name, {})[kind] = values
            print(f"{name:22} {kind:11}" + "  ".join(f"{level}: {value:.2f}" for level, value in
                                                              values.items()), flush=True)
    if given.json:
        given.json.write_text(json.dumps(table, indent=1), encoding="utf-8")
    if given.plot:
        plot(table, given.plot)


if __name__ == "__main__":
    main()
