"""latent_search: how fast it is, what its encoder and its terms are worth, and its constants.

    python benchmarks/latent_search.py speed WEIGHTS DATASET [--faces 64] [--plain 4] [--set start=encoder]
    python benchmarks/latent_search.py start WEIGHTS DATASET [--faces 16]
    python benchmarks/latent_search.py terms WEIGHTS DATASET [--faces 64] [--only DIP,symmetry]
    python benchmarks/latent_search.py moved WEIGHTS DATASET [--faces 64] --hole centre
    python benchmarks/latent_search.py samples WEIGHTS DATASET [--faces 64] --hole centre
    python benchmarks/latent_search.py ranks WEIGHTS DATASET --faces 12 --hole centre,random20,random60
    python benchmarks/latent_search.py mirror WEIGHTS DATASET [--split test-asian]

speed: the search as it ships, or as --set says, against the plain loop (one face at a time, float32, 1,000 iterations
of Adam, one start), in turn on the same faces and holes; faces per second and the final loss of both, computed alike
in float32.
start: the loss after so many iterations from the encoder's code, and after 1,000 of the plain loop, which takes all
faces in one batch here.
terms: both criteria for what the search drew, PSNR and SSIM of the completed faces, with each loss alone (figure 5),
DIP, all three, and with the options, and what blending is worth; --hole takes several.
moved: the same faces aligned, and turned, shrunk and shifted (the paper's stated limitation); TV, which knows nothing
of faces, tells how much harder the moved holes are in themselves.
samples: how far four completions of one face are apart, and how much worse the worst of them is than the first.
ranks: how well each loss, of known pixels, tells which of two generated faces is nearer to the truth in the hole.
mirror: how far the landmarks of a mirrored aligned face lie from their partners, which is what `symmetry` relies on.
The paper's figures as pictures: `latent_figures.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from quality import by_hash
from scipy.stats import spearmanr
from torch import Tensor

from facefill.arrays import U8, mirror_points
from facefill.config import override
from facefill.evaluation.intervals import bootstrap
from facefill.imaging.blend import composite
from facefill.imaging.classical import fill_total_variation
from facefill.imaging.masks import MASKS
from facefill.imaging.metrics import hole_psnr, psnr, ssim
from facefill.imaging.sheets import mean_distance
from facefill.methods.latent_search import Dip, LatentSearch, LatentSearchConfig, Target
from facefill.methods.opened import read_weights
from facefill.runtime.model import seed_of
from facefill.training.data import DataConfig, read_faces

NONE = {"adversarial": 0.0, "context": 0.0, "structure": 0.0, "border": 0.0}
ALONE: dict[str, dict[str, object]] = {
    "critic alone": NONE | {"adversarial": 1.0},
    "l1 alone": NONE | {"context": 1.0},
    "SSIM alone": NONE | {"structure": 1.0},
}
"""Settings with each loss alone, figure 5."""
NEAR, SPREAD = 48, 0.3
"""Faces that `ranks` compares, and how far around the best code they lie."""
PLAIN_RATE = 0.05
"""Learning rate of the plain loop's Adam, which never falls: at 0.15 it would end worse."""


def open_search(weights: Path, kind: type[LatentSearch] = LatentSearch, **settings: object) -> LatentSearch:
    tensors, about = read_weights(weights)
    method = kind(LatentSearchConfig.model_validate(about["config"] | settings))
    method.generator.load_state_dict({name: value.float() for name, value in tensors.items()})
    return method.eval().requires_grad_(False)


class Cases(NamedTuple):
    """N faces with a hole each."""

    faces: U8
    """(N, 64, 64, 3) uint8 RGB."""
    masks: NDArray[np.bool_]
    """(N, 64, 64), True = missing."""
    people: list[str]
    """Whose face each is."""


def read(dataset: Path, split: str, count: int, hole: str) -> Cases:
    """The first faces of a split, by the hash of their names, at 64 px, each with a hole by its name."""
    faces = read_faces(DataConfig(folder=dataset, split=split, side_px=64, holes={hole: 1}))
    chosen = by_hash(range(len(faces.names)), faces.names.__getitem__)[:count]
    seeds = [int.from_bytes(hashlib.sha256(f"{hole}/{faces.names[place]}".encode()).digest()[:8]) for place in chosen]
    masks = np.stack([MASKS[hole](64, np.random.default_rng(seed)) for seed in seeds])
    return Cases(np.asarray(faces.pixels[np.array(chosen)]), masks, [faces.identities[place] for place in chosen])


