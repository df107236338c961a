"""latent_search: the paper's figures as picture grids, one row for each face.

    python benchmarks/latent_figures.py WEIGHTS DATASET OUT [--figures 1,5,8] [--faces 48] [--rows 6]

Writes OUT/figure<N>.png for figures 1 and 4 to 14 (4: of 64 validation faces x 12,800 generated ones), and
OUT/figure-unaligned.png: the paper's stated limitation, the same faces aligned and turned, shrunk and shifted. Prints
for each figure the hole PSNR of every column, and of the structural method beyond DIP, paired, over --faces faces, of
which the first --rows are drawn. The split test-generated stands in for SiblingsDB, which is not to
be had. PatchMatch is left out where it is not installed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from latent_search import ALONE, U8, as_levels, as_tensors, move, open_search, read
from numpy.typing import NDArray

from facefill.errors import InputError
from facefill.imaging.blend import composite
from facefill.imaging.classical import CLASSICAL
from facefill.imaging.masks import MASKS
from facefill.imaging.metrics import hole_psnr
from facefill.imaging.sheets import blending_steps, side_by_side
from facefill.methods.latent_search import Dip, LatentSearch
from facefill.training.settle import settle, validation_faces

Masks = NDArray[np.bool_]
LABEL_PX, SCALE = 14, 2
STANDARD = ("upper", "lower", "half-left", "half-right", "eyes", "centre")
DROPPED = ("random20", "random40", "random60", "random80")
BOTH = ("DIP", "latent_search")


class Figure(NamedTuple):
    """What one figure shows."""

    split: str
    holes: tuple[str, ...]
    """The faces take them in turn."""
    columns: tuple[str, ...]
    """Between the masked picture and the truth."""
    moved: bool = False
    """Whether every second face is a copy of the one before, turned, shrunk and shifted."""


FIGURES = {
    "1": Figure("test-celeba", ("centre",), ("TV", "PatchMatch", *BOTH)),
    "5": Figure("test-celeba", ("centre",), ("critic alone", "l1 alone", "SSIM alone", "latent_search")),
    "6": Figure("test-celeba", ("centre",), ()),
    "7": Figure("test-celeba", ("centre", "freeform"), ("pasted", "latent_search")),
    "8": Figure("test-celeba", ("centre",), BOTH),
    "9": Figure("test-celeba", STANDARD, BOTH),
    "10": Figure("test-celeba", ("freeform",), BOTH),
    "11": Figure("test-celeba", DROPPED, ("TV", "PatchMatch", *BOTH)),
    "12": Figure("test-generated", ("centre",), BOTH),
    "13": Figure("test-generated", ("freeform",), BOTH),
    "14": Figure("test-asian", ("centre", "freeform", "random60", "half-left", "lower", "eyes"), BOTH),
    "-unaligned": Figure("test-celeba", ("centre",), ("drawn", *BOTH), moved=True),
}


def blended(faces: U8, drawn: U8, masks: Masks, blend: str = "poisson") -> U8:
    return np.stack([composite(*one, blend=blend, limit=None) for one in zip(faces, drawn, masks, strict=True)])


def complete(column: str, faces: U8, masks: Masks, weights: Path) -> U8:
    """The faces (N, 64, 64, 3) as a column of a figure shows them. Raises InputError for what is not installed."""
    classical = {"TV": "total_variation", "PatchMatch": "patchmatch"}
    if column in classical:
        rule: Callable[..., U8] = CLASSICAL[classical[column]]
        return np.stack([rule(face, mask) for face, mask in zip(faces, masks, strict=True)])
    kind = Dip if column == "DIP" else LatentSearch
    method = open_search(weights, kind, **ALONE.get(column, {}))
    drawn = as_levels(method.search(*as_tensors(faces, masks), torch.arange(len(faces))).faces)
    return drawn if column == "drawn" else blended(faces, drawn, masks, "paste" if column == "pasted" else "poisson")


def chosen(figure: Figure, dataset: Path, count: int) -> tuple[U8, Masks]:
    """The first faces of a figure's split, with its holes in turn."""
    faces = read(dataset, figure.split, count, figure.holes[0]).faces
    if figure.moved:
        faces = np.stack([picture for face in faces[: (count + 1) // 2] for picture in (face, move(face))])[:count]
    holes = [MASKS[figure.holes[place % len(figure.holes)]] for place in range(len(faces))]
    return faces, np.stack([hole(64, np.random.default_rng(place)) for place, hole in enumerate(holes)])


def draw(figure: Figure, dataset: Path, weights: Path, count: int, rows: int) -> tuple[U8, dict[str, list[float]]]:
    """The grid of the first `rows` faces with its labels, and each column's hole PSNR in dB of all."""
    faces, masks = chosen(figure, dataset, count)
    columns = {"input": np.where(masks[..., None], np.uint8(255), faces)}
    scores = {}
    for name in figure.columns:
        try:
            columns[name] = complete(name, faces, masks, weights)
        except InputError as error:
            print(f"{name} left out: {error}")
            continue
        scores[name] = [hole_psnr(*one) for one in zip(columns[name], faces, masks, strict=True)]
    columns["truth"] = faces
    if {*BOTH} <= {*scores}:
        scores["beyond DIP"] = [ours - theirs for theirs, ours in zip(*(scores[name] for name in BOTH), strict=True)]
    return np.concatenate([labelled(name, pictures[:rows]) for name, pictures in columns.items()], 1), scores


def labelled(name: str, pictures: U8) -> U8:
    """Pictures (N, 64, 64, 3) below one another, enlarged, under their name."""
    large = cv2.resize(np.concatenate(list(pictures)), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    label = np.full((LABEL_PX, large.shape[1], 3), 255, np.uint8)
    cv2.putText(label, name, (3, LABEL_PX - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([label, large])


def draw_steps(figure: Figure, dataset: Path, weights: Path, count: int) -> U8:
    """Figure 6: the steps of blending, a row for each face."""
    faces, masks = chosen(figure, dataset, count)
    drawn = complete("drawn", faces, masks, weights)
    rows = [side_by_side(blending_steps(*one)) for one in zip(faces, drawn, masks, strict=True)]
    return np.asarray(cv2.resize(np.concatenate(rows), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC))


def draw_bounds(dataset: Path, weights: Path, path: Path) -> None:
    """Figure 4: SSIM and L1 of pairs of a face and a generated one, with the bounds that normalise them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    settled = settle(open_search(weights), validation_faces(dataset, 64))
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    bounds = (settled.bounds[2:], settled.bounds[:2])
    pairs = zip(axes, (settled.likeness, settled.distances), bounds, ("SSIM", "L1"), strict=True)
    for axis, values, ends, label in pairs:
        axis.plot(values.ravel()[:: max(1, values.size // 20_000)], ".", markersize=1, alpha=0.4)
        for end in ends:
            axis.axhline(end, color="black", linewidth=0.8)
        axis.set_xlabel("pairs of a test face and a generated one")
        axis.set_ylabel(label)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights", "dataset", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--figures", default=",".join(["4", *FIGURES]))
    parser.add_argument("--faces", type=int, default=48)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.figures.split(","):
        if name == "4":
            draw_bounds(options.dataset, options.weights, options.out / "figure4.png")
            continue
        given = (FIGURES[name], options.dataset, options.weights)
        picture, scores = (
            (draw_steps(*given, options.rows), {}) if name == "6" else draw(*given, options.faces, options.rows)
        )
        cv2.imwrite(str(options.out / f"figure{name}.png"), picture[..., ::-1])
        cells = [f"{column} {np.mean(values):.2f}" for column, values in scores.items()]
        print(f"figure{name}: " + "; ".join(cells), flush=True)


if __name__ == "__main__":
    main()