def move(face: U8) -> U8:
    """The face as a crop that is not aligned shows it: turned by 15 degrees, at 0.8 of its size, off the middle."""
    side = len(face)
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 15, 0.8)
    matrix[:, 2] += (0.1 * side, -0.06 * side)
    return np.asarray(cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101))


def as_tensors(faces: U8, masks: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    mask = torch.from_numpy(masks)[:, None]
    truth = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 127.5 - 1
    return torch.where(mask, 0.0, truth), mask.float()


def as_levels(faces: Tensor) -> U8:
    return ((faces + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def plain(method: LatentSearch, image: Tensor, mask: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
    """The search as the paper describes it, with nothing done for speed. Returns codes (N, code_length) and their final
    losses (N,)."""
    known = method.look(image, mask)
    codes = method.draw_codes(seeds).requires_grad_()
    optimizer = torch.optim.Adam([codes], PLAIN_RATE)
    for _ in range(1000):
        faces = method.generator.faces(codes)
        loss = torch.stack(list(method.weigh(faces, method.generator.critic(faces), known).values())).sum(0)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            codes.clamp_(-1, 1)
    return codes.detach(), loss.detach()


def speed(options: argparse.Namespace) -> None:
    method = open_search(options.weights, **override({}, options.set))
    image, mask = as_tensors(*read(options.dataset, options.split, options.faces, options.hole)[:2])
    seeds = torch.arange(len(image))
    method.search(image[:1], mask[:1], seeds[:1])
    rows = []
    for place in range(options.plain):
        begun = clocks()
        _, loss = plain(method, *(part[place : place + 1] for part in (image, mask, seeds)))
        middle = clocks()
        found = method.search(image, mask, seeds)
        ours = (clocks() - middle) / len(image)
        rows.append((*(middle - begun), *ours, float(loss), float(found.loss[place])))
        form = (
            "face {}: plain {:.1f} s (processor {:.1f}), ours {:.3f} s per face (processor {:.3f}); "
            "final loss {:.4f} and {:.4f}"
        )
        print(form.format(place, *rows[-1]), f"after {float(found.steps.float().mean()):.0f} iterations", flush=True)
    ratios = np.median(rows, 0)[:2] / np.median(rows, 0)[2:4]
    print(
        "median ratio of faces per second {:.1f}, of processor time {:.1f};".format(*ratios),
        "mean final loss {:.4f} plain, {:.4f} ours".format(*np.mean(rows, 0)[4:]),
        f"({torch.get_num_threads()} threads, {len(image)} faces at once)",
    )


def clocks() -> NDArray[np.float64]:
    """Seconds of the wall and of the processor; a busy machine disturbs the second less."""
    return np.array([time.perf_counter(), time.process_time()])


def start(options: argparse.Namespace) -> None:
    faces, masks, people = read(options.dataset, options.split, options.faces, options.hole)
    image, mask = as_tensors(faces, masks)
    seeds = torch.arange(len(image))
    print(
        f"{options.hole}, n = {len(faces)}: final loss; the same beyond the plain loop's, paired; PSNR dB of the "
        "generated face against the whole truth; all with 95 % intervals; gradients taken"
    )
    method = open_search(options.weights)
    codes, losses = plain(method, image, mask, seeds)
    with torch.no_grad():
        found = {"plain loop": (losses, method.generator.faces(codes), 1000.0)}
    for name, steps in (("random", 1000), *(("encoder", steps) for steps in (1, 25, 50, 100))):
        settings = {"start": name, "iterations": steps, "patience": steps} | override({}, options.set)
        got = open_search(options.weights, **settings).search(image, mask, seeds)
        found[f"{name} {steps}"] = got.loss, got.faces, float(got.steps.float().mean())
    for name, (loss, drawn, steps) in found.items():
        near = interval([psnr(*pair) for pair in zip(as_levels(drawn), faces, strict=True)], "{:.2f}", people)
        columns = ((loss, "{:.4f}"), (loss - losses, "{:+.4f}"), (near, "{:.2f}"))
        print(f"{name:<13}", *(interval(*column, people) for column in columns), f"{steps:.0f}", sep="  ")


def terms(options: argparse.Namespace) -> None:
    variants: dict[str, tuple[type[LatentSearch], dict[str, object]]] = {
        **{name: (LatentSearch, settings) for name, settings in ALONE.items()},
        "DIP": (Dip, {}),
        "DIP without border weights": (Dip, {"border": 0.0}),
        "all three": (LatentSearch, {}),
        "without border weights": (LatentSearch, {"border": 0.0}),
        "the paper's bounds": (LatentSearch, {"bounds": "paper"}),
        "with symmetry 0.5": (LatentSearch, {"symmetry": 0.5}),
        "with mean face 0.1": (LatentSearch, {"mean_face": 0.1}),
    }
    for hole in options.hole.split(","):
        faces, masks, people = read(options.dataset, options.split, options.faces, hole)
        wanted = [name for name in variants if any(part in name for part in options.only.split(","))]
        print(
            f"\n| {hole}, n = {len(faces)}, {options.seeds} seeds | known pixels off, levels | their SSIM | PSNR, dB "
            "| SSIM | PSNR beyond pasted | PSNR beyond all three | SSIM beyond all three | PSNR of each seed |\n"
            f"{'|---' * 9}|"
        )
        all_three = None
        for name in ["all three", *(name for name in wanted if name != "all three")]:
            seeds = [measure(faces, masks, options.weights, *variants[name], seed) for seed in range(options.seeds)]
            values = np.mean(seeds, 0)
            all_three = values if all_three is None else all_three
            columns = (*values[2:4], values[2] - values[4], *(values[2:4] - all_three[2:4]))
            cells = [
                interval(column, form, people)
                for column, form in zip(columns, ("{:.2f}", "{:.3f}", "{:.2f}", "{:+.2f}", "{:+.3f}"), strict=True)
            ]
            each = " ".join(f"{one[2].mean():.2f}" for one in seeds)
            row = [name, f"{values[0].mean():.1f}", f"{values[1].mean():.3f}", *cells, each]
            print(f"| {' | '.join(row)} |", flush=True)


def measure(
    faces: U8,
    masks: NDArray[np.bool_],
    weights: Path,
    kind: type[LatentSearch],
    settings: dict[str, object],
    seed: int = 0,
) -> NDArray[np.float64]:
    """How near a search comes, (6, N): the mean difference of known pixels and equation 8's SSIM of what it drew, PSNR
    and SSIM of the blended picture, and of the pasted one."""
    image, mask = as_tensors(faces, masks)
    seeds = torch.arange(len(image)) + 1000 * seed
    drawn = open_search(weights, kind, **settings).search(image, mask, seeds).faces
    judge = open_search(weights)
    with torch.no_grad():
        _, alike = judge.measure(drawn, judge.look(image, mask))
    found = as_levels(drawn)
    off = np.abs(found.astype(float) - faces)
    rows = [[one[~hole].mean() for one, hole in zip(off, masks, strict=True)], alike.tolist()]
    for blend in ("poisson", "paste"):
        done = [composite(*one, blend=blend, limit=None) for one in zip(faces, found, masks, strict=True)]
        rows += [[rule(*pair) for pair in zip(done, faces, strict=True)] for rule in (psnr, ssim)]
    return np.array(rows)


def moved(options: argparse.Namespace) -> None:
    faces, masks, people = read(options.dataset, options.split, options.faces, options.hole)
    off = np.stack([move(face) for face in faces])
    print(
        f"{options.hole}, n = {len(faces)}: mean |difference| of known pixels in levels; hole PSNR dB; mean and 95 % "
        "interval, aligned | moved | moved beyond aligned, paired"
    )
    for name, kind in (("DIP", Dip), ("latent_search", LatentSearch), ("TV", None)):
        near = []
        for shown in (faces, off):
            if kind:
                image, mask = as_tensors(shown, masks)
                found = open_search(options.weights, kind).search(image, mask, torch.arange(len(image))).faces
                drawn = as_levels(found)
            else:
                drawn = np.stack([fill_total_variation(*one) for one in zip(shown, masks, strict=True)])
            done = [composite(*one, blend="poisson", limit=None) for one in zip(shown, drawn, masks, strict=True)]
            known = [np.abs(a.astype(float) - b)[~hole].mean() for a, b, hole in zip(drawn, shown, masks, strict=True)]
            near.append([known, [hole_psnr(*one) for one in zip(done, shown, masks, strict=True)]])
        aligned, turned = np.array(near)
        cells = [
            interval(values, "{:.2f}", people)
            for pair in zip(aligned, turned, turned - aligned, strict=True)
            for values in pair
        ]
        print(f"{name:<14}{cells[0]} | {cells[1]} | {cells[2]}   {cells[3]} | {cells[4]} | {cells[5]}", flush=True)


def samples(options: argparse.Namespace) -> None:
    faces, masks, people = read(options.dataset, options.split, options.faces, options.hole)
    image, mask = as_tensors(faces, masks)
    method = open_search(options.weights)
    drawn = [
        as_levels(method.search(image, mask, torch.tensor([seed_of(face, place) for face in range(len(image))])).faces)
        for place in range(4)
    ]
    done = np.array(
        [
            [composite(*one, blend="poisson", limit=None) for one in zip(faces, some, masks, strict=True)]
            for some in drawn
        ]
    )
    apart = [mean_distance(done[:, face], hole) for face, hole in enumerate(masks)]
    near = np.array([[hole_psnr(*one) for one in zip(some, faces, masks, strict=True)] for some in done])
    off = [
        float(np.abs(one[hole].astype(float) - truth[hole]).mean() / 255)
        for one, truth, hole in zip(done[0], faces, masks, strict=True)
    ]
    apart_off, first_worst = (
        (interval(apart, "{:.4f}", people), interval(off, "{:.4f}", people)),
        (near[0], near.min(0)),
    )
    print(
        f"{options.hole}, n = {len(faces)}: two of 4 samples differ by {apart_off[0]} of the range in the hole, the "
        f"first from the truth by {apart_off[1]}; hole PSNR dB of the first and of the worst of each face",
        *(interval(values, "{:.2f}", people) for values in first_worst),
    )


def interval(values: ArrayLike, form: str, people: list[str]) -> str:
    """Mean, and the bounds of its 95 % interval where there are people enough for one (`evaluation.intervals`)."""
    found = bootstrap(np.asarray(values, np.float64), people=people).estimate()
    bounds = f" [{form.format(found.low)}, {form.format(found.high)}]" if np.isfinite(found.low) else ""
    return form.format(found.value) + bounds


def ranks(options: argparse.Namespace) -> None:
    """Rank correlation, over faces around the code that fits the whole face, of each loss with the squared error in the
    hole; mean over faces and 95 % interval."""
    method, dip = open_search(options.weights, start="encoder"), open_search(options.weights, Dip)
    for hole in options.hole.split(","):
        faces, masks, people = read(options.dataset, options.split, options.faces, hole)
        shown = []
        truth, nothing = as_tensors(faces, np.zeros_like(masks))
        image, mask = as_tensors(faces, masks)
        best = method.search(truth, nothing, torch.arange(len(truth))).codes
        apart = torch.randn(len(best), NEAR, best.shape[1], generator=torch.Generator().manual_seed(0))
        for place, code in enumerate(best):
            with torch.no_grad():
                drawn = method.generator.faces((code + SPREAD * apart[place]).clamp(-1, 1))
            one = image[place : place + 1], mask[place : place + 1]
            known, plain = (
                Target(*(part.expand(NEAR, -1, -1, -1) for part in kind.look(*one))) for kind in (method, dip)
            )
            logits = torch.zeros(NEAR, 2)
            ours = method.weigh(drawn, logits, known)
            losses = (
                dip.weigh(drawn, logits, plain)["context"],
                ours["context"],
                ours["structure"],
                ours["context"] + ours["structure"],
            )
            error = ((drawn - truth[place]).square() * mask[place]).sum((1, 2, 3))
            shown.append([spearmanr(loss, error).statistic for loss in losses])
        cells = [interval(column, "{:.2f}", people) for column in np.array(shown).T]
        print(
            f"{hole:<9} n = {len(faces)}: DIP's l1 {cells[0]}, l1 {cells[1]}, SSIM {cells[2]}, both {cells[3]}",
            flush=True,
        )


def mirror(options: argparse.Namespace) -> None:
    faces = read_faces(DataConfig(folder=options.dataset, split=options.split, side_px=64, holes={"none": 1}))
    landmarks = faces.landmarks
    mirrored = mirror_points(landmarks, 64)
    off = np.linalg.norm(mirrored - landmarks, axis=2).mean(1)
    slope = np.degrees(np.arctan2(*(landmarks[:, 1] - landmarks[:, 0]).T[::-1]))
    print(
        f"{options.split}, n = {len(off)}: mirrored landmarks lie {np.median(off):.2f} px of 64 from their partners "
        f"(median; 90 % within {np.quantile(off, 0.9):.2f}); eyes slope by {np.median(abs(slope)):.2f} degrees "
        f"(90 % within {np.quantile(abs(slope), 0.9):.2f})"
    )


def main() -> None:
    tasks = {
        "speed": speed,
        "start": start,
        "terms": terms,
        "moved": moved,
        "samples": samples,
        "ranks": ranks,
        "mirror": mirror,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(tasks))
    parser.add_argument("weights", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--faces", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1, help="number of random starts, for terms")
    parser.add_argument("--plain", type=int, default=4)
    parser.add_argument("--hole", default="random60")
    parser.add_argument("--split", default="test-celeba")
    parser.add_argument("--only", default="", help="parts of the names of the variants to try, all by default")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the search")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tasks[options.task](options)


if __name__ == "__main__":
    main()
